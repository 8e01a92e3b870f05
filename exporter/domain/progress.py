"""The fold: from the facts of a run to what became of each contact and what is left to do.

Facts may come in any order and more than once; the result is the same. A contact is, in this order of
precedence: delivered, in flight (accepted, not settled) if a person was erased, erased, refused, in flight,
undelivered (no tries left), or open.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

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
from exporter.domain.reject import RejectReason

MAX_TRIES: Final = 6
MAX_LOST: Final = 2
MANY_REFUSALS: Final = 20
_FIRST_RETRY_SECONDS: Final = 2.0
_RETRY_GROWTH: Final = 4.0
"""So the tries of a body outlast ten minutes in which ActiveCampaign answers with error pages."""

# Where two settlers disagree (one gave up, one saw the end), the better informed one holds.
_END_RANK: Final = {
    BatchEnd.COMPLETED: 0,
    BatchEnd.INTERRUPTED: 1,
    BatchEnd.FAILED: 2,
    BatchEnd.LOST: 3,
    BatchEnd.UNSETTLED: 4,
}


@dataclass(frozen=True, slots=True)
class Item:
    """Contacts of one body that should go out in one request."""

    chunk: int
    body: int
    part: Mask
    resend: bool
    """Whether some of them may have reached ActiveCampaign before: automations stay off then."""
    not_before: float = 0.0
    """Seconds since the epoch; a try that failed is followed by a growing pause."""

    @property
    def contact_count(self) -> int:
        """How many contacts the request would carry."""
        return self.part.bit_count()


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """An accepted batch whose final state is not known yet."""

    chunk: int
    body: int
    batch_id: str
    part: Mask
    accepted_at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one contact of a body did not arrive."""

    position: int
    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class BodyProgress:
    """What became of the contacts of one body."""

    contact_count: int
    delivered: Mask
    withheld: Mask
    """Delivered, but by requests that kept automations from starting only."""
    in_flight: Mask
    refusals: tuple[Refusal, ...]
    undelivered: tuple[Refusal, ...]
    items: tuple[Item, ...]
    open_batches: tuple[OpenBatch, ...]
    accepted: Mask
    """Contacts that ActiveCampaign has accepted at least once."""
    receipted: bool
    """Whether any fact about the body exists."""
    erased: Mask = 0
    """Contacts of erased people that were not sent, nor will be."""
    unnamed_refusals: tuple[str, ...] = ()
    """The words of refusals that named none of several contacts."""


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests a run took."""

    bulk: int = 0
    status: int = 0
    throttled: int = 0


@dataclass(slots=True)
class _BodyFacts:
    accepted: dict[str, Receipt] = field(default_factory=dict)
    unknown: set[Receipt] = field(default_factory=set)
    invalid: dict[Mask, Receipt] = field(default_factory=dict)
    ends: dict[str, Outcome] = field(default_factory=dict)
    erased: Mask = 0

    def add(self, fact: Receipt | Outcome | Erased) -> None:
        """Take in one fact; the order does not matter."""
        if isinstance(fact, Erased):
            self.erased |= fact.positions
        elif isinstance(fact, Outcome):
            known = self.ends.get(fact.batch_id)
            if known is None or _end_key(fact) < _end_key(known):
                self.ends[fact.batch_id] = fact
        elif fact.result is SendResult.ACCEPTED:
            self.accepted[fact.batch_id] = fact
        elif fact.result is SendResult.UNKNOWN:
            self.unknown.add(fact)
        else:
            known_refusal = self.invalid.get(fact.part)
            if known_refusal is None or _refusal_key(fact) < _refusal_key(known_refusal):
                self.invalid[fact.part] = fact

    def refusal_of(self, group: Mask) -> Receipt | None:
        """The refusal of a group, whether it was sent before or after people in it were erased."""
        return self.invalid.get(group) or self.invalid.get(group & ~self.erased)


def _end_key(outcome: Outcome) -> tuple[int, float, Mask]:
    return _END_RANK[outcome.end], outcome.at, outcome.failed


def _refusal_key(receipt: Receipt) -> tuple[float, int, tuple[tuple[int, str], ...]]:
    return receipt.at, receipt.epoch, receipt.named


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The folded state of a run's bodies, `bodies[chunk][body]`."""

    bodies: tuple[tuple[BodyProgress, ...], ...]
    requests: Requests
    last_fact_at: float = 0.0
    """Seconds since the epoch of the latest fact; 0 when there is none."""
    last_sent_at: float = 0.0
    """Seconds since the epoch of the latest receipt; 0 when there is none."""

    def __iter__(self) -> Iterator[BodyProgress]:
        return (body for chunk in self.bodies for body in chunk)

    @property
    def contacts(self) -> int:
        """Contacts planned."""
        return sum(body.contact_count for body in self)

    @property
    def delivered(self) -> int:
        """Contacts in completed batches that ActiveCampaign did not list as failures."""
        return sum(body.delivered.bit_count() for body in self)

    @property
    def withheld(self) -> int:
        """Contacts delivered by requests that kept automations from starting only."""
        return sum(body.withheld.bit_count() for body in self)

    @property
    def accepted(self) -> int:
        """Contacts that ActiveCampaign has accepted at least once."""
        return sum(body.accepted.bit_count() for body in self)

    @property
    def refused(self) -> int:
        """Contacts that ActiveCampaign refused."""
        return sum(len(body.refusals) for body in self)

    @property
    def erased(self) -> int:
        """Contacts of erased people that were not sent, nor will be."""
        return sum(body.erased.bit_count() for body in self)

    @property
    def in_flight(self) -> int:
        """Contacts accepted but not settled."""
        return sum(body.in_flight.bit_count() for body in self)

    def refused_outright(self) -> str | None:
        """ActiveCampaign's words, if it has refused many requests, named nobody and taken nothing.

        Then it is not the contacts that are wrong, and halving bodies would never end.
        """
        if any(body.accepted for body in self):
            return None
        words = [text for body in self for text in body.unnamed_refusals]
        return words[-1] if len(words) >= MANY_REFUSALS else None

    def items(self, chunk: int) -> list[Item]:
        """What is left to send of one chunk, in the order of its bodies."""
        return [item for body in self.bodies[chunk] for item in body.items]

    def started(self, chunk: int) -> bool:
        """Whether anything of the chunk has been sent."""
        return any(body.receipted for body in self.bodies[chunk])

    def chunks_to_send(self) -> list[int]:
        """The numbers of the chunks with something left to send, ascending."""
        return [number for number, chunk in enumerate(self.bodies) if any(body.items for body in chunk)]

    def open_batches(self) -> list[OpenBatch]:
        """Accepted batches without a final state, oldest first."""
        batches = [batch for body in self for batch in body.open_batches]
        return sorted(batches, key=lambda batch: (batch.accepted_at, batch.batch_id))


