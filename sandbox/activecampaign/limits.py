"""Request windows: at most so many in any so many seconds of simulated time."""

import math
from collections import deque

from .settings import SimulatorSettings


class Window:
    """The moments of the requests that hold a place in the current window."""

    __slots__ = ("_moments", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._moments: deque[float] = deque()

    def used(self, now: float, *, fixed: bool = False) -> int:
        """Count the places taken in the window that `now` lies in.

        A sliding window is open at its start: a request exactly one window old no longer counts.
        """
        moments = self._moments
        if fixed:
            start = math.floor(now / self._seconds) * self._seconds
            while moments and moments[0] < start:
                moments.popleft()
        else:
            start = now - self._seconds
            while moments and moments[0] <= start:
                moments.popleft()
        return len(moments)

    def take(self, now: float) -> None:
        """Take a place."""
        self._moments.append(now)

    def give_back(self) -> None:
        """Free the place taken last."""
        self._moments.pop()


class Limits:
    """The account's three throttles (all keys and integrations share them)."""

    def __init__(self) -> None:
        self.general = Window(1.0)
        self.multi = Window(60.0)
        self.single = Window(60.0)

    def admit(self, window: Window, limit: int, now: float, settings: SimulatorSettings) -> bool:
        """Take a place in the window, or say that there is none."""
        if not settings.limits_enforced:
            return True
        admitted = window.used(now, fixed=settings.window == "fixed") < limit
        if admitted or settings.throttled_requests_count:
            window.take(now)
        return admitted

    def remaining(self, now: float, settings: SimulatorSettings) -> int:
        """Return the value of `RateLimit-Remaining`."""
        used = self.general.used(now, fixed=settings.window == "fixed")
        return max(settings.requests_per_second - used, 0)
