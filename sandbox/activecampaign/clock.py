"""The simulator's time: seconds since it started, faster than real time or moved by hand."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the simulator reads the time; every window and every processing time derives from it."""

    def now(self) -> float:
        """Return the simulated seconds since the clock started."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many simulated seconds."""
        ...


class ScaledClock:
    """Real time, run `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._base = 0.0
        self._started = time.monotonic()

    def now(self) -> float:
        """Return the simulated seconds since the clock started."""
        return self._base + (time.monotonic() - self._started) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many simulated seconds, hence for `seconds / speed` real ones."""
        await asyncio.sleep(seconds / self._speed)

    def set_speed(self, speed: float) -> None:
        """Go on from the present moment at another speed."""
        self._base = self.now()
        self._started = time.monotonic()
        self._speed = speed


class ManualClock:
    """A clock that stands still until a test moves it, so that no test needs to sleep."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.awaited = asyncio.Event()
        """Set while somebody sleeps until the clock is moved."""

    def now(self) -> float:
        """Return the moment that the clock was last moved to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake the sleepers whose time has come."""
        self._now += seconds
        due = [future for moment, future in self._sleepers if moment <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        if not self._sleepers:
            self.awaited.clear()
        for future in due:
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved so far."""
        if seconds <= 0:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, future))
        self.awaited.set()
        await future
