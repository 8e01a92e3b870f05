"""JSON Lines become rows: one object a line, its keys the columns, every value as it is written.

A key that stands twice in an object is found in every line: an object has as many keys as there are double
quotes before a colon outside of its texts and nested objects, so only a line with more of them than keys came
out is looked at again. Within nested objects, which are never sent, nobody looks.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import orjson

from exporter.domain.csv_table import Lines
from exporter.domain.dialect import Reading
from exporter.domain.glance import glance
from exporter.domain.reject import RejectReason, UnfitRow
from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError

MAX_NAMED_KEYS: Final = 20
MAX_WANTED_KEYS: Final = 20
MAX_KNOWN_KEYS: Final = 10_000
"""So many are remembered, so that a file in which each object has others costs time and no memory."""
JSON_SPACE: Final = " \t\r\n"
_KEY_END: Final = re.compile(r'"[ \t\r]*:')
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""The escaped NUL; behind another backslash it is a text about one."""

_OBJECT: Final = re.compile(r'\{\s*["}]')
_ARRAY: Final = re.compile(r"\[\s*[{\[\]]")

Record = dict[str, Any]


def is_json_lines(beginning: str) -> bool:
    """Whether a text that begins so, blanks left out, is JSON Lines: `{` alone may begin a CSV header."""
    return _OBJECT.match(beginning) is not None


def is_json_array(beginning: str) -> bool:
    """Whether a text that begins so is a JSON array: `[Email],[Name]` is a CSV header."""
    return _ARRAY.match(beginning) is not None


def begins_with_object(beginning: str) -> bool:
    """Whether the first line is a whole JSON object, so that it can be no row of CSV."""
    try:
        return isinstance(orjson.loads(beginning.partition("\n")[0]), dict)
    except orjson.JSONDecodeError:
        return False


def keys_that(are_wanted: Callable[[str], bool], name: str, texts: Iterable[str]) -> tuple[str, ...]:
    """The keys of all objects of a source that are wanted, in the order in which they turn up.

    Ends before a line that holds no object, for whoever reads the rows will refuse it. Raises StopRunError
    for a source that can't be read, or that has more than `MAX_WANTED_KEYS` of them.
    """
    found: dict[str, None] = {}
    known: set[str] = set()
    for line in Lines(name, texts):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            if line.strip(JSON_SPACE):
                break
            continue
        if type(record) is not dict:
            break
        if record.keys() <= known:
            continue
        found.update(dict.fromkeys(filter(are_wanted, record)))
        if len(found) > MAX_WANTED_KEYS:
            raise StopRunError(
                "ambiguous_operation",
                f"{shown(name)} has over {MAX_WANTED_KEYS} keys that may say what became of a row. Nothing"
                " was sent. Name the right one as `operation` in the mapping of the export, then drop the"
                " file again.",
            )
        if len(known) < MAX_KNOWN_KEYS:
            known.update(record)
    return tuple(found)


