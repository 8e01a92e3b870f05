"""How files were read is told: every way, what was found out, and nothing that a file could do harm with."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.dialect import DELIMITERS_BY_WORD, UNDECLARED, Dialect, Reading
from exporter.domain.planning import plan_drop
from exporter.domain.read_as import MAX_TOLD, formats_of, read_as
from tests.unit.domain.plans import MAPPING, a_file, plan

MAPPED_IN_HEADER = "the mapped columns are in the header so read"
MARKED = "encoding utf-16 found: the file begins with its byte order mark"


def told(*sources: bytes, dialect: Dialect = UNDECLARED) -> tuple[Sequence[str], str]:
    readings = plan(*sources, dialect=dialect).summary.readings
    return read_as(readings), formats_of(readings)


def parquet() -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"Email": ["cy@example.org"], "FirstName": ["C"]}), written)
    return written.getvalue()


def test_every_way_is_told_with_what_shows_it_and_how_many_files_are_alike() -> None:
    plain = b"Email,FirstName\r\nann@example.org,A\r\n"
    semicolons = b"Email;FirstName\r\nbo@example.org;B\r\n"
    json_lines = '{"Email":"dan@example.org","FirstName":"D"}\n'.encode("utf-16")

    sentences, formats = told(plain, semicolons, parquet(), plain, json_lines, plain)

    header = "quotes doubled, with a header"
    assert sentences == (
        f"0.csv and 2 more: CSV in UTF-8, delimited by commas, {header}",
        f"1.csv: CSV in UTF-8, delimited by semicolons, {header}; delimiter ; found: {MAPPED_IN_HEADER}",
        "2.csv: Parquet; format parquet found: the file begins with its mark, PAR1",
        f"4.csv: JSON Lines in UTF-16; {MARKED}; format jsonl found: the first character is {{",
    )
    assert formats == "csv/utf-8/comma, csv/utf-8/semicolon, jsonl/utf-16, parquet"


def test_what_is_declared_is_told_as_well() -> None:
    dialect = Dialect(
        encoding="windows-1252",
        delimiter="^",
        quote="'",
        escape="backslash",
        null="\\N",
        header=False,
        columns=("Email", "FirstName"),
    )

    (sentence,), formats = told(b"ann@example.org^A\r\n", dialect=dialect)

    assert sentence == (
        "0.csv: CSV in Windows-1252, delimited by '^', values in single quotes, quotes behind backslashes,"
        r" 2 declared columns and no header, '\N' for no value"
    )
    assert formats == "csv/windows-1252/other"


@pytest.mark.parametrize(("escape", "way"), [("double", ""), ("backslash", ", quotes behind backslashes")])
def test_without_quotes_only_backslashes_are_told(escape: str, way: str) -> None:
    dialect = Dialect.model_validate({"quote": "none", "escape": escape})

    (sentence,), _ = told(b"Email,FirstName\nann@example.org,A\n", dialect=dialect)

    assert sentence == f"0.csv: CSV in UTF-8, delimited by commas, no quotes{way}, with a header"


def test_a_name_does_no_harm_and_is_in_no_closed_word() -> None:
    name = "vip/\x1b[2J\u202ea.csv" + "x" * 1000
    summary = plan_drop(
        [a_file(name, [b"Email,FirstName\nann@example.org,A\n"])],
        MAPPING,
        on_chunk=lambda _: None,
        on_reject=lambda _: None,
    )

    (sentence,) = read_as(summary.readings)
    assert sentence.isprintable()
    assert len(sentence) < 400
    assert formats_of(summary.readings) == "csv/utf-8/comma"


WAYS = st.builds(
    Dialect,
    format=st.sampled_from(["csv", "jsonl", "parquet"]),
    encoding=st.sampled_from([None, "utf-8", "utf-16", "latin-1", "windows-1252"]),
    delimiter=st.sampled_from([None, *DELIMITERS_BY_WORD.values(), "^", "¦"]),
)


@given(st.lists(WAYS, max_size=60, unique=True))
def test_so_many_ways_are_told_and_how_many_follow(dialects: list[Dialect]) -> None:
    readings = [Reading(f"{number}.csv", dialect) for number, dialect in enumerate(dialects)]

    sentences = read_as(readings)

    assert len(sentences) == min(len(readings), MAX_TOLD + 1)
    if len(readings) > MAX_TOLD:
        assert sentences[-1] == f"and {len(readings) - MAX_TOLD} more ways"
    assert len(formats_of(readings)) < 1000
