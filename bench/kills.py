"""Kill the local host again and again during one run, while ActiveCampaign falters, and measure how it ends.

    .venv/bin/python bench/kills.py                       # 100,000 rows, ten kills: some 25 minutes
    .venv/bin/python bench/kills.py --automations         # the same with automations on
    .venv/bin/python bench/kills.py --rows 20000 --kills 3 --seed 7

The host dies with all its processes by SIGKILL, at moments that the seed decides; a supervisor starts it
again at once. The simulated ActiveCampaign keeps its documented limits, resets connections after it has
accepted a body, answers with 503 pages and truncated JSON, and interrupts batches: how often is told in
tests/runs/random_kills.py.
It prints figures, and ends with 1 where the run did not come through as promised.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `python bench/kills.py` puts bench/ there, not the checkout

from sandbox.azurite import Azurite  # noqa: E402 - needs the path set above
from tests.runs.course import Course, Venue  # noqa: E402 - as above
from tests.runs.random_kills import WORK, Plan, check_kills, most_repeated, run_with_kills  # noqa: E402 - as above

NAME = "kills"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the segment (100000)")
    parser.add_argument("--kills", type=int, default=10, help="how often the host is killed (10)")
    parser.add_argument("--seed", type=int, default=1, help="decides the moments and the faults (1)")
    parser.add_argument("--automations", action="store_true", help="let requests start automations")
    options = parser.parse_args()
    plan = Plan(options.rows, options.kills, options.automations, options.seed)
    sys.exit(asyncio.run(measure(plan)))


async def measure(plan: Plan) -> int:
    """Run it, say what was seen, and return 1 where something is not as promised."""
    started_at = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="exporter-kills-") as folder,
        Azurite(accounts=[NAME]) as azurite,
    ):
        venue = Venue(azurite, Path(folder))
        await run_with_kills(NAME, plan, venue)
    print(f"ended after {(time.monotonic() - started_at) / 60:.1f} min")
    course = venue.courses[NAME]
    tell(course)
    try:
        check_kills(course, plan)
    except AssertionError as error:
        print(f"not as promised: {error}")
        return 1
    print("as promised")
    return 0


def tell(course: Course) -> None:
    """Print the figures."""
    if course.run is None or course.run.report is None:
        return
    report = course.run.report
    print(f"{report.state}, counts {report.counts.model_dump(exclude_defaults=True)}")
    print(f"requests {report.requests.model_dump()}, automations withheld {report.automations_withheld}")
    gaps = [course.gap_seconds(kill, WORK) for kill in range(len(course.killed_at))]
    print(f"{len(gaps)} kills, went on after (s): {', '.join(f'{gap or 0:.0f}' for gap in gaps)}")
    accepted = course.accepted()
    print(f"{len(accepted)} bodies accepted, {course.repeated()} again; allowed {most_repeated(course)}")
    print(f"people whose automations could start twice: {len(course.started_twice())}")
    counters = course.simulator.counters()
    for name in ("faults", "throttled_bulk", "throttled_general", "peak_bulk_per_minute", "automation_runs"):
        print(f"{name} {counters[name]}")
    print(f"different from the truth: {course.unequal or 'nothing'}")


if __name__ == "__main__":
    main()
