"""Erasing a person changes nothing about anybody else."""

import csv
import gzip
import io
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.address import match_key
from exporter.domain.chunk import Body, Chunk
from exporter.domain.erasing import Person, chunk_without, is_persons, without_person
from exporter.domain.reject import Reject, RejectReason
from exporter.errors import StopRunError
from tests.unit.domain.plans import cut

ANN = Person("ann@example.org")
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def erased(data: bytes, person: Person = ANN) -> tuple[bytes, int]:
    blocks, gone = without_person("a.csv", cut(data, [3]), person)
    return b"".join(blocks), len(gone)


@pytest.mark.parametrize("address", ["ann@example.org", " ANN@Example.org ", '"ann@example.org"'])
def test_the_rows_of_a_person_go_and_no_byte_else(address: str) -> None:
    others = [b"Email,Note\r\n", b'bo@example.org,"two\nlines"\r\n', b"\r\n", b'"cy@example.org",\n']
    data = b"".join([*others[:2], f"{address},x\r\n".encode(), *others[2:], f"{address},".encode()])

    assert erased(data) == (b"".join(others), 2)


def test_an_address_in_another_column_counts() -> None:
    assert erased(b"Id,Email\n1,bo@example.org,ann@example.org\n2,bo@example.org\n") == (
        b"Id,Email\n2,bo@example.org\n",
        1,
    )


def test_an_international_domain_is_found_in_both_forms() -> None:
    person = Person(match_key("ann@bücher.example"))

    assert erased("E\nann@bücher.example\nann@xn--bcher-kva.example\n".encode(), person) == (b"E\n", 2)


def test_gzip_stays_gzip() -> None:
    data, count = erased(gzip.compress(b"Email\nann@example.org\nbo@example.org\n"))

    assert (gzip.decompress(data), count) == (b"Email\nbo@example.org\n", 1)


@pytest.mark.parametrize("data", [b'Email\n"ann@example.org\n', b"PAR1", "Email\nann\xe9".encode("latin-1")])
def test_what_can_not_be_read_is_told(data: bytes) -> None:
    with pytest.raises(StopRunError):
        erased(data)


cells = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8
) | st.sampled_from(["bo@example.org", "joann@example.org", "ann@example.organic"])
annes = st.sampled_from(["ann@example.org", "Ann@Example.ORG", " ann@example.org"])


@given(
    st.lists(st.lists(cells, min_size=2, max_size=4), max_size=8),
    st.lists(st.tuples(st.integers(0, 8), st.lists(cells, max_size=2), annes), max_size=3),
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_the_other_rows_of_any_file_are_unchanged(
    rows: list[list[str]],
    hers: list[tuple[int, list[str], str]],
    encoding: str,
    line_end: str,
    quotes_all: bool,
    zips: bool,
) -> None:
    quoting: object = csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL

    def line(row: list[str]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, quoting=quoting, lineterminator=line_end).writerow(row)  # type: ignore[arg-type] # one of its constants
        return text.getvalue().encode(encoding.removesuffix("-sig"))

    lines = [line(row) for row in [["Email", "Note"], *rows]]
    without = b"".join([ENCODINGS[encoding], *lines])
    for at, others, address in hers:
        lines.insert(1 + at, line([*others, address]))
    data = b"".join([ENCODINGS[encoding], *lines])

    left, count = erased(gzip.compress(data) if zips else data)

    assert (gzip.decompress(left) if zips else left) == without
    assert count == len(hers)


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


def test_an_address_with_a_quote_is_found_as_it_stands_in_a_file() -> None:
    blocks, gone = without_person(
        "a.csv", [b'Email\r\n"o""brien@example.org"\r\nann@example.org\r\n'], Person('o"brien@example.org')
    )

    assert b"".join(blocks) == b"Email\r\nann@example.org\r\n"
    assert gone == [1]
