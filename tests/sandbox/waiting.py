"""Waiting for something to become true, with a deadline instead of a guess."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
DEADLINE_SECONDS = 30.0


def eventually(probe: Callable[[], T], what: str = "it") -> T:
    """Ask until the answer is truthy."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)
    return answer


async def eventually_async(probe: Callable[[], Awaitable[T]], what: str = "it") -> T:
    """Ask until the answer is truthy, without blocking the loop."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (answer := await probe()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        await asyncio.sleep(0.02)
    return answer


def unique(name: str) -> str:
    """Return a name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:12]}"
