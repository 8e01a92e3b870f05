"""A chunk goes out: take slots, claim it, send its bodies at their moments, write receipts, see to the next.

The chain of a run is one message: whoever finishes a chunk reserves slots for the next one and puts the
message that carries them, visible shortly before they begin. Waiting costs nothing. A doubled message
finds the chunk's slots reserved, its claim held or its work done, and ends.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from exporter.domain.budget import Slots
from exporter.domain.configuration import Connection, Export
from exporter.domain.progress import Item, RunProgress
from exporter.domain.run import PlanRecord, Run, RunState
from exporter.errors import (
    ConfigurationError,
    RefusedConnectionError,
    RetryLaterError,
    SecretUnavailableError,
    StopRunError,
)
from exporter.steps.accounts import Account, open_account
from exporter.steps.events import Event, Metric
from exporter.steps.lot import MAX_WITHOUT_RECEIPT, Lot, LotItem, Part
from exporter.steps.messages import ChunkMessage, Queue, ReceiptsMessage, ReservedSlots
from exporter.steps.ports import Claim, Destination, Ports
from exporter.steps.preflight import resolve_mapping
from exporter.steps.refusals import note_unreadable, pause_refused, present_connection
from exporter.steps.run_progress import read_progress
from exporter.steps.stop import give_way, note_waiting, stop_run

CLAIM_SECONDS = 75.0
LOT_BODIES = 49
"""At most so many slots are taken at once, half a chunk: then it is another run's turn, if one waits."""
CALL_SECONDS = 60.0
"""A call takes up another chunk only while it is younger than this."""
LEAD_SECONDS = 0.5
"""At the least from the reservation of slots to their first moment: getting claim and chunk takes time."""
LONGEST_LEAD_SECONDS = 16.0
NEAR_SECONDS = 3.0
"""Slots that begin within this time are waited for; others are waited for on the queue."""
EARLY_SECONDS = 2.5
HELD_SECONDS = 3.0
KEY_SECONDS = 60.0
STALE_PLAN = timedelta(hours=1)
_ALL_SENT = {"state": RunState.SETTLING, "waiting_for": None, "waiting_since": None}


