"""A table: one source's header and rows, whatever the format of the file."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeAlias

from exporter.domain.csv_table import open_csv
from exporter.domain.decoding import Texts, beginning, decoded_texts
from exporter.domain.dialect import Dialect, Encoding, Format, Reading
from exporter.domain.json_lines import (
    JsonLinesTable,
    begins_with_object,
    is_json_array,
    is_json_lines,
    keys_that,
)
from exporter.domain.parquet import ENCRYPTED_MAGIC, PARQUET_MAGIC, ParquetTable
from exporter.domain.reading import GZIP_MAGIC, ReadingWatch, plain_pieces, with_head
from exporter.domain.source_file import SourceFile
from exporter.domain.wording import shown
from exporter.errors import StopRunError

LOOK_BYTES: Final = 4096
"""So much is looked at to tell the format."""

Wanted: TypeAlias = Callable[[str], bool]
"""Whether a column is read where it is there, though the mapping does not name it."""


class Table(Protocol):
    """One source as a table, read once from its beginning."""

    @property
    def name(self) -> str:
        """The source's name."""

    @property
    def header(self) -> Sequence[str]:
        """The columns that are read, all of the file or some; empty for a source that holds nothing."""

    @property
    def rows(self) -> Iterable[Sequence[str]]:
        """The rows as texts, none of them empty: one text for each column of the header, in CSV perhaps more
        or fewer; a row that can't be sent may be an UnfitRow.

        Iterating raises StopRunError for a file that can't be read further, or csv.Error, for which
        `unreadable` has the words.
        """

    @property
    def reading(self) -> Reading:
        """How the source is read, as far as its rows have shown by now."""

    @property
    def at_open_end(self) -> bool:
        """The row read last is the source's last and has no line end, so that too few cells mean that it was
        cut off. False where a row that is cut off can't be read at all."""

    def unreadable(self, error: Exception, row: int) -> StopRunError:
        """What to tell a person about `error`, met while reading data row `row`."""

    def cut_off(self, row: int, cell_count: int) -> StopRunError:
        """What to tell a person about a source that ends within or behind data row `row`, too early.

        `cell_count` is how many cells that row has.
        """


def open_table(
    file: SourceFile,
    dialect: Dialect,
    required: Sequence[str],
    watch: ReadingWatch,
    *,
    max_ratio: int,
    max_rows: int | None = None,
    wanted: Wanted | None = None,
) -> Table:
    """The file as a table; `required` are the columns that the mapping reads.

    Where only some columns are read, those that are `wanted` are as well, wherever they first turn up:
    JSON Lines are then read through once for their keys.

    The declared format is taken, or else the one that the content shows, whatever the name ends with. A file
    that says before it is read that it has over `max_rows` rows is refused.

    Raises StopRunError for a file that can't be read so, or whose columns don't fit; a source that holds
    nothing has no header and no rows.
    """
    head, blocks = _with_first_bytes(file, dialect)
    if _is_parquet(file.name, dialect, head):
        reading = _found(file.name, dialect, "parquet", "the file begins with its mark, PAR1")
        return ParquetTable(file, reading, required, watch, max_rows=max_rows, wanted=wanted)
    pieces = plain_pieces(file.name, blocks, watch, max_ratio=max_ratio)
    head, pieces = with_head(pieces, LOOK_BYTES)
    if head.startswith((PARQUET_MAGIC, ENCRYPTED_MAGIC)):
        raise StopRunError(
            "unsupported_format",
            f"{shown(file.name)} is Parquet within gzip. Drop it without: Parquet is compressed in itself.",
        )
    texts = decoded_texts(file.name, pieces, dialect.encoding)
    declared = dialect.encoding
    dialect = dialect.model_copy(update={"encoding": texts.encoding})
    found = (texts.found,) if texts.found else ()
    if _is_json_lines(file.name, dialect, beginning(head, declared)):
        reading = _found(file.name, dialect, "jsonl", "the first character is {", found)
        more = keys_that(wanted, file.name, _again(file, declared, watch, max_ratio)) if wanted else ()
        return JsonLinesTable(file.name, texts, reading, required, more)
    return open_csv(file.name, texts, dialect, required, found)


def _again(file: SourceFile, encoding: Encoding | None, watch: ReadingWatch, max_ratio: int) -> Texts:
    """The text of a file that is read another time, whose bytes count for themselves."""
    own_watch = ReadingWatch(watch.max_bytes, watch.keep_going)
    return decoded_texts(
        file.name, plain_pieces(file.name, file.blocks(), own_watch, max_ratio=max_ratio), encoding
    )


def _with_first_bytes(file: SourceFile, dialect: Dialect) -> tuple[bytes, Iterable[bytes]]:
    """What tells the format, and all blocks including it.

    The first block of a blob may have many megabytes, so a file that probably is Parquet, whose blocks nobody
    will want, is looked at by position. Raises StopRunError for one that is empty and can't be.
    """
    if dialect.format != "parquet" and not file.name.lower().endswith(".parquet"):
        return with_head(file.blocks(), len(PARQUET_MAGIC))
    with file.open() as handle:
        head = handle.read(len(PARQUET_MAGIC))
    if not head:
        raise StopRunError(
            "cut_off",
            f"{shown(file.name)} is empty, as no Parquet file is: it is cut off. Drop the whole file again.",
        )
    return head, file.blocks()


def _is_parquet(name: str, dialect: Dialect, head: bytes) -> bool:
    """Whether a file that begins so is Parquet. Raises StopRunError where what is declared says otherwise."""
    if head.startswith((PARQUET_MAGIC, ENCRYPTED_MAGIC)):
        if dialect.format not in (None, "parquet"):
            raise _contradiction(name, dialect, "Parquet")
        return True
    if dialect.format == "parquet" and not head.startswith(GZIP_MAGIC):
        raise _contradiction(name, dialect, "something else")
    return False


def _is_json_lines(name: str, dialect: Dialect, text: str) -> bool:
    """Whether a text that begins so is JSON Lines. Raises StopRunError where the declared format differs."""
    if dialect.format == "parquet":
        raise _contradiction(name, dialect, "something else, within gzip")
    if is_json_array(text) and dialect.format != "csv":
        raise StopRunError(
            "unsupported_format", f"{shown(name)} is a JSON array. Write one object a line (JSON Lines)."
        )
    if dialect.format == "jsonl":
        if text and not text.startswith("{"):
            raise _contradiction(name, dialect, "something else: its first character is no {")
        return True
    if dialect.format == "csv":
        if begins_with_object(text):
            raise _contradiction(name, dialect, "JSON Lines")
        return False
    return is_json_lines(text)


def _found(name: str, dialect: Dialect, found: Format, by: str, before: tuple[str, ...] = ()) -> Reading:
    """How a file is read whose format was declared, or found `by` what; `before` was found before that."""
    if dialect.format is not None:
        return Reading(name, dialect, before)
    told = f"format {found} found: {by}"
    return Reading(name, dialect.model_copy(update={"format": found}), (*before, told))


def _contradiction(name: str, dialect: Dialect, what: str) -> StopRunError:
    words = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}[dialect.format or "csv"]
    return StopRunError(
        "wrong_format",
        f"{shown(name)} is {what}, and {words} is declared. Declare what it is, or drop the right file.",
    )
