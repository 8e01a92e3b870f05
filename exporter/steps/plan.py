"""A queued run becomes a plan: the drop is read, checked, normalised and packed; nothing is sent yet.

No body leaves before the whole drop has been read, checked and judged.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Self

from exporter.domain.chunk import Chunk
from exporter.domain.contact import ContactMapping
from exporter.domain.drop import Source
from exporter.domain.planning import judge_size, plan_drop
from exporter.domain.read_as import formats_of, read_as
from exporter.domain.run import PlanRecord, Run, RunState
from exporter.domain.source_file import SourceFile
from exporter.domain.suppression import NOBODY, Suppressed
from exporter.errors import RetryLaterError, StopRunError
from exporter.steps.events import Event
from exporter.steps.messages import ChunkMessage, PlanMessage, Queue, ReceiptsMessage
from exporter.steps.ports import Claim, PlanWriter, Ports
from exporter.steps.preflight import resolve_mapping
from exporter.steps.seal import join_late_parts, seal
from exporter.steps.stop import note_waiting, stop_run
from exporter.steps.turn import as_told, take_turn, wait_for_turn

CLAIM_SECONDS = 75.0
"""Renewed all the time; a planner that died is replaced soon after."""
LOOK_UP_SECONDS = 5.0
"""How often a planner looks whether its run was stopped; it renews its claim as well."""
TURN_SECONDS = 30.0
"""So long a plan waits for another one in its process; then it is put back."""
RETRY_SECONDS = 30.0
PLAN_SECONDS = 540.0
"""A plan that takes longer ends by itself; at `functionTimeout` the platform would end it without a word."""
HAND_OVER_SECONDS = 10.0
"""An older run notices within 5 s that it has to stop; what it has under way then is answered soon."""


async def plan(message: PlanMessage, ports: Ports, *, gate: asyncio.Lock) -> None:
    """Plan a run. `gate` lets one drop at a time be read in a process, for the sake of its memory.

    Safe to repeat: a run that is planned already is only put on its way again.
    """
    run = await ports.runs.load(message.run_id)
    if run is None or run.state.final:
        return
    ports.telemetry.about(export_id=run.export_id)
    if _is_past_planning(run):
        await _put_on_its_way(run, ports)
        return
    if run.held_by(await ports.pauses.load()) is not None:  # whoever resumes it puts its message anew
        return
    claim = await ports.claims.acquire(f"{run.run_id}/plan", ports.owner, CLAIM_SECONDS)
    if not isinstance(claim, Claim):  # whoever has it goes on, or the sweep comes
        return
    hold = _Hold(run.run_id, claim, ports)
    try:
        async with hold:
            await _plan_claimed(run, hold, ports, gate)
    except StopRunError as error:
        await stop_run(run.run_id, as_told(error, run), ports)
    except RetryLaterError as error:
        delay = RETRY_SECONDS * (0.5 + ports.randomness.random() / 2)
        await note_waiting(run.run_id, str(error), ports, retry_seconds=delay)
        await ports.queue.send(Queue.PLANS, message, delay_seconds=delay)


def _is_past_planning(run: Run) -> bool:
    """Whether a run has its plan, or needs none any more: a planner that stood still must leave it alone."""
    return run.plan_epoch is not None or run.stopped is not None


class _Hold:
    """Keeps a claim renewed while its owner works, and gives it back at the end."""

    def __init__(self, run_id: str, claim: Claim, ports: Ports) -> None:
        self._run_id = run_id
        self.claim = claim
        self.lost = False
        self._stopped: StopRunError | None = None
        self._ports = ports
        self._ends_at = ports.clock.monotonic() + PLAN_SECONDS
        self._renewing: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises RetryLaterError when the claim may have ended, StopRunError when the run was stopped.

        StopRunError("too_slow") when there is no time left. Called from the planning thread.
        """
        if self._stopped is not None:
            raise self._stopped
        if self.lost or (self._renewing is not None and self._renewing.done()):
            raise RetryLaterError("another planner took over")
        if self._ports.clock.monotonic() > self._ends_at:
            raise StopRunError(
                "too_slow",
                f"reading the drop took longer than {PLAN_SECONDS / 60:g} minutes, the most that a plan may "
                "take; nothing was sent. Split the segment into several smaller ones, or give the app more "
                "memory, which comes with more of a processor, and send it again",
            )

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        await self._ports.claims.release(self.claim)

    async def _renew(self) -> None:
        """Renew for as long as it works, or until the run is stopped."""
        while not self.lost:
            await self._ports.clock.sleep(LOOK_UP_SECONDS)
            run = await self._ports.runs.load(self._run_id)
            if run is not None and run.stopped is not None:
                self._stopped = StopRunError(run.stopped.code, run.stopped.message)
            renewed = await self._ports.claims.renew(self.claim, self._ports.owner, CLAIM_SECONDS)
            self.lost = renewed is None
            self.claim = renewed or self.claim


