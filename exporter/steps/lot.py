"""A lot: bodies of one claimed chunk, sent one after the other at their reserved moments.

Slots are taken some at a time, so that other runs get their turn; where none of them wants it, the next ones
follow at once, while answers to the last bodies are still on their way.

At most 24 bodies are without a receipt at any time, those under way included; so a process that dies
repeats no more than these. Receipts are written in tens.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from exporter.domain.budget import Slots
from exporter.domain.chunk import Chunk
from exporter.domain.configuration import Connection
from exporter.domain.facts import Mask, Receipt, SendResult, Tally, positions_of, whole
from exporter.domain.progress import Item
from exporter.domain.refusal import refusal
from exporter.domain.run import Run
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import StopRunError
from exporter.steps.accounts import Account
from exporter.steps.events import Event
from exporter.steps.messages import Queue, SettlementMessage
from exporter.steps.ports import Destination, Ports

MAX_WITHOUT_RECEIPT = 24
RECEIPTS_PER_DOCUMENT = 10
LOOK_UP_SECONDS = 1.0
"""How often a sender looks whether run, connection or account were stopped: nothing leaves 5 s after that."""
AHEAD_BODIES = 20
"""So many bodies before the end of its slots a lot asks for the next ones."""
LONGEST_LOOK_SECONDS = 3.0
ANSWER_SECONDS = 15.0
"""Sending ends so long before the claim does, to leave time for the answers."""
SECOND_LOOK_SECONDS = 10.0
UNKNOWN_IN_A_ROW = 3
"""So many lost answers in a row are an outage, not bad luck."""


@dataclass(frozen=True, slots=True)
class LotItem:
    """One request to make."""

    item: Item
    automations: bool


Part: TypeAlias = tuple[int, Mask]
"""A body and the contacts of it that are in a request."""

MoreSlots: TypeAlias = Callable[[int], Coroutine[Any, Any, Slots | None]]
"""Takes slots for up to so many further bodies; None where they don't follow at once."""


