"""Time is simulated here: a client that waits costs nothing."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.fakes.clock import SimulatedLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"simulated": SimulatedLoop}
