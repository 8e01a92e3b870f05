"""What all tests share."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from hypothesis import settings

from sandbox.azurite import Azurite

# No test is timed, and the same examples are looked at everywhere.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a storage emulator that all tests share; name things uniquely in it."""
    with Azurite() as storage:
        yield storage.connection_string


class _MadeUpResponse(aiohttp.ClientResponse):
    """A response that aioresponses 0.7.9 can build: it does not know the newest argument."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"stream_writer": Mock(), **options})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Made-up answers for requests of aiohttp; any other request fails to connect."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _MadeUpResponse)
    with aioresponses() as mocked:
        yield mocked
