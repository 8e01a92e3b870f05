"""A run whose host is killed again and again at moments that a seed decides, while ActiveCampaign falters."""

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import Final

from exporter.domain.configuration import Limits
from exporter.steps.lot import MAX_WITHOUT_RECEIPT
from sandbox.activecampaign import SimulatorSettings
from tests.runs.course import Course, Venue, check_the_end, until
from tests.runs.site import KEY

WORK: Final = r"^PUT .*/plan.json|^POST /api/3/import/bulk_import|^GET /api/3/import/info"
"""What shows that a host works on the run."""

FAULTS: Final = (
    ("bulk", "reset_after", 0.01),
    ("*", "status:503", 0.01),
    ("bulk", "truncated_json", 0.005),
    ("bulk", "batch_end:interrupted", 0.02),
)
"""Route, action and share of the calls."""
REPEATING: Final = frozenset({"reset_after", "truncated_json", "batch_end:interrupted"})
"""Faults after which a body is sent once more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen."""

    rows: int
    kills: int
    automations: bool
    seed: int = 1
    longest_life_seconds: float = 20.0
    """A host is killed at the latest so long after it has begun to work."""


async def run_with_kills(name: str, plan: Plan, venue: Venue) -> None:
    """Take a run at the documented limits to its end through all of it."""
    async with venue.course(name, SimulatorSettings(key=KEY)) as course:
        for number, (route, action, share) in enumerate(FAULTS):
            calls = {"probability": share, "seed": 100 * plan.seed + number}
            course.simulator.install_fault(route, action, calls)
        await course.drop(plan.rows, limits=Limits(), automations=plan.automations)
        killing = asyncio.ensure_future(_kill(course, plan))
        try:
            await course.until_over()
        finally:
            killing.cancel()


async def _kill(course: Course, plan: Plan) -> None:
    chance = random.Random(plan.seed)
    for _ in range(plan.kills):
        since = course.restarted_at[-1] if course.restarted_at else 0.0
        await until(partial(_works, course, since), 0.5)
        await asyncio.sleep(chance.uniform(0, plan.longest_life_seconds))
        course.kill_and_restart()
        await course.restarts[-1]


def _works(course: Course, since: float) -> bool:
    """Whether a host has worked on the run since then."""
    return course.next_seen(WORK, since) is not None


def most_repeated(course: Course) -> int:
    """So many bodies may have been sent twice: those under way at each kill, and those that met a fault."""
    struck = sum(rule.hits for rule in course.simulator.state.faults.rules if str(rule.fault) in REPEATING)
    return MAX_WITHOUT_RECEIPT * len(course.killed_at) + struck


def check_kills(course: Course, plan: Plan) -> None:
    """The host was killed as often as planned, and the run ended as promised all the same."""
    assert len(course.killed_at) == plan.kills
    check_the_end(course, most_repeated=most_repeated(course))
    if not plan.automations:
        assert not any(body.automations for body in course.accepted())
        assert course.simulator.counters()["automation_runs"] == 0
