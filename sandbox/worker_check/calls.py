"""What each function is called with, and how that should end; read from a JSON file:

    {"settings": {NAME: TEXT},
     "calls": [{"function": NAME, "ends": "ok" | NUMBER | "SomeError",
                "message": TEXT or an object | "blob": {"container": …, "name": …, "content": TEXT}
                | "timer": {"past_due": BOOL} | "http": {"method": …, "path": …}}]}

`{storage}` in a setting stands for the connection string of the trial's storage. A blob is there before the
first call. A number is the status of an answer over HTTP.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INPUTS = ("message", "blob", "timer", "http")


@dataclass(frozen=True)
class Call:
    """One call of a function."""

    function: str
    given: dict[str, Any]  # one entry: what the trigger hands over, under its kind
    ends: str | int

    def to_job(self) -> dict[str, Any]:
        """Return the call as both sides are told of it."""
        return {"function": self.function, **self.given}


@dataclass(frozen=True)
class Plan:
    """All calls, in their order, and the settings they are made with."""

    settings: dict[str, str]
    calls: tuple[Call, ...]


def read_plan(path: Path) -> Plan:
    """Read the file; a call that is not in the form above raises ValueError with its place."""
    document = json.loads(path.read_text("utf-8"))
    return Plan(document["settings"], tuple(_call(n, entry) for n, entry in enumerate(document["calls"], 1)))


def _call(number: int, entry: dict[str, Any]) -> Call:
    given = {kind: entry[kind] for kind in _INPUTS if kind in entry}
    if len(given) != 1 or entry.keys() - given.keys() != {"function", "ends"}:
        raise ValueError(f"call {number} must name a function, how it ends, and one of {', '.join(_INPUTS)}")
    if "message" in given and not isinstance(given["message"], str):
        given["message"] = json.dumps(given["message"])
    return Call(entry["function"], given, entry["ends"])
