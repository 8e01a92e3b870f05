"""Pieces of text become rows, and on the way it is found out whether backslashes escape."""

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, takewhile
from typing import Final

from exporter.domain.dialect import Escape
from exporter.domain.escapes import Parsed, Signs, after_line, parsed, whole_rows
from exporter.domain.wording import shown
from exporter.errors import StopRunError

LOOK_CHARACTERS: Final = 1024 * 1024
"""So much text is looked at, from the first row on that depends on the escape."""
MAX_OPEN_CHARACTERS: Final = 4 * 1024 * 1024
"""So much is kept of a text without a known border between rows, before one is looked for more closely."""
MARK: Final = "\ufeff"
NULL_SIGN: Final = "\\N"


class MarkError(csv.Error):
    """A row begins with a byte order mark, which would become part of its first value."""

    def __init__(self, line: int) -> None:
        super().__init__("byte order mark")
        self.line = line


class CsvRows:
    """The rows of one source, once.

    Iterating may raise csv.Error, MarkError among them, or StopRunError("ambiguous_dialect"), with
    `refuses_null_sign` also for a value that is `\\N`.

    `pieces` end with a line end, all but the last. Without an `escape` quotes are taken for doubled as long
    as it makes no difference. At the first row that comes out differently if backslashes escape, both
    readings are held against the text from there on: the one that is read without a fault, and has as many
    cells in each row as there are columns, is right for the whole file. If both are, nobody can tell.
    """

    def __init__(
        self,
        name: str,
        pieces: Iterable[str],
        signs: Signs,
        escape: Escape | None,
        *,
        refuses_null_sign: bool = False,
    ) -> None:
        self.escape = escape
        """None as long as it makes no difference."""
        self.found_at_line = 0
        """Where `escape` was found out, if it was."""
        self.open_ended = False
        """The text that the last row is from has no line end."""
        self.width = 0
        """How many cells a row should have; 0: as many as the first."""
        self._name = name
        self._pieces = iter(pieces)
        self._ahead: deque[str] = deque()
        self._signs = signs
        self._refuses_null_sign = refuses_null_sign
        self._reader = signs.reader(chain.from_iterable(self._lines()))
        self._ended = False
        self._between_rows = True
        self._open: list[str] = []
        """While `escape` is unknown: the pieces since the last one that ended between two rows."""
        self._open_length = 0
        self._lines_before_open = 0
        self._probes = 0

    @property
    def line_num(self) -> int:
        """The line that was read last, from 1."""
        return self._reader.line_num - self._probes

    def __iter__(self) -> Iterator[list[str]]:
        return chain.from_iterable(self._runs())

    def _runs(self) -> Iterator[Iterable[list[str]]]:
        """The rows in runs without an empty one. After an empty one the reader stands between two rows."""
        while not self._ended:
            yield takewhile(bool, self._reader)
            self._between_rows = True

    def _lines(self) -> Iterator[Iterable[str]]:
        """The lines of each piece, and then an empty text, which between two rows makes an empty row."""
        # StringIO cuts the lines in C, and chain hands them on without a step in Python for each.
        while piece := self._next_piece():
            if self.escape is None and self._signs.may_escape(piece):
                self._find_escape(piece)
            if MARK in piece:
                self._refuse_mark(piece)
            if self._refuses_null_sign and NULL_SIGN in piece:
                self._refuse_null_sign(piece)
            ready = self._signs.ready(piece, self.escape or "double", within_quotes=not self._between_rows)
            self.open_ended = not piece.endswith("\n")
            yield io.StringIO(ready, newline="\n")
            self._between_rows = False
            self._probes += 1
            yield ("",)
            if self.escape is None:
                self._remember(piece)
        self._ended = True

    def _next_piece(self) -> str:
        """The next piece of the text; "" after the last one."""
        return self._ahead.popleft() if self._ahead else next(self._pieces, "")

    def _remember(self, piece: str) -> None:
        """Keep what has been read since a border between rows, so that it can be read again differently."""
        if self._between_rows:
            self._open.clear()
            self._open_length = 0
            self._lines_before_open = self.line_num
            return
        self._open.append(piece)
        self._open_length += len(piece)
        if self._open_length > MAX_OPEN_CHARACTERS:
            text = "".join(self._open)
            ends = whole_rows(parsed(self._signs, text, "double", is_end=False), text.count("\n")).ends
            whole_lines = ends[-1] if ends else 0
            self._lines_before_open += whole_lines
            self._open = [text[after_line(text, whole_lines) :]]
            self._open_length = len(self._open[0])

    def _find_escape(self, piece: str) -> None:
        """Set `escape` if a row of `piece` depends on it.

        Raises StopRunError("ambiguous_dialect") if both readings are possible.
        """
        text = "".join([*self._open, piece])
        doubled, escaped = (parsed(self._signs, text, way, is_end=False) for way in ("double", "backslash"))
        number = doubled.first_difference(escaped)
        if number is None:
            return
        lines_before = doubled.ends[number - 1] if number else 0
        window, is_end = self._window(text[after_line(text, lines_before) :])
        line = self._lines_before_open + lines_before + 1
        self.escape = self._the_possible_one(
            line,
            {
                "double": self._looked_at(window, "double", is_end=is_end),
                "backslash": self._looked_at(window, "backslash", is_end=is_end),
            },
            {"double": self.width or doubled.width, "backslash": self.width or escaped.width},
        )
        self.found_at_line = line

    def _refuse_mark(self, piece: str) -> None:
        """Raise MarkError where a row begins with a mark; within quotes it is part of a value."""
        is_quoted = not self._between_rows and self._signs.quote != "none"
        text = f"{self._signs.quote}{piece}" if is_quoted else piece
        ends = parsed(self._signs, text, self.escape or "double", is_end=False).ends
        lines = text.split("\n")
        for lines_before in [*([0] if self._between_rows else []), *ends]:
            if lines_before < len(lines) and lines[lines_before].startswith(MARK):
                raise MarkError(self.line_num + lines_before + 1)

    def _refuse_null_sign(self, piece: str) -> None:
        """Raise StopRunError where a value is `\\N`: databases write that for nothing."""
        is_quoted = not self._between_rows and self._signs.quote != "none"
        text = f"{self._signs.quote}{piece}" if is_quoted else piece
        read = parsed(self._signs, text, self.escape or "double", is_end=False)
        for row, line in zip(read.rows, [0, *read.ends], strict=False):
            if NULL_SIGN in row:
                raise StopRunError(
                    "ambiguous_dialect",
                    f"{shown(self._name)} has the value \\N at line {self.line_num + line + 1}, as databases"
                    " write it for no value. Declare `null: '\\N'` in the recipe's dialect, or another `null`"
                    " if it is meant.",
                )

    def _window(self, text: str) -> tuple[str, bool]:
        """`text` and what follows it, in whole lines of some `LOOK_CHARACTERS`, and whether it is all."""
        length = len(text)
        while length < LOOK_CHARACTERS:
            piece = next(self._pieces, "")
            if not piece:
                return "".join([text, *self._ahead]), True
            self._ahead.append(piece)
            length += len(piece)
        joined = "".join([text, *self._ahead])
        return joined[: joined.find("\n", LOOK_CHARACTERS - 1) + 1 or None], False

    def _looked_at(self, window: str, escape: Escape, *, is_end: bool) -> Parsed:
        read = parsed(self._signs, window, escape, is_end=is_end)
        return read if is_end else whole_rows(read, window.count("\n"))

    def _the_possible_one(
        self, line: int, readings: dict[Escape, Parsed], widths: dict[Escape, int]
    ) -> Escape:
        faultless = [escape for escape, read in readings.items() if not read.error]
        if not faultless:
            # Damaged in any case: the reading that comes further names the place.
            return max(readings, key=lambda escape: len(readings[escape].rows))
        if len(faultless) > 1:
            faultless = [escape for escape in faultless if readings[escape].fits(widths[escape])]
        if len(faultless) == 1:
            return faultless[0]
        raise StopRunError(
            "ambiguous_dialect",
            f"{shown(self._name)} can be read in two ways from line {line} on: with backslashes that escape,"
            " or that stand for themselves. Declare `escape: backslash` or `escape: double` in the recipe's"
            " dialect.",
        )
