r"""How quotes within values are written: doubled, or behind a backslash. Both are read by one `csv.reader`.

The reader always takes a backslash for an escape, and before it gets a text, each backslash that is none
there is doubled. So the way of reading may change between two pieces of text, the speed is that of C, and
only pieces with a backslash in them cost more.

What a backslash is differs between producers. Here it escapes a quote or a backslash, and only within quotes:
Spark writes `ACME\John` bare where a value needs no quotes. Without quotes it escapes the delimiter, a line
end or a backslash. Before anything else it stands for itself, so that `\N` stays what it is.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final

from exporter.domain.dialect import Escape, Quote

if TYPE_CHECKING:
    from _csv import Reader

BACKSLASH: Final = "\\"
AT_END_WITHIN_QUOTES: Final = "unexpected end of data"
"""What the csv module says of a text that ends within quotes."""


@dataclass(frozen=True)
class Signs:
    """The two signs of a dialect that shape its rows, and the expressions that follow from them."""

    delimiter: str = ","
    quote: Quote = '"'

    def reader(self, lines: Iterable[str]) -> "Reader":
        """The rows of lines that are `ready`, strictly. Iterating raises csv.Error."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=None if self.quote == "none" else self.quote,
            quoting=csv.QUOTE_NONE if self.quote == "none" else csv.QUOTE_MINIMAL,
            escapechar=BACKSLASH,
            strict=True,
        )

    def ready(self, text: str, escape: Escape, *, within_quotes: bool) -> str:
        """Whole lines as `reader` takes them. `within_quotes`: they begin in the midst of a quoted value."""
        if BACKSLASH not in text:
            return text
        if escape == "double":
            return text.replace(BACKSLASH, BACKSLASH * 2)
        if self.quote == "none":
            return self._only_escapes(text)
        begun = self._rest_of_value.match(text) if within_quotes else None
        start = begun.end() if begun else 0
        return self._only_escapes(text[:start]) + self._token.sub(self._ready_token, text[start:])

    def may_escape(self, text: str) -> bool:
        """Whether it can make a difference if backslashes escape; quick, and never wrong about a no."""
        return BACKSLASH in text and self._escape.search(text) is not None

    def _ready_token(self, token: re.Match[str]) -> str:
        text = token[0]
        if BACKSLASH not in text:
            return text
        return self._only_escapes(text) if text[0] == self.quote else text.replace(BACKSLASH, BACKSLASH * 2)

    def _only_escapes(self, text: str) -> str:
        return self._backslash.sub(self._ready_backslash, text)

    def _ready_backslash(self, found: re.Match[str]) -> str:
        # The reader takes one character for escaped, and a line may end in two.
        return (found[1] or BACKSLASH * 2).replace("\r\n", f"\r{BACKSLASH}\n")

    @cached_property
    def _escape(self) -> re.Pattern[str]:
        """A backslash with what it escapes."""
        if self.quote == "none":
            return re.compile(rf"\\(?:\r\n|[{re.escape(self.delimiter)}\r\n\\])")
        return re.compile(rf"\\[{self.quote}\\]")

    @cached_property
    def _backslash(self) -> re.Pattern[str]:
        r"""A backslash; with what it escapes as group 1, if it does."""
        return re.compile(rf"({self._escape.pattern})|\\")

    @cached_property
    def _rest_of_value(self) -> re.Pattern[str]:
        """What is left of a quoted value, the closing quote included. It fits every text, so it is quick."""
        return re.compile(rf"(?:[^{self.quote}\\]+|\\.?|{self.quote}{{2}})*{self.quote}?", re.DOTALL)

    @cached_property
    def _token(self) -> re.Pattern[str]:
        """A quoted value; or all up to the last border before a quote or backslash; or up to a border."""
        quote, border = self.quote, rf"{re.escape(self.delimiter)}\n"
        return re.compile(
            rf"{quote}{self._rest_of_value.pattern}|[^{quote}\\]*[{border}]|[^{border}]*[{border}]?",
            re.DOTALL,
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text comes out as. `ends` are the lines after which the rows end, counted from 1."""

    rows: list[list[str]]
    ends: list[int]
    error: str = ""

    def first_difference(self, other: "Parsed") -> int | None:
        """The first row that another reading of the same text has differently; None if all is the same."""
        for number, (mine, others) in enumerate(zip(self.rows, other.rows, strict=False)):
            if mine != others:
                return number
        if len(self.rows) == len(other.rows) and self.error == other.error:
            return None
        return min(len(self.rows), len(other.rows))

    @property
    def width(self) -> int:
        """How many cells the first row has."""
        return next((len(row) for row in self.rows if row), 0)

    def fits(self, width: int) -> bool:
        """Whether all rows have so many cells."""
        return all(len(row) == width for row in self.rows if row)


def parsed(signs: Signs, text: str, escape: Escape, *, is_end: bool) -> Parsed:
    """A text from the beginning of a row on.

    Where it is not the end of all, a row that is not whole is there as far as it goes, and then ends after a
    line that does not exist.
    """
    ready = signs.ready(text, escape, within_quotes=False)
    lines: Iterable[str] = io.StringIO(ready, newline="\n")
    if not is_end and signs.quote != "none":
        lines = chain(lines, [f"{signs.quote}\n"])
    reader = signs.reader(lines)
    rows, ends = [], []
    try:
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
    except csv.Error as error:
        if is_end or AT_END_WITHIN_QUOTES not in str(error):
            return Parsed(rows, ends, str(error))
    return Parsed(rows, ends)


def whole_rows(read: Parsed, line_count: int) -> Parsed:
    """Without a last row that is not whole, in a text of so many lines."""
    if read.ends and read.ends[-1] > line_count:
        return Parsed(read.rows[:-1], read.ends[:-1], read.error)
    return read


def after_line(text: str, number: int) -> int:
    """Where in a text the line after the one of that number begins."""
    at = 0
    for _ in range(number):
        at = text.index("\n", at) + 1
    return at
