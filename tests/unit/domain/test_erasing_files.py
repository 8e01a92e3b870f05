"""Erasing a person from a file changes nothing about anybody else."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.address import match_key
from exporter.domain.erasing import Person
from exporter.domain.erasing_files import Found, found_in, without_person
from exporter.domain.source_file import SourceFile
from exporter.errors import StopRunError
from tests.unit.domain.plans import cut
from tests.unit.domain.test_erasing import ANN

ENCODINGS = {"utf-8": b"", "utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def file_of(data: bytes, name: str = "a.csv") -> SourceFile:
    return SourceFile(name, lambda: cut(data, [3]), lambda: io.BytesIO(data))


def erased(data: bytes, person: Person = ANN) -> tuple[bytes, int]:
    file = file_of(data)
    return b"".join(without_person(file, person)), found_in(file, person).row_count


@pytest.mark.parametrize("address", ["ann@example.org", " ANN@Example.org ", '"ann@example.org"'])
def test_the_rows_of_a_person_go_and_no_byte_else(address: str) -> None:
    others = [b"Email,Note\r\n", b'bo@example.org,"two\nlines"\r\n', b"\r\n", b'"cy@example.org",\n']
    data = b"".join([*others[:2], f"{address},x\r\n".encode(), *others[2:], f"{address},".encode()])

    assert erased(data) == (b"".join(others), 2)


def test_an_address_in_another_column_counts() -> None:
    assert erased(b"Id,Email\n1,bo@example.org,ann@example.org\n2,bo@example.org\n") == (
        b"Id,Email\n2,bo@example.org\n",
        1,
    )


def test_an_international_domain_is_found_in_both_forms() -> None:
    person = Person(match_key("ann@bücher.example"))

    assert erased("E\nann@bücher.example\nann@xn--bcher-kva.example\n".encode(), person) == (b"E\n", 2)


def test_gzip_stays_gzip() -> None:
    data, count = erased(gzip.compress(b"Email\nann@example.org\nbo@example.org\n"))

    assert (gzip.decompress(data), count) == (b"Email\nbo@example.org\n", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"PAR1",
        b"PK\x03\x04 ann@example.org",
        b"Email\nann@example.org\n\0\n",
        b"\xff\xfea\0\x00\xd8",
        b'{"Email": "ann@example.org"\n',
        b'{"Email": "ann@example.org", "a": ' + b"[" * 5000,
    ],
)
def test_what_can_not_be_read_is_told(data: bytes) -> None:
    with pytest.raises(StopRunError):
        found_in(file_of(data), ANN)


@pytest.mark.parametrize(
    "rows",
    [
        ["Id;Email;Note", "1;ann@example.org;a, b", "2;bo@example.org;c, d"],
        ["Id\tEmail", "1\tann@example.org", '2\t5" bo@example.org'],
        ["Email|Note", '"ann@example.org"|"a \\" | b"', '"bo@example.org"|"\\""'],
        ["First_Name,Email_Address", "Ann,ann@example.org", "Joe,joe_ann@example.org"],
        ["First_Email", "Ann_ann@example.org", "Bo_bo@example.org"],
        ["Email^Note", "ann@example.org^x", "bo@example.org^ann"],
        ["Email,Note", "'ann@example.org','a, b'", "'bo@example.org','it''s'"],
        ["Email", "ann@example.org", "bo@example.org"],
        ["1\x01ann@example.org", "2\x01ann@example.org", "3\x01bo@example.org"],
        ["Email;Note", "ann@example.org;'two\r\nlines'", "bo@example.org;'x'"],
        ["Email,Note", "ann@example.org,two\\\nlines", "bo@example.org,x\\, y"],
        ["Email,City", "ann@example.org,Nîmes", "bo@example.org,Nîmes"],
    ],
    ids=[
        "semicolons",
        "stray quote",
        "backslash",
        "underscores",
        "by underscore",
        "^",
        "'",
        "one",
        "SOH",
        "lines in '",
        "escaped line end",
        "é",
    ],
)
def test_any_dialect_is_found_out(rows: list[str]) -> None:
    left = [
        row
        for row in rows
        if row.count("ann@example.org") == row.count("_ann@example.org") and "Ann_" not in row
    ]

    for encoding in ("utf-8", "latin-1", "utf-16-le"):
        data, count = erased("".join(f"{row}\r\n" for row in rows).encode(encoding))

        assert data.decode(encoding) == "".join(f"{row}\r\n" for row in left)
        assert count == len(rows) - len(left)


def test_an_address_within_a_longer_text_stays_and_is_told() -> None:
    notes = b'bo@example.org,"ask\nann@example.org."\nann@example.org,\ncy@example.org,<ANN@example.org>\n'
    data = b"Email,Note\n" + notes

    assert found_in(file_of(data), ANN) == Found(row_count=1, named_in=[2, 5])


def test_a_file_that_does_not_name_the_person_need_not_be_read_right() -> None:
    assert found_in(file_of(b'Email\n"bo@example.org\n'), ANN) == Found()


def test_a_file_that_no_reading_fits_names_the_lines() -> None:
    assert found_in(file_of(b'[\n{"Email": "ann@example.org"}]\n'), ANN) == Found(named_in=[2])


cells = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8
) | st.sampled_from(["bo@example.org", "joann@example.org", "ann@example.organic"])
annes = st.sampled_from(["ann@example.org", "Ann@Example.ORG", " ann@example.org"])


@given(
    st.lists(st.lists(cells, min_size=2, max_size=4), max_size=8),
    st.lists(st.tuples(st.integers(0, 8), st.lists(cells, max_size=2), annes), max_size=3),
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_the_other_rows_of_any_file_are_unchanged(
    rows: list[list[str]],
    hers: list[tuple[int, list[str], str]],
    encoding: str,
    line_end: str,
    quotes_all: bool,
    zips: bool,
) -> None:
    quoting: object = csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL

    def line(row: list[str]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, quoting=quoting, lineterminator=line_end).writerow(row)  # type: ignore[arg-type] # one of its constants
        return text.getvalue().encode(encoding.removesuffix("-sig"))

    lines = [line(row) for row in [["Email", "Note"], *rows]]
    without = b"".join([ENCODINGS[encoding], *lines])
    for at, others, address in hers:
        lines.insert(1 + at, line([*others, address]))
    data = b"".join([ENCODINGS[encoding], *lines])

    left, count = erased(gzip.compress(data) if zips else data)

    assert (gzip.decompress(left) if zips else left) == without
    assert count == len(hers)


def test_an_address_with_a_quote_is_found_as_it_stands_in_a_file() -> None:
    data = b'Email\r\n"o""brien@example.org"\r\nann@example.org\r\n'

    assert erased(data, Person('o"brien@example.org')) == (b"Email\r\nann@example.org\r\n", 1)


@pytest.mark.parametrize(
    "written", ["o'brien@example.org", "'o''brien@example.org'", "'o\\'brien@example.org'"]
)
def test_an_address_with_a_single_quote_is_found_in_any_quotes(written: str) -> None:
    person = Person("o'brien@example.org")
    notes = f"'Email';'Note'\n'bo@example.org';'ask {written.strip(chr(39))}'\n".encode()

    assert erased(notes + f"{written};'x'\n".encode(), person) == (notes, 1)
    assert found_in(file_of(notes), person) == Found(named_in=[2])


def test_an_international_domain_is_found_in_latin1() -> None:
    person = Person(match_key("ann@bücher.example"))
    notes = "Email,Note\nbo@example.org,ask ann@bücher.example\n".encode("latin-1")

    assert erased(notes + "ann@bücher.example,é\n".encode("latin-1"), person) == (notes, 1)
    assert found_in(file_of(notes), person) == Found(named_in=[2])


def test_a_mark_before_the_address_hides_nobody() -> None:
    notes = "Email,Note\nbo@example.org,ask \ufeffann@example.org\n".encode()

    assert erased(notes + "\ufeffann@example.org,\n".encode()) == (notes, 1)
    assert found_in(file_of(notes), ANN) == Found(named_in=[2])


@pytest.mark.parametrize(
    "line",
    [
        {"Email": "Ann@example.org"},
        {"id": 1, "more": [{"mail": " ann@example.org"}]},
    ],
)
@pytest.mark.parametrize("zips", [False, True])
def test_the_objects_of_a_person_go_and_no_byte_else(line: dict[str, Any], zips: bool) -> None:
    others = (
        b'{"Email" : "bo@example.org", "n": 1.10}\r\n',
        b"\n",
        b'{"Email":"ann@example.organic","p":"a\\/b"}',
    )
    data = b"".join([others[0], json.dumps(line).encode(), b"\n", *others[1:]])

    left, count = erased(gzip.compress(data) if zips else data)

    assert (gzip.decompress(left) if zips else left) == b"".join(others)
    assert count == 1


@pytest.mark.parametrize(
    "line",
    [
        rb'{"Email":"\u0061nn\u0040example.org"}',
        b'{"Email":"ann@example.org","Email":"bo@example.org"}',
    ],
)
def test_nothing_in_json_hides_a_person(line: bytes) -> None:
    assert erased(line + b'\n{"Email":"bo@example.org"}\n') == (b'{"Email":"bo@example.org"}\n', 1)


def test_json_that_names_the_person_within_a_text_is_told() -> None:
    data = b'{"Email":"bo@example.org"}\n{"Email":"cy@example.org","Note":"ask ann@example.org"}\n'

    assert found_in(file_of(data), ANN) == Found(named_in=[2])


def a_table() -> pa.Table:
    count = 10
    emails = ["bo@example.org", "Ann@Example.org", None, "cy@example.org", "ann@example.org"]
    return pa.table(
        {
            "Email": emails * 2,
            "Tier": pa.array(["plus", None] * 5).dictionary_encode(),
            "Orders": pa.array([{"lines": [1, n]} for n in range(count)]),
            "Paid": pa.array([Decimal("1.10")] * count, pa.decimal128(9, 2)),
            "Seen": pa.array([datetime(2024, 2, 29, tzinfo=UTC)] * count, pa.timestamp("ns", "UTC")),
            "Raw": [b"\xff"] * count,
            "Share": pa.array([0.1] * count, pa.float32()),
        }
    ).replace_schema_metadata({"made by": "us"})


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("keeps_schema", [True, False])
def test_the_parquet_rows_of_a_person_go_and_no_value_else(codec: str, keeps_schema: bool) -> None:
    written = io.BytesIO()
    pq.write_table(a_table(), written, row_group_size=4, compression=codec, store_schema=keeps_schema)
    before = pq.ParquetFile(written)

    data, count = erased(written.getvalue())

    after = pq.ParquetFile(io.BytesIO(data))
    whole = before.read()
    keep = pa.array([n % 5 not in (1, 4) for n in range(whole.num_rows)])
    assert count == 4
    assert after.read().equals(whole.filter(keep), check_metadata=True)
    assert after.schema.equals(before.schema)
    assert [after.metadata.row_group(n).num_rows for n in range(after.num_row_groups)] == [3, 2, 1]
    assert {after.metadata.row_group(0).column(n).compression for n in range(after.metadata.num_columns)} == {
        before.metadata.row_group(0).column(n).compression for n in range(before.metadata.num_columns)
    }


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["x"], ["ann@example.org"]]),
        pa.array([{"a": "x"}, {"a": "ann@example.org"}]),
        [b"", b"ann@example.org"],
    ],
    ids=["list", "struct", "binary"],
)
def test_a_person_within_a_nested_column_counts(column: object) -> None:
    written = io.BytesIO()
    pq.write_table(pa.table({"more": column}), written)

    data, count = erased(written.getvalue())

    assert count == 1
    assert pq.read_table(io.BytesIO(data)).num_rows == 1


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x", "y", None], pa.string_view()),
        pa.array([b"x", None, b"y"], pa.binary_view()),
        pa.array([{"at": 1, "by": "x"}] * 3, pa.struct({"at": pa.timestamp("ns"), "by": pa.string()})),
        pa.array(
            [[{"on": 2**31 - 1, "by": "x"}]] * 3, pa.list_(pa.struct({"on": pa.date32(), "by": pa.string()}))
        ),
        pa.array([[1], None, [2]], pa.list_(pa.timestamp("us", "Mars/Base"))),
    ],
    ids=["text view", "binary view", "nanoseconds", "far date", "zone"],
)
def test_no_type_of_another_column_is_in_the_way(column: pa.Array) -> None:
    written = io.BytesIO()
    table = pa.table({"Email": ["bo@example.org", "ann@example.org", "cy@example.org"], "more": column})
    pq.write_table(table, written)

    data, count = erased(written.getvalue())

    assert count == 1
    left = pq.read_table(io.BytesIO(data))
    before = pq.read_table(written)
    assert left.equals(pa.concat_tables([before.slice(0, 1), before.slice(2)]), check_metadata=True)


def test_a_text_of_parquet_that_is_none_is_told() -> None:
    written = io.BytesIO()
    texts = pa.array([b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"Email": ["ann@example.org"], "Note": texts}), written)

    with pytest.raises(StopRunError) as caught:
        erased(written.getvalue())

    assert caught.value.code == "bad_encoding"


def test_parquet_that_can_not_be_written_alike_is_told() -> None:
    written = io.BytesIO()
    moments = pa.array([datetime(2024, 2, 29)], pa.timestamp("ns"))  # noqa: DTZ001 - as Spark writes them
    table = pa.table({"Email": ["ann@example.org"], "Seen": moments})
    pq.write_table(table, written, use_deprecated_int96_timestamps=True)

    with pytest.raises(StopRunError) as caught:
        erased(written.getvalue())

    assert caught.value.code == "unsupported_type"


def test_a_person_within_a_longer_text_of_parquet_is_told() -> None:
    written = io.BytesIO()
    pq.write_table(pa.table({"Note": ["", "ask ann@example.org"]}), written)

    assert found_in(file_of(written.getvalue()), ANN) == Found(named_in=[2])
