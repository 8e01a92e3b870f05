"""HTTP routes: templates such as `runs/{id}` and `files/{*rest}`, and which of them a path belongs to.

Templates are ASP.NET's: matched without regard to case, literal segments before parameters before `{*rest}`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)(?::(\w+))?(\?)?\}")
_CONSTRAINTS = {
    None: "[^/]+",
    "int": r"-?\d+",
    "long": r"-?\d+",
    "alpha": "[A-Za-z]+",
    "bool": "true|false",
    "guid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}


@dataclass(frozen=True)
class Route:
    """A template that paths can be matched with."""

    template: str
    pattern: re.Pattern[str]
    rank: tuple[int, ...]  # of each segment: 0 literal, 1 constrained, 2 parameter, 3 optional, 4 catch-all

    @classmethod
    def parse(cls, template: str) -> Self:
        """Read a template; ValueError says what is wrong with it."""
        pattern, rank = "", []
        segments = [segment for segment in template.strip("/").split("/") if segment]
        for number, segment in enumerate(segments):
            text, kind = _segment(segment, last=number == len(segments) - 1)
            slash = "/" if number else ""
            pattern += f"(?:{slash}{text})?" if kind >= 3 else slash + text
            rank.append(kind)
        return cls(template, re.compile(pattern, re.IGNORECASE), tuple(rank))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters of a (still quoted) path, or nothing if the route is another's."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items() if value is not None}


def _segment(segment: str, *, last: bool) -> tuple[str, int]:
    pattern, end, kind = "", 0, 0
    for found in _PARAMETER.finditer(segment):
        stars, name, constraint, optional = found.groups()
        if constraint not in _CONSTRAINTS:
            raise ValueError(f"the constraint {constraint!r} in {segment!r} is not supported")
        if (stars or optional) and not (last and found[0] == segment):
            raise ValueError(f"{found[0]!r} must be the last segment")
        pattern += re.escape(segment[end : found.start()])
        pattern += f"(?P<{name}>{'.+' if stars else _CONSTRAINTS[constraint]})"
        end = found.end()
        kind = 4 if stars else 3 if optional else max(kind, 1 if constraint else 2)
    rest = segment[end:]
    if "{" in rest or "}" in rest:
        raise ValueError(f"{segment!r} is not a segment like 'runs' or '{{id}}'")
    return pattern + re.escape(rest), kind


@dataclass(frozen=True)
class Match:
    """The function a request goes to, with its route parameters."""

    function: str
    parameters: Mapping[str, str]


class RouteTable:
    """All routes of an app."""

    def __init__(self, routes: Iterable[tuple[str, Route, frozenset[str]]]) -> None:
        # An empty set of methods allows all.
        self._routes = sorted(routes, key=lambda entry: entry[1].rank)

    def find(self, method: str, path: str) -> Match | frozenset[str]:
        """Return the match, or the methods that the path would allow (none: there is no such path)."""
        allowed: set[str] = set()
        for function, route, methods in self._routes:
            parameters = route.match(path)
            if parameters is None:
                continue
            if not methods or method in methods:
                return Match(function, parameters)
            allowed |= methods
        return frozenset(allowed)
