"""Text becomes rows: a header that fits the mapping, then the rows under it, exactly as written."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from exporter.domain.csv_rows import CsvRows, MarkError
from exporter.domain.delimiters import (
    DELIMITER_WORDS,
    ONLY_DECLARED,
    Lookahead,
    find_delimiter,
    first_rows,
    plural,
)
from exporter.domain.dialect import UNDECLARED, Dialect, Reading
from exporter.domain.escapes import AT_END_WITHIN_QUOTES, Signs
from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError

MAX_LINE_CHARACTERS: Final = 16 * 1024 * 1024
MAX_VALUE_CHARACTERS: Final = 1_000_000
"""No value is longer; a stray double quote makes one of all the lines after it."""
QUOTE_WORDS: Final = {'"': "double quote", "'": "single quote", "none": "quote"}

# The csv module has one limit for the whole process; its own is 131,072.
csv.field_size_limit(MAX_VALUE_CHARACTERS)


def open_csv(
    name: str, texts: Iterable[str], dialect: Dialect, required: Sequence[str], found: Sequence[str] = ()
) -> "CsvTable":
    """A source's text as a table; `required` are the columns that the mapping reads.

    Raises StopRunError for a source that can't be read so, or whose columns don't fit.
    """
    table = CsvTable(name, texts, dialect, required, found)
    if table.header:
        table.require(required)
    return table


class CsvTable:
    """One source as a table, read as its dialect says, or as its first rows show.

    Iterating `rows`, which are lists of cells, may raise StopRunError, and csv.Error, for which `unreadable`
    has the words.
    """

    def __init__(
        self,
        name: str,
        texts: Iterable[str],
        dialect: Dialect = UNDECLARED,
        required: Sequence[str] = (),
        found: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._dialect = dialect
        self._lines = Lines(name, texts)
        pieces = Lookahead(self._lines.pieces())
        delimiter = find_delimiter(name, pieces, dialect, required)
        self._signs = Signs(delimiter.delimiter, dialect.quote or '"')
        self._found = [*found, *([delimiter.sentence] if delimiter.sentence else [])]
        self._names_columns = self._first_line_names_columns(pieces)
        self._read = CsvRows(
            name, pieces.take(), self._signs, dialect.escape, refuses_null_sign=dialect.null is None
        )
        rows = iter(self._read)
        self.header = self._read_header(rows) if self._names_columns else self._declared_names()
        """The column names, trimmed; empty for a source of no bytes or empty lines alone."""
        self._read.width = len(self.header)
        self.rows = rows if dialect.null is None else _without(dialect.null, rows)

    @property
    def at_open_end(self) -> bool:
        """The row read last is the source's last and has no line end, as in a file that was cut off."""
        return self._read.open_ended

    @property
    def reading(self) -> Reading:
        """How the source is read, as far as it has been read: what escapes quotes may show late."""
        found = list(self._found)
        if self._read.found_at_line:
            way = "quotes behind backslashes" if self._read.escape == "backslash" else "doubled quotes"
            found.append(
                f"escape {self._read.escape} found: line {self._read.found_at_line} and what follows can only"
                f" be read with {way}"
            )
        return Reading(
            self.name,
            self._dialect.model_copy(
                update={
                    "format": "csv",
                    "delimiter": self._signs.delimiter,
                    "quote": self._signs.quote,
                    "escape": self._read.escape or "double",
                    "header": self._names_columns,
                }
            ),
            tuple(found),
        )

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
        if isinstance(error, MarkError):
            return StopRunError(
                "bad_encoding",
                f"{shown(self.name)} has a byte order mark before the row at line {error.line}: several files"
                " were joined. Drop each by itself, or join them without their marks.",
            )
        where = f"line {self._read.line_num} ({f'data row {row}' if row else 'the header'})"
        what = str(error)
        quote = QUOTE_WORDS[self._signs.quote]
        if AT_END_WITHIN_QUOTES in what:
            why = (
                "after a backslash: the file is cut off"
                if self._signs.quote == "none"
                else f"within a quoted value: the file is cut off, or a stray {quote} opens that row"
            )
            return StopRunError(
                "cut_off", f"{shown(self.name)} ends at {where} {why}. Drop the whole file again."
            )
        if "new-line character" in what:
            return self._bad_line_ends(where)
        if "field larger than" in what:
            return StopRunError(
                "bad_quoting",
                f"{shown(self.name)} has a value of over {MAX_VALUE_CHARACTERS:,} characters at {where}."
                f" Probably a stray {quote} in that row swallows the lines after it.",
            )
        delimiter = DELIMITER_WORDS.get(self._signs.delimiter, f"'{shown(self._signs.delimiter)}'")
        way = "Write a backslash before" if self._read.escape == "backslash" else "Double"
        return StopRunError(
            "bad_quoting",
            f"{shown(self.name)} is quoted wrongly at {where}: after a closing {quote} there must be a"
            f" {delimiter} or the end of the line. {way} the quotes within a value.",
        )

    def cut_off(self, row: int, cell_count: int) -> StopRunError:
        """What to tell about a last row without a line end that has too few cells."""
        return StopRunError(
            "cut_off",
            f"{shown(self.name)} ends within data row {row} (line {self._read.line_num}), which has"
            f" {cell_count} of {len(self.header)} columns and no line end: it is cut off. Drop the whole file"
            " again.",
        )

    def _first_line_names_columns(self, pieces: Lookahead) -> bool:
        """Whether the first line is a header. Raises StopRunError where nobody can tell."""
        columns = self._dialect.columns
        if not columns:
            if self._dialect.header is False:
                raise StopRunError(
                    "ambiguous_header",
                    f"{shown(self.name)} is declared to have no header. Declare the names of its `columns` in"
                    " their order in the recipe's dialect.",
                )
            return True
        if self._dialect.header is not None:
            return self._dialect.header
        rows = first_rows(self.name, pieces, self._dialect, self._signs.delimiter)
        names = [column.strip().casefold() for column in columns]
        cells = [cell.strip().casefold() for row in rows for cell in row]
        if cells == names:
            self._found.append("header found: the first line has the declared columns' names")
            return True
        alike = [name for name, folded in zip(columns, names, strict=True) if folded and folded in cells]
        if alike:
            raise StopRunError(
                "ambiguous_header",
                f"{shown(self.name)} has the names {shown_list(alike)} in its first line, but not all the"
                " declared columns in their order. Declare the `columns` as they are, and `header: true` or"
                " `header: false`, in the recipe's dialect.",
            )
        return False

    def _read_header(self, rows: Iterable[list[str]]) -> tuple[str, ...]:
        try:
            cells = next(iter(rows), [])
        except csv.Error as error:
            if self._lines.look_like_json:
                raise self._json() from error
            raise self.unreadable(error, 0) from error
        columns = self._dialect.columns
        if cells and columns and len(cells) != len(columns):
            raise StopRunError(
                "ambiguous_header",
                f"{shown(self.name)} has {len(cells)} columns in its header, and {len(columns)} are declared."
                " Declare the `columns` as they are, or the right `delimiter`, in the recipe's dialect.",
            )
        if cells and columns and self._dialect.header is None:
            return self._declared_names()
        return tuple(cell.strip() for cell in cells)

    def _declared_names(self) -> tuple[str, ...]:
        return tuple(column.strip() for column in self._dialect.columns)

    def _missing(self, missing: Sequence[str]) -> StopRunError:
        if self._lines.look_like_json:
            return self._json()
        advice = f"Its columns are {shown_list(self.header)}. Change the mapping or the file."
        if any("@" in name for name in self.header):
            # Probably the first person's row: it must not appear in a message.
            advice = "Its first line looks like data. The first line must name the columns."
        elif len(self.header) == 1 and (other := self._other_delimiter(missing)):
            delimiter, names = other
            advice = f"It seems to be delimited by {plural(delimiter)}"
            if lacking := [column for column in missing if column not in names]:
                missing = lacking
                advice += f"; its columns are then {shown_list(names)}. Change the mapping or the file."
            else:
                advice += ": declare that as the `delimiter` in the recipe's dialect."
        return StopRunError(
            "missing_column",
            f"{shown(self.name)} lacks what the mapping reads: {shown_list(missing)}. {advice}",
        )

    def _other_delimiter(self, missing: Sequence[str]) -> tuple[str, list[str]] | None:
        """What a header that came out as a single column seems to be delimited by, and its columns then."""
        for delimiter in (*DELIMITER_WORDS, *ONLY_DECLARED):
            names = [name.strip() for name in self.header[0].split(delimiter)]
            if delimiter == self._signs.delimiter or len(names) == 1:
                continue
            if delimiter in DELIMITER_WORDS or all(name in names for name in missing):
                return delimiter, names
        return None

    def _json(self) -> StopRunError:
        return StopRunError(
            "unsupported_format",
            f"{shown(self.name)} seems to be JSON. Write one object a line (JSON Lines).",
        )

    def _bad_line_ends(self, where: str) -> StopRunError:
        return StopRunError(
            "bad_line_ends",
            f"{shown(self.name)} has a carriage return without a line feed at {where}. Save it with line ends"
            " CR LF or LF, and put values that hold a carriage return in double quotes.",
        )


def _without(null: str, rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """The rows with empty cells where `null` stands."""
    for row in rows:
        yield ["" if cell == null else cell for cell in row] if null in row else row


class Lines:
    """Text cut into lines after each line feed, and nowhere else.

    `str.splitlines` also cuts at U+2028 and others, which are part of a value here.
    """

    def __init__(self, name: str, texts: Iterable[str]) -> None:
        self._name = name
        self._texts = texts
        self.look_like_json = False
        self.open_ended = False
        """The last line has come, and has no line end."""

    def __iter__(self) -> Iterator[str]:
        # StringIO cuts the lines in C, and chain hands them on without a step in Python for each.
        return chain.from_iterable(io.StringIO(text, newline="\n") for text in self.pieces())

    def pieces(self) -> Iterator[str]:
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
