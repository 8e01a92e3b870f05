from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.host.ncrontab import Schedule


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "moment", "following"),
    [
        ("0 */5 * * * *", "2026-03-01T10:02:30", "2026-03-01T10:05:00"),
        ("0 */5 * * * *", "2026-03-01T10:05:00", "2026-03-01T10:10:00"),
        ("*/2 * * * * *", "2026-03-01T23:59:58", "2026-03-02T00:00:00"),
        ("0 0 6 * * *", "2026-03-01T06:00:00", "2026-03-02T06:00:00"),
        ("0 0 6 * * *", "2026-03-01T05:59:59.9", "2026-03-01T06:00:00"),
        ("0 30 9-17/4 * * 1-5", "2026-03-06T17:30:00", "2026-03-09T09:30:00"),  # Friday to Monday
        ("0 0 0 * * Sun", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("0 0 0 * * 0", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("0 0 0 1 Jan,jul *", "2026-03-02T00:00:00", "2026-07-01T00:00:00"),
        ("0 0 0 31 * *", "2026-04-01T00:00:00", "2026-05-31T00:00:00"),
        ("0 0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 13 * 5", "2026-03-14T00:00:00", "2026-11-13T00:00:00"),  # day *and* day of week
        ("5/20 0 0 * * *", "2026-03-01T00:00:05", "2026-03-01T00:00:25"),
        ("5/1 0 0 * * *", "2026-03-01T00:00:05", "2026-03-02T00:00:05"),  # as in the platform's library
        ("30 6 * * *", "2026-03-01T00:00:00", "2026-03-01T06:30:00"),  # five fields
    ],
)
def test_the_next_moment(expression: str, moment: str, following: str) -> None:
    assert Schedule.parse(expression).after(_at(moment)) == _at(following)


def test_schedules_are_in_utc() -> None:
    summer = datetime(2026, 7, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert Schedule.parse("0 0 0 * * *").after(summer) == _at("2026-07-01T00:00:00")


def test_a_day_that_never_comes_has_no_next_moment() -> None:
    assert Schedule.parse("0 0 0 30 2 *").after(_at("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    "expression",
    [
        "garbage",
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "*/0 * * * * *",
        "*/x * * * * *",
        "5-2 * * * * *",
        "1,,2 * * * * *",
        "-1 * * * * *",
        "* * * * * Sunday",
        "² * * * * *",
        "00:05:00",
    ],
)
def test_what_is_not_a_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"fields|is not a"):
        Schedule.parse(expression)


def test_the_shortest_gap_tells_frequent_timers_from_rare_ones() -> None:
    start = _at("2026-01-01T00:00:00")
    assert Schedule.parse("0,50 * * * * *").shortest_gap(start) == timedelta(seconds=10)
    assert Schedule.parse("0 * * * * *").shortest_gap(start) == timedelta(minutes=1)
    assert Schedule.parse("0 0 0 30 2 *").shortest_gap(start) is None


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    steps = st.integers(1, 7).map(lambda step: f"*/{step}")
    ranges = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    parts = st.one_of(st.just("*"), number.map(str), steps, ranges)
    return st.lists(parts, min_size=1, max_size=2).map(",".join)


@given(
    st.tuples(_field(0, 59), _field(0, 59), _field(0, 23)),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_the_next_moment_is_the_first_that_fits(fields: tuple[str, str, str], naive: datetime) -> None:
    schedule = Schedule.parse(" ".join([*fields, "* * *"]))
    moment = naive.replace(tzinfo=UTC)
    found = schedule.after(moment)
    assert found is not None
    candidate = moment.replace(microsecond=0) + timedelta(seconds=1)
    for _ in range(3000):
        if candidate == found:
            break
        assert not (
            candidate.second in schedule.seconds
            and candidate.minute in schedule.minutes
            and candidate.hour in schedule.hours
        )
        candidate += timedelta(seconds=1)
    assert found > moment
    assert found.second in schedule.seconds
    assert found.minute in schedule.minutes
    assert found.hour in schedule.hours
