"""The real local host on the real storage emulator, killed, paused and cut off, and how runs come through.

All courses run at the same time, mostly waiting for a sweep; then each test judges its own.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from sandbox.azurite import Azurite
from tests.runs.course import Course, Venue, account_of, check_the_end
from tests.runs.crash_points import CRASH_POINTS, CrashPoint, crash
from tests.runs.paused_sender import Pause, check_pause, pause_a_sender
from tests.runs.random_kills import Plan, check_kills, run_with_kills
from tests.runs.storage_restart import restart_storage

LONGEST_GAP_SECONDS: Final = 150.0
"""Work goes on so soon after a kill: the requirement."""
PATIENCE_SECONDS: Final = 290.0

TWO_KILLS: Final = "two-random-kills"
PAUSED: Final = "paused-sender"
RESTARTED: Final = "restarted-storage"
KILLS: Final = Plan(rows=5_000, kills=2, automations=True, longest_life_seconds=4.0)


@dataclass(slots=True)
class Seen:
    """How the courses ended."""

    courses: dict[str, Course] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All courses, as they ended."""
    folder = tmp_path_factory.mktemp("kills")
    names = [*(point.name for point in CRASH_POINTS), TWO_KILLS, PAUSED]
    with (
        Azurite(accounts=[account_of(name) for name in names]) as azurite,
        Azurite(folder / "storage", accounts=[account_of(RESTARTED)], start_seconds=120.0) as restarted,
    ):
        yield asyncio.run(run_all(azurite, restarted, folder))


async def run_all(azurite: Azurite, restarted: Azurite, folder: Path) -> Seen:
    """Run every course until its run is over, or until nobody wants to wait any longer."""
    seen = Seen()
    venue = Venue(azurite, folder, courses=seen.courses)
    other = Venue(restarted, folder, starting=venue.starting, courses=seen.courses)
    await asyncio.gather(
        _with_patience(pause_a_sender(PAUSED, venue, seen.pauses)),
        _with_patience(run_with_kills(TWO_KILLS, KILLS, venue)),
        _with_patience(restart_storage(RESTARTED, other)),
        *(_with_patience(crash(point, venue)) for point in CRASH_POINTS),
    )
    return seen


async def _with_patience(course: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):  # the course's test tells what is missing
        async with asyncio.timeout(PATIENCE_SECONDS):
            await course


@pytest.mark.parametrize("point", CRASH_POINTS, ids=lambda point: point.name)
def test_a_run_comes_through_the_death_of_its_host(point: CrashPoint, seen: Seen) -> None:
    course = seen.courses[point.name]
    assert len(course.killed_at) == 1, "the host never came to this point"
    gap_seconds = course.gap_seconds(0, point.goes_on)

    check_the_end(course)
    assert gap_seconds is not None, "what should have followed never did"
    print(f"{point.name}: went on after {gap_seconds:.0f} s, {course.repeated()} bodies twice")  # noqa: T201 - shown by pytest -rP
    assert gap_seconds <= LONGEST_GAP_SECONDS


def test_a_run_comes_through_kills_at_any_moment_while_activecampaign_falters(seen: Seen) -> None:
    check_kills(seen.courses[TWO_KILLS], KILLS)


def test_a_sender_that_stood_still_for_longer_than_its_claim_sends_nothing_when_it_wakes(seen: Seen) -> None:
    course = seen.courses[PAUSED]

    check_the_end(course)
    check_pause(course, seen.pauses[PAUSED])


def test_a_run_goes_on_when_storage_has_been_away(seen: Seen) -> None:
    check_the_end(seen.courses[RESTARTED])
