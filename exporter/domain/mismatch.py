"""Why a recipe does not take a file: where the file's name stops fitting the recipe's pattern."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.domain.recipe import Recipe, compile_pattern
from exporter.domain.wording import shown

MAX_NAME_SHOWN: Final = 80
_PIECE: Final = re.compile(r"\{[^{}]*\}|[\[\]]|[^{}\[\]/]*/|[^{}\[\]/]+")
"""A placeholder, a bracket, or text up to the next slash."""
_OPEN: Final = re.compile(r"\{[a-z_]+(?::(?:path|folders|hex|text))?\}")
"""A placeholder for nearly anything: that a name fits it says little."""


def mismatch(recipe: Recipe, blob: str) -> str:
    """Where a blob's name stops fitting a recipe's pattern, as a short phrase; "" for one that fits."""
    pattern = compile_pattern(recipe.pattern)
    if pattern.fullmatch(blob):
        return ""
    if match := pattern.match(blob):
        return f"after `{shown(match[0], MAX_NAME_SHOWN)}` the name should end"
    pieces = _PIECE.findall(recipe.pattern)
    fitting, end = 0, 0
    for count, beginning in _beginnings(pieces):
        if match := compile_pattern(beginning).match(blob):
            fitting, end = count, match.end()
    wants = f"it wants `{shown(_next(pieces[fitting:]))}`"
    return f"after `{shown(blob[:end], MAX_NAME_SHOWN)}` {wants}" if end else f"{wants} at the beginning"


def _beginnings(pieces: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The pattern's beginnings that end in something definite, and their number of pieces.

    What is begun in brackets is not left out.
    """
    before = within = ""
    in_brackets = False
    for count, piece in enumerate(pieces, start=1):
        if piece == "[":
            in_brackets = True
        elif piece == "]":
            before, within, in_brackets = f"{before}[{within}]", "", False
        elif in_brackets:
            within += piece
        else:
            before += piece
        if piece not in {"[", "]"} and not _OPEN.fullmatch(piece):
            yield count, before + within


def _next(pieces: Sequence[str]) -> str:
    """What comes next: something definite, with what stands before it or may be missing."""
    wanted, in_brackets = "", False
    for number, piece in enumerate(pieces):
        if piece == "]" and not in_brackets:  # the end of brackets that the name is within
            if number:
                break
            continue
        wanted += piece
        if piece in {"[", "]"}:
            in_brackets = piece == "["
        elif not in_brackets and not _OPEN.fullmatch(piece):
            break
    return wanted
