"""A drop lands: find the exports that want it, order a run for each, and write down what was decided."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from exporter.domain.configuration import Connection
from exporter.domain.drop import DropRecord, Source, drop_version
from exporter.domain.layout import Drop, Junk, Meaning, Place, Stray
from exporter.domain.recipe import Completeness
from exporter.domain.run import (
    Counts,
    RequestCounts,
    Run,
    RunError,
    RunReport,
    RunState,
    new_run,
    run_id_for,
)
from exporter.domain.testdrop import token_in
from exporter.steps.events import Event, SpanName
from exporter.steps.join import files_for, run_that_has, run_to_join
from exporter.steps.landing import look_at_arrival, survey
from exporter.steps.messages import PlanMessage, Queue
from exporter.steps.ports import Ports, Stored, StoredExport

DROP_CAUSE = "drop"
OLDEST_DROP = timedelta(hours=48)
"""So far back drops are looked for that nobody announced."""


async def receive(blob: str, ports: Ports) -> list[DropRecord]:
    """Take up the arrival of a blob in the landing container.

    Safe to repeat: the same files are the same drop, and the same drop gives the same runs.
    Returns what is recorded about the drops that are whole now; nothing where the blob starts nothing.
    """
    found = await look_at_arrival(blob, ports)
    if isinstance(found.meaning, Junk):
        ports.telemetry.event(Event.DROP_IGNORED, why=found.meaning.why)
        await _acknowledge(blob, ports)
        return []
    if isinstance(found.meaning, Stray):
        await _list_stray(blob, found.meaning, ports)
        return []
    if not found.drops:
        _tell_nothing_starts(found.meaning, ports)
    records = []
    for drop in found.drops:
        record = await take_up(drop, ports) if drop.complete else None
        if record is not None:
            records.append(record)
        else:
            ports.telemetry.event(Event.DROP_WAITING, why=drop.by.value, files=len(drop.files))
    return records


def _tell_nothing_starts(meaning: Meaning, ports: Ports) -> None:
    if not isinstance(meaning, Place):
        ports.telemetry.event(Event.DROP_IGNORED, why="it speaks of no file that is there")
    elif meaning.recipe.complete[0] is Completeness.AT_ONCE:
        ports.telemetry.event(Event.DROP_IGNORED, why="its files are gone")
    else:
        ports.telemetry.event(Event.DROP_WAITING, why=meaning.recipe.complete[-1].value)


async def take_up(drop: Drop, ports: Ports, *, announced: bool = True) -> DropRecord | None:
    """Order the runs of a whole drop, unless it is known. `announced` is False where it was found by looking:
    then a drop that is known is no news.

    None where earlier changes have to come first that are not whole yet: the sweep comes back to it.
    """
    known = await ports.drops.recorded(drop.version)
    if known is not None:
        if announced:
            ports.telemetry.event(Event.DROP_REPEATED, drop=drop.version, run_count=len(known.run_ids))
        return known
    if not await _take_up_earlier_changes(drop, ports):
        return None
    return await _order_in_a_span(drop, ports, announced=announced)


async def _acknowledge(blob: str, ports: Ports) -> None:
    """Let `exporter doctor` see that its test drop was announced, if it still waits for that."""
    token = token_in(blob)
    if token is not None and await ports.drops.source(blob) is not None:
        await ports.signs.acknowledge(token)


async def _list_stray(blob: str, meaning: Stray, ports: Ports) -> None:
    """List a file that nobody will read, once for each version of it."""
    source = await ports.drops.source(blob)
    if source is None:
        ports.telemetry.event(Event.DROP_IGNORED, why="it is gone")
        return
    why = RunError(
        code="unrecognised_file",
        message=f"{meaning.why}. Put it under segments/<segment>/, or describe its place with a recipe; "
        "`exporter explain` says of a file why",
    )
    run = run_over(RunState.SKIPPED, why, "", (source,), ports.clock.now())
    if await ports.runs.create(run):
        ports.telemetry.event(Event.RUN_SKIPPED, run_id=run.run_id)


async def list_unfinished(drop: Drop, exports: dict[str, StoredExport], ports: Ports) -> None:
    """List a drop that does not become whole, once for as long as it stays as it is.

    One that was whole and taken up is none: a manifest that has gone on to newer files does not list it.
    """
    if await ports.drops.recorded(drop.version) is not None:
        return
    is_wanted = any(drop.segment in stored.value.segments for stored in exports.values())
    then = "then it is taken up" if is_wanted else f"besides, {why_nobody(drop.segment, [], exports).message}"
    why = RunError(
        code="incomplete_drop", message=f"nothing was sent: the drop waits for {drop.waits_for}; {then}"
    )
    now = ports.clock.now()
    run = run_over(RunState.SKIPPED, why, drop.segment, drop.files, now, cause=_UNFINISHED_CAUSE)
    if await ports.runs.load(run.run_id) is None and await ports.runs.create(run):
        ports.telemetry.event(Event.RUN_SKIPPED, run_id=run.run_id, drop=drop.version)


_UNFINISHED_CAUSE = "unfinished"


async def _order_runs(drop: Drop, trace: str, ports: Ports, *, announced: bool) -> DropRecord:
    """Order the runs, then record the drop: a crash in between repeats the same orders."""
    exports = await ports.registry.exports()
    connections = await ports.registry.connections()
    wanting = wanting_exports(drop.segment, exports.values(), connections)
    ready = [stored for stored in wanting if is_for(drop, stored)]
    if ready:
        found = [
            await _run_of(stored, connections[stored.value.connection].value, drop, trace, ports)
            for stored in ready
        ]
        runs = [run for run in found if run is not None]
    else:
        why = why_nobody(drop.segment, wanting, exports)
        runs = [run_over(RunState.SKIPPED, why, drop.segment, drop.files, ports.clock.now())]
    for run in runs:
        created = await ports.runs.create(run)
        if run.state is not RunState.SKIPPED:
            ordered = run if created else await ports.runs.load(run.run_id) or run
            await ports.queue.send(Queue.PLANS, PlanMessage(run_id=run.run_id, trace=ordered.trace))
            ports.telemetry.event(
                Event.RUN_ORDERED, run_id=run.run_id, export_id=run.export_id, drop=drop.version
            )
        else:
            ports.telemetry.event(Event.RUN_SKIPPED, run_id=run.run_id, drop=drop.version)
    record = DropRecord(
        version=drop.version,
        segment=drop.segment,
        sources=drop.files,
        recorded_at=ports.clock.now(),
        run_ids=tuple(run.run_id for run in runs),
    )
    await ports.drops.record(record)
    ports.telemetry.event(
        Event.DROP_RECORDED,
        drop=drop.version,
        run_count=len(runs),
        recipe=drop.recipe.id,
        files=len(drop.files),
        # What quiet ends the sweep finds by design: that says nothing about lost events.
        announced=announced or drop.by is Completeness.QUIET,
    )
    return record


async def _take_up_earlier_changes(drop: Drop, ports: Ports) -> bool:
    """Take up the segment's earlier drops that nobody announced: changes go in their order, each of them.

    False where one of them is being written still, and only quiet will end it.
    """
    exports = (await ports.registry.exports()).values()
    of_changes = [
        stored
        for stored in exports
        if drop.segment in stored.value.segments and stored.value.content == "delta" and is_for(drop, stored)
    ]
    if not of_changes:
        return True
    since = max(
        min(stored.active_since for stored in of_changes).replace(microsecond=0),
        ports.clock.now() - OLDEST_DROP,
    )
    missed = [
        earlier
        for earlier in await survey(ports)
        if earlier.segment == drop.segment and earlier.order < drop.order and earlier.dropped_at >= since
    ]
    if any(earlier.by is Completeness.QUIET and not earlier.complete for earlier in missed):
        return False
    for earlier in missed:
        if earlier.complete and await ports.drops.recorded(earlier.version) is None:
            await _order_in_a_span(earlier, ports, announced=False)
    return True


async def _order_in_a_span(drop: Drop, ports: Ports, *, announced: bool) -> DropRecord:
    with ports.telemetry.span(SpanName.DROP, drop=drop.version) as trace:
        return await _order_runs(drop, trace, ports, announced=announced)


async def _run_of(
    stored: StoredExport, connection: Connection, drop: Drop, trace: str, ports: Ports
) -> Run | None:
    """The run that takes a drop: one that is still at an earlier state of it, that has it, or a new one.

    None where all of its files are in other runs: parts of an earlier drop of changes that lie there still.
    """
    taking = await run_to_join(stored.value, drop, DROP_CAUSE, ports)
    taking = taking or await run_that_has(stored.value, drop, ports)
    if taking is not None:
        return taking
    files = await files_for(stored.value, drop, ports)
    if not files:
        return None
    return new_run(
        stored.value,
        connection,
        drop.segment,
        files,
        DROP_CAUSE,
        ports.clock.now(),
        recipe=drop.recipe.id,
        dialect=drop.dialect,
        sealed=drop.by is Completeness.AT_ONCE,
        trace=trace,
    )


def wanting_exports(
    segment: str, exports: Iterable[StoredExport], connections: dict[str, Stored[Connection]]
) -> list[StoredExport]:
    """The exports that take a segment, and have a connection to send by."""
    return [
        stored
        for stored in exports
        if segment in stored.value.segments and stored.value.connection in connections
    ]


def is_for(drop: Drop, stored: StoredExport) -> bool:
    """Whether an export takes a drop up by itself: it was dropped after the export's last change."""
    return drop.dropped_at >= stored.active_since.replace(microsecond=0)