async def _plan_claimed(run: Run, hold: _Hold, ports: Ports, gate: asyncio.Lock) -> None:
    """Plan a run that nobody else plans."""
    await wait_for_turn(run, ports)
    now = ports.clock.now()
    run = await ports.runs.update(
        run.run_id,
        lambda current: (
            current
            if _is_past_planning(current)
            else current.model_copy(
                update={"state": RunState.PLANNING, "started_at": current.started_at or now}
            )
        ),
    )
    if _is_past_planning(run):
        await _put_on_its_way(run, ports)
        return
    export, connection = run.export, run.connection
    if export is None or connection is None:
        raise StopRunError("no_export", "the run has no export")
    run = await join_late_parts(run, ports)
    judge_size(sum(source.size for source in run.sources))
    ports.telemetry.event(
        Event.PLAN_STARTED, run_id=run.run_id, export_id=run.export_id, epoch=hold.claim.epoch
    )
    mapping = await resolve_mapping(export, connection, ports)
    record, formats = await _read_in_turn(run, mapping, hold, ports, gate)
    await seal(run, ports)
    record = await ports.plans.finish(run.run_id, record)
    ports.telemetry.event(
        Event.PLAN_COMPLETED,
        run_id=run.run_id,
        export_id=run.export_id,
        rows=record.rows,
        rejected=record.rejected,
        unchanged=record.unchanged,
        contacts=record.contacts,
        chunks=len(record.bodies),
        reading=formats,
    )
    if run.first is None:
        judge_rejects(record.rows, record.rejected, record.reasons, export.tolerated_reject_percentage)
    hold.check()
    current = await ports.runs.load(run.run_id)
    if current is None or current.stopped is not None:  # it must not make an older one give way
        await _put_on_its_way(current or run, ports)
        return
    took_over = await take_turn(run, export.id, ports)
    planned_at = ports.clock.now()
    run = await ports.runs.update(
        run.run_id,
        lambda current: (
            current
            if _is_past_planning(current)
            else current.model_copy(
                update={
                    "state": RunState.DELIVERING if record.bodies else RunState.SETTLING,
                    "plan_epoch": record.epoch,
                    "planned_at": planned_at,
                    "waiting_for": None,
                    "waiting_since": None,
                }
            )
        ),
    )
    await _put_on_its_way(run, ports, delay_seconds=HAND_OVER_SECONDS if took_over else 0.0)


async def _read_in_turn(
    run: Run, mapping: ContactMapping, hold: _Hold, ports: Ports, gate: asyncio.Lock
) -> tuple[PlanRecord, str]:
    """Read the drop in a thread of its own when no other drop is being read in this process.

    The plan, and in closed words how the files were read. Raises RetryLaterError when the other one takes
    long: another instance may take this one then.
    """
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await gate.acquire()
    except TimeoutError:
        raise RetryLaterError("another drop that is being read") from None
    try:
        suppressed = await ports.suppression.load(run.connection.id) if run.connection else NOBODY
        async with ports.plans.writer(run.run_id, hold.claim.epoch) as writer:
            return await asyncio.to_thread(
                _read, run, mapping, suppressed, hold.claim.epoch, writer, ports, hold.check
            )
    finally:
        gate.release()


