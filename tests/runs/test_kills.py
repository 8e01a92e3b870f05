"""The real local host on the real storage emulator, killed, paused and cut off, and how runs come through.

All courses run at the same time, mostly waiting for a sweep; then each test judges its own.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from sandbox.azurite import Azurite
from tests.runs.course import Course, Venue, account_of, check_the_end
from tests.runs.crash_points import CRASH_POINTS, crash
from tests.runs.paused_sender import Pause, check_pause, pause_a_sender
from tests.runs.random_kills import Plan, check_kills, run_with_kills
from tests.runs.storage_restart import restart_storage

LONGEST_GAP_SECONDS: Final = 150.0
"""Work goes on so soon after a kill: the requirement."""
PATIENCE_SECONDS: Final = 420.0

TWO_KILLS: Final = "two-random-kills"
PAUSED: Final = "paused-sender"
RESTARTED: Final = "restarted-storage"
POINTS: Final = {point.name: point for point in CRASH_POINTS}
KILLS: Final = Plan(rows=5_000, kills=2, automations=True, longest_life_seconds=4.0)


@dataclass(slots=True)
class Seen:
    """How the courses ended."""

    courses: dict[str, Course] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The courses of the tests that were asked for, as they ended."""
    asked_for = {
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == Path(__file__)
    }
    folder = tmp_path_factory.mktemp("kills")
    with (
        Azurite(accounts=[account_of(name) for name in sorted(asked_for)]) as azurite,
        Azurite(folder / "storage", accounts=[account_of(RESTARTED)], start_seconds=120.0) as restarted,
    ):
        yield asyncio.run(run_all(asked_for, azurite, restarted, folder))


async def run_all(asked_for: set[str], azurite: Azurite, restarted: Azurite, folder: Path) -> Seen:
    """Run every course until its run is over, or until nobody wants to wait any longer."""
    seen = Seen()
    venue = Venue(azurite, folder, courses=seen.courses)
    other = Venue(restarted, folder, starting=venue.starting, courses=seen.courses)
    courses = {
        PAUSED: partial(pause_a_sender, PAUSED, venue, seen.pauses),
        TWO_KILLS: partial(run_with_kills, TWO_KILLS, KILLS, venue),
        RESTARTED: partial(restart_storage, RESTARTED, other),
        # Those that die late in the flow are found stalled last, so they begin first.
        **{name: partial(crash, POINTS[name], venue) for name in reversed(POINTS)},
    }
    await asyncio.gather(*(_with_patience(run()) for name, run in courses.items() if name in asked_for))
    return seen


async def _with_patience(course: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):  # the course's test tells what is missing
        async with asyncio.timeout(PATIENCE_SECONDS):
            await course


@pytest.mark.parametrize("name", POINTS)
def test_a_run_comes_through_the_death_of_its_host(name: str, seen: Seen) -> None:
    course = seen.courses[name]
    assert len(course.killed_at) == 1, "the host never came to this point"
    gap_seconds = course.gap_seconds(0, POINTS[name].goes_on)

    check_the_end(course)
    assert gap_seconds is not None, "what should have followed never did"
    print(f"{name}: went on after {gap_seconds:.0f} s, {course.repeated()} bodies twice")  # noqa: T201 - shown by pytest -rP
    assert gap_seconds <= LONGEST_GAP_SECONDS


@pytest.mark.parametrize("name", [TWO_KILLS])
def test_a_run_comes_through_kills_at_any_moment_while_activecampaign_falters(name: str, seen: Seen) -> None:
    check_kills(seen.courses[name], KILLS)


@pytest.mark.parametrize("name", [PAUSED])
def test_a_sender_that_stood_still_for_longer_than_its_claim_sends_nothing_more(
    name: str, seen: Seen
) -> None:
    check_the_end(seen.courses[name])
    check_pause(seen.courses[name], seen.pauses[name])


@pytest.mark.parametrize("name", [RESTARTED])
def test_a_run_goes_on_when_storage_has_been_away(name: str, seen: Seen) -> None:
    check_the_end(seen.courses[name])
