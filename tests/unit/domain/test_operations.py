"""Operation columns: known by name, read in any case, and never guessed between two."""

import pytest

from exporter.domain.operations import Operation, find_operation_column, reader_for, why_unknown
from exporter.errors import StopRunError


def found(header: list[str], row: list[str] | None = None, declared: str | None = None) -> str | None:
    column = find_operation_column("a.csv", header, row or [""] * len(header), declared)
    return column.name if column else None


@pytest.mark.parametrize(
    "name",
    ["_op", "Op", "OPERATION", "_change_type", "segmentMembership.status", "__deleted", "_ab_cdc_deleted_at"],
)
def test_a_column_is_known_by_its_name_in_any_case(name: str) -> None:
    assert found(["Email", name]) == name


def test_other_columns_are_none() -> None:
    assert found(["Email", "Opt", "DeletedItems", "Change"]) is None


@pytest.mark.parametrize("word", ["added", "Exited", "DELETE", "realized"])
def test_a_status_counts_by_its_first_word(word: str) -> None:
    assert found(["Email", "Status"], ["a@b.co", word]) == "Status"


@pytest.mark.parametrize("word", ["active", "existing", "expired", "c", "", "gold"])
def test_a_status_that_customers_have_does_not_count(word: str) -> None:
    assert found(["Email", "Status"], ["a@b.co", word]) is None


def test_two_columns_are_ambiguous_until_one_is_named() -> None:
    header = ["Email", "_op", "__deleted"]

    with pytest.raises(StopRunError, match=r"a\.csv .*'_op', '__deleted'\. .* Name the right one") as caught:
        found(header)
    assert caught.value.code == "ambiguous_operation"
    assert found(header, declared="__deleted") == "__deleted"
    assert found(["Email", "_op", "status"], ["a@b.co", "u", "gold"]) == "_op"


@pytest.mark.parametrize(
    ("column", "word", "operation"),
    [
        ("_change_type", "insert", Operation.UPSERT),
        ("_change_type", "update_postimage", Operation.UPSERT),
        ("_change_type", "update_preimage", Operation.NOTHING),
        ("_change_type", " Delete ", Operation.LEAVE),
        ("Op", "I", Operation.UPSERT),
        ("Op", "D", Operation.LEAVE),
        ("__op", "r", Operation.UPSERT),
        ("segmentMembership.status", "Active", Operation.UPSERT),
        ("segmentMembership.status", "Expired", Operation.LEAVE),
        ("_op", "", Operation.UPSERT),
        ("_op", "true", None),
        ("_op", "truncate", None),
        ("__deleted", "true", Operation.LEAVE),
        ("_FIVETRAN_DELETED", "TRUE", Operation.LEAVE),
        ("__deleted", "0", Operation.UPSERT),
        ("__deleted", "", Operation.UPSERT),
        ("__deleted", "delete", None),
        ("_ab_cdc_deleted_at", "2026-03-01T12:00:00Z", Operation.LEAVE),
        ("_ab_cdc_deleted_at", " ", Operation.UPSERT),
        ("was_removed", "yes", Operation.LEAVE),
    ],
)
def test_words_are_read_as_their_column_means_them(
    column: str, word: str, operation: Operation | None
) -> None:
    assert reader_for(column)(word) is operation


@pytest.mark.parametrize("word", ["ann@example.org", "x" * 31, "a\x1bb", "a\nb"])
def test_a_word_that_may_be_somebodys_data_is_not_told(word: str) -> None:
    assert why_unknown("_op", word) == f"column '_op' has a text of {len(word)} characters"


def test_a_short_word_is_told() -> None:
    assert why_unknown("_op", " truncate ") == "column '_op' has 'truncate'"
