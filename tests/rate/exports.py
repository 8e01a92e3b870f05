"""Exports under way: chains of chunk calls, lots, settlement turns and the sweep, without any people in them.

`deliver`, `Lot` and `look_after` follow `steps/deliver.py`, `steps/lot.py` and `steps/sweep.py` line by
line as far as moments and slots are concerned; a settlement turn is the real one of `steps/settle.py`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import cast

from exporter.adapters.claims import SKEW
from exporter.domain.budget import Slots
from exporter.domain.configuration import Connection
from exporter.domain.facts import Outcome
from exporter.domain.progress import OpenBatch
from exporter.domain.run import PlanRecord, Run
from exporter.steps.accounts import Account
from exporter.steps.deliver import (
    CALL_SECONDS,
    CLAIM_SECONDS,
    EARLY_SECONDS,
    HELD_SECONDS,
    LEAD_SECONDS,
    LONGEST_LEAD_SECONDS,
    LOT_BODIES,
    NEAR_SECONDS,
)
from exporter.steps.lot import (
    AHEAD_BODIES,
    ANSWER_SECONDS,
    MAX_WITHOUT_RECEIPT,
    RECEIPTS_PER_DOCUMENT,
)
from exporter.steps.ports import Destination
from exporter.steps.settle import _Turn
from exporter.steps.sweep import STALLED
from tests.rate.loop import AnyTask, Loop, Places
from tests.rate.surroundings import ActiveCampaign, Storage, Worker, WorkQueue


@dataclass(slots=True)
class Export:
    """One run: the bodies that have no receipt yet, and the batches whose end is unknown."""

    run_id: str
    unsent: list[list[int]]
    """Of each chunk, the numbers of its bodies."""
    open_batches: dict[str, OpenBatch] = field(default_factory=dict)
    claimed_until: dict[int, float] = field(default_factory=dict)
    """Of chunks, by the clock of whoever claimed them; 0 for a claim given back."""
    settle_turn: int = 0
    last_moved_at: float = 0.0
    restart_count: int = 0

    @property
    def chunks_to_send(self) -> list[int]:
        """The chunks with bodies left."""
        return [number for number, bodies in enumerate(self.unsent) if bodies]

    @property
    def is_over(self) -> bool:
        """Whether every body is sent and settled."""
        return not self.open_batches and not self.chunks_to_send


@dataclass(slots=True)
class Site:
    """What all calls share."""

    loop: Loop
    storage: Storage
    activecampaign: ActiveCampaign
    chunks: WorkQueue
    settlements: WorkQueue
    account_of: Callable[[Worker], Account]
    """The account's budget as a worker sees it, by its own clock."""
    reservation_count: int = 0
    settled_at: float = 0.0

    def claimed(self, export: Export, chunk: int, account: Account) -> bool:
        """Whether somebody has a claim on a chunk."""
        return export.claimed_until.get(chunk, 0.0) + SKEW.total_seconds() > account.now()


async def deliver(site: Site, export: Export, chunk: int, slots: Slots | None, worker: Worker) -> None:
    """One chunk call: send lot after lot until slots are far away, time is up or nothing is left."""
    account = site.account_of(worker)
    started_at = site.loop.now
    await site.storage.operate(5)  # run, pauses, plan record, connections
    ran_late: tuple[str, float] | None = None
    lead_seconds = LEAD_SECONDS
    while True:
        await site.storage.operate(2)  # facts: list, and read what is new
        numbers = export.chunks_to_send
        if not numbers:
            if slots is not None:
                await account.return_slots(slots)
            return
        number = next((n for n in numbers if n >= chunk), numbers[0])
        slots = await _slots_for(account, export, number, chunk, slots, lead_seconds, ran_late)
        if slots is None:
            return
        if site.loop.now - started_at > CALL_SECONDS or slots.start - account.now() > max(
            NEAR_SECONDS, lead_seconds + 1
        ):
            wait = slots.start - account.now()
            await site.storage.operate()  # the budget, for the reason of the wait
            await site.chunks.send(partial(deliver, site, export, number, slots), wait - EARLY_SECONDS)
            return
        if not await _claim(site, export, number, account):
            await account.return_slots(slots)
            await site.chunks.send(partial(deliver, site, export, number, None), HELD_SECONDS)
            return
        slots = await account.take(slots)
        if slots is None:
            await _release(site, export, number)
            return
        lot = await _send_claimed(site, export, number, slots, account)
        if lot.lost_claim:
            if lot.ahead is not None:
                await account.return_slots(lot.ahead)
            return
        if not lot.sent_count:
            lead_seconds = min(2 * lead_seconds, LONGEST_LEAD_SECONDS)
        ran_late = (lot.slots.token, lot.late_seconds)
        chunk, slots = number, lot.ahead


