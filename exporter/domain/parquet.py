"""Parquet becomes rows: the columns that the mapping reads, batch by batch, every value as an exact text.

What the file says of itself at its end is judged before anything is taken by its word; pyarrow is imported
here alone, and only when a Parquet file is read. Values become texts so: numbers in the shortest form that
gives the same number, decimals with all their places, `true` and `false`, dates and moments by ISO 8601 with
`Z` where the moment is one of UTC, nothing for null and for what is not a number.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import isnan
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from exporter.domain.dialect import Reading
from exporter.domain.glance import NO_TEXT, glance
from exporter.domain.reading import ReadingWatch
from exporter.domain.reject import RejectReason, UnfitRow
from exporter.domain.source_file import SourceFile
from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PARQUET_MAGIC: Final = b"PAR1"
ENCRYPTED_MAGIC: Final = b"PARE"
"""Of a file whose directory is encrypted (github.com/apache/parquet-format, Encryption.md)."""
TAIL_BYTES: Final = 8
"""The length of the directory, little-endian, and the magic."""
MAX_FOOTER_BYTES: Final = 4 * 1024 * 1024
"""A directory is some hundred bytes for each column of each row group: 20 million rows of 100 columns take
2 MB. One that is made to hurt takes 235 times its size in memory once it is parsed."""
MAX_GROUP_BYTES: Final = 512 * 1024 * 1024
"""So much, uncompressed, the mapped columns of a row group may have; writers make 128 MB with all columns."""
MAX_LISTED: Final = 100_000
"""Entries of one list in the directory, such as columns or row groups."""
BATCH_BYTES: Final = 4 * 1024 * 1024
BATCH_ROWS: Final = 8192
PREFIXED_BATCH_ROWS: Final = 256
"""Where each text takes its beginning from the one before: a small file may hold long ones."""
BUFFER_BYTES: Final = 1024 * 1024
"""Of each column, so that a column of a row group never lies in memory whole."""
INT96_UNIT: Final = "us"
"""Of the moments that Spark writes; in nanoseconds they would end in the year 2262 and begin anew."""
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a count of seconds, with or without a zone
_DAY_MILLISECONDS: Final = 86_400_000
_OF_BYTES: Final = frozenset({"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"})
"""Physical types that texts have."""
_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Decimal places of a second, by pyarrow's word for the unit."""

Text = str | None
"""None for a value that has no text: a date outside of the years 1 to 9999."""
Convert = Callable[[Any], Sequence[Text]]
"""A pyarrow array -> its texts."""


