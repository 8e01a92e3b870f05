"""The rejects file may be opened by anybody, in anything."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.reject import Reject, RejectReason
from exporter.domain.rejects_file import HEADER, harmless, to_record


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_a_spreadsheet_would_run_is_made_harmless(start: str) -> None:
    assert harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("text", ["", "ann@example.org", "1", "a=b", "'=1", " =1"])
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_a_record_has_a_value_for_every_column() -> None:
    reject = Reject("vip/monday.csv", 7, RejectReason.INVALID_EMAIL, "no @", "=ann")

    assert dict(zip(HEADER, to_record(reject), strict=True)) == {
        "source": "vip/monday.csv",
        "row": 7,
        "reason": "invalid_email",
        "detail": "no @",
        "email": "'=ann",
    }


@given(st.text(), st.text(), st.text())
def test_no_cell_of_a_written_file_begins_like_a_formula(source: str, detail: str, email: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(to_record(Reject(source, 1, RejectReason.INVALID_VALUE, detail, email)))

    (record,) = csv.reader(io.StringIO(text.getvalue(), newline=""))

    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in record)
    assert [cell.removeprefix("'") for cell in record[3:]] == [
        detail.removeprefix("'"),
        email.removeprefix("'"),
    ]
