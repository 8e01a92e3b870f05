"""A thousand courses, each drawn from its seed, and the promise holds at the end of every one of them."""

from collections import Counter

import pytest

from tests.simulation.course import Act
from tests.simulation.director import play
from tests.simulation.faults import Fault
from tests.simulation.oracle import judge
from tests.simulation.pool import REPLAY, Result, play_all

SEEDS = range(1_000)
REPEATED_SEEDS = range(0, 50, 5)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """How the courses of all seeds went; played once for all tests of this file."""
    return list(play_all(SEEDS))


def test_the_promise_holds_in_every_course(results: list[Result]) -> None:
    broken = [
        f"{result.broken}\n    {REPLAY.format(seed=result.seed)}" for result in results if result.broken
    ]

    assert not broken, "\n".join(["broken courses, each with the command that replays it:", *broken])


def test_every_kind_of_fault_happens(results: list[Result]) -> None:
    counts = sum((result.faults for result in results), Counter[Fault]())

    assert set(Fault) - counts.keys() == set()


def test_people_interfere_in_every_way(results: list[Result]) -> None:
    counts = sum((result.acts for result in results), Counter[Act]())

    assert set(Act) - counts.keys() == set()


def test_some_courses_are_peaceful(results: list[Result]) -> None:
    assert any(not result.broken and not result.faults and not result.acts for result in results)


def test_the_same_seed_gives_the_same_course_in_another_process(results: list[Result]) -> None:
    digests = {result.seed: result.digest for result in results}

    assert {seed: play(seed, judge).digest() for seed in REPEATED_SEEDS} == {
        seed: digests[seed] for seed in REPEATED_SEEDS
    }
