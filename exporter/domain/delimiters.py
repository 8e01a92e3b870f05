"""What a source's cells are delimited by: declared, or found by what the mapping reads."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exporter.domain.csv_rows import CsvRows
from exporter.domain.dialect import Dialect, Escape
from exporter.domain.escapes import Signs
from exporter.domain.wording import shown
from exporter.errors import StopRunError

RULE: Final = ","
CANDIDATES: Final = (RULE, ";", "\t", "|")
DELIMITER_WORDS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
ONLY_DECLARED: Final = "^#~¦/:_"
"""Producers know these, too; they are common in values, so they are not looked for."""
FIRST_ROWS: Final = 20


class Lookahead:
    """Pieces of text that may be looked at before they are read."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._seen: list[str] = []
        self._rest = iter(pieces)

    def look(self) -> Iterator[str]:
        """The pieces from the beginning; those that nobody has seen are fetched, and kept."""
        yield from self._seen
        for piece in self._rest:
            self._seen.append(piece)
            yield piece

    def take(self) -> Iterator[str]:
        """The pieces from the beginning, for good."""
        seen, self._seen = self._seen, []
        yield from seen
        yield from self._rest


@dataclass(frozen=True, slots=True)
class Found:
    """A delimiter, and the sentence that says what it shows by; none if it is declared or the rule."""

    delimiter: str
    sentence: str = ""


def plural(delimiter: str) -> str:
    """The words for a delimiter in a message."""
    return f"{DELIMITER_WORDS[delimiter]}s" if delimiter in DELIMITER_WORDS else f"'{shown(delimiter)}'"


def find_delimiter(name: str, pieces: Lookahead, dialect: Dialect, required: Sequence[str]) -> Found:
    """The delimiter of a source whose mapping reads the columns `required`.

    Where nothing fits a header, it is the rule's, and the header shows what is wrong. Raises StopRunError
    where two delimiters fit that make a difference, or none fits the declared columns.
    """
    if dialect.delimiter:
        return Found(dialect.delimiter)
    # A header that names the mapped columns is enough; nothing more is read then.
    count = 1 if required and not _is_headerless(dialect) else FIRST_ROWS
    readings = {sign: first_rows(name, pieces, dialect, sign, count) for sign in CANDIDATES}
    fitting = {sign: rows for sign, rows in readings.items() if _fits(rows, dialect, required)}
    if not fitting:
        if _is_headerless(dialect) and readings[RULE]:
            raise _fits_nothing(name, dialect, readings)
        return Found(RULE)
    sign, rows = next(iter(fitting.items()))
    if other := next((other for other, others in fitting.items() if others != rows), None):
        raise StopRunError(
            "ambiguous_dialect",
            f"{shown(name)} can be read in two ways: delimited by {plural(sign)}, or by {plural(other)}."
            " Declare the `delimiter` in the recipe's dialect.",
        )
    if sign == RULE:
        return Found(RULE)
    label = DELIMITER_WORDS[sign] if sign.isspace() else sign
    return Found(sign, f"delimiter {label} found: {_what_shows(rows, dialect, required)}")


def first_rows(
    name: str, pieces: Lookahead, dialect: Dialect, delimiter: str, count: int = 1
) -> list[list[str]]:
    """The first rows of a source as they are if they are so delimited; fewer where they can't be read so."""
    signs = Signs(delimiter, dialect.quote or '"')
    ways: tuple[Escape, ...] = (dialect.escape,) if dialect.escape else ("double", "backslash")
    # What escapes is found out later. Until then the way that can be read further will do.
    return max((_first_rows(name, pieces, signs, way, count) for way in ways), key=len)


def _first_rows(name: str, pieces: Lookahead, signs: Signs, escape: Escape, count: int) -> list[list[str]]:
    rows: list[list[str]] = []
    # A reading that fails here shows by the rows that it lacks.
    with suppress(csv.Error):
        rows.extend(islice(CsvRows(name, pieces.look(), signs, escape), count))
    return rows


def _is_headerless(dialect: Dialect) -> bool:
    """Whether the columns are declared, and the first line need not name them."""
    return bool(dialect.columns) and dialect.header is not True


def _fits(rows: Sequence[Sequence[str]], dialect: Dialect, required: Sequence[str]) -> bool:
    if not rows:
        return False
    if _is_headerless(dialect):
        return _share_of_width(rows, len(dialect.columns)) > 0.5
    if required:
        names = [cell.strip() for cell in rows[0]]
        return all(column in names for column in required)
    return len(rows[0]) > 1 and _share_of_width(rows, len(rows[0])) == 1


def _share_of_width(rows: Sequence[Sequence[str]], width: int) -> float:
    return sum(len(row) == width for row in rows) / len(rows)


def _what_shows(rows: Sequence[Sequence[str]], dialect: Dialect, required: Sequence[str]) -> str:
    if _is_headerless(dialect):
        return f"the first lines have the {len(dialect.columns)} declared columns so read"
    if required:
        return "the mapped columns are in the header so read"
    return f"the first lines have {len(rows[0])} cells each so read"


def _fits_nothing(name: str, dialect: Dialect, readings: dict[str, list[list[str]]]) -> StopRunError:
    counts = ", ".join(
        f"{len(rows[0])} delimited by {plural(sign)}" for sign, rows in readings.items() if rows
    )
    return StopRunError(
        "missing_column",
        f"{shown(name)} does not have the {len(dialect.columns)} columns that are declared: its first line"
        f" has {counts} cells. Declare the `delimiter`, or the right `columns`, in the recipe's dialect.",
    )
