"""Drops of changes: the last row about a person counts, as a fold by hand says."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.contact import ContactMapping
from exporter.domain.delta import in_reading_order
from exporter.domain.planning import PlanLimits
from exporter.domain.reject import RejectReason
from exporter.domain.suppression import Suppressed, suppression_digest
from exporter.errors import StopRunError
from tests.unit.domain.plans import MAPPING, Plan, a_file, plan

KEY = b"1" * 32
NO_NAME = ContactMapping(email="Email", list_id="5")

Row = tuple[str, str, str]
"""(address, first name, word)"""

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ann@example.org", "Ann@Example.org", "bo@example.org", "cy@example.org", "", "no"]),
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from(["insert", "Update", "", "delete", "D", "update_preimage", "who knows"]),
    ),
    max_size=12,
)


def a_drop(rows: Sequence[Row], column: str = "_op") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("Email", "FirstName", column), *rows])
    return text.getvalue().encode()


def changes(*files: Sequence[Row], **options: Any) -> Plan:
    return plan(*(a_drop(rows) for rows in files), content="delta", **options)


def add_up(made: Plan) -> bool:
    found = made.summary
    parts = found.rejected + found.duplicates + found.suppressed + found.unchanged + found.contacts
    return found.rows == parts


def by_hand(files: Sequence[Sequence[Row]]) -> dict[str, tuple[str, str] | None]:
    """Who is sent with which address and name in the end; None for those who leave."""
    people: dict[str, tuple[str, str] | None] = {}
    for address, name, word in (row for rows in files for row in rows):
        if "@" in address and word.lower() in {"insert", "update", ""}:
            people[address.lower()] = (address, name)
        elif "@" in address and word.lower() in {"delete", "d"}:
            people[address.lower()] = None
    return people


@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(1, 3))
def test_a_plan_is_the_fold_of_its_operations(files: list[list[Row]], body_contacts: int) -> None:
    files = [[("zoe@example.org", "Z", "")], *files]
    expected = by_hand(files)

    made = changes(*files, limits=PlanLimits(body_contacts=body_contacts))

    sent = {contact["email"]: contact["first_name"] for contact in made.contacts}
    assert sent == dict(person for person in expected.values() if person)
    assert add_up(made)
    rows = [row for file in files for row in file]
    assert made.summary.rejected == len(made.rejects)
    assert made.summary.rejected == sum("@" not in row[0] or row[2] == "who knows" for row in rows)
    assert made.summary.unchanged == len([p for p in expected.values() if p is None]) + sum(
        "@" in row[0] and row[2] == "update_preimage" for row in rows
    )
    for (source, number), contact in zip(made.places, made.contacts, strict=True):
        assert files[source][number - 1][0] == contact["email"]


@given(ROWS, st.integers(1, 4))
def test_the_first_contacts_are_the_first_of_the_whole_plan(rows: list[Row], first: int) -> None:
    rows = [*rows, ("zoe@example.org", "Z", "")]

    made = changes(rows, first=first)

    assert made.contacts == changes(rows).contacts[:first]
    assert add_up(made)


def test_a_suppressed_person_is_left_out_whatever_the_rows_ask_for() -> None:
    suppressed = Suppressed(KEY, frozenset([suppression_digest(KEY, "ann@example.org")]))
    rows = [("ann@example.org", "A", word) for word in ("insert", "delete", "who knows", "update_preimage")]

    made = changes([*rows, ("bo@example.org", "B", "")], suppressed=suppressed)

    assert (made.summary.rows, made.summary.suppressed, made.summary.contacts) == (5, 4, 1)
    assert made.rejects == ()


def test_a_drop_of_leavers_alone_has_nothing_to_send() -> None:
    made = changes([("ann@example.org", "A", "delete"), ("bo@example.org", "B", "exited")])

    assert (made.chunks, made.rejects) == ((), ())
    assert (made.summary.rows, made.summary.unchanged) == (2, 2)


def test_an_image_of_before_hides_no_other_row() -> None:
    made = changes(
        [("ann@example.org", "New", "update_postimage"), ("ann@example.org", "Old", "update_preimage")]
    )

    assert [contact["first_name"] for contact in made.contacts] == ["New"]
    assert (made.summary.duplicates, made.summary.unchanged) == (0, 1)


def test_an_unknown_word_is_rejected_with_its_row_and_hides_no_other() -> None:
    made = changes([("ann@example.org", "A", "u"), ("ann@example.org", "B", "truncate")])

    (reject,) = made.rejects
    assert (reject.row, reject.reason) == (2, RejectReason.UNKNOWN_OPERATION)
    assert reject.detail == "column '_op' has 'truncate'"
    assert [contact["first_name"] for contact in made.contacts] == ["A"]


def test_a_last_row_that_cannot_be_sent_is_listed_and_none_before_it_is_sent() -> None:
    rows = [("ann@example.org", "A", "u"), ("ann@example.org", "A" * 2000, "u"), ("bo@example.org", "B", "u")]

    made = changes(rows, limits=PlanLimits(body_bytes=1000))

    assert [contact["email"] for contact in made.contacts] == ["bo@example.org"]
    assert [reject.reason for reject in made.rejects] == [RejectReason.CONTACT_TOO_LARGE]
    assert add_up(made)


def test_a_snapshot_takes_the_first_row_and_looks_at_no_operation() -> None:
    made = plan(a_drop([("ann@example.org", "A", "delete"), ("ann@example.org", "B", "insert")]))

    assert [contact["first_name"] for contact in made.contacts] == ["A"]
    assert (made.summary.duplicates, made.summary.unchanged) == (1, 0)


def test_how_rows_are_understood_is_told() -> None:
    named = changes([("ann@example.org", "A", "u")])
    unnamed = plan(a_drop([("ann@example.org", "A", "u")], column="City"), content="delta")

    assert named.summary.readings[0].found[-1] == "operation column '_op' found: its name is a known one"
    assert unnamed.summary.readings[0].found[-1] == (
        "no operation column found: all rows are taken as added or changed"
    )
    assert len(unnamed.contacts) == 1


def test_a_named_column_must_be_there() -> None:
    mapping = replace(MAPPING, operation="What")

    made = plan(a_drop([("ann@example.org", "A", "d")], column="What"), mapping=mapping, content="delta")
    assert made.summary.unchanged == 1
    with pytest.raises(StopRunError, match="'What'") as caught:
        plan(a_drop([("ann@example.org", "A", "d")]), mapping=mapping, content="delta")
    assert caught.value.code == "missing_column"


def test_each_file_has_a_column_of_its_own() -> None:
    made = plan(
        a_drop([("ann@example.org", "A", "u"), ("bo@example.org", "B", "u")]),
        a_drop([("ann@example.org", "A", "true")], column="__deleted"),
        content="delta",
    )

    assert [contact["email"] for contact in made.contacts] == ["bo@example.org"]


def test_files_are_read_in_the_order_of_the_numbers_in_their_names() -> None:
    names = ["part_10.csv", "part_2.csv", "part.csv", "part_1.csv", "part_01.csv"]

    ordered = in_reading_order([a_file(name, []) for name in names])

    assert [file.name for _, file in ordered] == [
        "part.csv",
        "part_01.csv",
        "part_1.csv",
        "part_2.csv",
        "part_10.csv",
    ]
    assert all(names[place] == file.name for place, file in ordered)


@pytest.mark.parametrize("content", ["snapshot", "delta"])
def test_rows_of_all_files_count_towards_the_most(content: str) -> None:
    files = [a_drop([(f"{name}{n}@example.org", "A", "u") for n in range(3)]) for name in ("ann", "bo")]

    assert plan(*files, content=content, limits=PlanLimits(max_rows=6)).summary.rows == 6
    with pytest.raises(StopRunError, match=r"1\.csv takes the drop over 5 rows") as caught:
        plan(*files, content=content, limits=PlanLimits(max_rows=5))
    assert caught.value.code == "too_large"


def test_bytes_count_once_though_they_are_read_twice() -> None:
    data = a_drop([("ann@example.org", "A", "u")])

    assert plan(data, content="delta", limits=PlanLimits(max_bytes=len(data))).summary.contacts == 1


@pytest.mark.parametrize(("data", "code"), [(b"", "empty_drop"), (b"Email,_op\r\n", "empty_drop")])
def test_an_empty_drop_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(StopRunError) as caught:
        plan(data, mapping=NO_NAME, content="delta")
    assert caught.value.code == code


def test_a_damaged_file_is_refused_with_its_row() -> None:
    with pytest.raises(StopRunError, match="data row 2"):
        plan(a_drop([("ann@example.org", "A", "u")]) + b'"bo@example.org" x,A,u\r\n', content="delta")
