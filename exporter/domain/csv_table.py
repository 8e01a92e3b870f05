"""Text becomes rows: a header that fits the mapping, then the rows under it, exactly as written."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from exporter.domain.dialect import UNDECLARED, Dialect, Reading
from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError

MAX_LINE_CHARACTERS: Final = 16 * 1024 * 1024
MAX_VALUE_CHARACTERS: Final = 1_000_000
"""No value is longer; a stray double quote makes one of all the lines after it."""
OTHER_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}

# The csv module has one limit for the whole process; its own is 131,072.
csv.field_size_limit(MAX_VALUE_CHARACTERS)


class CsvTable:
    """One source as a table. `rows` are lists of cells; empty lines come as empty lists.

    Iterating `rows` may raise csv.Error, for which `unreadable` has the words.
    """

    def __init__(self, name: str, texts: Iterable[str], dialect: Dialect = UNDECLARED) -> None:
        self.name = name
        self.reading = Reading(name, dialect)
        self._lines = Lines(name, texts)
        self.rows = csv.reader(self._lines, strict=True)
        self.header = self._read_header()
        """The column names, trimmed; empty for a source of no bytes or empty lines alone."""

    @property
    def at_open_end(self) -> bool:
        """The row read last is the source's last and has no line end, as in a file that was cut off."""
        return self._lines.open_ended

    def require(self, columns: Sequence[str]) -> None:
        """Raise StopRunError unless every one of `columns` is in the header, and no column is there twice."""
        missing = [column for column in columns if column not in self.header]
        if missing:
            raise self._missing(missing)
        column, count = Counter(self.header).most_common(1)[0]
        if count > 1:
            first = self.header.index(column) + 1
            second = self.header.index(column, first) + 1
            what = f"the column {shown_list([column])}" if column else "a column without a name"
            raise StopRunError(
                "doubled_column",
                f"{shown(self.name)} has {what} {count} times (first as columns {first} and {second})."
                " Give each column a name of its own.",
            )

    def unreadable(self, error: Exception, row: int) -> StopRunError:
        """What to tell a person about `error`, met while reading data row `row` (0: the header)."""
        where = f"line {self.rows.line_num} ({f'data row {row}' if row else 'the header'})"
        what = str(error)
        if "unexpected end of data" in what:
            return StopRunError(
                "cut_off",
                f"{shown(self.name)} ends at {where} within a quoted value: the file is cut off, or a stray"
                " double quote opens that row. Drop the whole file again.",
            )
        if "new-line character" in what:
            return self._bad_line_ends(where)
        if "field larger than" in what:
            return StopRunError(
                "bad_quoting",
                f"{shown(self.name)} has a value of over {MAX_VALUE_CHARACTERS:,} characters at {where}."
                " Probably a stray double quote in that row swallows the lines after it.",
            )
        return StopRunError(
            "bad_quoting",
            f"{shown(self.name)} is quoted wrongly at {where}: after a closing double quote there must be a"
            " comma or the end of the line. Double the quotes within a value.",
        )

    def cut_off(self, row: int, cell_count: int) -> StopRunError:
        """What to tell about a last row without a line end that has too few cells."""
        return StopRunError(
            "cut_off",
            f"{shown(self.name)} ends within data row {row} (line {self.rows.line_num}), which has"
            f" {cell_count} of {len(self.header)} columns and no line end: it is cut off. Drop the whole file"
            " again.",
        )

    def _read_header(self) -> tuple[str, ...]:
        try:
            cells = next((row for row in self.rows if row), [])
        except csv.Error as error:
            if self._lines.look_like_json:
                raise self._json() from error
            raise self.unreadable(error, 0) from error
        return tuple(cell.strip() for cell in cells)

    def _missing(self, missing: Sequence[str]) -> StopRunError:
        if self._lines.look_like_json:
            return self._json()
        lacks = f"{shown(self.name)} lacks what the mapping reads: {shown_list(missing)}"
        if any("@" in name for name in self.header):
            # Probably the first person's row: it must not appear in a message.
            advice = "Its first line looks like data. The first line must name the columns."
        elif len(self.header) == 1 and (delimiter := _other_delimiter(self.header[0])):
            advice = f"It seems to be delimited by {delimiter}; commas are expected. Export it with commas."
        else:
            advice = f"Its columns are {shown_list(self.header)}. Change the mapping or the file."
        return StopRunError("missing_column", f"{lacks}. {advice}")

    def _json(self) -> StopRunError:
        return StopRunError(
            "unsupported_format",
            f"{shown(self.name)} seems to be JSON. Segments are read as CSV, plain or gzip.",
        )

    def _bad_line_ends(self, where: str) -> StopRunError:
        return StopRunError(
            "bad_line_ends",
            f"{shown(self.name)} has a carriage return without a line feed at {where}. Save it with line ends"
            " CR LF or LF, and put values that hold a carriage return in double quotes.",
        )


def _other_delimiter(header: str) -> str | None:
    """What a header that came out as a single column seems to be delimited by."""
    return next((words for sign, words in OTHER_DELIMITERS.items() if sign in header), None)


class Lines:
    """Text cut into lines after each line feed, and nowhere else.

    `str.splitlines` also cuts at U+2028 and others, which are part of a value here.
    """

    def __init__(self, name: str, texts: Iterable[str]) -> None:
        self._name = name
        self._texts = texts
        self.open_ended = False
        self.look_like_json = False

    def __iter__(self) -> Iterator[str]:
        # StringIO cuts the lines in C, and chain hands them on without a step in Python for each.
        return chain.from_iterable(io.StringIO(text, newline="\n") for text in self._whole_lines())

    def _whole_lines(self) -> Iterator[str]:
        """The text in pieces that end with a line; the last one perhaps without its line end."""
        begun: list[str] = []
        begun_length = 0
        is_first = True
        for text in self._texts:
            if is_first:
                self.look_like_json = text.startswith(("{", "["))
                is_first = False
            end = text.rfind("\n") + 1
            if begun_length + (text.find("\n") + 1 or len(text)) > MAX_LINE_CHARACTERS:
                raise self._endless_line()
            if end:
                yield "".join([*begun, text[:end]])
                begun, begun_length = [], 0
            begun.append(text[end:])
            begun_length += len(text) - end
        if begun_length:
            self.open_ended = True
            yield "".join(begun)

    def _endless_line(self) -> StopRunError:
        return StopRunError(
            "bad_line_ends",
            f"{shown(self._name)} has a line of over {MAX_LINE_CHARACTERS:,} characters. It is not CSV, or"
            " its lines end in carriage returns alone: save it with line ends CR LF or LF.",
        )
