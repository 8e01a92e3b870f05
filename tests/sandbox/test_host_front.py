"""What the host's port does by itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest

from sandbox.host import front as front_module
from sandbox.host.events import BlobEvents
from sandbox.host.front import Front
from sandbox.host.functions import Function, HttpTrigger
from sandbox.host.pool import Pool
from sandbox.host.routes import Route


class Endless:
    """Stands in for workers that never answer."""

    async def call(self, *_: Any, **__: Any) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    function = Function("slow", HttpTrigger("req", Route.parse("slow"), frozenset(), "anonymous"))
    front = Front(
        [function],
        pool=cast("Pool", Endless()),
        events=cast("BlobEvents", None),
        route_prefix="api",
        key=None,
        describe=dict,
        grace_seconds=0.0,
    )
    yield f"http://127.0.0.1:{await front.listen(0)}"
    await front.close()


async def test_a_request_is_not_waited_for_beyond_the_front_ends_limit(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert front_module._ANSWER_SECONDS == 230.0
    monkeypatch.setattr(front_module, "_ANSWER_SECONDS", 0.05)
    async with aiohttp.ClientSession() as session, session.get(f"{address}/api/slow") as answer:
        assert answer.status == 504
