"""A chunk comes back from storage as it was written."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.chunk import Body, Chunk, Place, decode_chunk, encode_chunk
from exporter.errors import NewerVersionError

contacts = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3), max_size=4).map(
    orjson.dumps
)
origins = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(1, 10**7), max_size=4).map(tuple)), max_size=3
).map(tuple)
bodies = st.lists(st.builds(Body, contacts=contacts, origins=origins), max_size=5).map(tuple)


@given(st.integers(0, 10_000), bodies)
def test_a_chunk_comes_back_as_it_was(number: int, some: tuple[Body, ...]) -> None:
    assert decode_chunk(encode_chunk(number, some)) == Chunk(number, some)


@given(st.integers(0, 10_000), bodies)
def test_the_same_chunk_is_the_same_bytes(number: int, some: tuple[Body, ...]) -> None:
    assert encode_chunk(number, some) == encode_chunk(number, iter(some))


def test_a_body_knows_where_each_of_its_contacts_stood() -> None:
    body = Body(b"[{},{},{}]", ((0, (4, 7)), (2, (1,))))

    assert body.contact_count == 3
    assert list(body.places()) == [Place(0, 4), Place(0, 7), Place(2, 1)]


@pytest.mark.parametrize("cut", [1, 5, -1])
def test_a_chunk_that_was_cut_off_or_grew_is_refused(cut: int) -> None:
    stored = encode_chunk(1, [Body(b'[{"email":"ann@example.org"}]', ((0, (1,)),))])
    damaged = stored[:-cut] if cut > 0 else stored + b" "

    with pytest.raises(ValueError, match="bytes should have"):
        decode_chunk(damaged)


def test_a_chunk_of_a_newer_version_is_left_to_it() -> None:
    with pytest.raises(NewerVersionError, match="schema 2 is not known"):
        decode_chunk(b'{"schema":2,"number":0,"bodies":[]}\n')
