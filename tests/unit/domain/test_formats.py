"""JSON Lines and Parquet give the texts that stand in them, and what is damaged is refused with its place."""

import gzip
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import parquet
from exporter.domain.dialect import UNDECLARED, Dialect, Encoding, Format
from exporter.domain.reading import ReadingWatch
from exporter.domain.source_file import SourceFile
from exporter.domain.table import Table, open_table
from exporter.errors import StopRunError
from tests.unit.domain.plans import a_file, cut, plan

ANN, BO = b'{"Email":"ann@example.org","FirstName":"Ann"}', b'{"Email":"bo@example.org","FirstName":"Bo"}'
MAX_BYTES = 1 << 30


def table_of(
    data: bytes | Iterable[bytes],
    required: Sequence[str] = (),
    *,
    name: str = "a.csv",
    dialect: Dialect = UNDECLARED,
    max_rows: int | None = None,
) -> Table:
    blocks = [data] if isinstance(data, bytes) else list(data)
    watch = ReadingWatch(MAX_BYTES)
    return open_table(a_file(name, blocks), dialect, required, watch, max_ratio=200, max_rows=max_rows)


def rows_of(data: bytes | Iterable[bytes], required: Sequence[str] = (), **options: Any) -> list[list[str]]:
    return [list(row) for row in table_of(data, required, **options).rows]


def refused(data: bytes, required: Sequence[str] = ("Email",), **options: Any) -> tuple[str, str]:
    """Code and words of the refusal."""
    with pytest.raises(StopRunError) as caught:
        rows_of(data, required, **options)
    return caught.value.code, str(caught.value)


def parquet_of(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), written, **options)
    return written.getvalue()


# Any table of text


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
names = st.lists(texts.filter(bool), min_size=1, max_size=4, unique=True)
tables = names.flatmap(
    lambda header: st.tuples(
        st.just(header),
        st.lists(
            st.lists(st.none() | texts, min_size=len(header), max_size=len(header)), min_size=1, max_size=8
        ),
    )
)
cuts = st.lists(st.integers(0, 400), max_size=8).map(sorted)


@given(tables, cuts, st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_any_table_comes_back_from_json_lines(
    table: tuple[list[str], list[list[str | None]]],
    ends: list[int],
    is_ascii: bool,
    zips: bool,
    line_end: str,
    ends_whole: bool,
) -> None:
    header, rows = table
    lines = [json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=is_ascii) for row in rows]
    data = (line_end.join(lines) + line_end * ends_whole).encode()

    blocks = cut(gzip.compress(data) if zips else data, ends)

    assert rows_of(blocks, header) == [[cell or "" for cell in row] for row in rows]


