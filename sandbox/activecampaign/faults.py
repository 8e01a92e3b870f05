"""Faults that a test orders: which calls of which route go wrong, and how.

A rule is `{"route", "calls", "action"}`. Rules are asked in the order in which they were installed; each
counts the calls of its route from 1, and the first one that selects the call decides.

======================  ==================================================================================
action                  what happens
======================  ==================================================================================
``status:NNN``          the status with an HTML page, without acting
``reset_before``        the connection is reset before anything is done
``reset_after``         the request is carried out, then the connection is reset without an answer
``slow:SECONDS``        the request is carried out, the answer comes so many simulated seconds later
``slow_before:SECONDS`` the request is carried out so many simulated seconds later
``truncated_json``      carried out; the answer's JSON breaks off in the middle
``empty_200``           carried out; the answer is 200 without a body
``html_login``          200 with an HTML login page, without acting
``forbidden``           403 with a JSON message, without acting
``forbidden_once``      the same, for the first selected call only
``throttle_bulk``       the bulk throttle's 400
``throttle_429``        429 with ``Retry-After``
``throttle_429_bare``   429 without ``Retry-After``
``throttle_503``        503 without ``Retry-After``
``batch_end:END``       carried out; the batch ends ``failed``, ``interrupted`` or ``stuck`` (bulk posts)
======================  ==================================================================================
"""

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

PLAIN_ACTIONS = frozenset(
    {
        "reset_before",
        "reset_after",
        "truncated_json",
        "empty_200",
        "html_login",
        "forbidden",
        "forbidden_once",
        "throttle_bulk",
        "throttle_429",
        "throttle_429_bare",
        "throttle_503",
    }
)
SECONDS_ACTIONS = frozenset({"slow", "slow_before"})
BATCH_ENDS = frozenset({"failed", "interrupted", "stuck"})
_PATTERN = re.compile(r"[*?\[ ]")
"""What tells a pattern over method and path from the name of a route."""

Calls = Literal["all"] | list[int] | dict[str, float]
"""Every call, some calls by number, `{"every": k}`, or `{"probability": p, "seed": s}`."""


class FaultRuleError(ValueError):
    """A fault rule that makes no sense; the message says what to write instead."""


@dataclass(slots=True, frozen=True)
class Fault:
    """What goes wrong with one request."""

    name: str
    argument: str = ""

    @property
    def seconds(self) -> float:
        """The argument of `slow` and `slow_before`."""
        return float(self.argument)

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name


@dataclass(slots=True)
class FaultRule:
    """An installed rule with its own count of calls."""

    id: int
    route: str
    calls: Calls
    fault: Fault
    seen: int = 0
    hits: int = 0
    spent: bool = False
    _random: random.Random = field(default_factory=random.Random)

    def concerns(self, name: str, method: str, path: str) -> bool:
        """Say whether the rule is about this route."""
        return self.route in {"*", name} or fnmatchcase(f"{method} {path}", self.route)

    def strikes(self) -> bool:
        """Count a call of the route and say whether it goes wrong."""
        self.seen += 1
        if self.spent or not self._selects(self.seen):
            return False
        self.hits += 1
        self.spent = self.fault.name == "forbidden_once"
        return True

    def _selects(self, call: int) -> bool:
        if isinstance(self.calls, list):
            return call in self.calls
        if isinstance(self.calls, str):
            return True
        if "every" in self.calls:
            return call % self.calls["every"] == 0
        return self._random.random() < self.calls["probability"]

    def as_json(self) -> dict[str, Any]:
        """Return the rule and what it has done so far."""
        return {
            "id": self.id,
            "route": self.route,
            "calls": self.calls,
            "action": str(self.fault),
            "seen": self.seen,
            "hits": self.hits,
        }


class Faults:
    """The rules now in force."""

    def __init__(self, routes: Collection[str] = ()) -> None:
        """Take the names that a rule may give a route; without any, every name will do."""
        self._routes = frozenset(routes)
        self.rules: list[FaultRule] = []
        self._last_id = 0

    def install(self, rule: Mapping[str, Any]) -> FaultRule:
        """Put a rule in force: `route` (default `*`), `calls` (default all) and `action`."""
        unknown = set(rule) - {"route", "calls", "action"}
        if unknown:
            raise FaultRuleError(f"unknown keys {sorted(unknown)}; a rule has route, calls and action")
        route = str(rule.get("route", "*"))
        if self._routes and route not in self._routes and not _PATTERN.search(route):
            known = ", ".join(sorted(self._routes))
            raise FaultRuleError(f"unknown route {route!r}; known: {known}, or a pattern like 'GET /api/3/*'")
        calls = _read_calls(rule.get("calls", "all"))
        seed = calls.get("seed", 0) if isinstance(calls, dict) else 0
        self._last_id += 1
        installed = FaultRule(
            self._last_id,
            route,
            calls,
            read_action(str(rule.get("action", ""))),
            _random=random.Random(seed),
        )
        self.rules.append(installed)
        return installed

    def remove(self, rule_id: int | None = None) -> None:
        """Take one rule out of force, or all."""
        self.rules = [] if rule_id is None else [rule for rule in self.rules if rule.id != rule_id]

    def pick(self, name: str, method: str, path: str) -> Fault | None:
        """Return what goes wrong with a request; each rule about its route counts it."""
        chosen = None
        for rule in self.rules:
            if rule.concerns(name, method, path) and rule.strikes() and chosen is None:
                chosen = rule.fault
        return chosen


def read_action(action: str) -> Fault:
    """Read an action as written in a rule."""
    name, _, argument = action.partition(":")
    good = (
        (name in PLAIN_ACTIONS and not argument)
        or (name == "status" and argument.isdecimal() and 200 <= int(argument) <= 599)
        or (name in SECONDS_ACTIONS and _is_seconds(argument))
        or (name == "batch_end" and argument in BATCH_ENDS)
    )
    if not good:
        known = sorted({*PLAIN_ACTIONS, "status:NNN", "slow:SECONDS", "slow_before:SECONDS", "batch_end:END"})
        raise FaultRuleError(f"unknown action {action!r}; known: {', '.join(known)}")
    return Fault(name, argument)


def _is_seconds(argument: str) -> bool:
    try:
        return float(argument) >= 0
    except ValueError:
        return False


def _read_calls(calls: object) -> Calls:
    if calls == "all":
        return "all"
    if isinstance(calls, list) and all(isinstance(call, int) and call >= 1 for call in calls):
        return calls
    if isinstance(calls, dict):
        every, probability = calls.get("every"), calls.get("probability")
        if (isinstance(every, int) and every >= 1) != (
            isinstance(probability, int | float) and 0 <= probability <= 1
        ):
            return calls
    raise FaultRuleError('calls is "all", [1, 5], {"every": 10} or {"probability": 0.1, "seed": 7}')