class JsonLinesTable:
    """One source as a table; `required` are the columns, or the keys of its first object where it is empty.

    The columns `more` are looked at as well. Raises StopRunError, when it is made or while rows are taken,
    for a file that can't be read.
    """

    at_open_end = False

    def __init__(
        self,
        name: str,
        texts: Iterable[str],
        reading: Reading,
        required: Sequence[str],
        more: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.reading = reading
        self._line_number = 0
        lines = enumerate(Lines(name, texts), 1)
        first = next(((number, line) for number, line in lines if line.strip(JSON_SPACE)), None)
        self.header: tuple[str, ...] = ()
        """The columns that are read; empty for a source without an object."""
        self.rows: Iterator[list[str]] = iter(())
        if first is not None:
            self.header = tuple(dict.fromkeys((*required, *more))) if required else self._keys(*first)
            self._looked_at = range(len(required), len(self.header)) if required else range(0)
            self.rows = self._rows(chain([first], lines))

    def unreadable(self, error: Exception, row: int) -> StopRunError:
        """What to tell a person about `error`, met while reading data row `row`."""
        where = f"line {self._line_number}"
        if isinstance(error, orjson.JSONDecodeError):
            where, why = f"{where}, column {error.colno}", error.msg
        else:
            why = "nested too deeply"
        return StopRunError(
            "bad_json",
            f"{shown(self.name)} holds no JSON at {where} (data row {row}): {why}. Write one object a line.",
        )

    def cut_off(self, row: int, cell_count: int) -> StopRunError:
        """What to tell about a last line that is broken and has no line end."""
        return StopRunError(
            "cut_off",
            f"{shown(self.name)} ends within line {self._line_number} (data row {row}), which has no line"
            " end: it is cut off. Drop the whole file again.",
        )

    def _keys(self, line_number: int, line: str) -> tuple[str, ...]:
        self._line_number = line_number
        try:
            return tuple(self._object(orjson.loads(line), 1))
        except orjson.JSONDecodeError as error:
            raise self._broken(error, line, 1) from None

    def _rows(self, lines: Iterable[tuple[int, str]]) -> Iterator[list[str]]:
        loads, joined = orjson.loads, "".join
        missing, keys = set(self.header), dict[str, None]()
        row = 0
        for self._line_number, line in lines:
            row += 1
            try:
                record = loads(line)
            except orjson.JSONDecodeError as error:
                if not line.strip(JSON_SPACE):
                    row -= 1
                    continue
                raise self._broken(error, line, row) from None
            values = self._values(self._object(record, row))
            if missing:
                missing.difference_update(record)
                keys.update(dict.fromkeys(islice(record, MAX_NAMED_KEYS - len(keys))))
            if "\\u0000" in line and _NUL.search(line):
                raise self._nul(row)
            if line.count(":") > len(record) and self._has_doubled_key(line, record, row):
                yield self._unfit(values, RejectReason.DOUBLED_KEY, "a key stands twice in the object")
                continue
            try:
                joined(values)
            except TypeError:
                values = self._as_texts(values, line, row)
            yield values
        if missing:
            raise self._missing([column for column in self.header if column in missing], list(keys))

    def _values(self, record: Record) -> list[Any]:
        values = list(map(record.get, self.header))
        for at in self._looked_at:
            value = values[at]
            if isinstance(value, list | dict):
                values[at] = glance(None)
            else:
                values[at] = glance(str(value) if isinstance(value, float) else _as_text(value))
        return values

    def _has_doubled_key(self, line: str, record: Record, row: int) -> bool:
        if len(_KEY_END.findall(line)) <= len(record):
            return False
        return len(self._again(line, row, object_pairs_hook=list)) > len(record)

    def _as_texts(self, values: Sequence[Any], line: str, row: int) -> list[str]:
        """The values as texts, numbers as they are written in the line."""
        if any(type(value) is float for value in values) or "-0" in line:
            # A float has lost how it was written, a whole number of over 64 bits is one too, and -0 is 0.
            exact = self._again(line, row, parse_float=str, parse_int=str)
            values = self._values(exact)
        for column, value in zip(self.header, values, strict=True):
            if isinstance(value, list | dict):
                what = "a list" if isinstance(value, list) else "an object"
                detail = (
                    f"'{shown(column, 60)}' holds {what}; a text, a number, true, false or null is expected"
                )
                return self._unfit(values, RejectReason.NESTED_VALUE, detail)
        return list(map(_as_text, values))

    def _again(self, line: str, row: int, **how: Any) -> Any:
        """The line read another way; slower, so only where it has to be."""
        try:
            return json.loads(line, **how)
        except RecursionError as error:
            raise self.unreadable(error, row) from None

    def _unfit(self, values: Iterable[Any], reason: RejectReason, detail: str) -> UnfitRow:
        return UnfitRow(map(_as_text, values), reason, detail)

    def _missing(self, missing: Sequence[str], keys: Sequence[str]) -> StopRunError:
        return StopRunError(
            "missing_column",
            f"{shown(self.name)} lacks what the mapping reads: {shown_list(missing)}. The keys of its objects"
            f" are {shown_list(keys, MAX_NAMED_KEYS)}. Change the mapping or the file.",
        )

    def _broken(self, error: orjson.JSONDecodeError, line: str, row: int) -> StopRunError:
        """To be raised without its cause, which holds the line."""
        return self.unreadable(error, row) if line.endswith("\n") else self.cut_off(row, 0)

    def _object(self, found: Any, row: int) -> Record:
        if type(found) is dict:
            return found
        raise StopRunError(
            "bad_json",
            f"{shown(self.name)} holds something else than an object at line {self._line_number} (data row"
            f" {row}). Write one object a line.",
        )

    def _nul(self, row: int) -> StopRunError:
        return StopRunError(
            "nul_byte",
            f"{shown(self.name)} holds an escaped NUL character at line {self._line_number} (data row"
            f" {row}). Drop it again without.",
        )


def _as_text(value: object) -> str:
    """A text as it is, true and false in JSON's words, nothing for null and what is nested."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    return ""
