"""A chunk: up to 98 ready bodies, and where each of their contacts came from.

Stored form: one line of JSON (the header) followed by the bodies' bytes, end to end::

    {"schema":1,"number":3,"bodies":[{"bytes":51234,"origins":[[0,[1,2,4]]]}]}\n[{"email":…},…][…]
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from exporter.domain.schema import check_schema

SCHEMA: Final = 1
MAX_CHUNK_BODIES: Final = 98
MAX_BODY_CONTACTS: Final = 250
MAX_BODY_BYTES: Final = 380_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contact stood: index of the source blob in the drop, and its 1-based data row there."""

    source: int
    row: int


@dataclass(frozen=True, slots=True)
class Body:
    """The contacts of one bulk import request.

    `contacts` is the JSON array as bytes (<= 380,000); `origins` lists, in the contacts' order,
    pairs of source index and the 1-based data rows taken from it.
    """

    contacts: bytes
    origins: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def contact_count(self) -> int:
        """How many contacts the body holds."""
        return sum(len(rows) for _, rows in self.origins)

    def places(self) -> Iterator[Place]:
        """Where each contact stood, in the order of the contacts."""
        return (Place(source, row) for source, rows in self.origins for row in rows)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit that is planned, queued and claimed: one minute's worth of an account's budget."""

    number: int
    bodies: tuple[Body, ...]


def request_body(contacts: bytes, *, automations: bool) -> bytes:
    """The body of a bulk import request: the JSON array of contacts in its envelope.

    Automations are kept from starting by a key beside the contacts, not inside them
    (developers.activecampaign.com/reference/bulk-import-contacts).
    """
    exclude = b"false" if automations else b"true"
    return b'{"contacts":' + contacts + b',"exclude_automations":' + exclude + b"}"


def encode_chunk(number: int, bodies: Iterable[Body]) -> bytes:
    """The stored form of a chunk, before compression."""
    bodies = tuple(bodies)
    header = {
        "schema": SCHEMA,
        "number": number,
        "bodies": [{"bytes": len(body.contacts), "origins": body.origins} for body in bodies],
    }
    return b"".join([orjson.dumps(header), b"\n", *(body.contacts for body in bodies)])


def decode_chunk(data: bytes) -> Chunk:
    """The chunk that `encode_chunk` stored.

    Raises NewerVersionError or ValueError for another schema or a length that does not fit.
    """
    header_end = data.index(b"\n")
    header = orjson.loads(data[:header_end])
    check_schema("chunk", header["schema"], SCHEMA)
    bodies = []
    start = header_end + 1
    for entry in header["bodies"]:
        end = start + entry["bytes"]
        origins = tuple((source, tuple(rows)) for source, rows in entry["origins"])
        bodies.append(Body(data[start:end], origins))
        start = end
    if start != len(data):
        raise ValueError(f"a chunk of {len(data)} bytes should have {start}")
    return Chunk(header["number"], tuple(bodies))
