"""A run: its identity, its end, and that its counts add up."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.run import Counts, PlanRecord, Run, RunError, RunState, final_state, run_id_for
from tests.builders import NOON, a_run, an_export

OPEN_STATES = {
    RunState.QUEUED,
    RunState.PLANNING,
    RunState.DELIVERING,
    RunState.SETTLING,
    RunState.PAUSED,
}
DROP = "0" * 32


def test_the_same_export_drop_and_cause_are_the_same_run() -> None:
    assert run_id_for("vip", DROP, "drop") == run_id_for("vip", DROP, "drop")


def test_another_export_drop_or_cause_is_another_run() -> None:
    ids = {
        run_id_for("vip", DROP, "drop"),
        run_id_for("news", DROP, "drop"),
        run_id_for(None, DROP, "drop"),
        run_id_for("vip", "1" * 32, "drop"),
        run_id_for("vip", DROP, "request-1"),
    }

    assert len(ids) == 5
    assert all(len(run_id) == 32 for run_id in ids)


def test_exactly_these_states_are_open() -> None:
    assert {state for state in RunState if not state.final} == OPEN_STATES


def test_bodies_leave_only_while_a_run_delivers_or_settles_and_nobody_stopped_it() -> None:
    stopped = RunError(code="cancelled", message="a person did")

    assert {state for state in RunState if a_run(state).sendable} == {
        RunState.DELIVERING,
        RunState.SETTLING,
    }
    assert not any(a_run(state, stopped=stopped).sendable for state in RunState)


@given(st.lists(st.integers(0, 10**7), min_size=7, max_size=7), st.integers(-2, 2))
def test_counts_add_up_when_every_row_is_in_one_place(parts: list[int], off: int) -> None:
    names = ("rejected", "duplicates", "suppressed", "unchanged", "delivered", "refused", "undelivered")

    counts = Counts(rows=sum(parts) + max(off, -sum(parts)), **dict(zip(names, parts, strict=True)))

    assert counts.add_up is (max(off, -sum(parts)) == 0)


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        (Counts(rows=100, delivered=100), RunState.SUCCEEDED),
        (Counts(rows=100, delivered=90, duplicates=10), RunState.SUCCEEDED),
        (Counts(rows=100, unchanged=100), RunState.SUCCEEDED),
        (Counts(rows=100, delivered=95, rejected=5), RunState.SUCCEEDED),
        (Counts(rows=100, delivered=95, rejected=2, refused=3), RunState.SUCCEEDED),
        (Counts(rows=100, delivered=94, rejected=3, refused=3), RunState.PARTLY_FAILED),
        (Counts(rows=100, delivered=99, undelivered=1), RunState.PARTLY_FAILED),
        (Counts(rows=100, undelivered=100), RunState.FAILED),
        (Counts(rows=100, refused=100), RunState.FAILED),
    ],
    ids=str,
)
def test_the_end_of_a_run_follows_from_its_counts(counts: Counts, state: RunState) -> None:
    assert counts.add_up
    assert final_state(a_run(RunState.SETTLING), counts) is state


@pytest.mark.parametrize(
    ("code", "delivered", "state"),
    [
        ("cancelled", 50, RunState.CANCELLED),
        ("cancelled", 0, RunState.CANCELLED),
        ("superseded", 50, RunState.SUPERSEDED),
        ("key_refused", 50, RunState.PARTLY_FAILED),
        ("key_refused", 0, RunState.FAILED),
    ],
)
def test_a_run_that_was_stopped_ends_by_its_reason(code: str, delivered: int, state: RunState) -> None:
    run = a_run(RunState.SETTLING, stopped=RunError(code=code, message="why"))

    assert final_state(run, Counts(rows=50, delivered=delivered, undelivered=50 - delivered)) is state


def test_how_many_rejects_are_tolerated_is_the_exports_own() -> None:
    strict = a_run(RunState.SETTLING, export=an_export(tolerated_reject_percentage=0))
    lenient = a_run(RunState.SETTLING, export=an_export(tolerated_reject_percentage=100))
    counts = Counts(rows=1000, delivered=999, rejected=1)

    assert final_state(strict, counts) is RunState.PARTLY_FAILED
    assert final_state(lenient, counts) is RunState.SUCCEEDED


def test_a_run_comes_back_from_storage_as_it_was() -> None:
    run = a_run(RunState.DELIVERING, planned_at=NOON + timedelta(seconds=1.234567), settle_turn=4)

    assert Run.model_validate_json(run.model_dump_json()) == run


def test_a_run_holds_the_export_and_the_connection_as_they_were() -> None:
    run = Run.model_validate_json(
        a_run(export=an_export(tags=("from-vip", {"column": "Tier"}))).model_dump_json()
    )

    assert run.export is not None
    assert run.connection is not None
    assert run.export_id == "vip"
    assert len(run.export.tags) == 2


def test_a_plan_counts_its_contacts() -> None:
    record = PlanRecord(
        epoch=1, rows=10, rejected=1, duplicates=2, reasons={"missing_email": 1}, bodies=((3, 2), (2,))
    )

    assert record.contacts == 7
    assert PlanRecord.model_validate_json(record.model_dump_json()) == record
