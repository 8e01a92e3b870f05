"""How a worker process comes by its app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from azure.core.exceptions import ServiceRequestError

from exporter import bootstrap
from exporter.bootstrap import STEADFAST_SECONDS, AppOfProcess
from exporter.settings import Settings
from exporter.steps.outage import NEXT_TRY_SECONDS

SETTINGS = Settings.from_env({"EXPORTER_STORAGE": "UseDevelopmentStorage=true"})
AWAY = ServiceRequestError("no identity gives a token")


class QuickClock:
    """Time passes by sleeping alone."""

    def __init__(self) -> None:
        self.passed_seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.passed_seconds, UTC)

    def monotonic(self) -> float:
        return self.passed_seconds

    async def sleep(self, seconds: float) -> None:
        self.passed_seconds += seconds


class Doors:
    """Stands in for what opens the app: fails so often, with one error."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.opened_count = 0

    @asynccontextmanager
    async def open_app(self, settings: Settings, **_: bool) -> AsyncIterator[object]:
        if self.failures:
            self.failures -= 1
            raise self.error
        self.opened_count += 1
        yield self


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


async def test_an_outage_at_the_start_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, clock: QuickClock
) -> None:
    doors = Doors(3, AWAY)
    monkeypatch.setattr(bootstrap, "open_app", doors.open_app)
    process = AppOfProcess(clock=clock)

    assert await process.get(SETTINGS) is await process.get(SETTINGS)
    assert clock.passed_seconds == 3 * NEXT_TRY_SECONDS
    assert doors.opened_count == 1


async def test_a_long_outage_ends_the_call_before_the_platform_does(
    monkeypatch: pytest.MonkeyPatch, clock: QuickClock
) -> None:
    monkeypatch.setattr(bootstrap, "open_app", Doors(10_000, AWAY).open_app)

    with pytest.raises(ServiceRequestError):
        await AppOfProcess(clock=clock).get(SETTINGS)

    assert STEADFAST_SECONDS <= clock.passed_seconds <= STEADFAST_SECONDS + NEXT_TRY_SECONDS


@pytest.mark.parametrize(("impatient", "error"), [(True, AWAY), (False, ValueError("a mistake of ours"))])
async def test_whom_somebody_waits_for_and_what_no_time_mends_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, clock: QuickClock, impatient: bool, error: Exception
) -> None:
    monkeypatch.setattr(bootstrap, "open_app", Doors(1, error).open_app)

    with pytest.raises(type(error)):
        await AppOfProcess(impatient, clock).get(SETTINGS)

    assert clock.passed_seconds == 0
