"""The blocks of a source as plain bytes: unzipped where they are gzip, counted, within bounds.

Nothing here holds more than a piece of 256 KiB beside the block that came in.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from exporter.domain.wording import shown
from exporter.errors import StopRunError

PIECE_BYTES: Final = 256 * 1024
ZIPPED_BYTES: Final = 64 * 1024
GZIP_MAGIC: Final = b"\x1f\x8b"
GZIP_WBITS: Final = 31
"""zlib's word for "a gzip header and its checksum, nothing else"."""
RATIO_FREE_BYTES: Final = 10_000_000
"""So much may come out of a gzip source before its ratio counts: small repetitive files shrink a lot."""


@dataclass(slots=True)
class ReadingWatch:
    """Counts the uncompressed bytes of a whole drop, against `max_bytes`.

    `keep_going` is called at the start of each source and then once per `PIECE_BYTES`, some thousand rows;
    what it raises ends the reading.
    """

    max_bytes: int
    keep_going: Callable[[], None] | None = None
    bytes_read: int = 0
    _next_call: int = 0

    def start_source(self) -> None:
        """Ask at the next bytes, however few they are."""
        self._next_call = self.bytes_read

    def take(self, name: str, byte_count: int) -> None:
        """Count `byte_count` more bytes of the source `name`."""
        if self.keep_going and self.bytes_read >= self._next_call:
            self._next_call = self.bytes_read + PIECE_BYTES
            self.keep_going()
        self.bytes_read += byte_count
        if self.bytes_read > self.max_bytes:
            raise StopRunError(
                "too_large",
                f"{shown(name)} takes the drop over {self.max_bytes:,} bytes (uncompressed), the most that a"
                " drop may have. Split the segment into several smaller ones.",
            )


def plain_pieces(
    name: str, blocks: Iterable[bytes], watch: ReadingWatch, *, max_ratio: int
) -> Iterator[bytes]:
    """The source's uncompressed bytes, in pieces of at most `PIECE_BYTES`, none of them empty.

    gzip is known by its first two bytes, never by the name.
    """
    watch.start_source()
    head, pieces = with_head(_cut(blocks), len(GZIP_MAGIC))
    if head.startswith(GZIP_MAGIC):
        pieces = _unzipped(name, _refilled(pieces), max_ratio)
    for piece in pieces:
        watch.take(name, len(piece))
        yield piece


def with_head(pieces: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes or more (fewer if there are no more), and all pieces including them."""
    rest = iter(pieces)
    head = b""
    for piece in rest:
        head += piece
        if len(head) >= size:
            break
    return head, chain([head] if head else [], rest)


def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), PIECE_BYTES):
            yield block[start : start + PIECE_BYTES]


def _refilled(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of just `ZIPPED_BYTES`, so that a ratio is judged alike for every cut."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= ZIPPED_BYTES:
            yield bytes(waiting[:ZIPPED_BYTES])
            del waiting[:ZIPPED_BYTES]
    if waiting:
        yield bytes(waiting)


def _unzipped(name: str, pieces: Iterable[bytes], max_ratio: int) -> Iterator[bytes]:
    """What one gzip member holds; refuses a second one, a cut-off one and one that grows too much."""
    unzip = zlib.decompressobj(GZIP_WBITS)
    bytes_in = bytes_out = 0
    for piece in pieces:
        if unzip.eof:
            raise _trailing_data(name)
        waiting = piece
        while waiting:
            plain = _inflate(unzip, waiting, name)
            bytes_in += len(waiting) - len(unzip.unconsumed_tail)
            waiting = unzip.unconsumed_tail
            bytes_out += len(plain)
            if bytes_out > RATIO_FREE_BYTES and bytes_out > max_ratio * bytes_in:
                raise StopRunError(
                    "too_large",
                    f"{shown(name)} grows to more than {max_ratio} times its size when it is unzipped, which"
                    " segments do not do. Drop the file uncompressed if it is meant.",
                )
            if plain:
                yield plain
    if unzip.unused_data:
        raise _trailing_data(name)
    if not unzip.eof:
        raise StopRunError(
            "cut_off",
            f"{shown(name)} is gzip and ends before its end mark, after {bytes_in:,} bytes: it is cut off."
            " Drop the whole file again.",
        )


def _inflate(unzip: "zlib._Decompress", data: bytes, name: str) -> bytes:
    try:
        return unzip.decompress(data, PIECE_BYTES)
    except zlib.error as error:
        raise StopRunError(
            "bad_gzip",
            f"{shown(name)} begins like gzip but can't be unzipped ({error}): it is damaged. Drop it again.",
        ) from error


def _trailing_data(name: str) -> StopRunError:
    return StopRunError(
        "bad_gzip",
        f"{shown(name)} goes on after the end of its gzip data. Only a gzip file of a single member is read:"
        " zip the whole file in one go, or drop it uncompressed.",
    )
