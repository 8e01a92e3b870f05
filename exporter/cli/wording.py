"""Numbers, moments and states as people read them."""

from datetime import UTC, datetime
from typing import Final

STATE_STYLES: Final = {
    "succeeded": "green",
    "partly_failed": "yellow",
    "failed": "red",
    "cancelled": "magenta",
    "superseded": "magenta",
    "skipped": "magenta",
}


def number(value: float) -> str:
    """With separators: 1,234,567."""
    return f"{value:,.0f}"


def share(part: int, whole: int) -> str:
    """A percentage that never rounds something to nothing or nearly all to all: <0.1 %, >99.9 %."""
    if not whole:
        return ""
    percentage = 100 * part / whole
    if 0 < percentage < 0.1:
        return "<0.1 %"
    if 99.9 < percentage < 100:
        return ">99.9 %"
    return f"{percentage:.1f} %"


def duration(seconds: float) -> str:
    """The two largest units: 45 s, 2 min 5 s, 1 h 3 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(when: datetime | None) -> str:
    """A moment in UTC to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if when else ""


def plural(count: int, noun: str) -> str:
    """1 row, 2 rows."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def state_text(state: str) -> str:
    """A state without underscores: partly failed."""
    return state.replace("_", " ")
