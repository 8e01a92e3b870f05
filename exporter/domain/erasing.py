"""Erasing a person: from a segment file, from a chunk, from rejects; nothing else in them changes.

A row is the person's if one of its cells is the address, in whatever column and however it is written. An
address in the middle of a longer text is not found.
"""

import csv
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import orjson

from exporter.domain.address import match_key
from exporter.domain.chunk import Body, Chunk
from exporter.domain.csv_table import Lines
from exporter.domain.decoding import BYTE_ORDER_MARKS, HEAD_BYTES, decoded_texts
from exporter.domain.facts import Mask, mask_of
from exporter.domain.planning import PlanLimits
from exporter.domain.reading import GZIP_MAGIC, GZIP_WBITS, ReadingWatch, plain_pieces, with_head
from exporter.domain.reject import Reject
from exporter.errors import StopRunError

BLANK: Final = b'{"email":""}'
"""What stands in a body where a person was: it keeps the places of the others, and is never sent."""


@dataclass(slots=True)
class Person:
    """Whom to look for. `key` is the address as `match_key` has it."""

    key: str
    _beginning: str = field(init=False)
    """What every way of writing the address begins with: only the domain has several forms."""

    def __post_init__(self) -> None:
        self._beginning = self.key.partition("@")[0]

    def is_in(self, cells: Iterable[str]) -> bool:
        """Whether one of the cells is the person's address."""
        return any(self._beginning in cell.lower() and match_key(cell) == self.key for cell in cells)

    def may_be_in(self, text: str) -> bool:
        """Whether it is worth looking closer: quick, and never wrong about a no."""
        # A quote stands doubled in a file.
        return self._beginning in text.lower().replace('""', '"')


def without_person(name: str, blocks: Iterable[bytes], person: Person) -> tuple[Iterator[bytes], list[int]]:
    """A segment file without the person's rows: all others byte for byte, encoding and gzip as they were.

    The list grows by a 1 for each row left out, while the bytes are taken. Raises StopRunError, then, for a
    file that can't be read.
    """
    erased: list[int] = []
    head, blocks = with_head(blocks, len(GZIP_MAGIC))
    plain = _plain_without(name, blocks, person, erased)
    return (_zipped(plain) if head.startswith(GZIP_MAGIC) else plain), erased


def _plain_without(name: str, blocks: Iterable[bytes], person: Person, erased: list[int]) -> Iterator[bytes]:
    limits = PlanLimits()
    watch = ReadingWatch(limits.max_bytes)
    head, pieces = with_head(plain_pieces(name, blocks, watch, max_ratio=limits.max_ratio), HEAD_BYTES)
    mark, codec = next(
        ((mark, codec) for mark, codec in BYTE_ORDER_MARKS if head.startswith(mark)), (b"", "utf-8")
    )
    yield mark
    lines = _Remembered(Lines(name, decoded_texts(name, pieces)))
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            text = lines.take()
            if person.may_be_in(text) and person.is_in(row):
                erased.append(1)
            else:
                yield text.encode(codec)
    except csv.Error as error:
        raise StopRunError("bad_quoting", f"it is no CSV that can be read ({error})") from error


class _Remembered:
    """Hands lines on, and knows of which ones the reader has made the last row."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._taken.append(line)
            yield line

    def take(self) -> str:
        """The text of the last row, with its line end."""
        text = "".join(self._taken)
        self._taken.clear()
        return text


def _zipped(plain: Iterator[bytes]) -> Iterator[bytes]:
    """One gzip member of the bytes."""
    zipping = zlib.compressobj(wbits=GZIP_WBITS)
    for data in chain((zipping.compress(piece) for piece in plain), _end_of(zipping)):
        if data:
            yield data


def _end_of(zipping: "zlib._Compress") -> Iterator[bytes]:
    yield zipping.flush()


def chunk_without(chunk: Chunk, person: Person) -> tuple[Chunk, dict[int, Mask]]:
    """A chunk with a blank in each of the person's places, and these places by body."""
    places: dict[int, Mask] = {}
    bodies = list(chunk.bodies)
    for number, body in enumerate(bodies):
        if not person.may_be_in(body.contacts.decode()):
            continue
        contacts = orjson.loads(body.contacts)
        found = [position for position, contact in enumerate(contacts) if person.is_in(_texts(contact))]
        if found:
            for position in found:
                contacts[position] = orjson.Fragment(BLANK)
            places[number] = mask_of(found)
            bodies[number] = Body(orjson.dumps(contacts), body.origins)
    return Chunk(chunk.number, tuple(bodies)), places


def _texts(value: object) -> Iterator[str]:
    """All texts in a contact."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def is_persons(reject: Reject, person: Person) -> bool:
    """Whether a rejected row is the person's, or its reason names them."""
    return person.is_in((reject.email, reject.email.lstrip("'"))) or person.key in reject.detail.lower()