class ParquetTable:
    """One source as a table: `required`, or every column that can be read where it is empty.

    Columns that are `wanted` are looked at as well. Raises StopRunError, when it is made or while rows are
    taken, for a file that can't be read.
    """

    at_open_end = False

    def __init__(
        self,
        file: SourceFile,
        reading: Reading,
        required: Sequence[str],
        watch: ReadingWatch,
        *,
        max_rows: int | None,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self.name = file.name
        self.reading = reading
        self._file = file
        self._watch = watch
        self._rows_done = 0
        watch.start_source()
        with file.open() as handle:
            self._footer = _read_footer(file.name, handle)
        if max_rows is not None and self._footer.metadata.num_rows > max_rows:
            raise StopRunError(
                "too_large",
                f"{shown(self.name)} has {self._footer.metadata.num_rows:,} rows; a drop may have"
                f" {max_rows:,}. Split the segment into several smaller ones.",
            )
        converts = self._converts()
        self.header = tuple(required) or tuple(name for name, convert in converts.items() if convert)
        """The columns that are read."""
        self._require()
        looked_at = tuple(name for name in converts if required and wanted and wanted(name))
        self.header = tuple(dict.fromkeys((*self.header, *looked_at)))
        unreadable = [name for name in self.header if converts[name] is None]
        unreadable = [name for name in unreadable if name in required or not self._footer.is_nested(name)]
        if unreadable:
            raise self._unsupported(unreadable)
        self._convert = {name: convert for name in self.header if (convert := converts[name])}
        """Without those that are looked at and nested."""
        for name in self._convert.keys() & set(looked_at).difference(required):
            self._convert[name] = _glancing(self._convert[name])
        self._footer.judge_sizes(self.name, [*self._convert])
        self.rows = self._rows()

    def unreadable(self, error: Exception, row: int) -> StopRunError:
        """What to tell a person about `error`, met while reading from data row `row` on."""
        return _bad(self.name, f"from data row {row} on ({shown(str(error).partition(chr(10))[0], 120)})")

    def cut_off(self, row: int, cell_count: int) -> StopRunError:
        """What to tell about a file that holds only `row` rows, fewer than it says."""
        return _bad(
            self.name, f"it holds {row:,} rows where its directory says {self._footer.metadata.num_rows:,}"
        )

    def _converts(self) -> dict[str, Convert | None]:
        return {field.name: _convert_of(field.type, self.name) for field in self._footer.schema}

    def _require(self) -> None:
        names = self._footer.schema.names
        missing = [column for column in self.header if column not in names]
        if missing:
            raise StopRunError(
                "missing_column",
                f"{shown(self.name)} lacks what the mapping reads: {shown_list(missing)}. Its columns are"
                f" {shown_list(names)}. Change the mapping or the file.",
            )
        doubled = [name for name, count in Counter(names).items() if count > 1]
        if doubled:
            raise StopRunError(
                "doubled_column",
                f"{shown(self.name)} has columns more than once: {shown_list(doubled)}. Give each column a"
                " name of its own.",
            )

    def _unsupported(self, columns: Sequence[str]) -> StopRunError:
        types = ", ".join(
            f"'{shown(name, 60)}' ({shown(str(self._footer.schema.field(name).type), 60)})"
            for name in columns
        )
        return StopRunError(
            "unsupported_type",
            f"{shown(self.name)} has columns to read of types that are no text: {types}. Write them as text,"
            " a number, true and false, a date or a timestamp, or leave them out.",
        )

    def _rows(self) -> Iterator[Sequence[str]]:
        with self._file.open() as handle:
            for batch in self._batches(handle):
                columns = self._columns(batch)
                self._watch.take(
                    self.name, batch.num_rows + sum(sum(map(_size, column)) for column in columns)
                )
                yield from self._whole(columns)
                self._rows_done += batch.num_rows
        if self._rows_done != self._footer.metadata.num_rows:
            raise self.cut_off(self._rows_done, 0)

    def _batches(self, handle: BinaryIO) -> "Iterator[pa.RecordBatch]":
        """The file's rows in batches of a bounded size."""
        import pyarrow as pa

        try:
            columns = [*self._convert]
            parquet = self._footer.open(handle, columns)
            for number in range(self._footer.metadata.num_row_groups):
                yield from parquet.iter_batches(
                    batch_size=self._footer.batch_rows(number, columns),
                    row_groups=[number],
                    columns=columns,
                    use_threads=False,
                )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self.unreadable(error, self._rows_done + 1) from error

    def _columns(self, batch: "pa.RecordBatch") -> list[Sequence[Text]]:
        try:
            return [
                self._convert[name](batch.column(name))
                if name in self._convert
                else [NO_TEXT] * batch.num_rows
                for name in self.header
            ]
        except UnicodeDecodeError:
            where = f"in data rows {self._rows_done + 1:,} to {self._rows_done + batch.num_rows:,}"
            # Without its cause, which holds the text.
            raise StopRunError(
                "bad_encoding",
                f"{shown(self.name)} holds a text that is not UTF-8 {where}. Write it as UTF-8.",
            ) from None

    def _whole(self, columns: Sequence[Sequence[Text]]) -> Iterator[Sequence[str]]:
        if not any(None in column for column in columns):
            yield from zip(*columns, strict=True)
            return
        for cells in zip(*columns, strict=True):
            texts = [cell or "" for cell in cells]
            if None in cells:
                column = self.header[cells.index(None)]
                detail = f"'{shown(column, 60)}' holds a date outside of the years 1 to 9999"
                yield UnfitRow(texts, RejectReason.INVALID_VALUE, detail)
            else:
                yield texts


@dataclass(frozen=True)
class _Footer:
    """A file's directory, as it was at the first look; the later reading goes by the same one."""

    metadata: "pq.FileMetaData"
    schema: "pa.Schema"
    start: int
    """The byte at which it begins: all data lie before it."""

    def chunks(self, number: int, columns: Sequence[str] | None) -> "Iterator[pq.ColumnChunkMetaData]":
        """What the directory says of these columns' data, or of all columns', in a row group."""
        group = self.metadata.row_group(number)
        wanted = None if columns is None else set(columns)
        for at in range(group.num_columns):
            if wanted is None or self.metadata.schema.column(at).path in wanted:
                yield group.column(at)

    def is_nested(self, column: str) -> bool:
        """Whether a column holds lists or further columns."""
        import pyarrow as pa

        return bool(pa.types.is_nested(self.schema.field(column).type))

    def judge_sizes(self, name: str, columns: Sequence[str] | None) -> None:
        """Refuse what can't be true and what is too large. Raises StopRunError."""
        rows = 0
        for number in range(self.metadata.num_row_groups):
            group_rows = self.metadata.row_group(number).num_rows
            size = 0
            for chunk in self.chunks(number, columns):
                begin = chunk.data_page_offset
                if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                    begin = min(begin, chunk.dictionary_page_offset)
                end = begin + chunk.total_compressed_size
                if not group_rows:
                    continue  # nothing is read, and what the directory says of it may be zero
                if not len(PARQUET_MAGIC) <= begin <= end <= self.start or chunk.total_uncompressed_size < 0:
                    raise _bad(name, f"row group {number + 1} lies outside of the file by its directory")
                size += chunk.total_uncompressed_size
            if size > MAX_GROUP_BYTES:
                raise StopRunError(
                    "too_large",
                    f"{shown(name)} has {size:,} bytes (uncompressed) of columns to read in its row group"
                    f" {number + 1}; {MAX_GROUP_BYTES:,} may be. Write it with smaller row groups.",
                )
            if group_rows < 0:
                raise _bad(name, f"row group {number + 1} has {group_rows:,} rows by its directory")
            rows += group_rows
        if rows != self.metadata.num_rows:
            raise _bad(
                name, f"its row groups have {rows:,} rows by its directory, and it {self.metadata.num_rows:,}"
            )

    def open(self, handle: BinaryIO, columns: Sequence[str]) -> "pq.ParquetFile":
        """The file for reading these columns; texts that stand in a dictionary are read as one."""
        import pyarrow.parquet as pq

        in_dictionary = {
            chunk.path_in_schema
            for number in range(self.metadata.num_row_groups)
            for chunk in self.chunks(number, columns)
            if chunk.has_dictionary_page and chunk.physical_type == "BYTE_ARRAY"
        }
        return pq.ParquetFile(
            handle,
            metadata=self.metadata,
            read_dictionary=[name for name in columns if name in in_dictionary],
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            coerce_int96_timestamp_unit=INT96_UNIT,
            page_checksum_verification=True,
        )

    def batch_rows(self, number: int, columns: Sequence[str]) -> int:
        """How many rows of a row group are taken at a time."""
        chunks = list(self.chunks(number, columns))
        if any("DELTA_BYTE_ARRAY" in chunk.encodings for chunk in chunks):
            return PREFIXED_BATCH_ROWS
        size = sum(chunk.total_uncompressed_size for chunk in chunks)
        rows: int = self.metadata.row_group(number).num_rows * BATCH_BYTES // max(size, 1)
        return max(1, min(BATCH_ROWS, rows))


def _read_footer(name: str, handle: BinaryIO) -> _Footer:
    """The directory at the end of the file, its length judged first. Raises StopRunError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = handle.seek(0, 2)
    handle.seek(0)
    head = handle.read(len(PARQUET_MAGIC))
    handle.seek(max(0, size - TAIL_BYTES))
    tail = handle.read(TAIL_BYTES)
    if ENCRYPTED_MAGIC in (head, tail[4:]):
        raise _encrypted(name)
    if tail[4:] != PARQUET_MAGIC or size < len(PARQUET_MAGIC) + TAIL_BYTES:
        raise StopRunError(
            "cut_off",
            f"{shown(name)} is Parquet and ends, after {size:,} bytes, without the directory of its columns:"
            " it is cut off. Drop the whole file again.",
        )
    length = int.from_bytes(tail[:4], "little")
    start = size - TAIL_BYTES - length
    if start < len(PARQUET_MAGIC):
        raise _bad(name, f"its directory would have {length:,} bytes, and the file has {size:,}")
    if length > MAX_FOOTER_BYTES:
        raise StopRunError(
            "too_large",
            f"{shown(name)} has a directory of {length:,} bytes; {MAX_FOOTER_BYTES:,} may be. Write it with"
            " fewer columns, larger row groups, or as several files.",
        )
    handle.seek(0)
    try:
        parquet = pq.ParquetFile(
            handle,
            thrift_container_size_limit=MAX_LISTED,
            thrift_string_size_limit=length,
            coerce_int96_timestamp_unit=INT96_UNIT,
            pre_buffer=False,
        )
        return _Footer(parquet.metadata, parquet.schema_arrow, start)
    except (pa.ArrowException, OSError, ValueError) as error:
        if "ncrypt" in str(error) or "crypto" in str(error):
            raise _encrypted(name) from error
        raise _bad(name, f"its directory ({shown(str(error).partition(chr(10))[0], 120)})") from error


def _bad(name: str, where: str) -> StopRunError:
    return StopRunError(
        "bad_parquet", f"{shown(name)} is Parquet that can't be read: {where}. It is damaged. Drop it again."
    )


def _encrypted(name: str) -> StopRunError:
    return StopRunError(
        "unsupported_format", f"{shown(name)} is encrypted Parquet. Write it without encryption."
    )


def _size(text: Text) -> int:
    return len(text) if text else 0


def _convert_of(kind: "pa.DataType", name: str) -> Convert | None:
    """How arrays of a type become texts; None for a type of which nothing is sent."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(kind):
        inner = _convert_of(kind.value_type, name)
        return _shared(inner) if inner else None
    if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
        return _shared(lambda array: _strings(name, array))
    if is_.is_timestamp(kind):
        return lambda array: _each(array.cast("int64"), lambda value: _moment(value, kind.unit, kind.tz))
    for matches, convert in (
        (is_.is_integer, lambda array: _each(array, str)),
        (is_.is_boolean, lambda array: _each(array, lambda value: "true" if value else "false")),
        (is_.is_float32, lambda array: _each(array.cast("string"), lambda value: _float(float(value)))),
        (is_.is_floating, lambda array: _each(array, _float)),
        (is_.is_decimal, lambda array: _each(array, lambda value: f"{value:f}")),
        (is_.is_date32, lambda array: _each(array.cast("int32"), _day)),
        (
            is_.is_date64,
            lambda array: _each(array.cast("int64"), lambda value: _day(value // _DAY_MILLISECONDS)),
        ),
        (is_.is_null, lambda array: [""] * len(array)),
    ):
        if matches(kind):
            return convert
    return None


def _glancing(convert: Convert) -> Convert:
    return lambda array: list(map(glance, convert(array)))


def _shared(convert: Convert) -> Convert:
    """The texts of arrays that may be dictionaries: each text once, however often it stands in a column.

    Batches of one row group mostly have the same dictionary, whose texts are made once.
    """
    last: list[Any] = [None, []]

    def texts_of(array: Any) -> Sequence[Text]:
        if not hasattr(array, "indices"):
            return convert(array)
        if last[0] is None or not array.dictionary.equals(last[0]):
            last[:] = array.dictionary, [*convert(array.dictionary), ""]
        texts: list[Text] = last[1]
        return list(map(texts.__getitem__, array.indices.cast("int64").fill_null(len(texts) - 1).to_pylist()))

    return texts_of


def _strings(name: str, array: Any) -> list[Text]:
    texts: list[Text] = array.to_pylist()
    if array.null_count:
        texts = [text or "" for text in texts]
    if any("\0" in text for text in texts if text):
        raise StopRunError(
            "nul_byte", f"{shown(name)} holds a text with a NUL character. Write it again without."
        )
    return texts


def _each(array: Any, text_of: Callable[[Any], Text]) -> list[Text]:
    """The values' texts; null is empty."""
    return ["" if value is None else text_of(value) for value in array.to_pylist()]


def _float(value: float) -> str:
    return "" if isnan(value) else repr(value)


def _day(days: int) -> Text:
    """The date so many days after 1970 began."""
    try:
        return date.fromordinal(_EPOCH_DAY + days).isoformat()
    except (ValueError, OverflowError):
        return None


def _moment(value: int, unit: str, zone: str | None) -> Text:
    """The moment so many units after 1970 began; with a zone it is one of UTC, whatever zone is named."""
    digits = _DIGITS[unit]
    seconds, rest = divmod(value, 10**digits)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return None
    places = f"{rest:0{digits}}".rstrip("0") if rest else ""
    return f"{text}{'.' if places else ''}{places}{'Z' if zone else ''}"


class ParquetCopy:
    """A file that is read whole, to be written again without some rows; numbers of rows count from 1."""

    def __init__(self, name: str, handle: BinaryIO) -> None:
        self._name = name
        self._handle = handle
        self._footer = _read_footer(name, handle)
        self._footer.judge_sizes(name, None)

    def rows(self) -> Iterator[tuple[int, list[object]]]:
        """Each row's number, and its values as far as they can hold texts, however deep.

        Raises StopRunError for a text that is not UTF-8.
        """
        number = 0
        for table in self._groups(self._text_paths()):
            for batch in table.to_batches(max_chunksize=BATCH_ROWS):
                try:
                    columns = [column.to_pylist() for column in batch.columns]
                except UnicodeDecodeError:
                    raise StopRunError(
                        "bad_encoding", f"{shown(self._name)} holds a text that is not UTF-8"
                    ) from None
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, list(values)

    def _text_paths(self) -> list[str]:
        """The leaves that hold bytes. Of all others some hold what Python has no value for, such as moments
        in nanoseconds."""
        schema = self._footer.metadata.schema
        leaves = [schema.column(at) for at in range(len(schema))]
        return [leaf.path for leaf in leaves if leaf.physical_type in _OF_BYTES]

    def write_without(self, numbers: Collection[int], target: IO[bytes]) -> None:
        """Write the other rows, with the same schema, compression and row groups.

        Raises StopRunError for a file whose schema can't be kept so.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        metadata = self._footer.metadata
        first = metadata.row_group(0)
        chunks = [first.column(at) for at in range(first.num_columns)]
        options = {
            "compression": {chunk.path_in_schema: _codec(chunk.compression) for chunk in chunks},
            "use_dictionary": [chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page],
            "version": metadata.format_version,
            "store_schema": b"ARROW:schema" in (metadata.metadata or {}),
        }
        number = 0
        with pq.ParquetWriter(target, self._footer.schema, **options) as writer:
            for table in self._groups():
                # Slices, as not every type can be filtered.
                removed = [at for at in range(table.num_rows) if number + at + 1 in numbers]
                borders = zip([-1, *removed], [*removed, table.num_rows], strict=True)
                kept = pa.concat_tables([table.slice(at + 1, end - at - 1) for at, end in borders])
                number += table.num_rows
                if kept.num_rows:
                    writer.write_table(kept, row_group_size=kept.num_rows)
        target.seek(0)
        written = pq.ParquetFile(target).metadata
        if not written.schema.equals(metadata.schema) or written.num_rows != metadata.num_rows - len(numbers):
            raise StopRunError(
                "unsupported_type",
                f"{shown(self._name)} has columns of types that can't be written again alike",
            )

    def _groups(self, columns: list[str] | None = None) -> "Iterator[pa.Table]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            parquet = pq.ParquetFile(
                self._handle,
                metadata=self._footer.metadata,
                coerce_int96_timestamp_unit=INT96_UNIT,
                pre_buffer=False,
            )
            for number in range(self._footer.metadata.num_row_groups):
                yield parquet.read_row_group(number, columns=columns, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _bad(self._name, shown(str(error).partition("\n")[0], 120)) from error


def _codec(name: str) -> str:
    """pyarrow's word for a compression when it writes, which differs from the one when it reads."""
    return "NONE" if name == "UNCOMPRESSED" else name
