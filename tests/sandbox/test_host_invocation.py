"""How the functions of one worker share its threads and its event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.host.functions import Function, HttpTrigger
from sandbox.host.invocation import Invoker, LoadedFunction
from sandbox.host.routes import Route
from tests.sandbox.waiting import DEADLINE_SECONDS, eventually_async

TRIGGER = HttpTrigger("value", Route.parse("x"), frozenset(), "anonymous")


def loaded(code: Callable[..., Any]) -> LoadedFunction:
    return LoadedFunction(Function(code.__name__, TRIGGER), code, None, wants_context=False)


def quick(value: object) -> str:
    return f"quick {value}"


@pytest.fixture
def app_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop that the app has to itself."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def invoker(app_loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoker]:
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "2")
    invoker = Invoker(app_loop, None)
    yield invoker
    invoker._threads.shutdown()


async def test_plain_functions_run_side_by_side_in_as_many_threads_as_the_setting_says(
    invoker: Invoker,
) -> None:
    started: list[str] = []
    meeting = threading.Barrier(3)

    def meets(value: str) -> None:
        started.append(value)
        meeting.wait(DEADLINE_SECONDS)

    calls = [asyncio.create_task(invoker.call(loaded(meets), str(number))) for number in range(4)]

    async def both_wait() -> bool:
        return meeting.n_waiting == 2

    for pair in (["0", "1"], ["0", "1", "2", "3"]):
        await eventually_async(both_wait, "two calls at once")
        assert started == pair  # no third while two run
        await asyncio.to_thread(meeting.wait, DEADLINE_SECONDS)
    assert all([(await call).ok for call in calls])


async def test_coroutines_share_one_loop(invoker: Invoker, app_loop: asyncio.AbstractEventLoop) -> None:
    meeting = asyncio.Barrier(3)

    async def meets(value: object) -> asyncio.AbstractEventLoop:
        await asyncio.wait_for(meeting.wait(), DEADLINE_SECONDS)
        return asyncio.get_running_loop()

    # Three at once, although there are but two threads.
    outcomes = await asyncio.gather(*(invoker.call(loaded(meets), number) for number in range(3)))
    assert [outcome.result for outcome in outcomes] == [app_loop] * 3


async def test_a_coroutine_that_blocks_holds_up_the_others_but_no_plain_function(invoker: Invoker) -> None:
    entered, release = threading.Event(), threading.Event()
    done: list[object] = []

    async def blocks(value: object) -> None:
        entered.set()
        release.wait(DEADLINE_SECONDS)  # on purpose: what a careless function does

    async def polite(value: object) -> None:
        done.append(value)

    blocking = asyncio.create_task(invoker.call(loaded(blocks), 1))
    await asyncio.to_thread(entered.wait, DEADLINE_SECONDS)
    waiting = asyncio.create_task(invoker.call(loaded(polite), 2))
    assert (await invoker.call(loaded(quick), 3)).result == "quick 3"
    assert invoker.running == 2
    assert done == []
    release.set()
    assert (await blocking).ok
    assert (await waiting).ok
    assert done == [2]
