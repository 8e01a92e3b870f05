"""The sweep: twice a minute, what has stalled is put anew, and drops that nobody announced are found.

A process that dies hides its queue message for ten minutes; the sweep does not wait for that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from exporter.domain.layout import Drop
from exporter.domain.recipe import Completeness
from exporter.domain.run import Run
from exporter.errors import NewerVersionError
from exporter.steps.accounts import open_account
from exporter.steps.deliver import chunk_claim
from exporter.steps.events import Event, SpanName
from exporter.steps.landing import survey
from exporter.steps.messages import (
    ChunkMessage,
    Message,
    PlanMessage,
    Queue,
    ReceiptsMessage,
    SettlementMessage,
)
from exporter.steps.ports import Ports
from exporter.steps.receive import OLDEST_DROP, list_unfinished, take_up
from exporter.steps.refusals import lift_refusals
from exporter.steps.retention import tidy_up
from exporter.steps.run_progress import read_progress
from exporter.steps.waiting import last_moved_at

STALLED = timedelta(seconds=90)
UNANNOUNCED = timedelta(seconds=60)
UNFINISHED = timedelta(hours=1)
"""A drop that is not whole and to which nothing was added for so long is listed."""


async def sweep(ports: Ports) -> None:
    """Look at every open run and at the newest drop of every segment."""
    with ports.telemetry.span(SpanName.SWEEP):
        await _look_after_everything(ports)


async def _look_after_everything(ports: Ports) -> None:
    is_first_in_minute = await ports.signs.beat()
    pauses = await ports.pauses.load()
    if await lift_refusals(pauses, ports):
        pauses = await ports.pauses.load()
    open_count = 0

    def unreadable(run_id: str, error: NewerVersionError | ValueError) -> None:
        ports.telemetry.event(Event.LOOK_FAILED, run_id=run_id, why=type(error).__name__)

    async for run in ports.runs.open(unreadable):
        open_count += 1
        with _apart(ports, run_id=run.run_id):
            await _look_after(run, ports, paused=run.held_by(pauses) is not None)
    if is_first_in_minute:
        ports.telemetry.event(Event.APP_ALIVE, open_runs=open_count)
    await _take_up_what_was_missed(ports)
    with _apart(ports):
        await tidy_up(ports)


@contextmanager
def _apart(ports: Ports, **about: str) -> Iterator[None]:
    """Keep the sweep going past what can't be looked after; an outage ends it, until next time."""
    try:
        yield
    except Exception as error:
        if ports.is_outage(error):
            raise
        ports.telemetry.event(Event.LOOK_FAILED, why=type(error).__name__, **about)


async def _look_after(run: Run, ports: Ports, *, paused: bool) -> None:
    """Put anew what should have moved on and did not; a paused run only settles."""
    if run.plan_epoch is None and run.stopped is None:
        if not paused:
            await _look_after_plan(run, ports)
        return
    if _overdue(run.next_check_at, ports):
        await _restart(
            run,
            Queue.SETTLEMENTS,
            SettlementMessage(run_id=run.run_id, trace=run.trace, turn=run.settle_turn),
            ports,
        )
    await _look_after_chunks(run, ports, paused=paused)


async def _look_after_plan(run: Run, ports: Ports) -> None:
    due = run.next_try_at or run.ordered_at
    if _overdue(due, ports) and await ports.claims.free(f"{run.run_id}/plan"):
        await _restart(run, Queue.PLANS, PlanMessage(run_id=run.run_id, trace=run.trace), ports)


