"""A drop lands: find the exports that want it, order a run for each, and write down what was decided."""

from datetime import datetime

from exporter.domain.drop import DropRecord, Ignored, Source, drop_version, recognise
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
from exporter.steps.landing import sources_of
from exporter.steps.messages import PlanMessage, Queue
from exporter.steps.ports import Ports, StoredExport

DROP_CAUSE = "drop"


async def receive(blob: str, ports: Ports, *, announced: bool = True) -> DropRecord | None:
    """Take up the arrival of a blob in the landing container.

    Safe to repeat: the same files are the same drop, and the same drop gives the same runs.
    `announced` is False for a blob that was found by looking: then a drop that is known is no news.
    Returns what is recorded about the drop, or None when the blob starts nothing.
    """
    meaning = recognise(blob)
    if isinstance(meaning, Ignored):
        ports.telemetry.event(Event.DROP_IGNORED, why=meaning.why)
        await _acknowledge(blob, ports)
        return None
    sources = await sources_of(blob, meaning, ports)
    if not sources:
        ports.telemetry.event(Event.DROP_IGNORED, why="its files are gone")
        return None
    version = drop_version(sources)
    known = await ports.drops.recorded(version)
    if known is not None:
        if announced:
            ports.telemetry.event(Event.DROP_REPEATED, drop=version, run_count=len(known.run_ids))
        return known
    with ports.telemetry.span(SpanName.DROP, drop=version) as trace:
        return await _take_up(meaning.segment, version, sources, trace, ports, announced=announced)


async def _acknowledge(blob: str, ports: Ports) -> None:
    """Let `exporter doctor` see that its test drop was announced, if it still waits for that."""
    token = token_in(blob)
    if token is not None and await ports.drops.source(blob) is not None:
        await ports.signs.acknowledge(token)


async def _take_up(
    segment: str, version: str, sources: tuple[Source, ...], trace: str, ports: Ports, *, announced: bool
) -> DropRecord:
    """Order the runs, then record the drop: a crash in between repeats the same orders."""
    exports = await ports.registry.exports()
    wanting = [stored for stored in exports.values() if segment in stored.value.segments]
    dropped_at = max(source.last_modified for source in sources)
    connections = await ports.registry.connections()
    wanting = [stored for stored in wanting if stored.value.connection in connections]
    ready = [stored for stored in wanting if dropped_at >= stored.active_since.replace(microsecond=0)]
    runs = []
    if ready:
        for stored in ready:
            export = stored.value
            connection = connections[export.connection].value
            now = ports.clock.now()
            runs.append(new_run(export, connection, segment, sources, DROP_CAUSE, now, trace=trace))
    else:
        why = _why_nobody(segment, wanting, exports)
        runs.append(_run_over(RunState.SKIPPED, why, segment, version, sources, ports))
    for run in runs:
        created = await ports.runs.create(run)
        if run.state is RunState.QUEUED:
            ordered = run if created else await ports.runs.load(run.run_id) or run
            await ports.queue.send(Queue.PLANS, PlanMessage(run_id=run.run_id, trace=ordered.trace))
            ports.telemetry.event(Event.RUN_ORDERED, run_id=run.run_id, export_id=run.export_id, drop=version)
        else:
            ports.telemetry.event(Event.RUN_SKIPPED, run_id=run.run_id, drop=version)
    record = DropRecord(
        version=version,
        segment=segment,
        sources=sources,
        recorded_at=ports.clock.now(),
        run_ids=tuple(run.run_id for run in runs),
    )
    await ports.drops.record(record)
    ports.telemetry.event(Event.DROP_RECORDED, drop=version, run_count=len(runs), announced=announced)
    return record


async def note_failed_drop(why: RunError, segment: str, sources: tuple[Source, ...], ports: Ports) -> None:
    """List a drop that could not be taken up; it may still be, when it is announced or found again."""
    run = _run_over(RunState.FAILED, why, segment, drop_version(sources), sources, ports)
    await ports.runs.create(run)


def _run_over(
    state: RunState,
    why: RunError,
    segment: str,
    version: str,
    sources: tuple[Source, ...],
    ports: Ports,
) -> Run:
    """A run that says why there is none, so that the drop is listed."""
    now: datetime = ports.clock.now()
    run_id = run_id_for(None, version, DROP_CAUSE)
    return Run(
        run_id=run_id,
        segment=segment,
        sources=sources,
        cause=DROP_CAUSE,
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
            cause=DROP_CAUSE,
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


def _why_nobody(segment: str, wanting: list[StoredExport], exports: dict[str, StoredExport]) -> RunError:
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