@given(
    tables,
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from(["none", "snappy", "zstd"]),
    st.sampled_from(["1.0", "2.0"]),
    st.sampled_from(["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None]),
)
def test_any_table_comes_back_from_parquet(
    table: tuple[list[str], list[list[str | None]]],
    group_rows: int,
    is_dictionary: bool,
    codec: str,
    page_version: str,
    encoding: str | None,
) -> None:
    header, rows = table
    columns: list[Any] = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    if is_dictionary:
        columns = [column.dictionary_encode() for column in columns]
    data = parquet_of(
        pa.table(columns, header),
        row_group_size=group_rows,
        compression=codec,
        data_page_version=page_version,
        use_dictionary=encoding is None,
        column_encoding=None if encoding is None or is_dictionary else dict.fromkeys(header, encoding),
    )

    assert rows_of(data, header) == [[cell or "" for cell in row] for row in rows]


# JSON Lines


@pytest.mark.parametrize(
    "written",
    [
        "1.10",
        "1e+21",
        "1E2",
        "-0",
        "-0.0",
        "0",
        "12345678901234567890123",
        "9007199254740993",
        "18446744073709551615",
    ],
)
def test_a_number_stays_as_it_is_written(written: str) -> None:
    assert rows_of(f'{{"Email":"a","n":{written}}}\n'.encode(), ["Email", "n"]) == [["a", written]]


def test_true_false_and_null_have_words() -> None:
    data = b'{"a":true,"b":false,"c":null}\n{"a":"x","z":1}\n{"a":"","b":"1.10","c":"c"}'

    assert rows_of(data, ["a", "b", "c"]) == [["true", "false", ""], ["x", "", ""], ["", "1.10", "c"]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_blank_lines_and_line_ends_are_no_matter(encoding: str) -> None:
    data = '\r\n  \n{"Email":"bücher"}\r\n\t\r\n{"Email":"x"}'.encode(encoding)

    for blocks in ([data], cut(data, range(1, len(data)))):
        assert rows_of(blocks, ["Email"]) == [["bücher"], ["x"]]


def test_who_only_looks_sees_the_keys_of_the_first_object() -> None:
    table = table_of(b'\n{"b":"1","a":"2"}\n{"c":"3","a":"4"}\n')

    assert (table.header, list(table.rows)) == (("b", "a"), [["1", "2"], ["", "4"]])
    assert table.reading.dialect.format == "jsonl"
    assert table.reading.found == ("format jsonl found: the first character is {",)


@pytest.mark.parametrize("data", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_a_file_without_lines_holds_nothing(data: bytes) -> None:
    assert not table_of(data, ["Email"], dialect=Dialect(format="jsonl")).header


def test_rows_are_rejected_with_their_number_and_cost_nobody_else() -> None:
    lines = [
        ANN,
        b'{"Email":"c@example.org","FirstName":["C"]}',
        b"",
        b'{"Email":"d@example.org","FirstName":{"a":1.5}}',
        b'{"Email":"e@example.org","FirstName":"E", "FirstName" :"F"}',
        b'{"Email":"f@example.org","Other":{"Email":"\\":"},"More":["\\":"]}',
        BO,
    ]

    made = plan(b"\n".join(lines))

    assert [contact["email"] for contact in made.contacts] == [
        "ann@example.org",
        "f@example.org",
        "bo@example.org",
    ]
    assert [place[1] for place in made.places] == [1, 5, 6]
    assert [(reject.row, reject.reason.value, reject.email) for reject in made.rejects] == [
        (2, "nested_value", "c@example.org"),
        (3, "nested_value", "d@example.org"),
        (4, "doubled_key", "e@example.org"),
    ]
    assert "'FirstName' holds a list" in made.rejects[0].detail
    assert made.summary.rows == 6


@pytest.mark.parametrize("space", ["", " ", "\t", " \t "])
@pytest.mark.parametrize("other", ["a:b", '":', '\\":', "{"])
def test_a_doubled_key_is_found_however_it_is_written(space: str, other: str) -> None:
    value = json.dumps(other)
    line = f'{{"Email"{space}:"a@example.org","o":{value},"FirstName":"x","FirstName"{space}:"y"}}\n'
    fine = f'{{"Email"{space}:"b@example.org","o":{value},"FirstName":"x"}}\n'

    made = plan((line + fine).encode())

    assert [(reject.row, reject.reason.value) for reject in made.rejects] == [(1, "doubled_key")]
    assert made.summary.contacts == 1


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([ANN, b'{"Email":}', b""], "bad_json", "line 2, column 10 (data row 2)"),
        ([ANN, b"", b'{"Email":NaN}', b""], "bad_json", "line 3, column 10 (data row 2)"),
        ([ANN, b'["x"]', BO], "bad_json", "something else than an object at line 2"),
        ([ANN, BO + BO, b""], "bad_json", "line 2"),
        ([ANN, b'{"Email":"\\ud800"}', b""], "bad_json", "line 2"),
        (
            [ANN, b'{"Email":1.5,"x":' + b"[" * 1010 + b"]" * 1010 + b"}", b""],
            "bad_json",
            "line 2 (data row 2): nested",
        ),
        ([ANN, BO[:-4]], "cut_off", "ends within line 2 (data row 2)"),
        ([ANN, b'{"Email":"a\\u0000b"}'], "nul_byte", "line 2"),
        ([ANN, b'{"Email":"a","x":{"y":"\\\\\\u0000"}}'], "nul_byte", "line 2"),
        ([ANN, b'{"Email":"a\0"}'], "nul_byte", "line 2"),
        (
            [b'{"Mail":"a","Name":"b"}', b'{"Mail":"c"}'],
            "missing_column",
            "'Email'. The keys of its objects are 'Mail', 'Name'",
        ),
        ([b'[{"Email":"a"}]'], "unsupported_format", "one object a line"),
        ([b"[", b'{"Email":"a"}', b"]"], "unsupported_format", "one object a line"),
    ],
)
def test_json_that_can_not_be_read_is_refused_with_its_place(
    lines: list[bytes], code: str, words: str
) -> None:
    found, message = refused(b"\n".join(lines))

    assert found == code
    assert words in message
    assert "ud800" not in message


def test_a_text_about_an_escaped_nul_is_none() -> None:
    assert rows_of(rb'{"Email":"a\\u0000"}', ["Email"]) == [[r"a\u0000"]]


def test_a_column_that_one_line_has_is_there() -> None:
    assert rows_of(b'{"a":"1"}\n{"b":null}\n', ["a", "b"]) == [["1", ""], ["", ""]]


def test_of_many_keys_the_first_ones_are_named() -> None:
    data = orjson.dumps({f"key{number}": 1 for number in range(50)})

    _, message = refused(data)

    assert "'key19'" in message
    assert "key20" not in message


@given(st.integers(2, 2 * len(ANN)))
def test_json_cut_off_anywhere_is_refused_or_loses_whole_rows_alone(size: int) -> None:
    data = b"\n".join([ANN, BO, b""])[:size]

    try:
        rows = rows_of(data, ["Email"])
    except StopRunError as error:
        assert error.code in ("cut_off", "missing_column")  # noqa: PT017 - either way is right
    else:
        assert rows == [["ann@example.org"], ["bo@example.org"]][: len(rows)]
        assert data.rstrip(b"\n").endswith(b"}")


# Parquet


def test_each_type_has_an_exact_text() -> None:
    columns = {
        "int": pa.array([-(2**63), None]),
        "uint": pa.array([2**64 - 1, None], pa.uint64()),
        "float": pa.array([0.1, 1e21]),
        "float32": pa.array([0.1, None], pa.float32()),
        "float16": pa.array([0.5, None], pa.float16()),
        "nan": [float("nan"), float("-inf")],
        "decimal": [Decimal("1.10"), Decimal("-0.00000001").quantize(Decimal("1.00"))],
        "bool": [True, False],
        "date": [date(1, 1, 1), date(9999, 12, 31)],
        "date64": pa.array([date(2024, 2, 29), None], pa.date64()),
        "naive": pa.array([1, -1], pa.timestamp("ns")),
        "utc": pa.array([0, 1_500], pa.timestamp("ms", "UTC")),
        "zone": pa.array([0, None], pa.timestamp("s", "Europe/Oslo")),
        "null": pa.nulls(2),
        "large": pa.array(["é", None], pa.large_string()),
        "view": pa.array(["🌻", None], pa.string_view()),
        "dictionary": pa.array(["x", None]).dictionary_encode(),
        "a.b": ["dot", "x"],
    }
    first = ["-9223372036854775808", "18446744073709551615", "0.1", "0.1", "0.5", "", "1.10", "true"]
    first += ["0001-01-01", "2024-02-29", "1970-01-01T00:00:00.000000001", "1970-01-01T00:00:00Z"]
    first += ["1970-01-01T00:00:00Z", "", "é", "🌻", "x", "dot"]
    second = ["", "", "1e+21", "", "", "-inf", "0.00", "false", "9999-12-31", ""]
    second += ["1969-12-31T23:59:59.999999999", "1970-01-01T00:00:01.5Z", "", "", "", "", "", "x"]

    for keeps_schema in (True, False):
        rows = rows_of(parquet_of(columns, store_schema=keeps_schema), list(columns))
        assert [[text.replace("-0.00", "0.00") for text in row] for row in rows] == [first, second]


def test_moments_as_spark_writes_them_do_not_begin_anew() -> None:
    moments = pa.array([datetime(9999, 12, 31, tzinfo=UTC)], pa.timestamp("us"))
    data = parquet_of({"at": moments}, use_deprecated_int96_timestamps=True)

    assert rows_of(data, ["at"]) == [["9999-12-31T00:00:00"]]


def test_a_date_that_has_no_text_rejects_its_row() -> None:
    data = parquet_of(
        {
            "Email": ["a@example.org", "b@example.org"],
            "FirstName": pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
        }
    )

    made = plan(data)

    assert [(reject.row, reject.reason.value, reject.email) for reject in made.rejects] == [
        (1, "invalid_value", "a@example.org")
    ]
    assert [contact["first_name"] for contact in made.contacts] == ["1970-01-01"]


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        ([["x"]], "list"),
        ([{"a": 1}], "struct"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), "map"),
        ([b"x"], "binary"),
        (pa.array([b"x"], pa.binary(1)), "fixed_size_binary"),
        (pa.array([1], pa.time32("s")), "time32"),
    ],
)
def test_a_mapped_type_that_is_no_text_is_refused_by_name(column: Any, type_: str) -> None:
    data = parquet_of({"Email": ["a"], "Bad": column})

    code, message = refused(data, ("Email", "Bad"))

    assert code == "unsupported_type"
    assert f"'Bad' ({type_}" in message
    assert rows_of(data, ["Email"]) == [["a"]]
    assert table_of(data).header == ("Email",)


