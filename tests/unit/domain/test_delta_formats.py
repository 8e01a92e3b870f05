"""Drops of changes in every format: the operation column is read though no mapping names it."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.json_lines import MAX_KNOWN_KEYS, MAX_WANTED_KEYS, keys_that
from exporter.domain.operations import may_be_operation
from exporter.domain.reject import RejectReason
from exporter.errors import StopRunError
from tests.unit.domain.plans import Plan, plan

Value = str | bool | None
Row = Mapping[str, Value]
"""By column; one that is left out is empty."""

ANN, BO = "ann@example.org", "bo@example.org"
WORDS = ["insert", "Update", "delete", "D", "update_preimage", "who knows", "gold", "exited", "", None]
OPERATION_NAMES = ["_op", "Operation", "STATUS", "_change_type", "City"]
FLAG_NAMES = ["__deleted", "Is_Deleted"]


def rows_under(name: str, values: st.SearchStrategy[Value]) -> st.SearchStrategy[list[Row]]:
    people = st.fixed_dictionaries(
        {
            "Email": st.sampled_from([ANN, BO, "Ann@Example.org", "", "no"]),
            "FirstName": st.sampled_from("ABC"),
        },
        optional={name: values},
    )
    return st.lists(people, min_size=1, max_size=10)


ROWS = st.one_of(
    st.sampled_from(OPERATION_NAMES).flatmap(lambda name: rows_under(name, st.sampled_from(WORDS))),
    st.sampled_from(FLAG_NAMES).flatmap(lambda name: rows_under(name, st.sampled_from([True, False, None]))),
)


def columns_of(rows: Sequence[Row]) -> list[str]:
    return [*dict.fromkeys(column for row in rows for column in row)]


def as_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns_of(rows), restval="")
    writer.writeheader()
    writer.writerows(
        {name: str(cell).lower() if isinstance(cell, bool) else cell for name, cell in row.items()}
        for row in rows
    )
    return text.getvalue().encode()


def as_json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_parquet(rows: Sequence[Row]) -> bytes:
    written = io.BytesIO()
    columns = {name: [row.get(name) for row in rows] for name in columns_of(rows)}
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


def changes(data: bytes, **options: Any) -> Plan:
    return plan(data, content="delta", **options)


def outcome(data: bytes) -> Plan | str:
    """The plan of changes, or the code that refuses them."""
    try:
        return changes(data)
    except StopRunError as error:
        return error.code


@given(ROWS)
def test_the_same_table_gives_the_same_plan_in_every_format(rows: list[Row]) -> None:
    from_csv, *others = (outcome(write(rows)) for write in (as_csv, as_json_lines, as_parquet))

    for made in others:
        if isinstance(made, str) or isinstance(from_csv, str):
            assert made == from_csv
            continue
        assert made.chunks == from_csv.chunks
        assert made.rejects == from_csv.rejects
        assert made.summary.unchanged == from_csv.summary.unchanged
        assert made.summary.duplicates == from_csv.summary.duplicates
        assert made.summary.readings[0].found[-1] == from_csv.summary.readings[0].found[-1]


@pytest.mark.parametrize("word", ["delete", True])
def test_a_removal_whose_key_turns_up_late_is_no_upsert(word: Value) -> None:
    name = "__deleted" if word is True else "_OP"
    rows: list[Row] = [{"Email": ANN, "FirstName": "A"}, {"Email": BO, "FirstName": "B"}]

    made = changes(as_json_lines([*rows, {"Email": ANN, "FirstName": "A", name: word}]))

    assert [contact["email"] for contact in made.contacts] == [BO]
    assert (made.summary.unchanged, made.summary.duplicates) == (1, 1)


@pytest.mark.parametrize("write", [as_csv, as_json_lines, as_parquet])
def test_two_operation_columns_are_refused_in_every_format(write: Any) -> None:
    rows = [
        {"Email": ANN, "FirstName": "A", "_op": "u"},
        {"Email": BO, "FirstName": "B", "_op": "u", "__deleted": "true"},
    ]

    with pytest.raises(StopRunError, match="'_op', '__deleted'") as caught:
        changes(write(rows))
    assert caught.value.code == "ambiguous_operation"


def test_an_operation_that_is_nested_is_rejected_with_its_row() -> None:
    rows: list[dict[str, Any]] = [
        {"Email": ANN, "FirstName": "A", "_op": "u"},
        {"Email": ANN, "FirstName": "A", "_op": {"is": "delete"}},
    ]

    made = changes(as_json_lines(rows))

    assert [(reject.row, reject.reason) for reject in made.rejects] == [(2, RejectReason.NESTED_VALUE)]
    assert len(made.contacts) == 1


@pytest.mark.parametrize("value", [1.5, ["delete"], "x" * 200_000])
def test_what_makes_an_operation_unreadable_hides_no_other_row(value: Any) -> None:
    rows = [{"Email": ANN, "FirstName": "A", "_op": "u"}, {"Email": ANN, "FirstName": "B", "_op": value}]

    made = changes(as_json_lines(rows))

    assert [contact["first_name"] for contact in made.contacts] == ["A"]
    assert (made.summary.rejected, made.summary.duplicates) == (1, 0)


def test_a_long_status_of_a_customer_is_no_matter() -> None:
    rows: list[Row] = [{"Email": ANN, "FirstName": name, "status": "x" * 200_000} for name in "AB"]

    for write in (as_json_lines, as_parquet):
        made = changes(write(rows))
        assert [contact["first_name"] for contact in made.contacts] == ["B"]
        assert made.summary.duplicates == 1


def test_a_nested_status_is_a_customers() -> None:
    rows: list[dict[str, Any]] = [
        {"Email": ANN, "FirstName": "A", "status": status} for status in ({"a": 1}, {"a": 2})
    ]

    for write in (as_json_lines, as_parquet):
        made = changes(write(rows))
        assert (len(made.contacts), made.rejects, made.summary.duplicates) == (1, (), 1)


@pytest.mark.parametrize("column", ["_op", "status"])
def test_an_operation_column_of_bytes_is_refused(column: str) -> None:
    rows: list[dict[str, Any]] = [{"Email": ANN, "FirstName": "A", column: b"delete"}]

    with pytest.raises(StopRunError, match=rf"'{column}' \(binary\)") as caught:
        changes(as_parquet(rows))
    assert caught.value.code == "unsupported_type"


def test_a_nested_operation_column_is_refused() -> None:
    with pytest.raises(StopRunError, match=r"'_op' \(struct") as caught:
        changes(as_parquet([{"Email": ANN, "FirstName": "A", "_op": {"is": "delete"}}]))  # type: ignore[dict-item]  # so nested
    assert caught.value.code == "unsupported_type"


def test_what_is_damaged_is_refused_with_its_place_though_its_keys_are_looked_for_first() -> None:
    with pytest.raises(StopRunError, match="line 2") as caught:
        changes(as_json_lines([{"Email": ANN, "FirstName": "A"}]) + b"[]\n" + b'{"_op":"d"}\n')
    assert caught.value.code == "bad_json"


def test_keys_are_found_wherever_they_turn_up() -> None:
    lines = [
        '{"a":1}',
        " ",
        *(f'{{"k{number}":1}}' for number in range(MAX_KNOWN_KEYS + 1)),
        '{"_Op":"d"}',
        "x",
        '{"op":1}',
    ]

    assert keys_that(may_be_operation, "a.jsonl", ["\n".join(lines)]) == ("_Op",)


def test_too_many_keys_of_operations_are_refused() -> None:
    word = "operation_type"
    names = [f"{word[:at]}{word[at:].upper()}" for at in range(9)]
    names += [f"_{word[:at]}{word[at:9].upper()}" for at in range(9)]
    names += ["op", "Op", "oP"]

    def found(count: int) -> tuple[str, ...]:
        return keys_that(may_be_operation, "a.jsonl", [json.dumps(dict.fromkeys(names[:count]))])

    assert found(MAX_WANTED_KEYS) == tuple(names[:MAX_WANTED_KEYS])
    with pytest.raises(StopRunError, match="over 20 keys") as caught:
        found(MAX_WANTED_KEYS + 1)
    assert caught.value.code == "ambiguous_operation"


@pytest.mark.parametrize("write", [as_csv, as_json_lines, as_parquet])
@pytest.mark.parametrize("first", ["active", ""])
def test_a_status_that_says_so_only_later_is_refused(write: Callable[..., bytes], first: str) -> None:
    rows: list[Row] = [{"Email": ANN, "status": first}, {"Email": BO, "status": "deleted"}]

    with pytest.raises(StopRunError, match="in the column 'status' what became of a row") as caught:
        changes(write([{"FirstName": "A", **row} for row in rows]))

    assert caught.value.code == "ambiguous_operation"
