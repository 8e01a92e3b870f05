"""Erasing a person changes nothing about anybody else."""

from typing import Any

import orjson
import pytest

from exporter.domain.chunk import Body, Chunk
from exporter.domain.erasing import Person, chunk_without, is_persons
from exporter.domain.reject import Reject, RejectReason

ANN = Person("ann@example.org")
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def a_chunk(*contacts: dict[str, Any]) -> Chunk:
    body = Body(orjson.dumps(list(contacts)), ((0, tuple(range(1, len(contacts) + 1))),))
    return Chunk(3, (body, Body(b'[{"email":"bo@example.org"}]', ((0, (9,)),))))


def test_a_chunk_keeps_everybody_elses_place() -> None:
    chunk = a_chunk(
        {"email": "bo@example.org"}, {"email": "ANN@example.org", "phone": "1"}, {"email": "c@d.io"}
    )

    left, places = chunk_without(chunk, ANN)

    assert orjson.loads(left.bodies[0].contacts) == [
        {"email": "bo@example.org"},
        {"email": ""},
        {"email": "c@d.io"},
    ]
    assert places == {0: 0b010}
    assert left.bodies[1] is chunk.bodies[1]
    assert [body.origins for body in left.bodies] == [body.origins for body in chunk.bodies]


def test_an_address_in_a_field_of_a_contact_counts() -> None:
    contact = {"email": "bo@example.org", "fields": [{"id": 1, "value": "ann@example.org"}]}

    assert chunk_without(a_chunk(contact), ANN)[1] == {0: 0b1}


def test_a_chunk_without_the_person_stays_as_it_is() -> None:
    chunk = a_chunk({"email": "joann@example.org"})

    assert chunk_without(chunk, ANN) == (chunk, {})


@pytest.mark.parametrize(
    ("email", "detail", "hers"),
    [
        ("Ann@example.org", "", True),
        ("'ann@example.org", "", True),
        ("", "ann@example.org is wrong", True),
        ("bo@example.org", "", False),
    ],
)
def test_a_reject_is_a_persons_by_address_or_reason(email: str, detail: str, hers: bool) -> None:
    assert is_persons(Reject("a", 1, RejectReason.UNDELIVERED, detail, email), ANN) is hers
