"""Delta drops: files of changes, in which the last row about a person counts.

A drop is read twice: first for which row is the last one of each address, then for the contacts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.domain.operations import OperationColumn
from exporter.domain.source_file import SourceFile
from exporter.domain.wording import shown

_NUMBER: Final = re.compile(r"(\d+)", re.ASCII)


@dataclass(slots=True)
class Changes:
    """What the first reading of a delta drop has found.

    Rows are numbered through all files in the order of reading. An address costs a digest, as in a snapshot;
    only those of several rows cost a number as well.
    """

    declared: str | None
    """The operation column that the export names."""
    columns: dict[int, OperationColumn | None] = field(default_factory=dict)
    """By source, as far as it has a row that can be read."""
    _seen: set[bytes] = field(default_factory=set)
    _last: dict[bytes, int] = field(default_factory=dict)

    def note(self, key: bytes, number: int) -> None:
        """Row `number` says something about the person with the digest `key`."""
        if key in self._seen:
            self._last[key] = number
        else:
            self._seen.add(key)

    def looked_over(self) -> None:
        """The first reading is over: what only that one needs is let go."""
        self._seen = set()

    def is_last(self, key: bytes, number: int) -> bool:
        """Whether no later row says anything about the person."""
        return self._last.get(key, number) == number

    def columns_of(self, source: int, mapped: Sequence[str]) -> tuple[str, ...]:
        """What is read of a file: the mapped columns and, once it is known, the operation column."""
        column = self.columns.get(source)
        return tuple(dict.fromkeys((*mapped, *([column.name] if column else []))))

    def found(self, source: int) -> tuple[str, ...]:
        """How the rows of a file are understood, as a sentence; none where that is declared."""
        if self.declared is not None:
            return ()
        column = self.columns.get(source)
        if column is None:
            return ("no operation column found: all rows are taken as added or changed",)
        return (f"operation column '{shown(column.name, 60)}' found: its name is a known one",)


def in_reading_order(files: Sequence[SourceFile]) -> list[tuple[int, SourceFile]]:
    """The files of a drop with their places in it, by their names; numbers in names count as numbers."""
    return sorted(enumerate(files), key=lambda item: (_natural(item[1].name), item[1].name))


def _natural(name: str) -> list[tuple[str, int]]:
    """A name as pairs of text and the number behind it: `part_10` comes after `part_2`."""
    parts = _NUMBER.split(name)
    return [(text, int(number)) for text, number in zip(parts[::2], [*parts[1::2], "-1"], strict=True)]
