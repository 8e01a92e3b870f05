"""The doctor's order, what it skips, and how it tells a stopped app from one that hears nothing."""

from dataclasses import dataclass
from datetime import datetime

import pytest

from exporter.steps.doctor import Check, Code, Doctor, Examination, QueueLook
from exporter.steps.messages import Queue
from tests.builders import NOON
from tests.fakes.instruments import FakeInstruments, a_trouble
from tests.fakes.randomness import FakeRandomness


@dataclass
class CountingClock:
    """Sleeping only counts."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Ward:
    """A doctor with instruments, and what it found."""

    instruments: FakeInstruments
    clock: CountingClock
    examination: Examination

    async def examine(self) -> dict[str, Check]:
        await self.examination.look("settings", _fine)
        doctor = Doctor(self.instruments, self.clock, FakeRandomness())
        await doctor.examine_storage(self.examination)
        await doctor.examine_app(self.examination)
        return {check.check: check for check in self.examination.checks}


async def _fine() -> str:
    return "fine"


@pytest.fixture
def ward() -> Ward:
    return Ward(FakeInstruments(), CountingClock(), Examination())


def codes(found: dict[str, Check]) -> dict[str, str | None]:
    return {name: check.code for name, check in found.items() if check.ok is False}


async def test_all_is_well(ward: Ward) -> None:
    found = await ward.examine()

    assert ward.examination.well
    assert {check.ok for check in found.values()} == {True}
    assert ward.instruments.test_drops == []


async def test_an_account_that_is_gone_is_looked_at_once(ward: Ward) -> None:
    ward.instruments.troubles["try_state"] = a_trouble(Code.STORAGE_UNREACHABLE)

    found = await ward.examine()

    assert codes(found) == {"state": Code.STORAGE_UNREACHABLE}
    assert ward.instruments.calls == ["try_state"]
    assert found["landing"].detail == "needs: state"
    assert found["queue plans"].detail == "needs: queues"
    assert found["events"].detail == "needs: state, landing"
    assert not ward.examination.well


async def test_a_landing_account_of_its_own_is_looked_at_all_the_same(ward: Ward) -> None:
    ward.instruments.shares_account = False
    ward.instruments.troubles["try_state"] = a_trouble(Code.STORAGE_UNREACHABLE)

    found = await ward.examine()

    assert found["landing"].ok is True


async def test_a_missing_right_on_blobs_does_not_hide_the_queues(ward: Ward) -> None:
    ward.instruments.troubles["try_state"] = a_trouble(Code.RIGHT_MISSING)

    found = await ward.examine()

    assert codes(found) == {"state": Code.RIGHT_MISSING}
    assert found["landing"].ok is True
    assert found["queue receipts"].ok is True
    assert found["state"].remedy == "mend it"


async def test_waiting_messages_are_counted_and_dated(ward: Ward) -> None:
    ward.instruments.queues = {
        Queue.PLANS: QueueLook(1, 12.4),
        Queue.CHUNKS: QueueLook(3, None),
    }

    found = await ward.examine()

    assert found["queue plans"].detail == "1 message; the oldest that is due was put 12 s ago"
    assert found["queue chunks"].detail == "3 messages, none due yet"
    assert found["queue receipts"].detail == "nothing waits"
    assert ward.examination.well


async def test_poisoned_messages_are_wrong(ward: Ward) -> None:
    ward.instruments.poisoned = {Queue.CHUNKS: 2, Queue.RECEIPTS: 1}

    found = await ward.examine()

    assert codes(found) == {"poison queues": Code.POISONED}
    assert "2 in chunks-poison, 1 in receipts-poison;" in found["poison queues"].detail


async def test_a_test_drop_may_take_its_time(ward: Ward) -> None:
    ward.instruments.arrives = lambda: ward.clock.seconds >= 42

    found = await ward.examine()

    assert found["events"].detail == "the app was told of a test drop within 42 s"


@pytest.mark.parametrize(
    ("age", "is_local", "expected", "remedy"),
    [
        (20.0, True, {"events": Code.NOT_ANNOUNCED}, "exporter up"),
        (20.0, False, {"events": Code.NOT_ANNOUNCED}, "az eventgrid event-subscription list"),
        (90.0, True, {"events": Code.NOT_ANNOUNCED}, "exporter up"),
        (91.0, True, {"events": Code.APP_STOPPED}, "exporter up"),
        (181.0, True, {"events": Code.APP_STOPPED, "timers": Code.APP_STOPPED}, "exporter up"),
        (181.0, False, {"events": Code.APP_STOPPED, "timers": Code.APP_STOPPED}, "az functionapp start"),
        (None, True, {"events": Code.APP_STOPPED, "timers": Code.APP_STOPPED}, "exporter up"),
    ],
)
async def test_an_app_that_hears_nothing_is_told_from_one_that_stands_still(
    ward: Ward, age: float | None, is_local: bool, expected: dict[str, Code], remedy: str
) -> None:
    ward.instruments.is_local = is_local
    ward.instruments.arrives = lambda: False
    ward.instruments.heartbeat = lambda: age

    found = await ward.examine()

    assert codes(found) == expected
    assert remedy in str(found["events"].remedy)
    assert ward.clock.seconds == 60
    assert ward.instruments.test_drops == []


async def test_a_timer_that_was_just_started_gets_the_time_for_its_first_beat(ward: Ward) -> None:
    ward.instruments.heartbeat = lambda: 0.0 if ward.clock.seconds >= 59 else None

    found = await ward.examine()

    assert found["timers"].ok is True


async def test_a_timer_that_stands_still_in_a_running_app_is_named(ward: Ward) -> None:
    ward.instruments.heartbeat = lambda: 4000.0

    found = await ward.examine()

    assert codes(found) == {"timers": Code.TIMER_STOPPED}
    assert "restart" in str(found["timers"].remedy) or "again" in str(found["timers"].remedy)


async def test_a_test_drop_is_removed_even_when_looking_for_it_fails(ward: Ward) -> None:
    ward.instruments.troubles["test_drop_arrived"] = a_trouble(Code.RIGHT_MISSING)

    found = await ward.examine()

    assert codes(found) == {"events": Code.RIGHT_MISSING}
    assert ward.instruments.test_drops == []


async def test_a_surprise_is_one_line_without_its_text(ward: Ward) -> None:
    surprises: list[Exception] = []
    ward.examination.on_surprise = surprises.append
    ward.instruments.troubles["try_queues"] = KeyError("canary")

    found = await ward.examine()

    assert codes(found) == {"queues": Code.UNEXPECTED}
    assert "canary" not in str(found)
    assert "KeyError" in found["queues"].detail
    assert len(surprises) == 1
    assert found["events"].ok is True


async def test_checks_are_told_as_they_are_made(ward: Ward) -> None:
    told: list[str] = []
    ward.examination.on_check = lambda check: told.append(check.check)

    found = await ward.examine()

    assert told == list(found)
