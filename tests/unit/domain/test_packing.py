import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.chunk import Chunk
from exporter.domain.packing import Packer, fairest_cut


def pack(
    lengths: list[int], *, chunk_bodies: int = 98, body_contacts: int = 250, body_bytes: int = 380_000
) -> list[Chunk]:
    """Contacts that are JSON strings of so many bytes, ten to a source, each beginning with its number."""
    chunks: list[Chunk] = []
    packer = Packer(
        chunks.append, chunk_bodies=chunk_bodies, body_contacts=body_contacts, body_bytes=body_bytes
    )
    for number, length in enumerate(lengths):
        contact = b'"' + str(number).encode().ljust(length - 2, b".") + b'"'
        packer.add(contact, number // 10, number % 10 + 1)
    packer.finish()
    assert packer.bodies_per_chunk == [len(chunk.bodies) for chunk in chunks]
    assert sum(packer.contacts_per_chunk) == len(lengths)
    return chunks


def body_sizes(chunks: list[Chunk]) -> list[int]:
    return [body.contact_count for chunk in chunks for body in chunk.bodies]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []),
        (1, [1]),
        (2, [2]),
        (250, [250]),
        (251, [126, 125]),
        (300, [150, 150]),
        (500, [250, 250]),
        (501, [250, 126, 125]),
        (750, [250, 250, 250]),
    ],
)
def test_the_last_two_bodies_share_evenly(count: int, sizes: list[int]) -> None:
    assert body_sizes(pack([50] * count)) == sizes


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([20, 20, 90], [1, 2]),  # not 2 + 1: the last contact must not stand alone
        ([20, 20, 20, 90], [2, 2]),
        ([60, 60], [1, 1]),  # no other way
        ([20, 60, 60], [2, 1]),  # no other way
        ([98], [1]),
        ([98, 98, 98], [1, 1, 1]),
        ([30, 30, 30, 30], [2, 2]),
    ],
)
def test_bytes_may_force_an_uneven_cut(lengths: list[int], sizes: list[int]) -> None:
    assert body_sizes(pack(lengths, body_bytes=120 if 90 in lengths else 100)) == sizes


def test_a_chunk_is_handed_over_as_soon_as_two_more_bodies_have_begun() -> None:
    chunks: list[Chunk] = []
    packer = Packer(chunks.append, chunk_bodies=2, body_contacts=2)
    seen = []
    for number in range(10):
        packer.add(b"1", 0, number + 1)
        seen.append(len(chunks))
    packer.finish()

    assert seen == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert [(chunk.number, len(chunk.bodies)) for chunk in chunks] == [(0, 2), (1, 2), (2, 1)]


def test_a_body_may_span_sources() -> None:
    (chunk,) = pack([50] * 12)

    assert chunk.bodies[0].origins == ((0, tuple(range(1, 11))), (1, (1, 2)))


@given(
    st.lists(st.integers(8, 98), max_size=60),
    st.integers(1, 4),
    st.integers(2, 7),
    st.integers(100, 400),
)
def test_packing_loses_nothing_and_keeps_every_limit(
    lengths: list[int], chunk_bodies: int, body_contacts: int, body_bytes: int
) -> None:
    chunks = pack(lengths, chunk_bodies=chunk_bodies, body_contacts=body_contacts, body_bytes=body_bytes)

    bodies = [body for chunk in chunks for body in chunk.bodies]
    contacts = [contact for body in bodies for contact in orjson.loads(body.contacts)]
    places = [(place.source, place.row) for body in bodies for place in body.places()]
    assert [int(contact.rstrip(".")) for contact in contacts] == list(range(len(lengths)))
    assert places == [(number // 10, number % 10 + 1) for number in range(len(lengths))]
    assert all(len(body.contacts) <= body_bytes for body in bodies)
    assert all(1 <= body.contact_count <= body_contacts for body in bodies)
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert all(len(chunk.bodies) == chunk_bodies for chunk in chunks[:-1])
    assert not chunks or 1 <= len(chunks[-1].bodies) <= chunk_bodies


@given(st.lists(st.integers(8, 98), min_size=2, max_size=60), st.integers(100, 400))
def test_a_last_contact_stands_alone_only_if_it_does_not_fit_with_the_one_before(
    lengths: list[int], body_bytes: int
) -> None:
    sizes = body_sizes(pack(lengths, body_bytes=body_bytes))

    assert sizes[-1] > 1 or lengths[-2] + lengths[-1] + 3 > body_bytes


@given(st.integers(2, 3000))
def test_no_contact_of_usual_size_stands_alone(count: int) -> None:
    assert min(body_sizes(pack([20] * count))) > 1


@given(st.integers(251, 500))
def test_an_even_cut_differs_by_one_at_most(count: int) -> None:
    cut = fairest_cut([50] * count, 250, 380_000)

    assert 0 <= cut - (count - cut) <= 1
