"""A recipe: how a producer lays out its drops, as a small record.

`exporter.domain.recipes` has the known ones.
A drop's files are those that fit one recipe's pattern and agree in everything but `{part}` and `{part_…}`.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from exporter.domain.dialect import UNDECLARED, Dialect

SEGMENT: Final = "segment"
PART: Final = "part"
"""Placeholders whose names begin so stand for what differs between the files of one drop."""
QUIET_SECONDS: Final = 300
"""Unless a recipe or `EXPORTER_QUIET_SECONDS` says otherwise."""
MAX_QUIET_SECONDS: Final = 86_400
MAX_PATTERN_CHARACTERS: Final = 300
_MAX_OPEN_PLACES: Final = 2
_MAX_PLACES_OF_ANY_LENGTH: Final = 4
_MAX_OPTIONAL_PARTS: Final = 4
_PLACEHOLDER: Final = re.compile(
    r"\{(?P<name>[a-z_]{1,30})(?::(?P<kind>[a-z]+|[1-9][0-9]?(?:-[1-9][0-9]?)?))?\}"
)
_TOKEN: Final = re.compile(rf"{_PLACEHOLDER.pattern}|(?P<sign>[\[\]])|[{{}}]")
_OPTIONAL: Final = re.compile(r"\[([^\[\]]*)\]")
_KINDS: Final = {
    "digits": r"[0-9]+",
    "folders": r"[^=]+",
    "guid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "hex": r"[0-9A-Fa-f-]+",
    "path": r".+",
    "text": r"[^/]+",
}
_PATHS: Final = frozenset({"path", "folders"})


class Completeness(StrEnum):
    """What shows that a drop is whole, the most reliable first; the first that is there decides."""

    MANIFEST = "manifest"
    """A `model.json`, or another manifest, lists the drop's files."""
    COMMITTED = "committed"
    """Databricks' `_committed_<id>` files list the files of finished transactions."""
    MARKER = "marker"
    """An empty `_SUCCESS` or `.done` lies in the files' folder."""
    QUIET = "quiet"
    """No file of the drop was written for a while."""
    AT_ONCE = "at_once"
    """One file is the whole drop."""


def _compiles(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


class Recipe(BaseModel):
    """How one producer names its files, what makes them one drop, when it is whole, and how they are written.

    A pattern is a blob's name with placeholders: `{segment}` is the segment's name, `{part}` (and any
    `{part_…}`) what differs between the files of one drop, any other `{name}` what they share. A placeholder
    stands for text without a slash, `{name:digits}` for digits, `{name:4}` for four of them, `{name:1-3}` for
    one to three, `{name:hex}` for hex digits and hyphens, `{name:guid}` for 32 of these in the usual groups,
    `{name:path}` for one or more folders, `{name:folders}` for those that are no partitions (`key=value`).
    What stands in square brackets may be missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
    pattern: Annotated[str, Field(max_length=MAX_PATTERN_CHARACTERS), AfterValidator(_compiles)]
    segment: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The segment of all drops, where the pattern has no `{segment}`; it may name placeholders, too."""
    complete: Annotated[
        tuple[Annotated[Completeness, Field(strict=False)], ...], Field(strict=False, min_length=1)
    ] = (Completeness.MARKER,)
    manifest: Annotated[str, Field(max_length=MAX_PATTERN_CHARACTERS)] | None = None
    """The manifest's name, with placeholders of the pattern; those that may be missing in square brackets."""
    quiet_seconds: Annotated[int, Field(ge=1, le=MAX_QUIET_SECONDS)] | None = None
    """How long nothing may have been written; None: what the app's setting says."""
    dialect: Dialect = UNDECLARED

    def quiet(self, otherwise: timedelta) -> timedelta:
        """How long nothing may have been written; `otherwise` is what the app's setting says."""
        return otherwise if self.quiet_seconds is None else timedelta(seconds=self.quiet_seconds)

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        names = set(compile_pattern(self.pattern).groupindex)
        if self.segment is None and SEGMENT not in names:
            raise ValueError("the pattern needs {segment}, or the recipe a segment")
        for template in (self.segment or "", self.manifest or ""):
            if unknown := sorted(_names(template) - names):
                raise ValueError(f"{{{unknown[0]}}} is no placeholder of the pattern")
            if {"{", "}"} & {*_PLACEHOLDER.sub("", template)}:
                raise ValueError("a placeholder should look like {name} or {name:digits}")
            sure, optional = _OPTIONAL.sub("", template), _names(*_OPTIONAL.findall(self.pattern))
            if "[" in sure or "]" in sure:
                raise ValueError("square brackets should come in pairs, one within no other")
            if missing := sorted(_names(sure) & optional):
                raise ValueError(f"{{{missing[0]}}} may be missing: put it in square brackets")
        return self


def _names(*texts: str) -> set[str]:
    """The names of all placeholders in texts."""
    return {match["name"] for text in texts for match in _PLACEHOLDER.finditer(text)}


@lru_cache(maxsize=200)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression with a group for each placeholder, for `fullmatch`.

    Raises ValueError for one that is no pattern.
    """
    expression, at, depth = "", 0, 0
    for token in _TOKEN.finditer(pattern):
        expression += re.escape(pattern[at : token.start()])
        at = token.end()
        if token["sign"]:
            depth += 1 if token["sign"] == "[" else -1
            if depth not in {0, 1}:
                raise ValueError("square brackets should come in pairs, one within no other")
            expression += "(?:" if token["sign"] == "[" else ")?"
        elif token["name"]:
            expression += f"(?P<{token['name']}>{_expression(token['kind'])})"
        else:
            raise ValueError("a placeholder should look like {name} or {name:digits}")
    if depth:
        raise ValueError("square brackets should come in pairs, one within no other")
    expression += re.escape(pattern[at:])
    # Names come from outside: so few open places keep a long one from costing much time.
    kinds = [
        [token["kind"] or "text" for token in _PLACEHOLDER.finditer(part)] for part in pattern.split("/")
    ]
    if (
        any(part.count("text") + part.count("hex") > _MAX_OPEN_PLACES for part in kinds)
        or sum(kind in _PATHS for part in kinds for kind in part) > 1
    ):
        raise ValueError("at most two open placeholders between slashes, and one of folders in all")
    if any(sum(map(_may_be_longer, part)) > _MAX_PLACES_OF_ANY_LENGTH for part in kinds):
        raise ValueError("at most four placeholders between slashes whose length is not fixed")
    if pattern.count("[") > _MAX_OPTIONAL_PARTS:
        raise ValueError("at most four parts in square brackets")
    try:
        return re.compile(expression, re.DOTALL)
    except re.error:
        raise ValueError("each placeholder should have a name of its own") from None


def _may_be_longer(kind: str) -> bool:
    """Whether a placeholder of this kind stands for texts of more than one length."""
    return kind != "guid" and not kind.isdigit()


def _expression(kind: str | None) -> str:
    if kind and kind[0].isdigit():
        return f"[0-9]{{{kind.replace('-', ',')}}}"
    if kind and kind not in _KINDS:
        raise ValueError(
            f"{{…:{kind}}} is not known (known: {', '.join(sorted(_KINDS))}, or a number of digits)"
        )
    return _KINDS[kind or "text"]


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders filled in; without what is in square brackets and lacks a value."""
    text = _OPTIONAL.sub(lambda match: match[1] if _names(match[1]) <= values.keys() else "", template)
    return _PLACEHOLDER.sub(lambda match: values[match["name"]], text)
