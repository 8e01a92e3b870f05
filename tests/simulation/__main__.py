"""`python -m tests.simulation --seed 1234` replays a course; `--soak` plays new ones until one is broken."""

import argparse
import itertools
import secrets
import time

from tests.simulation.director import play
from tests.simulation.oracle import judge
from tests.simulation.pool import REPLAY, play_all


def main() -> int:
    """Replay one course and print it, or play new ones for as long as they hold; 1 where one is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay the course of this seed and print what happened when")
    what.add_argument("--soak", action="store_true", help="play new seeds until a course is broken")
    arguments = parser.parse_args()
    return _soak() if arguments.soak else _replay(arguments.seed)


def _replay(seed: int) -> int:
    """Print the course of a seed and the clause that it breaks, if it breaks one."""
    lines: list[str] = []
    try:
        course = play(seed, judge, lines=lines)
    except Exception as error:
        print(*lines, sep="\n")
        if not isinstance(error, AssertionError):
            raise
        print(f"seed {seed} is broken: {error}")
        return 1
    print(*lines, sep="\n")
    print(f"seed {seed} holds: digest {course.digest()}")
    return 0


def _soak() -> int:
    """Play seeds that nobody has chosen, with a line that shows how far it is."""
    first, started_at = secrets.randbelow(10**9), time.monotonic()
    for count, result in enumerate(play_all(itertools.count(first)), start=1):
        if result.broken is not None:
            print(f"\nseed {result.seed} is broken: {result.broken}\n{REPLAY.format(seed=result.seed)}")
            return 1
        minutes = (time.monotonic() - started_at) / 60
        print(f"\r{count:,} courses hold, {minutes:.1f} min, since seed {first}", end="", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
