"""Plain bytes become text: as their byte order mark says, else as is declared, else UTF-8.

A wrong guess would write garbled names into a million contacts, so there is no guessing.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from exporter.domain.dialect import Encoding
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
WHAT_IS_READ: Final = "Drop CSV or JSON Lines, plain or gzip, or Parquet."
HEAD_BYTES: Final = 4
CODECS: Final[dict[Encoding, str]] = {
    "utf-8": "utf-8",
    "utf-16": "utf-16-le",
    "latin-1": "latin-1",
    "windows-1252": "cp1252",
}
"""What decodes a text without a byte order mark."""
ANY_BYTES: Final = frozenset({"latin-1", "windows-1252"})
"""Encodings in which nearly all bytes are characters, also those of a text in another one."""
LABELS: Final = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}
CONTROL_CHARACTER: Final = re.compile("[\x80-\x84\x86-\x9f]")
"""Without U+0085, a line end on mainframes."""


class Texts(Iterator[str]):
    """A source's text without its byte order mark, in pieces as the bytes come.

    Iterating raises StopRunError for another encoding, a NUL, an end within a character.
    """

    def __init__(self, texts: Iterator[str], encoding: Encoding, found: str) -> None:
        self._texts = texts
        self.encoding = encoding
        self.found = found
        """What shows the encoding, if it is neither declared nor the rule."""

    def __next__(self) -> str:
        """The next piece."""
        return next(self._texts)


def decoded_texts(name: str, pieces: Iterable[bytes], declared: Encoding | None = None) -> Texts:
    """The source's text; `declared` is its encoding if it has no byte order mark.

    Raises StopRunError for another file format.
    """
    head, pieces = with_head(pieces, HEAD_BYTES)
    _refuse_other_formats(name, head)
    encoding = declared or "utf-8"
    codec, start = CODECS[encoding], 0
    for mark, marked_codec in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            codec, start = marked_codec, len(mark)
            encoding = "utf-8" if codec == "utf-8" else "utf-16"
    if start:
        first = next(pieces)
        pieces = chain([first[start:]], pieces)
    is_found = encoding != (declared or "utf-8")
    found = f"encoding {encoding} found: the file begins with its byte order mark" if is_found else ""
    if encoding in ANY_BYTES:
        pieces = _unless_utf8(name, pieces, encoding)
    return Texts(_decoded(name, pieces, codec, start), encoding, found)


def beginning(head: bytes, declared: Encoding | None = None) -> str:
    """How the text of a source begins whose first bytes these are, for a look: without blank lines.

    `declared` is its encoding if it has no byte order mark.
    """
    for mark, codec in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return head[len(mark) :].decode(codec, "ignore").lstrip()
    return head.decode(CODECS[declared or "utf-8"], "ignore").lstrip()


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
        if codec == "latin-1":
            _refuse_control(name, text, begin, line)
        line += text.count("\n")
        bytes_fed += len(piece)
        if text:
            yield text


def _unless_utf8(name: str, pieces: Iterable[bytes], declared: Encoding) -> Iterator[bytes]:
    """The pieces. Raises StopRunError after a text that is UTF-8 as well, and not ASCII alone.

    No text of names in another encoding is UTF-8 by chance: after each capital letter with an accent it would
    have a sign.
    """
    decoder, may_be_utf8, is_ascii = codecs.getincrementaldecoder("utf-8")("strict"), True, True
    for piece, is_end in chain(((piece, False) for piece in pieces), [(b"", True)]):
        if may_be_utf8:
            try:
                is_ascii = decoder.decode(piece, final=is_end).isascii() and is_ascii
            except UnicodeDecodeError:
                may_be_utf8 = False
        yield piece
    if may_be_utf8 and not is_ascii:
        raise StopRunError(
            "bad_encoding",
            f"{shown(name)} is UTF-8, and `encoding: {declared}` is declared in its recipe's dialect: its"
            " letters beyond ASCII would be garbled. Leave `encoding` out.",
        )


def _refuse_other_formats(name: str, head: bytes) -> None:
    for magic, what in OTHER_FORMATS:
        if head.startswith(magic):
            raise StopRunError("unsupported_format", f"{shown(name)} is {what}. {WHAT_IS_READ}")
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
        " Save it as UTF-8, or declare its `encoding` in its recipe's dialect.",
    )


def _refuse_control(name: str, text: str, begin: int, line: int) -> None:
    """Latin-1 has a character for every byte, but nobody writes those that are letters in Windows-1252."""
    if found := CONTROL_CHARACTER.search(text):
        at = found.start()
        line += text.count("\n", 0, at)
        raise StopRunError(
            "bad_encoding",
            f"{shown(name)} is not Latin-1: byte {begin + at:,}, line {line} would be a control character."
            " Declare `encoding: windows-1252` in its recipe's dialect if the file is that.",
        )


def _undecodable(name: str, codec: str, error: UnicodeDecodeError, offset: int, line: int) -> StopRunError:
    label = LABELS.get(codec, "UTF-8")
    if error.end == len(error.object) and error.reason in ("unexpected end of data", "truncated data"):
        return StopRunError(
            "cut_off",
            f"{shown(name)} ends within a character, at byte {offset:,}, line {line}: it is cut off, or not"
            f" {label}. Drop the whole file again.",
        )
    advice = "Save it as UTF-8 (in Excel: 'CSV UTF-8') and drop it again"
    if codec == "utf-8":
        advice += ", or declare `encoding: latin-1` or `windows-1252` in its recipe's dialect"
    return StopRunError(
        "bad_encoding",
        f"{shown(name)} is not {label}: byte {offset:,}, line {line} can't be read ({error.reason})."
        f" {advice}.",
    )
