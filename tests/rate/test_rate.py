"""However many workers, exports and mishaps: no window is overfull, and hardly a moment is wasted.

A failing course is repeated by its id, such as `-k 10-workers-fast-17`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.rate.simulation import DOCUMENTED, HANG_SECONDS, Course, Scenario, simulate
from tests.rate.surroundings import SLOW_ANSWER_SECONDS

SECONDS_PER_BODY: Final = 1_700 / 4_000
"""Of chunk calls: 1,700 worker-seconds for a million contacts."""
SWAPS_PER_RESERVATION: Final = 3
"""One reserves, one takes, one may be lost or give back what was not used."""
SMALL_SWAPS_PER_RESERVATION: Final = 9
"""Twenty workers that begin at the same moment lose two of three."""
QUESTIONS_PER_BODY: Final = 1.2

PUNCTUAL: Final = {
    name: Scenario(worker_count=count, bodies=bodies, skew_seconds=0.25, late_share=0.0)
    for name, count, bodies in (("one", 10, (1000,)), ("five", 10, (200,) * 5), ("twenty", 50, (3,) * 20))
}
FAST: Final = {f"{count}-workers-fast": Scenario(worker_count=count) for count in (1, 2, 10, 50)} | {
    "skewed-clocks": Scenario(skew_seconds=0.25)
}
SLOW: Final = {
    f"{count}-workers-slow": Scenario(worker_count=count, answer_seconds=SLOW_ANSWER_SECONDS)
    for count in (1, 2, 10, 50)
}
MILLION: Final = {
    "million-fast": Scenario(bodies=(4000,)),
    "million-slow": Scenario(bodies=(4000,), answer_seconds=SLOW_ANSWER_SECONDS),
    "million-skewed-clocks": Scenario(bodies=(4000,), skew_seconds=0.25),
}
HANGING: Final = {
    "only-sender": Scenario(worker_count=1, bodies=(4000,), hangs="sender"),
    "sender": Scenario(bodies=(4000,), hangs="sender"),
    "settler": Scenario(bodies=(4000,), hangs="settler"),
    "storage": Scenario(bodies=(4000,), hangs="storage"),
}
SHARING: Final = {
    f"{name}-exports-{count}-workers{'-skewed' if skew else ''}": Scenario(
        worker_count=count, bodies=bodies, skew_seconds=skew
    )
    for name, bodies in (("two", (1000,) * 2), ("five", (400,) * 5))
    for count in (2, 10)
    for skew in (0.0, 0.25)
}
SMALL: Final = {
    f"{count}-workers{'-skewed' if skew else ''}": Scenario(
        worker_count=count, bodies=(3,) * 20, skew_seconds=skew
    )
    for count in (1, 2, 10, 50)
    for skew in (0.0, 0.25)
}


def courses(*scenarios: tuple[Mapping[str, Scenario], int]) -> pytest.MarkDecorator:
    """Every scenario with so many seeds; a million contacts take longer, and so does a slow API."""
    return pytest.mark.parametrize(
        ("scenario", "seed"),
        [
            pytest.param(scenario, seed, id=f"{name}-{seed}")
            for named, seed_count in scenarios
            for name, scenario in named.items()
            for seed in range(seed_count)
        ],
    )


def check(course: Course, seed: int, *, swaps_per_reservation: float = SWAPS_PER_RESERVATION) -> None:
    """What holds in every course.

    The margins are for one late request at a time: one question for each body leaves no room in the second
    for two of them, so a throttle where two late ones met is no fault of the pace.
    """
    told = f"seed {seed}: {course}"
    assert course.throttled_in_a_minute == 0, told
    assert course.throttled_in_a_second == course.coincidence_count, told
    assert course.body_count <= course.question_count <= QUESTIONS_PER_BODY * course.body_count + 1, told
    assert course.swap_count + course.lost_swap_count <= swaps_per_reservation * course.reservation_count, (
        told
    )


@courses((FAST, 12), (SLOW, 6), (MILLION, 3))
def test_an_undisturbed_export_keeps_the_even_pace(scenario: Scenario, seed: int) -> None:
    course = simulate(scenario, seed)

    check(course, seed)
    assert course.bulk_count == course.body_count, f"seed {seed}: {course}"
    assert course.pace >= 0.96, f"seed {seed}: {course}"
    assert course.call_seconds <= SECONDS_PER_BODY * course.body_count, f"seed {seed}: {course}"


@courses((PUNCTUAL, 12))
def test_requests_that_arrive_in_time_are_never_throttled(scenario: Scenario, seed: int) -> None:
    course = simulate(scenario, seed)

    told = f"seed {seed}: {course}"
    assert (course.throttled_in_a_minute, course.throttled_in_a_second) == (0, 0), told


@courses((MILLION, 3))
def test_settling_keeps_up_with_a_million_contacts(scenario: Scenario, seed: int) -> None:
    course = simulate(scenario, seed)

    slow = scenario.answer_seconds == SLOW_ANSWER_SECONDS
    assert course.settled_at - course.last_arrival <= (330 if slow else 120), f"seed {seed}: {course}"


@courses((HANGING, 6))
def test_a_minute_in_which_something_hangs_costs_little_more(scenario: Scenario, seed: int) -> None:
    course = simulate(scenario, seed)

    check(course, seed)
    assert course.pace >= 0.92, f"seed {seed}: {course}"
    awake_seconds = course.call_seconds - HANG_SECONDS
    assert awake_seconds <= SECONDS_PER_BODY * course.body_count, f"seed {seed}: {course}"


@courses((SHARING, 10))
def test_exports_that_share_an_account_share_its_pace(scenario: Scenario, seed: int) -> None:
    course = simulate(scenario, seed)

    check(course, seed)
    assert course.pace >= 0.92, f"seed {seed}: {course}"
    assert course.call_seconds <= SECONDS_PER_BODY * course.body_count, f"seed {seed}: {course}"


@courses((SMALL, 12))
def test_twenty_small_exports_take_seconds(scenario: Scenario, seed: int) -> None:
    course = simulate(scenario, seed)

    check(course, seed, swaps_per_reservation=SMALL_SWAPS_PER_RESERVATION)
    gaps_seconds = course.body_count * DOCUMENTED.body_gap_seconds
    assert course.last_arrival <= 2 * gaps_seconds, f"seed {seed}: {course}"


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({"bulk_count": 100, "window_seconds": 60.0}, "throttled_in_a_minute"),
        ({"body_gap_seconds": 0.2}, "throttled_in_a_second"),
        ({"general_gap_seconds": 0.2}, "throttled_in_a_second"),
        ({"busy_general_gap_seconds": 0.3}, "throttled_in_a_second"),
    ],
)
def test_without_its_margins_the_pace_would_meet_the_limits(changes: dict[str, Any], window: str) -> None:
    course = simulate(Scenario(pace=replace(DOCUMENTED, **changes)), seed=0)

    assert getattr(course, window) > course.coincidence_count


def test_a_course_repeats_itself() -> None:
    scenario = Scenario(bodies=(100, 100), skew_seconds=0.25)

    assert simulate(scenario, seed=1) == simulate(scenario, seed=1) != simulate(scenario, seed=2)
