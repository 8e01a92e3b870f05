"""NCRONTAB, the timer trigger's schedule: `{second} {minute} {hour} {day} {month} {day of week}`, in UTC.

As in the library the platform uses: Sunday is 0 and there is no 7, names are three letters, a day must match
day *and* day of week, `5/15` means from 5 on in steps of 15. Five fields leave the second at 0. (azure-facts
8.7)
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Self

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _WEEKDAYS),
)
# 29 February falls on a given weekday at least once in 40 years.
_HORIZON_DAYS = 40 * 366


@dataclass(frozen=True)
class Schedule:
    """The moments a timer fires at; every field holds the values it allows."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an expression; ValueError says which field is wrong."""
        parts = text.split()
        if len(parts) == 5:
            parts.insert(0, "0")
        if len(parts) != 6:
            raise ValueError(f"{text!r} has {len(parts)} fields, not 6")
        return cls(*(_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)))

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment after the given one, or nothing if there never is one."""
        moment = moment.astimezone(UTC)
        for offset in range(_HORIZON_DAYS):
            day = moment.date() + timedelta(days=offset)
            if self._allows(day):
                earliest = moment.time() if offset == 0 else None
                if (found := self._first_time(earliest)) is not None:
                    return datetime.combine(day, found, UTC)
        return None

    def _allows(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _first_time(self, after: time | None) -> time | None:
        for hour in self.hours:
            if after and hour < after.hour:
                continue
            for minute in self.minutes:
                if after and (hour, minute) < (after.hour, after.minute):
                    continue
                for second in self.seconds:
                    if after is None or (hour, minute, second) > (after.hour, after.minute, after.second):
                        return time(hour, minute, second)
        return None

    def shortest_gap(self, start: datetime, samples: int = 10) -> timedelta | None:
        """Return the shortest time between the next few moments."""
        moments = [start]
        while len(moments) <= samples and (following := self.after(moments[-1])) is not None:
            moments.append(following)
        gaps = [later - earlier for earlier, later in pairwise(moments[1:])]
        return min(gaps, default=None)


def _values(text: str, field: tuple[str, int, int, tuple[str, ...]]) -> tuple[int, ...]:
    values: set[int] = set()
    for part in text.split(","):
        values.update(_range(part, field))
    return tuple(sorted(values))


def _range(part: str, field: tuple[str, int, int, tuple[str, ...]]) -> range:
    name, low, high, _ = field
    span, slash, step_text = part.partition("/")
    if slash and not (step_text.isascii() and step_text.isdigit() and int(step_text) > 0):
        raise ValueError(f"{part!r} is not a {name}: the step must be a whole number above 0")
    step = int(step_text) if slash else 1
    if span == "*":
        return range(low, high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _value(first_text, field)
    last = _value(last_text, field) if dash else (high if step > 1 else first)
    if last < first:
        raise ValueError(f"{part!r} is not a {name}: {last} comes before {first}")
    return range(first, last + 1, step)


def _value(text: str, field: tuple[str, int, int, tuple[str, ...]]) -> int:
    name, low, high, names = field
    if text.lower() in names:
        return names.index(text.lower()) + low
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is not a {name} ({low} to {high})")
    return int(text)