async def _look_after_chunks(run: Run, ports: Ports, *, paused: bool) -> None:
    """Restart sending where work is left, nobody has it, and no slots wait for it."""
    record = await ports.plans.record(run.run_id)
    if record is None or run.connection is None:
        if _overdue(run.started_at, ports):
            await _restart(run, Queue.RECEIPTS, ReceiptsMessage(run_id=run.run_id, trace=run.trace), ports)
        return
    progress = await read_progress(run, record, ports)
    chunks = progress.chunks_to_send() if run.sendable else []
    if not _overdue(last_moved_at(run, progress, sent_only=bool(chunks)), ports):
        return
    if progress.open_batches() and run.next_check_at is None:
        turn = (await ports.runs.update(run.run_id, _with_a_turn)).settle_turn
        message = SettlementMessage(run_id=run.run_id, trace=run.trace, turn=turn)
        await _restart(run, Queue.SETTLEMENTS, message, ports)
    if chunks and not paused:
        now = ports.clock.now().timestamp()
        budget = await (await open_account(run.connection, ports)).load()
        waiting = any(slots.token.startswith(run.run_id) and slots.end > now for slots in budget.bulk)
        held = budget.hold_until > now
        if not waiting and not held and await ports.claims.free(chunk_claim(run.run_id, chunks[0])):
            next_chunk = ChunkMessage(run_id=run.run_id, trace=run.trace, chunk=chunks[0])
            await _restart(run, Queue.CHUNKS, next_chunk, ports)
    elif not chunks and not progress.open_batches():
        await _restart(run, Queue.RECEIPTS, ReceiptsMessage(run_id=run.run_id, trace=run.trace), ports)


def _with_a_turn(run: Run) -> Run:
    """The run with a settlement turn to take: this look may be an old one, and turns don't begin anew."""
    return run if run.settle_turn else run.model_copy(update={"settle_turn": 1})


def _overdue(since: datetime | None, ports: Ports) -> bool:
    return since is not None and ports.clock.now() - since > STALLED


async def _restart(run: Run, queue: Queue, message: Message, ports: Ports) -> None:
    """Put a message, and leave the run alone until that should have shown."""
    now = ports.clock.now()
    due = "next_check_at" if queue is Queue.SETTLEMENTS else "next_try_at"
    await ports.runs.update(run.run_id, lambda current: current.model_copy(update={due: now}))
    await ports.queue.send(queue, message)
    ports.telemetry.event(Event.RUN_RESTARTED, run_id=run.run_id, export_id=run.export_id, queue=queue.value)


async def _take_up_what_was_missed(ports: Ports) -> None:
    """Take up the newest whole drop of each segment that an export takes, if nobody announced it.

    Also every one that became whole of late by nothing being written any more, which nobody announces: where
    a newer one is there it ends as superseded, where no export takes it as skipped. Drops that don't become
    whole are listed, whatever their segment: a name that nobody expects makes one that nobody takes.
    """
    exports = await ports.registry.exports()
    now = ports.clock.now()
    drops = [drop for drop in await survey(ports) if now - drop.order[0] < OLDEST_DROP]
    wanted = {segment for stored in exports.values() for segment in stored.value.segments}
    with_changes = {
        segment
        for stored in exports.values()
        for segment in stored.value.segments
        if stored.value.content == "delta"
    }
    newest = {drop.segment: drop for drop in drops if drop.complete}
    for drop in _unfinished(drops, newest, with_changes):
        if now - drop.order[0] > UNFINISHED:
            with _apart(ports):
                await list_unfinished(drop, exports, ports)
    for drop in drops:
        if not drop.complete:
            continue
        is_quiet = drop.by is Completeness.QUIET
        is_newest = newest[drop.segment] is drop and drop.segment in wanted
        is_behind = (is_quiet or drop.segment in with_changes) and _was_whole_lately(drop, ports)
        if (is_quiet or now - drop.order[0] > UNANNOUNCED) and (is_newest or is_behind):
            with _apart(ports):
                await take_up(drop, ports, announced=False)


def _unfinished(
    drops: Sequence[Drop], newest: Mapping[str, Drop], with_changes: Collection[str]
) -> Iterator[Drop]:
    """The drops that something has to complete: of snapshots the last of a segment, unless one is newer.

    No other drop of changes stands for one of changes. Quiet comes by itself.
    """
    waiting = [drop for drop in drops if not drop.complete and drop.by is not Completeness.QUIET]
    last = {drop.segment: drop for drop in waiting}
    for drop in waiting:
        newer = newest.get(drop.segment)
        is_last = last[drop.segment] is drop and (newer is None or newer.order < drop.order)
        if is_last or drop.segment in with_changes:
            yield drop


def _was_whole_lately(drop: Drop, ports: Ports) -> bool:
    """Whether a drop became whole so lately that nobody may have taken it up, though it is not the newest.

    Later ones may have been whole at once, while it had to wait for quiet.
    """
    return ports.clock.now() - drop.order[0] < drop.recipe.quiet(ports.quiet) + UNFINISHED
