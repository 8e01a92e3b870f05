"""Parquet files that are made to hurt are given up in bounded memory."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.domain.parquet import MAX_FOOTER_BYTES, PARQUET_MAGIC
from tests.security.peaks import peak_of_program

PLAN = """
import sys
from pathlib import Path
from exporter.domain.planning import PlanLimits, plan_drop
from exporter.domain.source_file import SourceFile
from exporter.errors import StopRunError
from tests.unit.domain.plans import MAPPING

path = Path(sys.argv[1])
outcome = "read"
try:
    plan_drop([SourceFile(path.name, lambda: [path.read_bytes()], lambda: path.open("rb"))], MAPPING,
              limits=PlanLimits(max_bytes=100_000_000), on_chunk=lambda _: None, on_reject=lambda _: None)
except StopRunError as error:
    outcome = error.code
status = Path("/proc/self/status").read_text()
print(outcome, status.partition("VmHWM:")[2].split()[0])
"""
"""The peak memory in KiB of a process that plans a file, and how that ended.

What getrusage tells would begin with the memory of the process that started it.
"""
MEGABYTE_KIB = 1024
COLUMNS = 50_000


def directory(file: Path) -> None:
    """The largest directory that may be, of columns that take three bytes each (Thrift's compact form)."""

    def entries(count: int) -> bytes:
        return bytes([0xFC, count & 127 | 128, count >> 7 & 127 | 128, count >> 14])

    schema = b"\x2c\x48\x01s\x15\x02\x00\x15\x0c\x25\x02\x18\x01a\x25\x00\x00"
    group = b"\x19" + entries(COLUMNS) + b"\x26\x00\x00" * COLUMNS + b"\x16\x00\x16\x00\x00"
    count = MAX_FOOTER_BYTES // len(group)
    footer = b"\x15\x02\x19" + schema + b"\x16\x00\x19" + entries(count) + group * count + b"\x00"
    assert 0.9 * MAX_FOOTER_BYTES < len(footer) <= MAX_FOOTER_BYTES
    file.write_bytes(PARQUET_MAGIC + footer + len(footer).to_bytes(4, "little") + PARQUET_MAGIC)


def dictionary(file: Path) -> None:
    """20 GB of names in some kilobytes: one text that all rows share."""
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(
        pa.table({"Email": [f"p{n}@example.com" for n in range(200_000)], "FirstName": names}), file
    )


def prefixes(file: Path) -> None:
    """Names that are like the one before but for their last characters, which alone are stored."""
    count = 2000
    table = pa.table(
        {
            "Email": [f"p{n}@example.com" for n in range(count)],
            "FirstName": [f"{'x' * 100_000}{n}" for n in range(count)],
        }
    )
    encodings = {"Email": "PLAIN", "FirstName": "DELTA_BYTE_ARRAY"}
    pq.write_table(table, file, use_dictionary=False, column_encoding=encodings)


def lines(file: Path) -> None:
    """A gigabyte of JSON Lines in a megabyte of gzip."""
    with gzip.open(file, "wb") as zipped:
        for number in range(1000):
            zipped.write(b'{"Email":"p%d@example.com","FirstName":"%s"}\n' % (number, b"x" * 1_000_000))


def plain(file: Path) -> None:
    """What everybody drops."""
    pq.write_table(pa.table({"Email": ["ann@example.com"], "FirstName": ["Ann"]}), file)


def planned(make: Callable[[Path], None], folder: Path) -> tuple[str, int]:
    """How the plan of a made-up file ends, and the peak in KiB of the process."""
    file = folder / make.__name__
    make(file)
    return peak_of_program(PLAN, str(file))


@pytest.mark.parametrize(
    ("make", "outcome", "megabytes"),
    [
        (directory, "missing_column", 1000),
        (dictionary, "too_large", 100),
        (prefixes, "too_large", 250),
        (lines, "too_large", 50),
    ],
)
def test_a_file_that_is_made_to_hurt_takes_bounded_memory(
    tmp_path: Path, make: Callable[[Path], None], outcome: str, megabytes: int
) -> None:
    """`megabytes` are what it may take beside those of a file of one row."""
    read, usual = planned(plain, tmp_path)

    ended, peak = planned(make, tmp_path)

    assert (read, ended) == ("read", outcome)
    assert peak < usual + megabytes * MEGABYTE_KIB