def test_columns_that_are_missing_or_doubled_are_named() -> None:
    doubled = pa.table([pa.array(["a"])] * 3, ["Email", "Name", "Name"])

    code, message = refused(parquet_of({"Mail": ["a"]}))
    assert code == "missing_column"
    assert "lacks what the mapping reads: 'Email'. Its columns are 'Mail'." in message
    code, message = refused(parquet_of(doubled))
    assert (code, "'Name'" in message) == ("doubled_column", True)


def test_every_cut_of_a_parquet_file_is_refused() -> None:
    data = parquet_of({"Email": ["a@example.org"] * 3})

    codes = {refused(data[:size])[0] for size in range(4, len(data))}

    assert codes == {"cut_off"}


@given(st.data())
def test_a_damaged_parquet_file_is_refused_or_read(data: st.DataObject) -> None:
    """Whatever stands in it: nothing but a refusal comes out, if it can be seen at all."""
    whole = parquet_of({"Email": ["a@example.org", "b@example.org"]}, write_page_checksum=True)
    at = data.draw(st.integers(4, len(whole) - 9))
    byte = data.draw(st.integers(0, 255))
    damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]

    try:
        rows = rows_of(damaged, ["Email"])
    except StopRunError:
        return
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("length", "code"),
    [(2**32 - 1, "bad_parquet"), (parquet.MAX_FOOTER_BYTES + 1, "too_large"), (3, "bad_parquet")],
)
def test_a_directory_is_judged_by_its_length_before_it_is_parsed(length: int, code: str) -> None:
    data = b"PAR1" + bytes(parquet.MAX_FOOTER_BYTES + 100) + length.to_bytes(4, "little") + b"PAR1"

    assert refused(data)[0] == code


