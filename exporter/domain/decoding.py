"""Plain bytes become text: UTF-8, or UTF-16 with its byte order mark; anything else is refused.

A wrong guess would write garbled names into a million contacts, so there is no guessing.
"""

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from exporter.domain.reading import with_head
from exporter.domain.wording import shown
from exporter.errors import StopRunError

BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
UTF32_MARKS: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
OTHER_FORMATS: Final = (
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed twice"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zX", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    *((b"BZh%d" % level, "compressed with bzip2") for level in range(1, 10)),
    (b"%PDF", "a PDF document"),
    (b"Obj\x01", "an Avro file"),
)
HEAD_BYTES: Final = 4


def decoded_texts(name: str, pieces: Iterable[bytes]) -> Iterator[str]:
    """The source's text without its byte order mark, in pieces as the bytes come.

    Raises StopRunError for another encoding, a NUL, an end within a character, another file format.
    """
    head, pieces = with_head(pieces, HEAD_BYTES)
    _refuse_other_formats(name, head)
    codec, start = "utf-8", 0
    for mark, marked_codec in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            codec, start = marked_codec, len(mark)
    if start:
        first = next(pieces)
        pieces = chain([first[start:]], pieces)
    return _decoded(name, pieces, codec, start)


def _decoded(name: str, pieces: Iterable[bytes], codec: str, start: int) -> Iterator[str]:
    """`start` is the byte offset in the source at which `pieces` begin."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    bytes_fed, line = start, 1
    for piece, is_end in chain(((piece, False) for piece in pieces), [(b"", True)]):
        begin = bytes_fed - len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece, final=is_end)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(codec)
            _refuse_nul(name, good, codec, begin, line)
            raise _undecodable(name, codec, error, begin + error.start, line + good.count("\n")) from None
        _refuse_nul(name, text, codec, begin, line)
        line += text.count("\n")
        bytes_fed += len(piece)
        if text:
            yield text


def _refuse_other_formats(name: str, head: bytes) -> None:
    for magic, what in OTHER_FORMATS:
        if head.startswith(magic):
            raise StopRunError(
                "unsupported_format", f"{shown(name)} is {what}. Segments are read as CSV, plain or gzip."
            )
    if head.startswith(UTF32_MARKS):
        raise StopRunError(
            "bad_encoding", f"{shown(name)} is UTF-32, seen at byte 0, line 1. Save it as UTF-8."
        )


def _refuse_nul(name: str, text: str, codec: str, begin: int, line: int) -> None:
    """`begin` and `line` are where in the source `text` begins."""
    if "\0" not in text:
        return
    good = text[: text.index("\0")]
    raise StopRunError(
        "nul_byte",
        f"{shown(name)} holds a NUL character at byte {begin + len(good.encode(codec)):,}, line"
        f" {line + good.count(chr(10))}: it is damaged, no text file, or UTF-16 without a byte order mark."
        " Save it as UTF-8.",
    )


def _undecodable(name: str, codec: str, error: UnicodeDecodeError, offset: int, line: int) -> StopRunError:
    label = codec[:6].upper() if codec.startswith("utf-16") else "UTF-8"
    if error.end == len(error.object) and error.reason in ("unexpected end of data", "truncated data"):
        return StopRunError(
            "cut_off",
            f"{shown(name)} ends within a character, at byte {offset:,}, line {line}: it is cut off, or not"
            f" {label}. Drop the whole file again.",
        )
    return StopRunError(
        "bad_encoding",
        f"{shown(name)} is not {label}: byte {offset:,}, line {line} can't be read ({error.reason})."
        " Save it as UTF-8 (in Excel: 'CSV UTF-8') and drop it again.",
    )
