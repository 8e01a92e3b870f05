"""Contacts are packed into bodies, bodies into chunks, in the order in which they came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Final

from exporter.domain.chunk import MAX_BODY_BYTES, MAX_BODY_CONTACTS, MAX_CHUNK_BODIES, Body, Chunk

BRACKETS: Final = 2
COMMA: Final = 1


@dataclass(slots=True)
class _Draft:
    """A body in the making: per contact its JSON, its source and its row."""

    contacts: list[bytes] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def part(self, start: int, end: int) -> "_Draft":
        return _Draft(self.contacts[start:end], self.sources[start:end], self.rows[start:end])

    def joined(self, other: "_Draft") -> "_Draft":
        return _Draft(self.contacts + other.contacts, self.sources + other.sources, self.rows + other.rows)

    def body(self) -> Body:
        places = zip(self.sources, self.rows, strict=True)
        origins = tuple(
            (source, tuple(row for _, row in group)) for source, group in groupby(places, itemgetter(0))
        )
        return Body(b"".join([b"[", b",".join(self.contacts), b"]"]), origins)


class Packer:
    """Fills bodies one after the other; `on_chunk` gets each chunk as soon as it is full.

    Only the last two bodies are held back: at the end they share their contacts evenly, for a contact that
    stands alone falls under ActiveCampaign's much smaller budget of single-contact requests.
    Chunks are numbered from 0.
    """

    def __init__(
        self,
        on_chunk: Callable[[Chunk], None],
        *,
        chunk_bodies: int = MAX_CHUNK_BODIES,
        body_contacts: int = MAX_BODY_CONTACTS,
        body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._on_chunk = on_chunk
        self._chunk_bodies = chunk_bodies
        self._body_contacts = body_contacts
        self._body_bytes = body_bytes
        self._bodies: list[Body] = []
        self._held: _Draft | None = None
        self._open = _Draft()
        self._room = body_bytes - BRACKETS + COMMA
        self.bodies_per_chunk: list[int] = []
        self.contacts_per_chunk: list[int] = []

    @property
    def max_contact_bytes(self) -> int:
        """The longest contact that fits into a body of its own."""
        return self._body_bytes - BRACKETS

    def add(self, contact: bytes, source: int, row: int) -> None:
        """Append a contact as JSON, of at most `max_contact_bytes`, that came from `row` of `source`."""
        needed = len(contact) + COMMA
        draft = self._open
        if needed > self._room or len(draft.contacts) == self._body_contacts:
            draft = self._begin_body()
        self._room -= needed
        draft.contacts.append(contact)
        draft.sources.append(source)
        draft.rows.append(row)

    def finish(self) -> None:
        """Hand over what is left."""
        if self._held:
            both = self._held.joined(self._open)
            lengths = [len(contact) for contact in both.contacts]
            cut = fairest_cut(lengths, self._body_contacts, self._body_bytes)
            self._close_body(both.part(0, cut))
            self._close_body(both.part(cut, len(lengths)))
        elif self._open.contacts:
            self._close_body(self._open)
        if self._bodies:
            self._close_chunk()

    def _begin_body(self) -> _Draft:
        if self._held:
            self._close_body(self._held)
        self._held = self._open
        self._open = _Draft()
        self._room = self._body_bytes - BRACKETS + COMMA
        return self._open

    def _close_body(self, draft: _Draft) -> None:
        self._bodies.append(draft.body())
        if len(self._bodies) == self._chunk_bodies:
            self._close_chunk()

    def _close_chunk(self) -> None:
        chunk = Chunk(len(self.bodies_per_chunk), tuple(self._bodies))
        self._bodies = []
        self.bodies_per_chunk.append(len(chunk.bodies))
        self.contacts_per_chunk.append(sum(body.contact_count for body in chunk.bodies))
        self._on_chunk(chunk)


def fairest_cut(lengths: Sequence[int], body_contacts: int, body_bytes: int) -> int:
    """How many of the contacts go into the first of two bodies, so that the two are as even as they may be.

    `lengths` are the contacts' bytes, too many for one body but known to fit into two. A last contact that
    would stand alone counts more than evenness.
    """
    count = len(lengths)
    ends = list(accumulate(length + COMMA for length in lengths))
    overhead = BRACKETS - COMMA
    cuts = (
        cut
        for cut in range(max(1, count - body_contacts), min(count - 1, body_contacts) + 1)
        if overhead + ends[cut - 1] <= body_bytes and overhead + ends[-1] - ends[cut - 1] <= body_bytes
    )
    return min(cuts, key=lambda cut: (cut == count - 1, cut == 1, abs(2 * cut - count), -cut))
