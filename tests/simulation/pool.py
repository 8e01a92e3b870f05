"""Many courses at once, on all cores."""

import itertools
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.course import Act
from tests.simulation.director import play
from tests.simulation.faults import Fault
from tests.simulation.oracle import judge

REPLAY: Final = "python -m tests.simulation --seed {seed}"
SEEDS_AT_ONCE: Final = 200
"""After so many all cores wait for the last one; between, they take turns by a task."""
SEEDS_A_TASK: Final = 4


@dataclass(frozen=True, slots=True)
class Result:
    """How the course of a seed went; `broken` says which clause does not hold, if one does not."""

    seed: int
    broken: str | None
    digest: str = ""
    faults: Counter[Fault] = field(default_factory=Counter)
    acts: Counter[Act] = field(default_factory=Counter)


def play_one(seed: int) -> Result:
    """Play and judge the course of a seed."""
    try:
        course = play(seed, judge)
    except Exception as error:  # whatever breaks a course belongs to its seed
        return Result(seed, f"{type(error).__name__}: {error}")
    return Result(seed, None, course.digest(), course.trouble.counts, course.acts)


def play_all(seeds: Iterable[int]) -> Iterator[Result]:
    """Play the courses of many seeds, which may be without end, on all cores; in the order of the seeds."""
    cores = len(os.sched_getaffinity(0))
    seeds = iter(seeds)
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        while batch := list(itertools.islice(seeds, SEEDS_AT_ONCE)):
            yield from pool.map(play_one, batch, chunksize=SEEDS_A_TASK)
