"""The fold: the same facts give the same state, whatever their order and however often they come."""

import random
from collections.abc import Callable
from functools import reduce
from itertools import product
from operator import or_

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.domain.facts import (
    BatchEnd,
    Erased,
    Fact,
    Mask,
    Outcome,
    Receipt,
    SendResult,
    Tally,
    mask_of,
    positions_of,
    whole,
)
from exporter.domain.progress import (
    MAX_LOST,
    MAX_TRIES,
    BodyProgress,
    Item,
    Refusal,
    fold,
)
from exporter.domain.reject import RejectReason
from tests.builders import a_receipt, an_outcome

COUNTS = ((4, 3), (2, 1))
"""Contacts of the bodies of two chunks."""
EVERYONE = 0b1111


def a_body(*facts: Fact, count: int = 4) -> BodyProgress:
    """What became of a body of some contacts."""
    (progress,) = fold(((count,),), facts)
    return progress


def the_item(body: BodyProgress) -> Item:
    """The only thing that is left to send."""
    (item,) = body.items
    return item


def accepted_and_ended(
    end: BatchEnd, *, number: int = 1, part: Mask = EVERYONE, **changes: object
) -> tuple[Receipt, Outcome]:
    """A sending and how its batch ended."""
    at = 1000.0 + 100 * number
    return (
        a_receipt(batch_id=f"batch-{number}", at=at, part=part),
        an_outcome(end, batch_id=f"batch-{number}", at=at + 10, **changes),
    )


@st.composite
def facts_of_a_run(draw: st.DrawFn) -> list[Fact]:
    """Facts as a run could leave them, of any mixture."""
    facts: list[Fact] = []
    for number in range(draw(st.integers(0, 14))):
        chunk, body = draw(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]))
        count = COUNTS[chunk][body]
        at = draw(st.floats(1.0, 1e6))
        result = draw(st.sampled_from(SendResult))
        facts.append(
            Receipt(
                chunk=chunk,
                body=body,
                epoch=draw(st.integers(1, 3)),
                part=draw(st.integers(1, whole(count))),
                result=result,
                at=at,
                batch_id=f"batch-{number}" if result is SendResult.ACCEPTED else "",
                automations=draw(st.booleans()),
                named=(
                    tuple((position, "bad") for position in draw(st.sets(st.integers(0, count - 1))))
                    if result is SendResult.INVALID
                    else ()
                ),
            )
        )
        if result is SendResult.ACCEPTED:
            facts += [
                Outcome(
                    chunk,
                    body,
                    f"batch-{number}",
                    end,
                    at + draw(st.floats(0.0, 100.0)),
                    draw(st.integers(0, whole(count))) & facts[-1].part,  # type: ignore[union-attr]
                )
                for end in draw(st.lists(st.sampled_from(BatchEnd), max_size=2))
            ]
        facts.append(Tally(f"tally-{number}", bulk=1))
    return facts


