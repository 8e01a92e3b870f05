"""The rejects file: CSV with a header, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Final

from exporter.domain.reject import Reject, RejectReason

HEADER: Final = ("source", "row", "reason", "detail", "email")

# owasp.org/www-community/attacks/CSV_Injection: a cell that begins like this is run as a formula.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it instead of running it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def from_file(text: str) -> Iterator[Reject]:
    """The rows of a rejects file; what was made harmless stays so, and comes out the same again."""
    for source, row, reason, detail, email in islice(csv.reader(io.StringIO(text, newline="")), 1, None):
        yield Reject(source, int(row), RejectReason(reason), detail, email)


def to_record(reject: Reject) -> tuple[str, int, str, str, str]:
    """One line of the file, in the order of `HEADER`."""
    return (
        harmless(reject.source),
        reject.row,
        reject.reason.value,
        harmless(reject.detail),
        harmless(reject.email),
    )