@dataclass(slots=True)
class Lot:
    """One sending of bodies under one claim; its fields tell afterwards how it went."""

    run: Run
    connection: Connection
    chunk: Chunk
    epoch: int
    account: Account
    destination: Destination
    ports: Ports
    claim_ends_at: float
    """On the monotonic clock: when the right to send ends."""
    slots: Slots
    """The slots that are being used."""

    receipted: set[Part] = field(default_factory=set)
    """Parts of bodies of which this lot has written a receipt."""
    sent_count: int = 0
    """How many requests were begun."""
    accepted_count: int = 0
    accepted_contact_count: int = 0
    request_count: int = 0
    late_seconds: float = 0.0
    """By how much the last request missed its moment."""
    stop_error: StopRunError | None = None
    """Why the whole run must stop, or its connection pause."""
    withdrawn: bool = False
    """The run was stopped or paused from outside: no message may follow."""

    _halted: bool = False
    _looked_again: bool = False
    _used: int = 0
    """How many of the present slots were used."""
    _not_before: float = 0.0
    """The next body keeps this distance from the last one."""
    _watching: asyncio.Future[None] = field(default_factory=asyncio.Future)
    _unknown_in_a_row: int = 0
    _pending: list[Receipt] = field(default_factory=list)
    _tally: Counter[str] = field(default_factory=Counter)
    _documents: int = 0
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_WITHOUT_RECEIPT))

    async def send(self, items: list[LotItem], more: MoreSlots) -> None:
        """Send the items, each at a slot, and write what came back; slots left over are given back."""
        self._watching = asyncio.ensure_future(self._watch())
        try:
            async with asyncio.TaskGroup() as sending:
                await self._send_all(deque(items), more, sending)
        finally:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._write(everything=True)
        await self.account.trim_slots(self.slots, self._used)
        if self.accepted_count:
            await self.account.note_service()

    async def _send_all(self, items: deque[LotItem], more: MoreSlots, sending: asyncio.TaskGroup) -> None:
        """Start one request after the other, until all are under way or something stops us.

        The next slots are asked for before the present ones are used up, so that they follow at once.
        """
        going_on = True
        while going_on:
            times, beyond = self.slots.times(), len(items) - self.slots.count
            early = max(0, len(times) - AHEAD_BODIES)
            going_on = await self._use(times[:early], items, sending)
            following = sending.create_task(more(beyond)) if going_on and beyond > 0 else None
            going_on = going_on and await self._use(times[early:], items, sending)
            slots = await following if following is not None else None
            if slots is None:
                return
            if going_on:
                self.slots, self._used = slots, 0
            else:
                await self.account.trim_slots(slots, 0)

    async def _use(self, times: list[float], items: deque[LotItem], sending: asyncio.TaskGroup) -> bool:
        """Send at moments of the present slots; False where something stopped us before the last of them."""
        for moment in times:
            if not items:
                break
            await self._places.acquire()
            due = max(moment, self._not_before)
            if due - self.account.now() > self.sending_seconds_left:
                return False  # the clock was put back meanwhile: its moments would come after our time
            await self.account.wait_until(due)
            late_seconds = max(0.0, self.account.now() - moment)
            if self._must_halt() or late_seconds > self.account.pace.late_seconds:
                return False  # who is too late has lost the slots, and comes back for new ones
            sending.create_task(self._send_one(items.popleft()))
            self._used += 1
            self.sent_count += 1
            self.late_seconds = late_seconds
            # A sender that was held up does not catch up: no second holds a body more than usual.
            self._not_before = moment + late_seconds + self.slots.gap
        return True

    def _must_halt(self) -> bool:
        """Whether no further body may leave in this lot."""
        return (
            self._halted
            or self.withdrawn
            or self._watching.done()  # whatever ended it: nobody would tell us of a stop any more
            or self.stop_error is not None
            or self.sending_seconds_left <= 0
        )

    @property
    def sending_seconds_left(self) -> float:
        """For so long bodies may still leave under the claim."""
        return self.claim_ends_at - ANSWER_SECONDS - self.ports.clock.monotonic()

    async def _watch(self) -> None:
        """Look every few seconds whether a person or a throttle elsewhere stopped us."""
        while True:
            await self.ports.clock.sleep(LOOK_UP_SECONDS)
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):  # who can't look must not go on
                run, pauses, budget = await asyncio.gather(
                    self.ports.runs.load(self.run.run_id), self.ports.pauses.load(), self.account.load()
                )
            if run is None or not run.sendable or run.held_by(pauses) is not None:
                self.withdrawn = True
                return
            if budget.hold_until > self.account.now():
                self._halted = True
                return

    async def _send_one(self, lot_item: LotItem) -> None:
        """Make one request and keep what it tells."""
        item = lot_item.item
        self.request_count += 1
        self._tally["bulk"] += 1
        contacts = self._contacts(item.body, item.part)
        verdict = await self.destination.send_bulk(contacts, automations=lot_item.automations)
        if verdict.kind is VerdictKind.DENIED and await self._may_look_again():
            self._tally["bulk"] += 1
            verdict = await self.destination.send_bulk(contacts, automations=lot_item.automations)
        receipt = await self._judge(verdict, lot_item)
        if receipt is None:
            self._places.release()
            return
        self._pending.append(receipt)
        if len(self._pending) >= RECEIPTS_PER_DOCUMENT:
            await self._write(everything=False)

    async def _may_look_again(self) -> bool:
        """Whether to try a refused key once more: good ones were seen refused now and then.

        Once in a lot, and at a moment that the budget gives.
        """
        if self._looked_again or self.stop_error is not None:
            return False
        self._looked_again = self._halted = True
        if self._used < self.slots.count:  # the lot ends here, so its next slot is free
            moment = self.slots.times()[self._used]
            self._used += 1
            await self.account.wait_until(moment)
            return not self.withdrawn
        slots = await self.account.reserve_bulk(count=1, token=f"{self.run.run_id}:again", single=False)
        if slots is None or slots.start - self.account.now() > SECOND_LOOK_SECONDS:
            if slots is not None:
                await self.account.return_slots(slots)
            return False
        await self.account.wait_until(slots.start)
        return not self.withdrawn

    def _contacts(self, body: int, part: Mask) -> bytes:
        """The JSON array to send: the body as planned, or the part of it that is asked for."""
        planned = self.chunk.bodies[body]
        if part == whole(planned.contact_count):
            return planned.contacts
        contacts = orjson.loads(planned.contacts)
        return orjson.dumps([contacts[position] for position in positions_of(part)])

    async def _judge(self, verdict: Verdict, lot_item: LotItem) -> Receipt | None:
        """The receipt for an answer; None where nothing was taken and the body just waits."""
        item = lot_item.item
        match verdict.kind:
            case VerdictKind.ACCEPTED:
                self._unknown_in_a_row = 0
                self.accepted_count += 1
                self.accepted_contact_count += item.contact_count
                if verdict.queued not in {None, item.contact_count}:
                    self._log(Event.BODY_MISCOUNTED, item, verdict)
                return self._receipt(lot_item, SendResult.ACCEPTED, batch_id=verdict.batch_id)
            case VerdictKind.UNKNOWN:
                self._log(Event.BODY_UNKNOWN, item, verdict)
                self._unknown_in_a_row += 1
                if self._unknown_in_a_row >= UNKNOWN_IN_A_ROW:
                    await self._pause(verdict)
                return self._receipt(lot_item, SendResult.UNKNOWN, detail=verdict.detail)
            case VerdictKind.INVALID | VerdictKind.TOO_LARGE:
                self._log(Event.BODY_REFUSED, item, verdict)
                positions = positions_of(item.part)
                named = tuple(
                    (positions[contact.index - 1], contact.words)
                    for contact in verdict.named
                    if 1 <= contact.index <= len(positions)
                )
                return self._receipt(lot_item, SendResult.INVALID, named=named, detail=verdict.words)
            case VerdictKind.THROTTLED:
                self._tally["throttled"] += 1
                self._halted = True
                await self.account.note_throttle(verdict)
            case VerdictKind.UNAVAILABLE:
                await self._pause(verdict)
            case VerdictKind.REKEYED:
                self._halted = True
            case _:
                self.stop_error = self.stop_error or refusal(self.connection, verdict)
        return None

    async def _pause(self, verdict: Verdict) -> None:
        """ActiveCampaign is not there: the account pauses, once for all requests under way."""
        if not self._halted:
            self._halted = True
            await self.account.note_outage(verdict)

    def _receipt(
        self,
        lot_item: LotItem,
        result: SendResult,
        *,
        batch_id: str = "",
        named: tuple[tuple[int, str], ...] = (),
        detail: str = "",
    ) -> Receipt:
        return Receipt(
            chunk=self.chunk.number,
            body=lot_item.item.body,
            epoch=self.epoch,
            part=lot_item.item.part,
            result=result,
            at=self.account.now(),
            batch_id=batch_id,
            automations=lot_item.automations,
            named=named,
            detail=detail,
        )

    def _log(self, event: Event, item: Item, verdict: Verdict) -> None:
        self.ports.telemetry.event(
            event,
            run_id=self.run.run_id,
            export_id=self.run.export_id,
            chunk=item.chunk,
            body=item.body,
            contacts=item.contact_count,
            why=verdict.detail,
        )

    async def _write(self, *, everything: bool) -> None:
        """Write the receipts that wait, as one document, and let as many bodies follow."""
        async with self._writing:
            if not self._pending and not (everything and self._tally):
                return
            receipts, self._pending = self._pending, []
            tally, self._tally = self._tally, Counter()
            name = f"receipts-{self.chunk.number:05d}-{self.epoch:04d}-{self._documents:04d}"
            self._documents += 1
            counts = Tally(name, bulk=tally["bulk"], throttled=tally["throttled"])
            await self.ports.facts.write(self.run.run_id, name, [*receipts, counts])
            for receipt in receipts:
                self.receipted.add((receipt.body, receipt.part))
                self._places.release()
        if self._documents == 1 and self.run.next_check_at is None:
            await self._start_settling()

    async def _start_settling(self) -> None:
        """The first receipts of a run, or of its redrive, start a chain of settlement turns."""
        started = False
        delay = await self.account.usual_settle_seconds()

        def change(run: Run) -> Run:
            nonlocal started
            started = run.next_check_at is None and not run.state.final
            if not started:
                return run
            turn = max(1, run.settle_turn)
            return run.model_copy(update={"settle_turn": turn, "next_check_at": self.ports.clock.now()})

        self.run = await self.ports.runs.update(self.run.run_id, change)
        if started:
            await self.ports.queue.send(
                Queue.SETTLEMENTS,
                SettlementMessage(run_id=self.run.run_id, trace=self.run.trace, turn=self.run.settle_turn),
                delay_seconds=delay,
            )