def _read(
    run: Run,
    mapping: ContactMapping,
    suppressed: Suppressed,
    epoch: int,
    writer: PlanWriter,
    ports: Ports,
    keep_going: Callable[[], None],
) -> tuple[PlanRecord, str]:
    """Read, check and pack the drop; blocking. The plan, and in closed words how the files were read.

    Where only the first contacts are wanted, the whole drop is read, checked and judged all the same: who
    looks at a few contacts wants to know whether the rest will do.
    """
    files = [source_file(source, ports) for source in run.sources]
    content = run.content
    tolerated_percentage = run.export.tolerated_reject_percentage if run.export else 0.0
    if run.first is not None:
        whole = plan_drop(
            files,
            mapping,
            content=content,
            dialect=run.dialect,
            on_chunk=_forget,
            on_reject=_forget,
            keep_going=keep_going,
            suppressed=suppressed,
        )
        judge_rejects(whole.rows, whole.rejected, whole.reasons, tolerated_percentage)
    bodies: list[tuple[int, ...]] = []

    def store(chunk: Chunk) -> None:
        bodies.append(tuple(body.contact_count for body in chunk.bodies))
        writer.chunk(chunk)

    summary = plan_drop(
        files,
        mapping,
        content=content,
        dialect=run.dialect,
        on_chunk=store,
        on_reject=writer.reject,
        keep_going=keep_going,
        first=run.first,
        suppressed=suppressed,
    )
    record = PlanRecord(
        epoch=epoch,
        rows=summary.rows,
        rejected=summary.rejected,
        duplicates=summary.duplicates,
        suppressed=summary.suppressed,
        unchanged=summary.unchanged,
        reasons=summary.reasons,
        bodies=tuple(bodies),
        readings=read_as(summary.readings),
    )
    return record, formats_of(summary.readings)


def source_file(source: Source, ports: Ports) -> SourceFile:
    """A blob of a drop, pinned to its version, as the readers take it."""
    return SourceFile(source.blob, partial(ports.drops.read, source), partial(ports.drops.open, source))


def _forget(_: object) -> None:
    """Takes what only had to be looked at."""


def judge_rejects(rows: int, rejected: int, reasons: dict[str, int], tolerated_percentage: float) -> None:
    """Refuse a drop that has too many bad rows: then the mapping or the file is wrong, not the rows.

    Raises StopRunError("too_many_rejects").
    """
    if rows and 100 * rejected > tolerated_percentage * rows:
        main_reason = max(reasons, key=lambda reason: reasons[reason])
        raise StopRunError(
            "too_many_rejects",
            f"{rejected} of {rows} rows ({100 * rejected / rows:.1f} %) are rejected, most of them as "
            f"{main_reason}; {tolerated_percentage:g} % are tolerated, so nothing was sent. Look at the "
            "rejects, correct the file or the mapping, or raise tolerated_reject_percentage, then drop it "
            "again",
        )


async def _put_on_its_way(run: Run, ports: Ports, *, delay_seconds: float = 0.0) -> None:
    """Queue what follows a plan; repeating it is harmless."""
    if run.sendable and run.state is RunState.DELIVERING:
        first = ChunkMessage(run_id=run.run_id, trace=run.trace, chunk=0)
        await ports.queue.send(Queue.CHUNKS, first, delay_seconds=delay_seconds)
    else:
        await ports.queue.send(Queue.RECEIPTS, ReceiptsMessage(run_id=run.run_id, trace=run.trace))
