"""Which custom field a mapping means."""

import pytest

from exporter.domain.contact import FieldTarget
from exporter.domain.fields import AccountField, account_field, resolve_fields

FIELDS = [
    AccountField(id=1, title="City", tag="CITY", type="text"),
    AccountField(id=2, title="Interests", tag="INTERESTS", type="listbox"),
    AccountField(id=3, title="Twin", tag="TWIN_1", type="text"),
    AccountField(id=4, title="twin", tag="TWIN_2", type="date"),
    AccountField(id=5, title="1", tag="ODD", type="text"),
    AccountField(id=6, title="ODD", tag="OTHER", type="text"),
]


def target_of(reference: str) -> tuple[tuple[tuple[str, FieldTarget], ...], list[str]]:
    """What a column mapped to that reference fills."""
    return resolve_fields({"Column": reference}, FIELDS)


@pytest.mark.parametrize(
    ("reference", "field"),
    [
        ("1", FieldTarget(1, "text")),
        ("CITY", FieldTarget(1, "text")),
        ("%city%", FieldTarget(1, "text")),
        ("interests", FieldTarget(2, "listbox")),
        ("TWIN_2", FieldTarget(4, "date")),
        ("4", FieldTarget(4, "date")),
    ],
)
def test_a_field_is_found_by_id_tag_or_title(reference: str, field: FieldTarget) -> None:
    assert target_of(reference) == ((("Column", field),), [])


def test_an_id_wins_over_a_title_and_a_tag_wins_over_a_title() -> None:
    assert target_of("1")[0] == (("Column", FieldTarget(1, "text")),)
    assert target_of("odd")[0] == (("Column", FieldTarget(5, "text")),)


def test_a_field_that_is_not_there_is_a_problem() -> None:
    assert target_of("Town") == ((), ["'Town' (column 'Column') is no custom field of the account"])


def test_a_title_that_several_fields_have_is_a_problem_that_lists_them() -> None:
    assert target_of("Twin") == (
        (),
        ["'Twin' (column 'Column') is the title of several fields; use an id: 3, 4"],
    )


def test_a_field_that_two_columns_fill_under_different_names_is_a_problem() -> None:
    _, problems = resolve_fields({"A": "CITY", "B": "1"}, FIELDS)

    assert problems == ["field 1 is filled by several columns: A, B"]


def test_all_problems_are_told_at_once() -> None:
    assert len(resolve_fields({"A": "Town", "B": "Twin", "C": "CITY"}, FIELDS)[1]) == 2


def test_no_mapping_needs_no_fields() -> None:
    assert resolve_fields({}, []) == ((), [])


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (
            {"id": "7", "title": "City", "perstag": "CITY", "type": "dropdown", "isrequired": "0"},
            AccountField(7, "City", "CITY", "dropdown"),
        ),
        ({"id": 7, "title": None, "perstag": None, "type": None}, AccountField(7, "", "", "text")),
    ],
)
def test_a_listed_field_is_read_with_its_gaps(entry: dict[str, object], field: AccountField) -> None:
    assert account_field(entry) == field


def test_an_empty_reference_means_no_field_without_a_tag_or_title() -> None:
    nameless = AccountField(id=8, title="", tag="", type="text")

    assert resolve_fields({"A": "%%"}, [nameless])[1] == [
        "'%%' (column 'A') is no custom field of the account"
    ]
