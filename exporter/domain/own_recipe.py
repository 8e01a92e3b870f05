"""Rules for recipes that a person writes: what each value allows by itself, but nobody can mean together.

What a producer's manifest declares, or what is found out from a file, need not keep them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.domain.dialect import Dialect
from exporter.domain.recipe import PART, Completeness, Recipe, compile_pattern
from exporter.domain.recipes import BUILT_IN
from exporter.domain.wording import shown

RESERVED: Final = frozenset(
    {
        *(recipe.id for recipe in BUILT_IN),
        "cdm",
        "cetas",
        "databricks",
    }
)
"""Ids that a person's recipe can't have: those that are built in, and the producers that they are for."""

_OF_TEXT: Final = ("encoding",)
_OF_CSV: Final = ("delimiter", "quote", "escape", "null", "header", "columns")
_FOREIGN_KEYS: Final = {"jsonl": _OF_CSV, "parquet": (*_OF_TEXT, *_OF_CSV)}
_FORMAT_NAMES: Final = {"jsonl": "JSON Lines", "parquet": "Parquet"}
_ALWAYS_DECIDE: Final = frozenset({Completeness.QUIET, Completeness.AT_ONCE})


class Fault(NamedTuple):
    """What is wrong with one key of a recipe or a dialect."""

    key: str
    message: str


def dialect_faults(dialect: Dialect) -> Iterator[Fault]:
    """Why a person can't mean this dialect; nothing for one that holds together."""
    if dialect.format in _FOREIGN_KEYS:
        name = _FORMAT_NAMES[dialect.format]
        for key in _FOREIGN_KEYS[dialect.format]:
            if getattr(dialect, key) not in (None, ()):
                yield Fault(key, f"says nothing about {name}: leave it out")
        return
    yield from _sign_faults(dialect)
    yield from _column_faults(dialect)


def _sign_faults(dialect: Dialect) -> Iterator[Fault]:
    if dialect.quote == "none" and dialect.escape == "double":
        yield Fault("escape", "doubles quotes, and `quote: none` says that there are none: leave one out")


def _column_faults(dialect: Dialect) -> Iterator[Fault]:
    if dialect.columns and dialect.header:
        yield Fault("columns", "with `header: true` the files name their columns: leave one of the two out")
    if any(not name.strip() for name in dialect.columns):
        yield Fault("columns", "holds an empty name: every column needs one, also those that nobody reads")
    doubled = [name for name, count in Counter(dialect.columns).items() if count > 1 and name.strip()]
    if doubled:
        yield Fault("columns", f"lists '{shown(doubled[0])}' twice: give each column a name of its own")
    if any(name != name.strip() for name in dialect.columns):
        yield Fault("columns", "has a name with blanks around it, which a mapping never finds: trim it")


def _pattern_faults(pattern: str) -> Iterator[Fault]:
    """Why no blob can ever fit."""
    if pattern.startswith("segments/"):
        yield Fault("pattern", "begins with the container's name, which is no part of a blob's: leave it out")
    if pattern.startswith("/") or "//" in pattern:
        yield Fault("pattern", "has an empty folder in it: no producer's names have")
    if any(part.startswith(("_", ".")) for part in pattern.split("/")[1:]):
        yield Fault("pattern", "asks for names that begin with _ or a dot, which are hidden and never read")


def recipe_faults(recipe: Recipe) -> Iterator[Fault]:
    """Why a person can't mean this recipe; nothing for one that holds together. Its dialect is left aside."""
    if recipe.id in RESERVED:
        yield Fault("id", f"'{recipe.id}' is built in, or kept for that: choose another id")
    yield from _pattern_faults(recipe.pattern)
    ways = recipe.complete
    if len(set(ways)) < len(ways):
        yield Fault("complete", "lists the same twice")
    early = next((way for way in ways[:-1] if way in _ALWAYS_DECIDE), None)
    if early:
        yield Fault("complete", f"`{early.value}` always decides: put it last")
    has_parts = any(name.startswith(PART) for name in compile_pattern(recipe.pattern).groupindex)
    if Completeness.AT_ONCE in ways and has_parts:
        yield Fault(
            "complete", "`at_once` says that each file is a drop, and {part} that several are: choose one"
        )
    if recipe.quiet_seconds is not None and Completeness.QUIET not in ways:
        yield Fault("quiet_seconds", "counts only where `complete` lists `quiet`")
    if recipe.manifest is None and Completeness.MANIFEST in ways:
        yield Fault("complete", "`manifest` needs the key `manifest`: the name of what lists the files")
    if recipe.manifest is not None and Completeness.MANIFEST not in ways:
        yield Fault("manifest", "is read only where `complete` lists `manifest`")
    without_names = recipe.dialect.header is False and not recipe.dialect.columns
    if without_names and Completeness.MANIFEST not in ways:
        yield Fault("dialect", "files without a header need `columns`, all their names in order")