@given(facts_of_a_run(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_the_facts_matters(facts: list[Fact], chance: random.Random) -> None:
    shuffled = [*facts, *chance.sample(facts, len(facts) // 2)]
    chance.shuffle(shuffled)

    assert fold(COUNTS, shuffled) == fold(COUNTS, facts)
    assert fold(COUNTS, shuffled).open_batches() == fold(COUNTS, facts).open_batches()


@given(facts_of_a_run())
def test_no_contact_is_in_two_places(facts: list[Fact]) -> None:
    for body in fold(COUNTS, facts):
        refused = [refusal.position for refusal in body.refusals]
        given_up = [refusal.position for refusal in body.undelivered]
        places = [body.delivered, mask_of(refused), mask_of(given_up), body.in_flight]

        assert sum(place.bit_count() for place in places) == reduce(or_, places, 0).bit_count()
        assert len(refused) == len(set(refused))
        assert len(given_up) == len(set(given_up))
        assert reduce(or_, places, 0) <= whole(body.contact_count)


@given(facts_of_a_run())
def test_whoever_is_in_no_place_is_still_to_be_sent_or_waits_for_others(facts: list[Fact]) -> None:
    for body in fold(COUNTS, facts):
        placed = body.delivered | body.in_flight | refused_in(body) | given_up_in(body)
        if whole(body.contact_count) & ~placed:
            assert body.items or body.open_batches


def refused_in(body: BodyProgress) -> Mask:
    return mask_of([refusal.position for refusal in body.refusals])


def given_up_in(body: BodyProgress) -> Mask:
    return mask_of([refusal.position for refusal in body.undelivered])


def test_a_plan_without_facts_is_all_to_send() -> None:
    progress = fold(COUNTS, [])

    assert progress.chunks_to_send() == [0, 1]
    assert [item.part for item in progress.items(0)] == [0b1111, 0b111]
    assert not any(item.resend for item in progress.items(0))
    assert (progress.contacts, progress.delivered, progress.refused, progress.in_flight) == (10, 0, 0, 0)
    assert not progress.started(0)


def test_facts_about_a_body_that_is_not_planned_are_left_out() -> None:
    assert list(fold(COUNTS, [a_receipt(chunk=7)])) == list(fold(COUNTS, []))


def test_an_accepted_body_is_in_flight_until_its_batch_ends() -> None:
    body = a_body(a_receipt())

    assert (body.in_flight, body.delivered, body.items) == (EVERYONE, 0, ())
    assert [batch.batch_id for batch in body.open_batches] == ["batch-1"]


def test_a_completed_batch_is_delivered_except_for_its_failures() -> None:
    body = a_body(*accepted_and_ended(BatchEnd.COMPLETED, failed=0b0100))

    assert (body.delivered, body.in_flight, body.items) == (0b1011, 0, ())
    assert body.refusals == (Refusal(2, RejectReason.FAILED_IN_ACTIVECAMPAIGN, ""),)


@pytest.mark.parametrize("end", [BatchEnd.FAILED, BatchEnd.INTERRUPTED, BatchEnd.LOST])
def test_a_batch_that_ended_badly_is_sent_again_a_little_later(end: BatchEnd) -> None:
    item = the_item(a_body(*accepted_and_ended(end)))

    assert (item.part, item.resend, item.not_before) == (EVERYONE, True, 1110 + 2)


def test_a_lost_answer_is_followed_by_a_resend() -> None:
    item = the_item(a_body(a_receipt(SendResult.UNKNOWN)))

    assert (item.part, item.resend, item.not_before) == (EVERYONE, True, 1002)


def test_a_part_that_was_only_refused_is_no_resend() -> None:
    body = a_body(a_receipt(SendResult.INVALID))

    assert [(item.part, item.resend) for item in body.items] == [(0b0011, False), (0b1100, False)]


def test_a_part_of_a_body_that_may_have_arrived_is_a_resend() -> None:
    body = a_body(a_receipt(SendResult.UNKNOWN), a_receipt(SendResult.INVALID, at=1005.0))

    assert [item.resend for item in body.items] == [True, True]


def test_the_pause_before_another_try_grows_until_six_outlast_ten_minutes() -> None:
    facts: list[Fact] = []
    pauses = []
    for number in range(1, MAX_TRIES):
        facts += accepted_and_ended(BatchEnd.FAILED, number=number)
        pauses.append(the_item(a_body(*facts)).not_before - (1010 + 100 * number))

    assert pauses == [2, 8, 32, 128, 512]
    assert sum(pauses) > 600


@pytest.mark.parametrize("kind", [BatchEnd.FAILED, BatchEnd.INTERRUPTED, SendResult.UNKNOWN])
def test_six_tries_without_success_are_enough(kind: BatchEnd | SendResult) -> None:
    facts: list[Fact] = []
    for number in range(1, MAX_TRIES + 1):
        assert a_body(*facts).items
        if isinstance(kind, SendResult):
            facts.append(a_receipt(kind, at=1000.0 + number, detail="HTTP 500"))
        else:
            facts += accepted_and_ended(kind, number=number)

    body = a_body(*facts)
    assert body.items == ()
    assert given_up_in(body) == EVERYONE
    assert {refusal.reason for refusal in body.undelivered} == {RejectReason.UNDELIVERED}
    assert body.undelivered[0].detail.startswith("6 tries; the last one: ")


def test_what_is_lost_twice_is_given_up() -> None:
    facts: list[Fact] = []
    for number in range(1, MAX_LOST + 1):
        facts += accepted_and_ended(BatchEnd.LOST, number=number)

    assert the_item(a_body(*facts[:2])).resend
    assert given_up_in(a_body(*facts)) == EVERYONE


def test_what_never_settled_is_not_sent_again() -> None:
    body = a_body(*accepted_and_ended(BatchEnd.UNSETTLED))

    assert (body.items, given_up_in(body)) == ((), EVERYONE)
    assert body.undelivered[0].detail == "ActiveCampaign did not finish the batch within a day"


@pytest.mark.parametrize("worse", [end for end in BatchEnd if end is not BatchEnd.COMPLETED])
def test_a_completion_that_is_seen_late_beats_every_other_end(worse: BatchEnd) -> None:
    receipt, given_up = accepted_and_ended(worse)
    completed = an_outcome(BatchEnd.COMPLETED, at=99_999.0, failed=0b0001)

    orders: list[list[Fact]] = [[receipt, given_up, completed], [completed, given_up, receipt]]
    for facts in orders:
        body = a_body(*facts)
        assert (body.delivered, refused_in(body), body.items, body.undelivered) == (0b1110, 1, (), ())


def test_whoever_was_delivered_once_stays_delivered() -> None:
    first = accepted_and_ended(BatchEnd.COMPLETED, number=1)
    second = accepted_and_ended(BatchEnd.COMPLETED, number=2, failed=EVERYONE)

    assert a_body(*first, *second).delivered == EVERYONE
    assert a_body(*first, *second).refusals == ()


def test_automations_are_withheld_where_no_delivered_request_let_them_start() -> None:
    with_automations = (a_receipt(part=0b0011, automations=True), an_outcome())
    without = accepted_and_ended(BatchEnd.COMPLETED, number=2)

    body = a_body(*with_automations, *without)

    assert (body.delivered, body.withheld) == (EVERYONE, 0b1100)


def test_those_who_are_named_are_taken_out_and_the_rest_is_sent() -> None:
    body = a_body(a_receipt(SendResult.INVALID, named=((1, "bad"), (2, "worse"))))

    assert the_item(body).part == 0b1001
    assert body.refusals == ()


def test_those_who_are_named_are_refused_once_the_rest_was_accepted() -> None:
    body = a_body(
        a_receipt(SendResult.INVALID, named=((1, "bad"), (2, "worse"))), a_receipt(part=0b1001, at=1005.0)
    )

    assert body.refusals == (
        Refusal(1, RejectReason.REFUSED_BY_ACTIVECAMPAIGN, "bad"),
        Refusal(2, RejectReason.REFUSED_BY_ACTIVECAMPAIGN, "worse"),
    )
    assert body.items == ()


def test_those_who_are_named_are_listed_as_well_when_the_rest_is_given_up() -> None:
    refused = a_receipt(SendResult.INVALID, named=((1, "bad"),))
    lost = [a_receipt(SendResult.UNKNOWN, part=0b1101, at=1000.0 + number) for number in range(MAX_TRIES)]

    body = a_body(refused, *lost)

    assert body.items == ()
    assert refused_in(body) | given_up_in(body) == EVERYONE


def test_when_the_rest_is_refused_as_well_the_body_is_halved() -> None:
    body = a_body(
        a_receipt(SendResult.INVALID, named=((1, "bad"),)),
        a_receipt(SendResult.INVALID, part=0b1101, at=1005.0),
    )

    assert [item.part for item in body.items] == [0b0011, 0b1100]


def test_a_contact_that_is_refused_alone_is_refused_for_good() -> None:
    body = a_body(a_receipt(SendResult.INVALID, part=1, detail="incorrect format"), count=1)

    assert body.refusals == (Refusal(0, RejectReason.REFUSED_BY_ACTIVECAMPAIGN, "incorrect format"),)
    assert body.items == ()


def test_requests_are_counted_once_however_often_their_tally_is_read() -> None:
    tally = Tally("receipts-0", bulk=10, status=2, throttled=1)

    requests = fold(COUNTS, [tally, tally, Tally("receipts-1", bulk=5)]).requests

    assert (requests.bulk, requests.status, requests.throttled) == (15, 2, 1)


def test_open_batches_come_oldest_first() -> None:
    progress = fold(
        COUNTS,
        [
            a_receipt(chunk=0, body=0, batch_id="second", at=20.0),
            a_receipt(chunk=1, body=0, batch_id="first", at=10.0, part=0b11),
        ],
    )

    assert [batch.batch_id for batch in progress.open_batches()] == ["first", "second"]
    assert progress.last_fact_at == 20.0


Naming = Callable[[list[int], int], list[int]]
"""(the places of the refused in a request, its length) -> the places that the answer names."""

NAMING: dict[str, Naming] = {
    "all of them": lambda bad, _: bad,
    "the first": lambda bad, _: bad[:1],
    "nobody": lambda *_: [],
    "the neighbours": lambda bad, count: [(place + 1) % count for place in bad],
    "everybody": lambda _, count: list(range(count)),
    "people who are not there": lambda bad, count: [place + count for place in bad],
}


def send_until_done(count: int, hidden: frozenset[int], naming: Naming) -> tuple[BodyProgress, int]:
    """Send a body to a server that refuses every request with a hidden contact; how it ends, in how many."""
    facts: list[Fact] = []
    for number in range(8 * count + 8):
        body = a_body(*facts, count=count)
        if not body.items:
            return body, number
        item = body.items[0]
        positions = positions_of(item.part)
        bad = [place for place, position in enumerate(positions) if position in hidden]
        if bad:
            named = tuple(
                (positions[place], "bad") for place in naming(bad, len(positions)) if place < len(positions)
            )
            facts.append(a_receipt(SendResult.INVALID, part=item.part, at=1.0 + number, named=named))
        else:
            facts += [
                a_receipt(part=item.part, batch_id=f"batch-{number}", at=1.0 + number),
                an_outcome(batch_id=f"batch-{number}", at=2.0 + number),
            ]
    raise AssertionError("the body is never done")


@pytest.mark.parametrize("naming", NAMING)
@given(data=st.data())
def test_exactly_those_are_refused_whom_the_server_does_not_take(naming: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    hidden = frozenset(data.draw(st.sets(st.integers(0, count - 1))))

    body, request_count = send_until_done(count, hidden, NAMING[naming])

    assert refused_in(body) == mask_of(sorted(hidden))
    assert body.delivered == whole(count) & ~mask_of(sorted(hidden))
    assert request_count <= 4 * count


@pytest.mark.parametrize(
    ("naming", "most"),
    [("all of them", 2), ("the first", 2), ("nobody", 17), ("the neighbours", 33), ("everybody", 33)],
)
def test_one_bad_contact_among_250_costs_few_requests(naming: str, most: int) -> None:
    needed = [send_until_done(250, frozenset({bad}), NAMING[naming])[1] for bad in (0, 1, 124, 125, 249)]

    assert max(needed) <= most


def test_tries_before_a_redrive_are_forgotten_but_what_may_have_been_sent_stays_a_resend() -> None:
    lost = [a_receipt(SendResult.UNKNOWN, at=1000.0 + number, epoch=number) for number in range(MAX_TRIES)]

    (before,) = fold([[4]], lost)
    (after,) = fold([[4]], lost, tries_since=2000.0)

    assert before.items == ()
    assert len(before.undelivered) == 4
    assert after.undelivered == ()
    assert [(item.part, item.resend, item.not_before) for item in after.items] == [(0b1111, True, 0.0)]


@pytest.mark.parametrize("end", [BatchEnd.LOST, BatchEnd.UNSETTLED, BatchEnd.FAILED])
def test_a_batch_that_was_given_up_before_a_redrive_is_sent_again_after_it(end: BatchEnd) -> None:
    facts: list[Fact] = []
    for number in range(MAX_TRIES):
        facts += [
            a_receipt(batch_id=f"batch-{number}", at=1000.0 + number),
            an_outcome(end, batch_id=f"batch-{number}", at=1100.0 + number),
        ]

    (before,) = fold([[4]], facts)
    (after,) = fold([[4]], facts, tries_since=2000.0)

    assert before.items == ()
    assert [item.resend for item in after.items] == [True]


def test_naming_all_of_them_costs_two_requests_however_many_they_are() -> None:
    assert send_until_done(250, frozenset(range(0, 250, 3)), NAMING["all of them"])[1] == 2


@given(facts_of_a_run())
def test_what_a_request_would_carry_is_never_empty_and_never_twice(facts: list[Fact]) -> None:
    for body in fold(COUNTS, facts):
        parts = [item.part for item in body.items]
        assume(parts)
        assert all(parts)
        assert all(not first & second for first, second in product(parts, parts) if first != second)
        assert all(part & ~(body.delivered | refused_in(body)) for part in parts)


def erased(*positions: int, plan_epoch: int = 1) -> Erased:
    """People erased from the first body."""
    return Erased(plan_epoch, 0, 0, mask_of(positions))


def a_body_without(*facts: Fact) -> BodyProgress:
    """What became of a body of four contacts of the first plan, some of whom were erased."""
    return fold(((4,),), facts, plan_epoch=1).bodies[0][0]


def test_an_erased_person_is_in_no_request() -> None:
    body = a_body_without(erased(1))

    assert [item.part for item in body.items] == [0b1101]
    assert body.erased == 0b0010


def test_what_was_erased_from_another_plan_does_not_count() -> None:
    assert a_body_without(erased(1, plan_epoch=2)) == a_body_without()


def test_whoever_was_delivered_before_being_erased_stays_delivered() -> None:
    body = a_body_without(a_receipt(), an_outcome(), erased(1))

    assert (body.delivered, body.erased, body.items) == (EVERYONE, 0, ())


def test_whoever_was_refused_before_being_erased_is_listed_no_more() -> None:
    body = a_body_without(a_receipt(), an_outcome(failed=0b0011), erased(1))

    assert [refusal.position for refusal in body.refusals] == [0]
    assert (body.delivered, body.erased) == (0b1100, 0b0010)


def test_whom_an_erased_person_shared_a_refused_pair_with_is_tried_alone() -> None:
    refused = SendResult.INVALID
    facts = [a_receipt(refused), a_receipt(refused, part=0b0011), a_receipt(refused, part=0b1100)]

    body = a_body_without(*facts, erased(1))

    assert [item.part for item in body.items] == [0b0001, 0b0100, 0b1000]
    assert not body.refusals


def test_the_contact_named_beside_an_erased_one_alone_is_tried_alone() -> None:
    pair = a_receipt(SendResult.INVALID, part=0b0011, named=((0, "no"),))
    body = a_body_without(a_receipt(SendResult.INVALID), pair, erased(1))

    assert [item.part for item in body.items] == [0b0001, 0b1100]


@given(facts_of_a_run(), st.lists(st.integers(0, 3), max_size=4))
def test_erasing_puts_nobody_else_in_two_places_or_in_none(facts: list[Fact], gone: list[int]) -> None:
    for body in fold(COUNTS, [*facts, erased(*gone)], plan_epoch=1):
        places = [body.delivered, refused_in(body), given_up_in(body), body.in_flight, body.erased]
        placed = reduce(or_, places, 0)

        assert sum(place.bit_count() for place in places) == placed.bit_count()
        assert not any(item.part & body.erased for item in body.items)
        if whole(body.contact_count) & ~placed:
            assert body.open_batches or body.items
