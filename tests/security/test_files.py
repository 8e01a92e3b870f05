"""Files that are made to hurt: bombs, archives, values without end, drops beyond the limits."""

import gzip

import pytest

from exporter.domain.contact import ContactMapping
from exporter.domain.planning import PlanLimits, judge_size
from exporter.errors import StopRunError
from tests.security.peaks import peak_of_program
from tests.unit.domain.plans import plan

HEADER = b"Email,FirstName\r\n"
PEAK = """
import resource, sys, zlib
from tests.unit.domain.plans import MAPPING
from io import BytesIO
from exporter.domain.planning import PlanLimits, plan_drop
from exporter.domain.source_file import SourceFile
from exporter.errors import StopRunError

def rows():
    yield b"Email,FirstName,Note\\r\\n"
    for number in range(int(sys.argv[2])):
        yield b"p%d@example.com,P,%s\\r\\n" % (number % 100, b"x" * 1000)

def zipped(blocks):
    zipper = zlib.compressobj(9, zlib.DEFLATED, 31)
    for block in blocks:
        yield zipper.compress(block)
    yield zipper.flush()

blocks = zipped(rows()) if sys.argv[1] == "zipped" else rows()
outcome = "read"
try:
    plan_drop([SourceFile("a.csv", lambda: blocks, BytesIO)], MAPPING,
              limits=PlanLimits(max_ratio=int(sys.argv[3])),
              on_chunk=lambda _: None, on_reject=lambda _: None)
except StopRunError as error:
    outcome = error.code
print(outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
"""The peak memory in bytes of a process that plans a made-up file, and how that ended."""


def peak_of(form: str, row_count: int, *, max_ratio: int = 200) -> tuple[str, int]:
    return peak_of_program(PEAK, form, str(row_count), str(max_ratio))


PIECES = 16 * 1024 * 1024
"""Some pieces of a file and what becomes of them; a hundredth of the bombs here."""


def test_a_bomb_takes_no_more_memory_than_a_plain_file() -> None:
    """Megabytes of gzip that hold 1 GB are given up after 10 MB, in the memory that a small file takes."""
    outcome, plain = peak_of("plain", 1000)
    assert outcome == "read"

    outcome, bomb = peak_of("zipped", 1_000_000)

    assert outcome == "too_large"
    assert bomb < plain + PIECES


def test_a_file_that_grows_within_the_limit_is_read_in_flat_memory() -> None:
    """100 MB come out of a gzip that is allowed to, and never lie in memory together."""
    _, plain = peak_of("plain", 1000)

    outcome, grown = peak_of("zipped", 100_000, max_ratio=100_000)

    assert outcome == "read"
    assert grown < plain + PIECES


def test_a_bomb_within_a_bomb_is_not_unpacked() -> None:
    inner = gzip.compress(HEADER + b"a@example.com,A\r\n" * 1000)

    with pytest.raises(StopRunError) as caught:
        plan(gzip.compress(inner))

    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize(
    ("magic", "name"),
    [
        (b"PK\x03\x04", "a zip archive or an Excel workbook"),
        (b"PK\x05\x06", "an empty zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"\xfd7zXZ\x00", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"BZh91AY&SY", "compressed with bzip2"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"%PDF-1.7", "a PDF document"),
    ],
)
def test_what_is_no_csv_is_refused_by_name_whatever_its_extension(magic: bytes, name: str) -> None:
    with pytest.raises(StopRunError, match=name) as caught:
        plan(magic + HEADER * 10)

    assert caught.value.code == "unsupported_format"


def test_the_limits_of_a_drop_are_those_of_the_documents() -> None:
    limits = PlanLimits()

    assert (limits.max_rows, limits.max_bytes, limits.max_ratio) == (20_000_000, 4 * 1024**3, 200)
    judge_size(limits.max_bytes)
    with pytest.raises(StopRunError):
        judge_size(limits.max_bytes + 1)


def test_a_value_of_a_million_characters_rejects_its_row_and_a_longer_one_the_file() -> None:
    def file_with(size: int) -> bytes:
        return HEADER + b"a@example.com,A\r\nb@example.com," + b"x" * size + b"\r\nc@example.com,C\r\n"

    made = plan(file_with(1_000_000))

    assert [contact["first_name"] for contact in made.contacts] == ["A", "C"]
    assert [(reject.row, reject.reason.value) for reject in made.rejects] == [(2, "value_too_long")]
    with pytest.raises(StopRunError, match=r"over 1,000,000 characters at line 3 \(data row 2\)") as caught:
        plan(file_with(1_000_001))
    assert caught.value.code == "bad_quoting"


def test_a_contact_over_the_largest_body_is_rejected_and_costs_nobody_else() -> None:
    """Each value alone is fine; together they are more than a request may hold."""
    values = ",".join("é" * 100_000 for _ in range(2))
    text = f"Email,FirstName,LastName\r\na@example.com,A,B\r\nb@example.com,{values}\r\n"
    limits = PlanLimits(body_bytes=380_000)

    mapping = ContactMapping(email="Email", list_id="5", first_name="FirstName", last_name="LastName")
    made = plan(text.encode(), mapping=mapping, limits=limits)

    assert made.summary.contacts == 1
    assert [(reject.row, reject.reason.value) for reject in made.rejects] == [(2, "contact_too_large")]


def test_a_reject_never_holds_more_than_a_thousand_characters_of_a_row() -> None:
    made = plan(HEADER + b"a@example.com,A\r\n" + b"x" * 100_000 + b",B\r\n")

    (reject,) = made.rejects
    assert len(reject.email) == 1001