def test_a_huge_row_group_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet_of(
        {"Email": [f"{n}@example.org" for n in range(1000)], "Other": ["x" * n for n in range(1000)]}
    )
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 50_000)

    assert len(rows_of(data, ["Email"])) == 1000
    code, message = refused(data, ("Email", "Other"))
    assert (code, "row group 1" in message) == ("too_large", True)


def test_too_many_rows_are_refused_before_they_are_read() -> None:
    data = parquet_of({"Email": ["a"] * 1000})

    assert refused(data, max_rows=999)[0] == "too_large"
    assert len(rows_of(data, ["Email"], max_rows=1000)) == 1000


def test_texts_count_against_the_bytes_of_the_drop_however_small_they_are_stored() -> None:
    data = parquet_of({"Email": ["x" * 100_000] * 1000})
    file = SourceFile("a", lambda: [data], lambda: io.BytesIO(data))

    table = open_table(file, UNDECLARED, ["Email"], ReadingWatch(10_000_000), max_ratio=200)

    with pytest.raises(StopRunError, match="10,000,000 bytes"):
        list(table.rows)


@pytest.mark.parametrize("values", [[b"\xff"], [b"a\0b"]])
@pytest.mark.parametrize("is_dictionary", [True, False])
def test_texts_that_are_none_are_refused(values: list[bytes], is_dictionary: bool) -> None:
    array = pa.array(values, pa.binary()).view(pa.string())

    code, _ = refused(parquet_of({"Email": array}, use_dictionary=is_dictionary))

    assert code == ("nul_byte" if b"\0" in values[0] else "bad_encoding")