async def note_failed_drop(why: RunError, segment: str, sources: tuple[Source, ...], ports: Ports) -> None:
    """List a drop that could not be taken up; it may still be, when it is announced or found again."""
    await ports.runs.create(run_over(RunState.FAILED, why, segment, sources, ports.clock.now()))


def run_over(
    state: RunState,
    why: RunError,
    segment: str,
    sources: tuple[Source, ...],
    now: datetime,
    *,
    cause: str = DROP_CAUSE,
) -> Run:
    """A run that says why there is none, so that the drop is listed."""
    run_id = run_id_for(None, drop_version(sources), cause)
    return Run(
        run_id=run_id,
        segment=segment,
        sources=sources,
        cause=cause,
        export=None,
        connection=None,
        ordered_at=now,
        state=state,
        completed_at=now,
        report=RunReport(
            run_id=run_id,
            export_id=None,
            segment=segment,
            source=tuple(source.blob for source in sources),
            cause=cause,
            state=state,
            retrying=False,
            waiting_for=None,
            counts=Counts(),
            reasons={},
            requests=RequestCounts(),
            automations_withheld=0,
            started_at=None,
            completed_at=now,
            error=why,
        ),
    )


def why_nobody(segment: str, wanting: list[StoredExport], exports: dict[str, StoredExport]) -> RunError:
    """Why no export takes the drop, and what to do."""
    if wanting:
        names = ", ".join(f"'{stored.value.id}'" for stored in wanting)
        return RunError(
            code="older_than_export",
            message=f"the drop is older than the last change of export {names}, and a new or edited export "
            f"sends nothing by itself; `exporter export run {wanting[0].value.id}` sends it",
        )
    known = sorted({name for stored in exports.values() for name in stored.value.segments})
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "") if known else "none"
    return RunError(
        code="no_export",
        message=f"no export for segment '{segment}' (known: {listed}); add the segment to an export, "
        "then drop it again",
    )
