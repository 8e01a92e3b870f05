"""Time that passes only when everybody waits for it: hours of a run take milliseconds."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, TypeVarTuple

from tests.fakes.storage import Process

STARTED_AT: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When a simulated loop begins."""


_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a time-out it lets the loop's time jump there."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("everybody waits for something that nobody will do")
            self.jump(timeout)
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as nothing else can run.

    Work for threads is done at once, on the spot, so that every order of events is repeatable.
    """

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.jump = self._jump
        self._elapsed = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._elapsed

    def _jump(self, seconds: float) -> None:
        self._elapsed += max(seconds, 1e-7)  # less might not change a large number at all

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*_Arguments], _Result],
        *args: *_Arguments,
    ) -> asyncio.Future[_Result]:
        done: asyncio.Future[_Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class FakeClock:
    """The clock of the running loop; with a `SimulatedLoop`, waiting costs nothing."""

    def now(self) -> datetime:
        return STARTED_AT + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ProcessClock(FakeClock):
    """The clock of one process, which may be set wrong and stands still while the process does."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._process.clock_off_seconds)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self._process.thaw()