def test_parquet_without_rows_has_a_header_and_no_rows() -> None:
    table = table_of(parquet_of({"Email": pa.array([], pa.string())}), ["Email"])

    assert (table.header, list(table.rows)) == (("Email",), [])


# Which format


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a", "a.snappy.parquet"])
def test_the_content_tells_the_format_whatever_the_name(name: str) -> None:
    rows = [["ann@example.org"]]

    for data in (ANN, b"Email\nann@example.org\n", parquet_of({"Email": ["ann@example.org"]})):
        assert rows_of(data, ["Email"], name=name) == rows


@pytest.mark.parametrize("declared", ["csv", "jsonl", "parquet"])
def test_a_declared_format_that_the_content_contradicts_is_refused(declared: Format) -> None:
    files: dict[Format, bytes] = {
        "csv": b"Email\nann@example.org\n",
        "jsonl": ANN + b"\n",
        "parquet": parquet_of({"Email": ["ann@example.org"]}),
    }
    dialect = Dialect(format=declared)

    assert rows_of(files[declared], ["Email"], dialect=dialect) == [["ann@example.org"]]
    assert table_of(files[declared], ["Email"], dialect=dialect).reading.found == ()
    for format_, data in files.items():
        if format_ != declared:
            assert refused(data, dialect=dialect)[0] == "wrong_format"
    if declared == "parquet":
        assert refused(gzip.compress(files["csv"]), dialect=dialect)[0] == "wrong_format"


def test_parquet_within_gzip_is_refused_by_name() -> None:
    code, message = refused(gzip.compress(parquet_of({"Email": ["a"]})))

    assert (code, "Parquet within gzip" in message) == ("unsupported_format", True)


@pytest.mark.parametrize("options", [{"name": "a.parquet"}, {"dialect": Dialect(format="parquet")}])
def test_an_empty_parquet_file_is_cut_off(options: dict[str, Any]) -> None:
    assert refused(b"", **options)[0] == "cut_off"


@pytest.mark.parametrize("data", [b"PARE1234PARE", b"PAR1" + bytes(20) + b"PARE"])
def test_encrypted_parquet_is_refused_by_name(data: bytes) -> None:
    code, message = refused(data)

    assert (code, "encrypted" in message) == ("unsupported_format", True)


def test_a_header_in_braces_or_brackets_is_csv() -> None:
    assert rows_of(b"{Email},{Name}\na,b\n", ["{Email}"]) == [["a", "b"]]
    assert rows_of(b"[Email],[Name]\na,b\n", ["[Email]"]) == [["a", "b"]]


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("utf-16", "utf-16-le"), ("latin-1", "latin-1"), ("windows-1252", "cp1252"), ("utf-8", "utf-8")],
)
def test_the_format_is_told_in_the_declared_encoding(encoding: Encoding, codec: str) -> None:
    data = '\n{"Straße":"é","Email":"bücher"}\n'.encode(codec)

    table = table_of(data, ["Email", "Straße"], dialect=Dialect(encoding=encoding))

    assert (table.reading.dialect.format, [*table.rows]) == ("jsonl", [["bücher", "é"]])
    code, _ = refused(data, dialect=Dialect(encoding=encoding, format="csv"))
    assert code == "wrong_format"
