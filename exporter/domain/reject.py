"""A reject: one row that did not become a contact, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class RejectReason(StrEnum):
    """Why a row is listed in the rejects; the value is what files and reports show."""

    MISSING_EMAIL = "missing_email"
    """The e-mail column is empty."""
    INVALID_EMAIL = "invalid_email"
    """The address can't exist: ActiveCampaign would refuse its whole request."""
    WRONG_COLUMN_COUNT = "wrong_column_count"
    """The row has more or fewer columns than the header."""
    VALUE_TOO_LONG = "value_too_long"
    """A value of the row, mapped or not, is longer than any that a person has."""
    CONTACT_TOO_LARGE = "contact_too_large"
    """The contact alone is larger than a request may be."""
    NESTED_VALUE = "nested_value"
    """A mapped value is a list or an object; it has no text of its own."""
    DOUBLED_KEY = "doubled_key"
    """A JSON object has a key twice, so that nobody can tell which value is meant."""
    INVALID_VALUE = "invalid_value"
    """A mapped value can't be written to its field."""
    UNKNOWN_OPERATION = "unknown_operation"
    """Nobody knows the word that should say whether the person was added, changed or removed."""
    REFUSED_BY_ACTIVECAMPAIGN = "refused_by_activecampaign"
    """ActiveCampaign refused the request because of this contact; the detail has its words."""
    FAILED_IN_ACTIVECAMPAIGN = "failed_in_activecampaign"
    """ActiveCampaign accepted the request and listed this address among its failures."""
    UNDELIVERED = "undelivered"
    """No answer was to be had in all tries; the detail has the last reason."""


class UnfitRow(list[str]):
    """A row that its reader refuses: its cells as far as they are texts, and one more than the header has,
    by which whoever looks at the width of rows notices it."""

    def __init__(self, cells: Iterable[str], reason: RejectReason, detail: str) -> None:
        super().__init__([*cells, ""])
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Reject:
    """One row of the rejects file.

    `source` is the blob's name, `row` the 1-based data row in it (the header is not counted),
    `email` the value of the e-mail column as it stood (personal data).
    """

    source: str
    row: int
    reason: RejectReason
    detail: str
    email: str
