"""Erasing a person from a segment file of any format: all other rows stay as they are.

In text all other lines stay byte for byte, encoding and gzip too; in Parquet all other rows value for value.

How a text file is delimited and quoted is declared for the exports that read it, and unknown here. So the
readings are tried: the first that cuts the whole file into rows without a fault holds, if possible one with
as many cells in each row. Where it is not the right one, or the address stands within a longer text, the
lines that still name the person are told.
"""

import codecs
import csv
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, Final

from exporter.domain.csv_table import Lines
from exporter.domain.decoding import BYTE_ORDER_MARKS, OTHER_FORMATS
from exporter.domain.erasing import Person, texts_in, with_bare_quotes
from exporter.domain.json_lines import is_json_lines
from exporter.domain.parquet import ENCRYPTED_MAGIC, PARQUET_MAGIC, ParquetCopy
from exporter.domain.planning import PlanLimits
from exporter.domain.reading import GZIP_MAGIC, GZIP_WBITS, ReadingWatch, plain_pieces, with_head
from exporter.domain.source_file import SourceFile
from exporter.errors import StopRunError

LOOK_BYTES: Final = 4096
SAMPLE_LINES: Final = 1000
MAX_NAMED_LINES: Final = 20
BLOCK_BYTES: Final = 1024 * 1024
DELIMITERS: Final = ",;\t|^#~¦/:_\x01"
STYLES: Final[tuple[dict[str, Any], ...]] = (
    {"quotechar": '"'},
    {"quotechar": '"', "escapechar": "\\"},
    {"quotechar": "'"},
    {"quotechar": "'", "escapechar": "\\"},
    {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
    {"quoting": csv.QUOTE_NONE},
)
"""Ways to quote, as the csv module names them, the most usual first; the last one reads anything."""


@dataclass(slots=True)
class Found:
    """What a file has of the person."""

    row_count: int = 0
    """Rows that are the person's."""
    named_in: list[int] = field(default_factory=list)
    """The first lines (rows of Parquet) that are not, and name the person within a longer text."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that may name the person."""

    number: int
    """Of its first line; of the row in Parquet."""
    is_hers: bool
    names_her: bool


def found_in(file: SourceFile, person: Person) -> Found:
    """What there is of the person. Raises StopRunError for a file that may name them and can't be read."""
    found = Found()
    for row in _candidates(file, person):
        found.row_count += row.is_hers
        if row.names_her and not row.is_hers and len(found.named_in) < MAX_NAMED_LINES:
            found.named_in.append(row.number)
    return found


def without_person(file: SourceFile, person: Person) -> Iterator[bytes]:
    """The file without the person's rows; it is read several times.

    Raises StopRunError for a file that can't be read, or not be written again alike.
    """
    head, _ = with_head(file.blocks(), len(PARQUET_MAGIC))
    if _is_parquet(head):
        yield from _parquet_without(file, person)
        return
    text = _Text.of(file)
    plain = chain([text.mark], (text.encoded(line) for line, row in text.rows(person) if not _is_hers(row)))
    yield from _zipped(plain) if head.startswith(GZIP_MAGIC) else plain


def _candidates(file: SourceFile, person: Person) -> Iterator[_Row]:
    head, _ = with_head(file.blocks(), len(PARQUET_MAGIC))
    if _is_parquet(head):
        with file.open() as source:
            yield from _parquet_rows(ParquetCopy(file.name, source), person)
        return
    text = _Text.of(file)
    # A file that names nobody needs no reading that holds.
    if any(map(partial(text.may_name, person), text.lines())):
        yield from (row for _, row in text.rows(person) if row)


def _is_parquet(head: bytes) -> bool:
    return head.startswith((PARQUET_MAGIC, ENCRYPTED_MAGIC))


def _is_hers(row: _Row | None) -> bool:
    return row is not None and row.is_hers


@dataclass(frozen=True)
class _Text:
    """A file of lines, its encoding known; bytes that are no characters in it are kept as they are."""

    file: SourceFile
    mark: bytes
    codec: str
    is_json: bool

    @classmethod
    def of(cls, file: SourceFile) -> "_Text":
        """Raises StopRunError for a file that is no text."""
        head, _ = with_head(_plain(file), LOOK_BYTES)
        if any(head.startswith(magic) for magic, _ in (*OTHER_FORMATS, (PARQUET_MAGIC, ""))):
            raise StopRunError("unsupported_format", "it is no text that can be searched")
        mark, codec = next(((m, c) for m, c in BYTE_ORDER_MARKS if head.startswith(m)), (b"", "utf-8"))
        if not mark and b"\0" in head[:2]:
            # Declared, as its exports read it, and without a mark.
            codec = "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
        text = head[len(mark) :].decode(codec, "ignore").lstrip()
        return cls(file, mark, codec, is_json_lines(text))

    def lines(self) -> Iterator[str]:
        """The lines with their ends. Raises StopRunError."""
        return iter(Lines(self.file.name, self._texts()))

    def encoded(self, text: str) -> bytes:
        return text.encode(self.codec, self._errors)

    def may_name(self, person: Person, line: str) -> bool:
        """Whether it is worth looking closer; JSON can write any letter with a backslash."""
        return person.may_be_in(line) or (self.is_json and "\\" in line)

    def rows(self, person: Person) -> Iterator[tuple[str, _Row | None]]:
        """Each row as it stands, and what it is if it may name the person."""
        for number, text, values in self._objects(person) if self.is_json else self._cells():
            if not self.may_name(person, text):
                yield text, None
                continue
            words = list(texts_in(values))
            named = "\n".join(words) if self.is_json else _as_characters(text)
            if not self.is_json:
                words += [_bare(word) for word in words]
            yield text, _Row(number, person.is_in(words), person.is_named_in(named))

    @property
    def _errors(self) -> str:
        return "surrogateescape" if self.codec == "utf-8" else "strict"

    def _texts(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.codec)(self._errors)
        pieces = _plain(self.file)
        to_skip = len(self.mark)
        try:
            for piece in pieces:
                text = decoder.decode(piece[to_skip:])
                to_skip = max(0, to_skip - len(piece))
                if "\0" in text:
                    raise StopRunError("nul_byte", "it holds a NUL character")
                yield text
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise StopRunError("bad_encoding", f"it is no {self.codec}") from None

    def _objects(self, person: Person) -> Iterator[tuple[int, str, object]]:
        """Each line's number, text and value, as pairs so that a doubled key hides nothing.

        A line that can't name the person is not looked into.
        """
        for number, line in enumerate(self.lines(), 1):
            values: object = None
            if self.may_name(person, line):
                try:
                    values = json.loads(line, object_pairs_hook=list)
                except (ValueError, RecursionError):
                    raise StopRunError("bad_json", f"line {number} is no JSON") from None
            yield number, line, values

    def _cells(self) -> Iterator[tuple[int, str, Sequence[str]]]:
        """Each row's first line number, text and cells, by the first reading that holds, if possible with
        equally many cells in all rows."""
        sample = list(islice(self.lines(), SAMPLE_LINES))
        holding: tuple[str, dict[str, Any]] | None = None
        for style in STYLES:
            delimiter = max(DELIMITERS, key=lambda sign: _evenness(sample, sign, style))
            try:
                widths = {len(row) for _, _, row in _rows(self.lines(), delimiter, style) if row}
            except csv.Error:
                continue
            if len(widths) <= 1:
                return _rows(self.lines(), delimiter, style)
            holding = holding or (delimiter, style)
        if holding is None:
            raise StopRunError("bad_quoting", "it can't be cut into rows")
        return _rows(self.lines(), *holding)


def _bare(cell: str) -> str:
    """A cell without what a reading leaves that knows other quotes, or none, and without a mark."""
    return with_bare_quotes(_as_characters(cell).strip(" '\"\ufeff"))


def _as_characters(text: str) -> str:
    """A text whose bytes that are not UTF-8 are taken for Latin-1: an international domain may have some."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape").decode("latin-1")
    return text


def _rows(
    lines: Iterable[str], delimiter: str, style: dict[str, Any]
) -> Iterator[tuple[int, str, Sequence[str]]]:
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    reader = csv.reader(noted(), delimiter=delimiter, strict=True, **style)
    number = 1
    for row in reader:
        yield number, "".join(taken), row
        taken.clear()
        number = reader.line_num + 1


def _evenness(lines: Iterable[str], delimiter: str, style: dict[str, Any]) -> float:
    """The share of rows with as many cells as the first one; none if that has a single cell."""
    widths = []
    try:
        for _, _, row in _rows(lines, delimiter, style):
            if row:
                widths.append(len(row))
    except csv.Error:
        pass  # What was read till then shows what the delimiter is.
    return Counter(widths)[widths[0]] / len(widths) if widths and widths[0] > 1 else 0.0


def _plain(file: SourceFile) -> Iterator[bytes]:
    limits = PlanLimits()
    return plain_pieces(file.name, file.blocks(), ReadingWatch(limits.max_bytes), max_ratio=limits.max_ratio)


def _parquet_without(file: SourceFile, person: Person) -> Iterator[bytes]:
    with file.open() as source, tempfile.TemporaryFile() as spool:
        copy = ParquetCopy(file.name, source)
        copy.write_without({row.number for row in _parquet_rows(copy, person) if row.is_hers}, spool)
        spool.seek(0)
        while block := spool.read(BLOCK_BYTES):
            yield block


def _parquet_rows(copy: ParquetCopy, person: Person) -> Iterator[_Row]:
    for number, values in copy.rows():
        words = list(texts_in(values))
        if any(map(person.may_be_in, words)):
            yield _Row(number, person.is_in(words), person.is_named_in("\n".join(words)))


def _zipped(plain: Iterator[bytes]) -> Iterator[bytes]:
    """One gzip member of the bytes."""
    zipping = zlib.compressobj(wbits=GZIP_WBITS)
    for data in chain((zipping.compress(piece) for piece in plain), _end_of(zipping)):
        if data:
            yield data


def _end_of(zipping: "zlib._Compress") -> Iterator[bytes]:
    yield zipping.flush()
