"""Why a recipe does not take a file: where the file's name stops fitting the recipe's pattern."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.domain.recipe import Recipe, compile_pattern
from exporter.domain.wording import shown

MAX_NAME_SHOWN: Final = 80
_PIECE: Final = re.compile(r"\{[^{}]*\}|[\[\]]|[^{}\[\]/]*/|[^{}\[\]/]+")
"""A placeholder, a bracket, or text up to the next slash."""


def mismatch(recipe: Recipe, blob: str) -> str:
    """Where a blob's name stops fitting a recipe's pattern, as a short phrase; "" for one that fits."""
    if compile_pattern(recipe.pattern).fullmatch(blob):
        return ""
    pieces = _PIECE.findall(recipe.pattern)
    fitting, end = 0, 0
    for count, beginning in _beginnings(pieces):
        match = compile_pattern(beginning).match(blob)
        if match:
            fitting, end = count, match.end()
    wanted = _next(pieces[fitting:])
    wants = f"it wants `{shown(wanted)}`" if wanted else "the name should end"
    if not end:
        return f"{wants} at the beginning"
    return f"after `{shown(blob[:end], MAX_NAME_SHOWN)}` {wants}"


def _beginnings(pieces: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The pattern's beginnings and their number of pieces; what is begun in brackets is not left out."""
    before = within = ""
    in_brackets = False
    for count, piece in enumerate(pieces, start=1):
        if piece == "[":
            in_brackets = True
        elif piece == "]":
            before, within, in_brackets = f"{before}[{within}]", "", False
        elif in_brackets:
            within += piece
            yield count, before + within
        else:
            before += piece
            yield count, before


def _next(pieces: Sequence[str]) -> str:
    """What comes next: a piece, with those before it that may be missing."""
    wanted, in_brackets = "", False
    for piece in pieces[1:] if pieces[:1] == ["]"] else pieces:
        wanted += piece
        in_brackets = piece == "[" or (in_brackets and piece != "]")
        if not in_brackets and piece != "]":
            break
    return wanted