async def _slots_for(
    account: Account,
    export: Export,
    number: int,
    chunk: int,
    slots: Slots | None,
    lead_seconds: float,
    ran_late: tuple[str, float] | None,
) -> Slots | None:
    """Slots for a chunk: those that came with the message if they still fit, else new ones."""
    if slots is not None and chunk == number:
        return await account.confirm(slots, lead_seconds)
    if slots is not None:
        await account.return_slots(slots)
    return await account.reserve_bulk(
        count=min(len(export.unsent[number]), LOT_BODIES),
        token=_token(export, number),
        single=False,
        lead_seconds=lead_seconds,
        ran_late=ran_late,
    )


def _token(export: Export, number: int) -> str:
    return f"{export.run_id}:{number}"


async def _claim(site: Site, export: Export, number: int, account: Account) -> bool:
    """Claim a chunk, unless somebody has it or is quicker."""
    await site.storage.operate()
    known = export.claimed_until.get(number)
    if site.claimed(export, number, account):
        return False
    until = account.now() + CLAIM_SECONDS
    await site.storage.operate()
    if export.claimed_until.get(number) != known:
        return False
    export.claimed_until[number] = until
    return True


async def _release(site: Site, export: Export, number: int) -> bool:
    """Give a claim back; False where somebody else has it by now."""
    known = export.claimed_until[number]
    await site.storage.operate()
    if export.claimed_until[number] != known:
        return False
    export.claimed_until[number] = 0.0
    return True


async def _send_claimed(site: Site, export: Export, number: int, slots: Slots, account: Account) -> "Lot":
    """Send one lot and give the claim back."""
    await site.storage.operate(6)  # run, pauses, watermark, facts, chunk
    lot = Lot(site, export, number, account, site.loop.now + CLAIM_SECONDS, slots)
    await lot.send([*export.unsent[number]])
    lot.lost_claim = not await _release(site, export, number)
    return lot


class Lot:
    """One sending of bodies under one claim."""

    def __init__(
        self,
        site: Site,
        export: Export,
        chunk: int,
        account: Account,
        claim_ends_at: float,
        slots: Slots,
    ) -> None:
        self.slots = slots
        self.ahead: Slots | None = None
        self.lost_claim = False
        self._claim_ends_at = claim_ends_at
        self._used = 0
        self._not_before = 0.0
        self.sent_count = 0
        self.late_seconds = 0.0
        self._site = site
        self._export = export
        self._chunk = chunk
        self._account = account
        self._pending: list[OpenBatch] = []
        self._places = Places(site.loop, MAX_WITHOUT_RECEIPT)
        self._writing = Places(site.loop, 1)
        site.reservation_count += 1

    async def send(self, bodies: list[int]) -> None:
        """Send the bodies, each at a slot, and write what came back."""
        sending: list[AnyTask] = []
        await self._send_all(deque(bodies), sending)
        await self._site.loop.gather(*sending)
        await self._write()
        await self._account.trim_slots(self.slots, self._used)

    async def _send_all(self, bodies: deque[int], sending: list[AnyTask]) -> None:
        going_on = True
        while going_on:
            times, beyond = self.slots.times(), len(bodies) - self.slots.count
            early = max(0, len(times) - AHEAD_BODIES)
            going_on = await self._use(times[:early], bodies, sending)
            following = (
                self._site.loop.create_task(self._more_slots(beyond)) if going_on and beyond > 0 else None
            )
            going_on = going_on and await self._use(times[early:], bodies, sending)
            slots = (await self._site.loop.gather(following))[0] if following is not None else None
            if slots is None:
                return
            if going_on:
                self.slots, self._used = slots, 0
                self._site.reservation_count += 1
            else:
                await self._account.trim_slots(slots, 0)

    async def _use(self, times: list[float], bodies: deque[int], sending: list[AnyTask]) -> bool:
        for moment in times:
            if not bodies:
                break
            await self._places.acquire()
            await self._account.wait_until(max(moment, self._not_before))
            late_seconds = max(0.0, self._account.now() - moment)
            if self._seconds_left <= 0 or late_seconds > self._account.pace.late_seconds:
                return False
            sending.append(self._site.loop.create_task(self._send_one(bodies.popleft())))
            self._used += 1
            self.sent_count += 1
            self.late_seconds = late_seconds
            self._not_before = moment + late_seconds + self.slots.gap
        return True

    async def _more_slots(self, count: int) -> Slots | None:
        following = await self._account.reserve_bulk(
            count=min(count, LOT_BODIES),
            token=_token(self._export, self._chunk),
            single=False,
            ran_late=(self.slots.token, self.late_seconds),
        )
        if following is None:
            return None
        ends_in_seconds = following.end - self._account.now()
        if following.start - self.slots.end > NEAR_SECONDS or ends_in_seconds > self._seconds_left:
            self.ahead = following
            return None
        return await self._account.take(following)

    @property
    def _seconds_left(self) -> float:
        return self._claim_ends_at - ANSWER_SECONDS - self._site.loop.now

    async def _send_one(self, body: int) -> None:
        batch_id = await self._site.activecampaign.send_bulk()
        self._pending.append(OpenBatch(self._chunk, body, batch_id, 1, self._account.now()))
        if len(self._pending) >= RECEIPTS_PER_DOCUMENT:
            await self._write()

    async def _write(self) -> None:
        """Write the receipts that wait, and let as many bodies follow."""
        await self._writing.acquire()
        receipts, self._pending = self._pending, []
        if receipts:
            await self._site.storage.operate()
            for receipt in receipts:
                self._export.open_batches[receipt.batch_id] = receipt
                if receipt.body in self._export.unsent[self._chunk]:
                    self._export.unsent[self._chunk].remove(receipt.body)
                self._places.release()
            self._export.last_moved_at = max(self._export.last_moved_at, receipts[-1].accepted_at)
        self._writing.release()
        if receipts and self._export.settle_turn == 0:
            await self._start_settling()

    async def _start_settling(self) -> None:
        """The first receipts of a run start its chain of settlement turns."""
        delay = await self._account.usual_settle_seconds()
        await self._site.storage.operate(2)
        if self._export.settle_turn == 0:
            self._export.settle_turn = 1
            await self._site.settlements.send(partial(settle, self._site, self._export, 1), delay)