@dataclass(frozen=True, slots=True)
class Work:
    """What one lot may take from a chunk: items of one kind, what failed before behind the rest."""

    chunk: int
    items: list[Item]
    single: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing may be sent before `until` (seconds since the epoch)."""

    chunk: int
    until: float


def next_work(progress: RunProgress, chunk: int, now: float) -> Work | Pause | None:
    """What to send next, beginning at `chunk` and going round; None when nothing is left.

    Requests with one contact have a smaller budget of their own, so they make lots of their own, last.
    """
    numbers = progress.chunks_to_send()
    numbers = [n for n in numbers if n >= chunk] + [n for n in numbers if n < chunk]
    later: list[tuple[float, int]] = []
    for number in numbers:
        items = progress.items(number)
        ready = [item for item in items if item.not_before <= now]
        ready.sort(key=lambda item: item.not_before > 0)  # what failed before goes behind the rest
        several = [item for item in ready if item.contact_count > 1]
        if ready:
            return Work(number, several or ready, single=not several)
        later += [(item.not_before, number) for item in items]
    if not later:
        return None
    until, number = min(later)
    return Pause(number, until)


async def deliver(message: ChunkMessage, ports: Ports) -> None:
    """Send what is left of a chunk, and of those after it as far as slots and time allow."""
    started_at = ports.clock.monotonic()
    run = await ports.runs.load(message.run_id)
    connection = await present_connection(run, ports) if run is not None else None
    if run is None or run.state.final or run.export is None or connection is None:
        return
    record = await ports.plans.record(run.run_id)
    if record is None:
        return
    ports.telemetry.about(export_id=run.export_id)
    account = await open_account(connection, ports)
    slots = message.slots.to_slots() if message.slots else None
    if not await _may_send(run, ports):  # whoever resumes the run puts its message anew
        if slots:
            await account.return_slots(slots)
        return
    try:
        async with ports.destinations.open(connection) as destination:
            delivery = _Delivery(run, run.export, connection, record, account, destination, ports, started_at)
            try:
                await _look_again(delivery, slots)
                await delivery.go(message.chunk, slots)
            except RefusedConnectionError as error:
                await pause_refused(connection, error, ports)
    except StopRunError as error:
        await stop_run(run.run_id, error, ports)
    except (ConfigurationError, RetryLaterError) as error:  # the key, or the account, is not to be had now
        if isinstance(error, ConfigurationError | SecretUnavailableError):
            note_unreadable(connection, error, ports)
        await note_waiting(run.run_id, str(error), ports, retry_seconds=KEY_SECONDS)
        await ports.queue.send(Queue.CHUNKS, message, delay_seconds=KEY_SECONDS)


async def _may_send(run: Run, ports: Ports) -> bool:
    """Whether bodies may leave: nobody has stopped or paused the run."""
    return run.sendable and run.held_by(await ports.pauses.load()) is None


async def _look_again(delivery: "_Delivery", slots: Slots | None) -> None:
    """Before the first body of a plan that has become old: are key, list and fields still there?

    Raises StopRunError where they are not; then the slots are given back.
    """
    run, ports = delivery.run, delivery.ports
    if run.planned_at is None or ports.clock.now() - run.planned_at < STALE_PLAN:
        return
    sent_at = (await read_progress(run, delivery.record, ports)).last_sent_at
    if sent_at > run.tries_since:
        return
    try:
        await resolve_mapping(delivery.export, delivery.connection, ports)
    except StopRunError:
        if slots:
            await delivery.account.return_slots(slots)
        raise


@dataclass(slots=True)
class _Delivery:
    """One call of `deliver`."""

    run: Run
    export: Export
    connection: Connection
    record: PlanRecord
    account: Account
    destination: Destination
    ports: Ports
    started_at: float
    """On the monotonic clock."""
    _ahead: Slots | None = None
    """Slots that a lot reserved for what it left, further away than it waits."""

    async def go(self, chunk: int, slots: Slots | None) -> None:
        """Send lot after lot until slots are far away, time is up or nothing is left."""
        ran_late: tuple[str, float] | None = None
        lead_seconds = 0.0
        while True:
            progress = await self._progress()
            _check_not_refused_outright(progress)
            work = next_work(progress, chunk, self.account.now())
            if not isinstance(work, Work):
                if slots:
                    await self.account.return_slots(slots)
                await self._nothing_ready(work)
                return
            lead_seconds = lead_seconds or self._first_lead()
            slots = await self._slots_for(work, chunk, slots, lead_seconds, ran_late)
            if slots is None:  # another message of this run goes on with these very slots
                return
            out_of_time = self.ports.clock.monotonic() - self.started_at > CALL_SECONDS
            if out_of_time or slots.start - self.account.now() > max(NEAR_SECONDS, lead_seconds + 1):
                await self._wait_on_the_queue(work.chunk, slots)
                return
            claim = await self.ports.claims.acquire(
                chunk_claim(self.run.run_id, work.chunk), self.ports.owner, CLAIM_SECONDS
            )
            if not isinstance(claim, Claim):
                await self.account.return_slots(slots)
                await self._come_back(work.chunk)
                return
            slots = await self.account.take(slots)
            if slots is None:
                await self.ports.claims.release(claim, clean=claim.clean)
                return
            lot = await self._send_claimed(work, slots, claim)
            if lot is None or lot.withdrawn:
                return
            if not lot.sent_count:  # too late for its first slot: it needs more time than others
                lead_seconds = min(2 * lead_seconds, LONGEST_LEAD_SECONDS)
            ran_late = (lot.slots.token, lot.late_seconds)
            chunk, slots = work.chunk, self._ahead
            self._ahead = None

    def _first_lead(self) -> float:
        """What this process needs from a reservation to its first body, by what it has needed until now."""
        if math.isinf(self.account.pace.late_seconds):
            return 0.0
        needed = self.ports.clock.monotonic() - self.started_at
        return min(max(LEAD_SECONDS, 1.5 * needed), LONGEST_LEAD_SECONDS)

    async def _slots_for(
        self,
        work: Work,
        chunk: int,
        slots: Slots | None,
        lead_seconds: float,
        ran_late: tuple[str, float] | None,
    ) -> Slots | None:
        """Slots for the work: those that came with the message if they still fit, else new ones."""
        if slots is not None and (slots.single, chunk) == (work.single, work.chunk):
            return await self.account.confirm(slots, lead_seconds)
        if slots is not None:
            await self.account.return_slots(slots)
        reserved = await self.account.reserve_bulk(
            count=min(len(work.items), LOT_BODIES),
            token=_token(self.run.run_id, work),
            single=work.single,
            lead_seconds=lead_seconds,
            ran_late=ran_late,
        )
        if reserved is not None:
            wait_seconds = max(0.0, reserved.start - self.account.now())
            self.ports.telemetry.measure(
                Metric.SLOT_WAIT, wait_seconds, account=self.account.name, export_id=self.run.export_id
            )
        return reserved

    async def _send_claimed(self, work: Work, slots: Slots, claim: Claim) -> Lot | None:
        """Send one lot and give the claim back; None when the run was stopped, or is another's, meanwhile.

        Raises StopRunError where the run must stop.
        """
        try:
            run = await self.ports.runs.load(self.run.run_id)
            if run is None or not await _may_send(run, self.ports):
                await self._give_back(slots, claim)
                return None
            await give_way(self.run, self.export.id, self.ports, begun=True)
            lot, suspects = await self._send(work, slots, claim)
        except StopRunError:  # before the first body
            await self._give_back(slots, claim)
            raise
        except Exception:  # the next try must find the chunk free, or it would never count as one
            with suppress(Exception):
                await self.ports.claims.release(claim, clean=False)
            raise
        still_ours = await self.ports.claims.release(claim, clean=suspects <= lot.receipted)
        if self._ahead is not None and (lot.withdrawn or lot.stop_error is not None or not still_ours):
            await self.account.return_slots(self._ahead)
        if lot.stop_error is not None:
            raise lot.stop_error
        return lot if still_ours else None

    async def _give_back(self, slots: Slots, claim: Claim) -> None:
        """Nothing was sent: slots and claim are free for others."""
        await self.account.trim_slots(slots, 0)
        await self.ports.claims.release(claim, clean=claim.clean)

    async def _send(self, work: Work, slots: Slots, claim: Claim) -> tuple[Lot, frozenset[Part]]:
        """Send one lot under its claim; also the parts that an earlier owner may have sent already."""
        progress = await self._progress()  # another owner may have finished while we claimed
        present = {(item.body, item.part): item for item in progress.items(work.chunk)}
        parts = [(item.body, item.part) for item in work.items]
        items = [present[part] for part in parts if part in present]
        self.ports.telemetry.event(
            Event.CHUNK_STARTED,
            run_id=self.run.run_id,
            export_id=self.run.export_id,
            chunk=work.chunk,
            epoch=claim.epoch,
            bodies=len(items),
        )
        suspects = _maybe_sent(progress, work.chunk) if not claim.clean else frozenset()
        chunk = await self.ports.plans.chunk(self.run.run_id, self.record.epoch, work.chunk)
        lot = Lot(
            run=self.run,
            connection=self.connection,
            chunk=chunk,
            epoch=claim.epoch,
            account=self.account,
            destination=self.destination,
            ports=self.ports,
            claim_ends_at=self.ports.clock.monotonic() + CLAIM_SECONDS,
            slots=slots,
        )
        await lot.send(
            [
                LotItem(
                    item,
                    automations=self.export.automations
                    and not item.resend
                    and (item.body, item.part) not in suspects,
                )
                for item in items
            ],
            more=lambda count: self._more_slots(count, work, lot),
        )
        self.ports.telemetry.event(
            Event.CHUNK_SENT,
            run_id=self.run.run_id,
            export_id=self.run.export_id,
            chunk=work.chunk,
            epoch=claim.epoch,
            accepted=lot.accepted_count,
            contacts=lot.accepted_contact_count,
            requests=lot.request_count,
        )
        return lot, suspects

    async def _more_slots(self, count: int, work: Work, lot: Lot) -> Slots | None:
        """Take slots for what a lot has left, if it is its turn again at once.

        Slots that are further away stay reserved, for the message that waits for them.
        """
        try:
            following = await self.account.reserve_bulk(
                count=min(count, LOT_BODIES),
                token=_token(self.run.run_id, work),
                single=work.single,
                ran_late=(lot.slots.token, lot.late_seconds),
            )
        except RetryLaterError:  # the budget is fought over: the lot must not end in the middle for that
            return None
        if following is None:
            return None
        ends_in_seconds = following.end - self.account.now()
        if following.start - lot.slots.end > NEAR_SECONDS or ends_in_seconds > lot.sending_seconds_left:
            self._ahead = following
            return None
        return await self.account.take(following)

    async def _progress(self) -> RunProgress:
        return await read_progress(self.run, self.record, self.ports)

    async def _wait_on_the_queue(self, chunk: int, slots: Slots) -> None:
        """Put the message that comes back shortly before the slots begin."""
        wait = slots.start - self.account.now()
        budget = await self.account.load()
        reason = budget.hold_reason if budget.hold_until > self.account.now() else None
        if reason or self.run.waiting_for:
            await note_waiting(self.run.run_id, reason, self.ports)
        await self.ports.queue.send(
            Queue.CHUNKS,
            self._message(chunk, slots),
            delay_seconds=max(0.0, wait - EARLY_SECONDS),
        )
        self.ports.telemetry.event(
            Event.CHUNK_DEFERRED, run_id=self.run.run_id, chunk=chunk, seconds=round(wait, 1), why="slots"
        )

    async def _come_back(self, chunk: int) -> None:
        """Somebody else works on the chunk; look again a little later."""
        await self.ports.queue.send(Queue.CHUNKS, self._message(chunk), delay_seconds=HELD_SECONDS)
        self.ports.telemetry.event(
            Event.CHUNK_DEFERRED, run_id=self.run.run_id, chunk=chunk, seconds=HELD_SECONDS, why="claimed"
        )

    async def _nothing_ready(self, pause: Pause | None) -> None:
        """All is sent, or what is left has to wait a while before its next try."""
        if pause is not None:
            await self.ports.queue.send(
                Queue.CHUNKS,
                self._message(pause.chunk),
                delay_seconds=max(0.0, pause.until - self.account.now()),
            )
            return
        await self.ports.runs.update(
            self.run.run_id,
            lambda run: run.model_copy(update=_ALL_SENT) if run.state is RunState.DELIVERING else run,
        )
        message = ReceiptsMessage(run_id=self.run.run_id, trace=self.run.trace)
        await self.ports.queue.send(Queue.RECEIPTS, message)

    def _message(self, chunk: int, slots: Slots | None = None) -> ChunkMessage:
        """The message that goes on with a chunk, with the slots that it is to be sent in."""
        reserved = ReservedSlots.of(slots) if slots else None
        return ChunkMessage(run_id=self.run.run_id, trace=self.run.trace, chunk=chunk, slots=reserved)


def _check_not_refused_outright(progress: RunProgress) -> None:
    """Raises StopRunError when it is not the contacts that ActiveCampaign refuses."""
    words = progress.refused_outright()
    if words is not None:
        raise StopRunError(
            "refused",
            f"ActiveCampaign refuses every request, naming nobody: {words}. Compare the mapping with what "
            "the account takes, then drop the segment again or run the export",
        )


def chunk_claim(run_id: str, chunk: int) -> str:
    """The name of the claim on a chunk."""
    return f"{run_id}/chunk-{chunk:05d}"


def _token(run_id: str, work: Work) -> str:
    """Names the slots for this work: a second message that wants the same finds them taken."""
    return f"{run_id}:{work.chunk}{':single' if work.single else ''}"


def _maybe_sent(progress: RunProgress, chunk: int) -> frozenset[Part]:
    """Parts of bodies of which an owner who vanished may have sent something without leaving a receipt.

    Those that were never sent before go out in order, those with one contact last, and at most so many are
    without a receipt; so only the first ones of either kind can be. The others are resent anyway.
    """
    items = [item for item in progress.items(chunk) if not item.resend]
    several = [item for item in items if item.contact_count > 1]
    single = [item for item in items if item.contact_count == 1]
    first = (*several[:MAX_WITHOUT_RECEIPT], *single[:MAX_WITHOUT_RECEIPT])
    return frozenset((item.body, item.part) for item in first)