def fold(
    contact_counts: Sequence[Sequence[int]],
    facts: Iterable[Fact],
    *,
    plan_epoch: int | None = None,
    tries_since: float = 0.0,
) -> RunProgress:
    """Fold facts over the plan; `contact_counts[chunk][body]` is what the plan fixed.

    Facts about bodies that the plan does not have are left out. Failures before `tries_since` (seconds since
    the epoch) no longer count as tries, though what is sent again stays a resend. What was erased from
    another plan than `plan_epoch` is left out as well.
    """
    by_body: defaultdict[tuple[int, int], _BodyFacts] = defaultdict(_BodyFacts)
    tallies: dict[str, Tally] = {}
    last_fact_at = last_sent_at = 0.0
    for fact in facts:
        if isinstance(fact, Tally):
            tallies[fact.name] = fact
        elif isinstance(fact, Erased):
            if fact.plan_epoch == plan_epoch:
                by_body[fact.chunk, fact.body].add(fact)
        else:
            by_body[fact.chunk, fact.body].add(fact)
            last_fact_at = max(last_fact_at, fact.at)
            if isinstance(fact, Receipt):
                last_sent_at = max(last_sent_at, fact.at)
    nothing = _BodyFacts()
    bodies = tuple(
        tuple(
            _fold_body(chunk, body, count, by_body.get((chunk, body), nothing), tries_since)
            for body, count in enumerate(counts)
        )
        for chunk, counts in enumerate(contact_counts)
    )
    requests = Requests(
        bulk=sum(tally.bulk for tally in tallies.values()),
        status=sum(tally.status for tally in tallies.values()),
        throttled=sum(tally.throttled for tally in tallies.values()),
    )
    return RunProgress(bodies, requests, last_fact_at, last_sent_at)


