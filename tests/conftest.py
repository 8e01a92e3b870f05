"""What all tests share."""

from collections.abc import Iterator

import pytest

from sandbox.azurite import Azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a storage emulator that all tests share; name things uniquely in it."""
    with Azurite() as storage:
        yield storage.connection_string