NEVER_LATE = cast(
    "Run",
    SimpleNamespace(late_asked_at=None, late_asked_through=None, export=SimpleNamespace(list_id="5")),
)
"""All that a turn asks its run: here no batch takes so much longer than usual that it is set aside."""
CONNECTION = cast("Connection", SimpleNamespace(id="acme", host="acme.api-us1.com"))
NO_PLAN = cast("PlanRecord", None)
"""A turn looks into the plan only for contacts that ActiveCampaign lists as failures: here there are none."""


async def settle(site: Site, export: Export, number: int, worker: Worker) -> None:
    """One settlement turn: the real one, between the loading and storing that belongs to it."""
    account = site.account_of(worker)
    await site.storage.operate(2)
    if export.settle_turn != number:
        return
    export.settle_turn += 1
    await site.storage.operate(5)  # plan record, connections, facts
    turn = _Turn(NEVER_LATE, CONNECTION, NO_PLAN, account, number, account.ports)
    batches = sorted(export.open_batches.values(), key=lambda batch: (batch.accepted_at, batch.batch_id))
    destination = cast("Destination", site.activecampaign)
    delay = await turn.ask(batches, destination)
    await turn.check_connection(destination)
    outcomes: list[Outcome] = turn._outcomes
    if outcomes:
        await site.storage.operate()
        for outcome in outcomes:
            export.open_batches.pop(outcome.batch_id, None)
        await account.note_service(tuple(turn._samples))
    await site.storage.operate(3)  # facts, run
    if export.is_over:
        site.settled_at = site.loop.now
        return
    await site.storage.operate(2)
    await site.settlements.send(partial(settle, site, export, number + 1), delay)


async def look_after(site: Site, export: Export, account: Account) -> None:
    """The sweep, for one export: put anew what should have moved on and did not."""
    await site.storage.operate(4)  # run, plan record, facts
    chunks = export.chunks_to_send
    if not chunks or account.now() - export.last_moved_at <= STALLED.total_seconds():
        return
    budget = await account.load()
    waiting = any(
        slots.token.startswith(export.run_id) and slots.end > account.now() for slots in budget.bulk
    )
    await site.storage.operate()
    if not waiting and not site.claimed(export, chunks[0], account):
        export.last_moved_at = account.now()
        export.restart_count += 1
        await site.chunks.send(partial(deliver, site, export, chunks[0], None))