def _fold_body(chunk: int, number: int, count: int, facts: _BodyFacts, tries_since: float) -> BodyProgress:
    """What became of one body."""
    everyone = whole(count)
    delivered = failed = in_flight = accepted = with_automations = 0
    open_batches = []
    for batch_id, receipt in sorted(facts.accepted.items()):
        accepted |= receipt.part
        outcome = facts.ends.get(batch_id)
        if outcome is None:
            in_flight |= receipt.part
            open_batches.append(OpenBatch(chunk, number, batch_id, receipt.part, receipt.at))
        elif outcome.end is BatchEnd.COMPLETED:
            delivered |= receipt.part & ~outcome.failed
            failed |= outcome.failed
            if receipt.automations:
                with_automations |= receipt.part & ~outcome.failed
    erased = facts.erased & everyone & ~(delivered | in_flight)
    failed &= ~(delivered | erased)
    leaves, refused_whole = _split(everyone, facts)
    refusals = [Refusal(p, RejectReason.FAILED_IN_ACTIVECAMPAIGN, "") for p in positions_of(failed)]
    refusals += [
        Refusal(position, RejectReason.REFUSED_BY_ACTIVECAMPAIGN, words)
        for position, words in sorted(refused_whole.items())
        if not (delivered | failed | erased) >> position & 1
    ]
    answered = delivered | mask_of([refusal.position for refusal in refusals])
    closed = answered | in_flight | facts.erased
    items = []
    undelivered = []
    for leaf, named in leaves:
        if not leaf & ~closed:
            continue
        item, given_up = _next_try(chunk, number, leaf & ~facts.erased, facts, tries_since)
        if item is not None:
            items.append(item)
        else:  # whoever was named shares the fate of the rest, which nothing proves right or wrong
            undelivered += [
                Refusal(p, RejectReason.UNDELIVERED, given_up) for p in positions_of((leaf | named) & ~closed)
            ]
    return BodyProgress(
        contact_count=count,
        delivered=delivered,
        withheld=delivered & ~with_automations,
        in_flight=in_flight & ~answered,
        erased=erased,
        refusals=tuple(refusals),
        undelivered=tuple(undelivered),
        items=tuple(items),
        open_batches=tuple(open_batches),
        accepted=accepted,
        receipted=bool(facts.accepted or facts.unknown or facts.invalid),
        unnamed_refusals=tuple(
            refusal.detail
            for part, refusal in sorted(facts.invalid.items())
            if not refusal.named and part.bit_count() > 1
        ),
    )


def _split(group: Mask, facts: _BodyFacts) -> tuple[list[tuple[Mask, Mask]], dict[int, str]]:
    """How a body must be sent after its refusals: the parts, and who is refused for good.

    Each part comes with those who were named and taken out of it.

    The contacts named in a refusal are taken out and the rest is sent; they count as refused once the
    rest was accepted, which proves that the right ones were named. If the rest is refused as well, or
    nobody was named, the group is halved until the contacts at fault stand alone. Erased people keep their
    places in a group, so that it is halved as before; they are in no request.
    """
    refusal = facts.refusal_of(group)
    if refusal is None:
        return [(group, 0)], {}
    if refusal.part.bit_count() == 1:
        position = refusal.part.bit_length() - 1
        words = dict(refusal.named).get(position, refusal.detail)
        return [], {position: words}
    named = {position: words for position, words in refusal.named if group >> position & 1}
    taken_out = mask_of(list(named))
    rest = group & ~taken_out
    rest_to_send = rest & ~facts.erased
    if named and rest_to_send and facts.refusal_of(rest) is None:
        if any(receipt.part in {rest, rest_to_send} for receipt in facts.accepted.values()):
            return [(rest, 0)], named
        return [(rest, taken_out)], {}
    half = positions_of(group)[: group.bit_count() // 2]
    first, first_refused = _split(mask_of(half), facts)
    second, second_refused = _split(group & ~mask_of(half), facts)
    return first + second, first_refused | second_refused


def _next_try(
    chunk: int, number: int, leaf: Mask, facts: _BodyFacts, tries_since: float
) -> tuple[Item | None, str]:
    """The next sending of a part, or the reason why there is none."""
    failures: list[tuple[float, str]] = [
        (receipt.at, receipt.detail) for receipt in facts.unknown if receipt.part & leaf
    ]
    lost = 0
    for batch_id, receipt in facts.accepted.items():
        outcome = facts.ends.get(batch_id)
        if outcome is None or not receipt.part & leaf or outcome.end is BatchEnd.COMPLETED:
            continue
        counts = outcome.at > tries_since
        if counts and outcome.end is BatchEnd.UNSETTLED:
            return None, "ActiveCampaign did not finish the batch within a day"
        lost += counts and outcome.end is BatchEnd.LOST
        failures.append((outcome.at, f"the batch ended {outcome.end.value}"))
    tries = [(at, reason) for at, reason in failures if at > tries_since]
    if not tries:
        return Item(chunk, number, leaf, resend=bool(failures)), ""
    last_at, last_reason = max(tries)
    if len(tries) >= MAX_TRIES or lost >= MAX_LOST:
        return None, f"{len(tries)} tries; the last one: {last_reason}"
    pause = _FIRST_RETRY_SECONDS * _RETRY_GROWTH ** (len(tries) - 1)
    return Item(chunk, number, leaf, resend=True, not_before=last_at + pause), ""
