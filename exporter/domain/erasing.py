"""Erasing a person: from a segment file, from a chunk, from rejects; nothing else in them changes.

A row is the person's if one of its cells is the address, in whatever column and however it is written. An
address in the middle of a longer text stays, and is told.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import orjson

from exporter.domain.address import match_key
from exporter.domain.chunk import Body, Chunk
from exporter.domain.facts import Mask, mask_of
from exporter.domain.reject import Reject

BLANK: Final = b'{"email":""}'
"""What stands in a body where a person was: it keeps the places of the others, and is never sent."""


_ADDRESS: Final = re.compile(r"[^\s\"'<>()\[\]{},;:|=\\\u200b\u2060\ufeff]+@[\w.-]+")
"""What may be an address within a text. Some addresses have one of the signs that mostly end one."""
_WRITTEN_QUOTE: Final = re.compile(r"""\\(["'])|(["'])\2""")


@dataclass(slots=True)
class Person:
    """Whom to look for. `key` is the address as `match_key` has it."""

    key: str
    _beginning: str = field(init=False)
    """What every way of writing the address begins with: only the domain has several forms."""

    def __post_init__(self) -> None:
        self._beginning = self.key.partition("@")[0]

    @property
    def _has_quote(self) -> bool:
        return not {"'", '"'}.isdisjoint(self._beginning)

    def is_in(self, cells: Iterable[str]) -> bool:
        """Whether one of the cells is the person's address."""
        return any(self._beginning in cell.lower() and match_key(cell) == self.key for cell in cells)

    def may_be_in(self, text: str) -> bool:
        """Whether it is worth looking closer: quick, and never wrong about a no."""
        lowered = text.lower()
        return self._beginning in lowered or (
            self._has_quote and self._beginning in with_bare_quotes(lowered)
        )

    def is_named_in(self, text: str) -> bool:
        """Whether the address stands anywhere in the text, as a word of its own."""
        if not _ADDRESS.fullmatch(self.key):
            return self.key in with_bare_quotes(text.lower())
        return any(match_key(word.rstrip(".-")) == self.key for word in _ADDRESS.findall(text))


def with_bare_quotes(text: str) -> str:
    """A text with its quotes alone where they stand doubled in a file, or behind a backslash."""
    return _WRITTEN_QUOTE.sub(r"\1\2", text)


def chunk_without(chunk: Chunk, person: Person) -> tuple[Chunk, dict[int, Mask]]:
    """A chunk with a blank in each of the person's places, and these places by body."""
    places: dict[int, Mask] = {}
    bodies = list(chunk.bodies)
    for number, body in enumerate(bodies):
        if not person.may_be_in(body.contacts.decode()):
            continue
        contacts = orjson.loads(body.contacts)
        found = [position for position, contact in enumerate(contacts) if person.is_in(texts_in(contact))]
        if found:
            for position in found:
                contacts[position] = orjson.Fragment(BLANK)
            places[number] = mask_of(found)
            bodies[number] = Body(orjson.dumps(contacts), body.origins)
    return Chunk(chunk.number, tuple(bodies)), places


def texts_in(value: object) -> Iterator[str]:
    """All texts in a value, however deep; bytes as the text that they are, if they are one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "ignore")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from texts_in(key)
            yield from texts_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts_in(part)


def is_persons(reject: Reject, person: Person) -> bool:
    """Whether a rejected row is the person's, or its reason names them."""
    return person.is_in((reject.email, reject.email.lstrip("'"))) or person.key in reject.detail.lower()
