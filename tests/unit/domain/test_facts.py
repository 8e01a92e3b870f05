"""Facts come back from storage as they were written."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.facts import (
    BatchEnd,
    Fact,
    Outcome,
    Receipt,
    SendResult,
    Tally,
    decode_facts,
    encode_facts,
    from_ranges,
    mask_of,
    positions_of,
    to_ranges,
    whole,
)
from exporter.errors import NewerVersionError
from tests.builders import a_receipt, an_outcome

positions = st.sets(st.integers(0, 249), min_size=1)
moments = st.floats(1.0, 4e9)
words = st.text(max_size=40)

receipts = st.builds(
    Receipt,
    chunk=st.integers(0, 5000),
    body=st.integers(0, 97),
    epoch=st.integers(0, 99),
    part=positions.map(lambda some: mask_of(sorted(some))),
    result=st.sampled_from(SendResult),
    at=moments,
    batch_id=words,
    automations=st.booleans(),
    named=st.lists(st.tuples(st.integers(0, 249), words), max_size=4).map(tuple),
    detail=words,
)
outcomes = st.builds(
    Outcome,
    chunk=st.integers(0, 5000),
    body=st.integers(0, 97),
    batch_id=words,
    end=st.sampled_from(BatchEnd),
    at=moments,
    failed=st.sets(st.integers(0, 249)).map(lambda some: mask_of(sorted(some))),
)
counts = st.integers(0, 10_000)


@given(st.sets(st.integers(0, 300)))
def test_a_mask_holds_the_positions_it_was_made_of(some: set[int]) -> None:
    mask = mask_of(sorted(some))

    assert positions_of(mask) == sorted(some)
    assert from_ranges(to_ranges(mask)) == mask


@given(st.sets(st.integers(0, 300)))
def test_ranges_are_ascending_and_as_few_as_they_can_be(some: set[int]) -> None:
    ranges = to_ranges(mask_of(sorted(some)))

    borders = [border for start_stop in ranges for border in start_stop]
    assert borders == sorted(set(borders))


@pytest.mark.parametrize("count", [0, 1, 250])
def test_the_whole_of_a_body_is_every_position(count: int) -> None:
    assert positions_of(whole(count)) == list(range(count))
    assert to_ranges(whole(count)) == ([[0, count]] if count else [])


@given(st.lists(st.one_of(receipts, outcomes), max_size=12), counts, counts, counts)
def test_facts_come_back_as_they_were(
    some: list[Receipt | Outcome], bulk: int, status: int, throttled: int
) -> None:
    tally = Tally("receipts-00000-0001-0000", bulk, status, throttled)

    decoded = decode_facts(encode_facts(tally.name, [*some, tally]))

    assert sorted(map(repr, decoded)) == sorted(map(repr, [*some, tally]))


def test_a_document_without_requests_has_no_tally() -> None:
    facts: list[Fact] = [a_receipt(), an_outcome()]

    assert decode_facts(encode_facts("outcomes-000001", facts)) == facts


def test_a_document_of_a_newer_version_is_left_to_it() -> None:
    document = {**orjson.loads(encode_facts("receipts", [])), "schema": 2}

    with pytest.raises(NewerVersionError, match="schema 2 is not known"):
        decode_facts(orjson.dumps(document))


def test_a_full_lot_of_receipts_is_a_small_document() -> None:
    batch_id = "9b1c3a50-0000-4000-8000-00000000abcd"
    receipts = [
        a_receipt(part=whole(250), body=body, chunk=40, batch_id=batch_id, at=1_772_366_400.123)
        for body in range(10)
    ]

    assert len(encode_facts("receipts-00040-0001-0009", receipts)) < 2_000
