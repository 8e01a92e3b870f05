"""Time that passes only when everybody waits for it: hours of a run take milliseconds."""

import asyncio
import math
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context, ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, TypeVarTuple

STARTED_AT: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When a simulated loop begins."""


_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a time-out it lets the loop's time jump there."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for something that nobody will do")
        self.jump(timeout)
        return []  # nothing in a simulated world is told by a file


@dataclass(slots=True)
class Standstill:
    """From when until when nothing of a process runs, as on an instance that the platform has frozen.

    What is due at the very moment when it begins still runs.
    """

    since: float = math.inf
    until: float = -math.inf

    def holds(self, now: float) -> bool:
        """Whether nothing runs at a moment."""
        return self.since < now < self.until


STANDSTILL: ContextVar[Standstill | None] = ContextVar("STANDSTILL", default=None)
"""Set in the context of everything that a process does, its timers included."""


@dataclass(slots=True, eq=False)
class _Gate:
    """A callback of a process that may stand still: then it runs when the process goes on."""

    loop: "SimulatedLoop"
    standstill: Standstill
    callback: Callable[..., object]
    context: Context | None
    handle: asyncio.Handle | None = None
    """Of the callback as it was asked for, which may be cancelled while it waits."""

    def __call__(self, *args: object) -> None:
        if self.handle is not None and self.handle.cancelled():
            return
        if self.standstill.holds(self.loop.time()):
            self.loop.call_at(self.standstill.until, self, *args, context=self.context)
        else:
            self.callback(*args)


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

    def call_soon(
        self, callback: Callable[[*_Arguments], object], *args: *_Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        gate = self._gate(callback, context)
        if gate is None:
            return super().call_soon(callback, *args, context=context)
        gate.handle = super().call_soon(gate, *args, context=context)
        return gate.handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        gate = self._gate(callback, context)
        if gate is None:
            return super().call_at(when, callback, *args, context=context)
        gate.handle = handle = super().call_at(when, gate, *args, context=context)
        return handle

    def _gate(self, callback: Callable[..., object], context: Context | None) -> _Gate | None:
        """What keeps a callback waiting while its process stands still; None where it needs none."""
        if isinstance(callback, _Gate):
            return None
        standstill = context.get(STANDSTILL) if context is not None else STANDSTILL.get()
        return _Gate(self, standstill, callback, context) if standstill is not None else None

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
    """The running loop's time, wrong by `off_seconds`; with a `SimulatedLoop`, waiting costs nothing."""

    def __init__(self, off_seconds: float = 0.0) -> None:
        self.off_seconds = off_seconds

    def now(self) -> datetime:
        return STARTED_AT + timedelta(seconds=self.monotonic() + self.off_seconds)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
