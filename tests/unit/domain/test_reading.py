import gzip
import zlib
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.reading import PIECE_BYTES, ReadingWatch, plain_pieces, with_head
from exporter.errors import StopRunError
from tests.unit.domain.plans import cut

MUCH = 10**12


def read(blocks: Iterable[bytes], *, max_bytes: int = MUCH, max_ratio: int = 200) -> bytes:
    pieces = list(plain_pieces("a.csv", blocks, ReadingWatch(max_bytes), max_ratio=max_ratio))
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    return b"".join(pieces)


def read_code(blocks: Iterable[bytes], *, max_bytes: int = MUCH, max_ratio: int = 200) -> str:
    with pytest.raises(StopRunError, match=r"^a\.csv ") as caught:
        read(blocks, max_bytes=max_bytes, max_ratio=max_ratio)
    return caught.value.code


@given(st.binary(max_size=200), st.lists(st.integers(0, 250), max_size=8).map(sorted))
def test_the_blocks_of_a_plain_or_zipped_source_may_be_cut_anywhere(data: bytes, ends: list[int]) -> None:
    zipped = gzip.compress(data)

    assert read(cut(zipped, [min(end, len(zipped)) for end in ends])) == data
    if not data.startswith(b"\x1f\x8b"):
        assert read(cut(data, [min(end, len(data)) for end in ends])) == data


def test_a_source_larger_than_a_piece_is_read_whole() -> None:
    data = bytes(range(32, 127)) * 9000

    assert read([data]) == data
    assert read([gzip.compress(data)]) == data


@pytest.mark.parametrize("size", range(1, len(gzip.compress(b"ann@example.com"))))
def test_a_gzip_source_cut_off_anywhere_is_refused(size: int) -> None:
    zipped = gzip.compress(b"ann@example.com", mtime=0)
    if size > 1:
        assert read_code([zipped[:size]]) == "cut_off"
    else:
        assert read([zipped[:size]]) == zipped[:size]


@pytest.mark.parametrize("ends", [[], [35], [20, 36], range(1, 70)])
def test_only_one_gzip_member_is_read(ends: list[int]) -> None:
    one = gzip.compress(b"ann@example.com", mtime=0)
    assert read_code(cut(one + one, ends)) == "bad_gzip"
    assert read_code(cut(one + b"\0", [end for end in ends if end <= len(one)])) == "bad_gzip"


def test_a_damaged_checksum_is_found() -> None:
    one = gzip.compress(b"ann@example.com")

    assert read_code([one[:-8], b"....", one[-4:]]) == "bad_gzip"


def bomb(megabytes: int) -> Iterator[bytes]:
    """A gzip of as many megabytes of one letter, a thousandth of that size."""
    zipper = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(megabytes):
        yield zipper.compress(b"a" * 1_000_000)
    yield zipper.flush()


def test_a_bomb_is_refused_soon_after_the_first_ten_megabytes() -> None:
    watch = ReadingWatch(MUCH)

    with pytest.raises(StopRunError) as caught:
        list(plain_pieces("a.csv", bomb(100), watch, max_ratio=200))

    assert caught.value.code == "too_large"
    assert watch.bytes_read <= 10_000_000 + PIECE_BYTES


def test_a_small_source_may_shrink_as_much_as_it_likes() -> None:
    assert len(read(bomb(9))) == 9_000_000


def test_the_limit_in_bytes_is_for_the_unzipped_bytes_of_the_whole_drop() -> None:
    watch = ReadingWatch(1000)
    assert list(plain_pieces("a.csv", [b"a" * 600], watch, max_ratio=200))
    assert read_code(bomb(5), max_bytes=4_000_000) == "too_large"

    with pytest.raises(StopRunError) as caught:
        list(plain_pieces("b.csv", [b"a" * 401], watch, max_ratio=200))

    assert caught.value.code == "too_large"


def test_keep_going_is_asked_at_each_source_and_then_once_a_piece() -> None:
    asked_at: list[int] = []
    watch = ReadingWatch(MUCH, lambda: asked_at.append(watch.bytes_read))

    for name in ("a.csv", "b.csv"):
        list(plain_pieces(name, [b"a" * 1000] * 600, watch, max_ratio=200))

    assert len(asked_at) == 6
    assert asked_at[0] == 0
    assert 600_000 in asked_at


def test_a_head_is_found_over_several_blocks() -> None:
    head, pieces = with_head([b"a", b"", b"bc", b"def"], 2)

    assert head == b"abc"
    assert b"".join(pieces) == b"abcdef"
    assert with_head([], 2)[0] == b""
