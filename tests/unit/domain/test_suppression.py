"""Suppression: digests without the key tell nothing, and a plan leaves out whom the list holds."""

from datetime import timedelta

import pytest

from exporter.domain.chunk import Chunk
from exporter.domain.planning import plan_drop
from exporter.domain.suppression import NOBODY, Suppressed, SuppressionList, suppression_digest
from tests.builders import NOON, a_segment
from tests.unit.domain.plans import MAPPING, Plan, a_file, cut

KEY = b"1" * 32


def suppressing(*addresses: str) -> Suppressed:
    return Suppressed(KEY, frozenset(suppression_digest(KEY, address) for address in addresses))


def a_plan(rows: list[str], suppressed: Suppressed, *, first: int | None = None) -> Plan:
    chunks: list[Chunk] = []
    data = a_segment(rows).replace(b"\r\n", b",x\r\n").replace(b"Email,x", b"Email,FirstName")
    summary = plan_drop(
        [a_file("0.csv", cut(data, [7]))],
        MAPPING,
        on_chunk=chunks.append,
        on_reject=lambda reject: None,
        first=first,
        suppressed=suppressed,
    )
    return Plan(tuple(chunks), (), summary)


@pytest.mark.parametrize(
    "written", ["Ann@Example.org", " ann@example.org ", "ann@example.org", "ann@EXAMPLE.ORG"]
)
def test_a_person_is_known_however_the_address_is_written(written: str) -> None:
    assert suppressing("ann@example.org").holds(written)


def test_an_international_domain_is_known_in_both_forms() -> None:
    assert suppressing("ann@bücher.example").holds("ann@xn--bcher-kva.example")


def test_another_key_gives_other_digests() -> None:
    assert suppression_digest(KEY, "ann@example.org") != suppression_digest(b"2" * 32, "ann@example.org")


def test_nobody_is_on_an_empty_list() -> None:
    assert not NOBODY.holds("ann@example.org")


def test_a_list_keeps_the_first_moment_of_each_person() -> None:
    listed = SuppressionList().with_digest("aa", NOON)

    assert listed.with_digest("aa", NOON + timedelta(days=1)) is listed
    assert listed.with_digest("bb", NOON).since == {"aa": NOON, "bb": NOON}


def test_every_row_of_a_suppressed_person_is_counted_and_left_out() -> None:
    rows = ["bo@example.org", "ANN@example.org", "bo@example.org", "ann@example.org"]

    plan = a_plan(rows, suppressing("ann@example.org"))

    assert [contact["email"] for contact in plan.contacts] == ["bo@example.org"]
    summary = plan.summary
    assert (summary.rows, summary.suppressed, summary.duplicates, summary.contacts) == (4, 2, 1, 1)


def test_the_first_contacts_are_counted_without_suppressed_people() -> None:
    rows = ["ann@example.org", "bo@example.org", "cy@example.org", "di@example.org"]

    plan = a_plan(rows, suppressing("ann@example.org"), first=2)

    assert [contact["email"] for contact in plan.contacts] == ["bo@example.org", "cy@example.org"]
    assert (plan.summary.rows, plan.summary.suppressed) == (3, 1)
