"""Running an export on demand: the newest drop of its segments, now, because somebody asked for it."""

from exporter.domain.configuration import Connection, Export
from exporter.domain.run import Run, new_run
from exporter.errors import ConfigurationError
from exporter.steps.events import Event, SpanName
from exporter.steps.landing import newest_drop
from exporter.steps.messages import PlanMessage, Queue
from exporter.steps.open_runs import open_runs_beside
from exporter.steps.ports import Ports

REQUEST_CAUSE = "request"


async def order_runs(
    export: Export,
    connection: Connection,
    ports: Ports,
    *,
    segment: str | None = None,
    first: int | None = None,
) -> list[Run]:
    """Order a run of the newest drop of each segment of an export, or of one; the same drop may run again.

    `first` sends only so many contacts. Raises ConfigurationError, before anything is ordered, where a
    segment has no drop or a run of the export is in the way.
    """
    segments = export.segments if segment is None else (segment,)
    if segment is not None and segment not in export.segments:
        raise ConfigurationError(
            f"export '{export.id}' has no segment {segment!r} (known: {', '.join(export.segments)})"
        )
    cause = f"{REQUEST_CAUSE}:{ports.randomness.token()}"
    with ports.telemetry.span(SpanName.ORDER, export_id=export.id) as trace:
        runs = [await _new_run(export, connection, name, cause, first, trace, ports) for name in segments]
        await _check_nothing_in_the_way(runs, ports)
        for run in runs:
            await ports.runs.create(run)
            await ports.queue.send(Queue.PLANS, PlanMessage(run_id=run.run_id, trace=trace))
            ports.telemetry.event(Event.RUN_ORDERED, run_id=run.run_id, export_id=run.export_id)
    return runs


async def _new_run(
    export: Export,
    connection: Connection,
    segment: str,
    cause: str,
    first: int | None,
    trace: str,
    ports: Ports,
) -> Run:
    """The run of a segment's newest drop."""
    newest = await newest_drop(segment, ports)
    if newest is None:
        raise ConfigurationError(
            f"no complete drop of segment {segment!r} lies in the landing container: "
            f"`exporter drop FILE --segment {segment}` puts one there"
        )
    return new_run(
        export,
        connection,
        segment,
        newest.files,
        cause,
        ports.clock.now(),
        first=first,
        recipe=newest.recipe.id,
        dialect=newest.dialect,
        sealed=True,
        trace=trace,
    )


async def _check_nothing_in_the_way(runs: list[Run], ports: Ports) -> None:
    """A few contacts must not stop a run that sends all of them, nor need a drop be sent twice at once."""
    for run in runs:
        async for other in open_runs_beside(run, ports):
            if run.first is not None or other.sources == run.sources:
                raise await _in_the_way(run, other, ports)


async def _in_the_way(run: Run, other: Run, ports: Ports) -> ConfigurationError:
    """The error that says what to do about another run."""
    cancel = f"cancel it (`exporter run cancel {other.short_id}`)"
    what = f"run {other.short_id} of export '{run.export_id}' and segment {run.segment!r}"
    held_by = other.held_by(await ports.pauses.load())
    if held_by is not None:
        return ConfigurationError(f"{what} waits to be resumed, since {held_by}: {cancel} first")
    return ConfigurationError(
        f"{what} is still {other.state.value}: let it end (`exporter run watch {other.short_id}`) or {cancel}"
    )
