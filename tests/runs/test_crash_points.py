"""The real local host dies at every kind of write that it makes, and the run comes through by itself.

All courses run at the same time, mostly waiting for a sweep; then each test judges its own.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.activecampaign import SimulatorSettings
from sandbox.azurite import Azurite
from tests.proxy import Do, Fault
from tests.runs.course import Course, check_the_end
from tests.runs.crash_points import CRASH_POINTS, CrashPoint
from tests.runs.site import KEY

LONGEST_GAP_SECONDS = 150.0
"""Work goes on so soon after a kill: the requirement."""
PATIENCE_SECONDS = 290.0
STARTS_AT_ONCE = 2


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Course]]:
    """All courses, as they ended."""
    folder = tmp_path_factory.mktemp("crash-points")
    names = [point.name.replace("-", "") for point in CRASH_POINTS]
    with Azurite(accounts=names) as azurite:
        yield asyncio.run(run_all(azurite, folder))


async def run_all(azurite: Azurite, folder: Path) -> dict[str, Course]:
    """Run every course until its run is over, or until nobody wants to wait any longer."""
    starting = asyncio.Semaphore(STARTS_AT_ONCE)
    courses: dict[str, Course] = {}
    async with asyncio.TaskGroup() as group:
        for point in CRASH_POINTS:
            group.create_task(run_one(point, azurite, folder, starting, courses))
    return courses


async def run_one(
    point: CrashPoint,
    azurite: Azurite,
    folder: Path,
    starting: asyncio.Semaphore,
    courses: dict[str, Course],
) -> None:
    """Start a host, let it die at the point, and follow what its successor does."""
    settings = SimulatorSettings(
        key=KEY, limits_enforced=False, unlimited_processing_seconds=1.0, retry_after_seconds=30
    )
    account = point.name.replace("-", "")
    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            Course.open(azurite, account, folder, settings) as course,
        ):
            courses[point.name] = course
            if point.throttled_call:
                course.simulator.install_fault("bulk", "throttle_429", calls=[point.throttled_call])
            for proxy in course.proxies:
                fault = Fault(
                    point.when, point.call, Do(course.kill_and_restart), nth=point.nth, body=point.body
                )
                proxy.faults.append(fault)
            async with starting:
                await course.host.start()
            await course.drop(point.rows)
            await course.until_over()
    except TimeoutError:
        return  # the course's test tells what is missing


@pytest.mark.parametrize("point", CRASH_POINTS, ids=lambda point: point.name)
def test_a_run_comes_through_the_death_of_its_host(point: CrashPoint, courses: dict[str, Course]) -> None:
    course = courses[point.name]
    assert len(course.killed_at) == 1, "the host never came to this point"
    gap_seconds = course.gap_seconds(0, point.goes_on)

    check_the_end(course)
    assert gap_seconds is not None, "what should have followed never did"
    print(f"{point.name}: went on after {gap_seconds:.0f} s, {course.repeated()} bodies twice")  # noqa: T201 - shown by pytest -rP
    assert gap_seconds <= LONGEST_GAP_SECONDS
