"""What a person says to runs under way: cancel, pause, resume, redrive.

Senders look each second whether somebody said so. Repeating any of it is harmless.
"""

from collections.abc import Callable

from exporter.domain.configuration import Connection
from exporter.domain.pause import EXPORTER, Pause, Pauses
from exporter.domain.retention import CHUNK_DAYS, ended_before
from exporter.domain.run import SHORT_ID_DIGITS, Run, RunState
from exporter.domain.watermark import Watermark
from exporter.errors import ConfigurationError, StopRunError
from exporter.steps.events import Event
from exporter.steps.messages import ChunkMessage, PlanMessage, Queue
from exporter.steps.open_runs import open_runs_beside
from exporter.steps.ports import Ports
from exporter.steps.run_progress import read_progress
from exporter.steps.stop import POISONED, out_of_order, stop_run


async def cancel_run(run_id: str, by: str, ports: Ports) -> bool:
    """Stop a run for good; what was accepted is still settled. False when it had ended or was stopped."""
    return await stop_run(run_id, StopRunError(RunState.CANCELLED.value, f"cancelled by {by}"), ports)


async def pause_run(run_id: str, pause: Pause, ports: Ports) -> Run:
    """Let a run send nothing until it is resumed; what was accepted is settled meanwhile.

    Raises ConfigurationError for a run that sends nothing anyway.
    """

    def change(run: Run) -> Run:
        if run.state.final or run.stopped is not None:
            raise ConfigurationError(_nothing_to_do(run, "pause"))
        return run if run.pause is not None else run.model_copy(update={"pause": pause})

    run = await ports.runs.update(run_id, change)
    ports.telemetry.event(Event.SENDING_PAUSED, run_id=run_id, why="run")
    return run


async def resume_run(run_id: str, ports: Ports) -> Run:
    """Let a paused run go on. Raises ConfigurationError for one that is over or stopped."""

    def change(run: Run) -> Run:
        if run.state.final or run.stopped is not None:
            raise ConfigurationError(_nothing_to_do(run, "resume"))
        return run if run.pause is None else run.model_copy(update={"pause": None})

    run = await ports.runs.update(run_id, change)
    ports.telemetry.event(Event.SENDING_RESUMED, run_id=run_id, why="run")
    await _put_on_its_way(run, ports)
    return run


async def pause_connection(connection_id: str, pause: Pause, ports: Ports) -> None:
    """Let no run send over a connection until it is resumed; the first person's pause stays.

    What ActiveCampaign refuses meanwhile stays known.
    """

    def change(pauses: Pauses) -> Pauses:
        before = pauses.connections.get(connection_id)
        if before is not None and before.by != EXPORTER:
            return pauses
        return pauses.with_connection(connection_id, pause.with_refusal(before))

    await ports.pauses.update(change)
    ports.telemetry.event(Event.SENDING_PAUSED, connection=connection_id, why="connection")


async def resume_connection(connection_id: str, ports: Ports) -> int:
    """Let runs send over a connection again; returns how many were put on their way."""
    await ports.pauses.update(
        lambda pauses: (
            pauses.with_connection(connection_id, None) if connection_id in pauses.connections else pauses
        )
    )
    return await let_go_on(connection_id, ports)


async def let_go_on(connection_id: str, ports: Ports) -> int:
    """Put the runs of a connection that is paused no longer on their way; returns how many."""
    ports.telemetry.event(Event.SENDING_RESUMED, connection=connection_id, why="connection")
    return await _put_all_on_their_way(
        lambda run: run.connection is not None and run.connection.id == connection_id, ports
    )


async def pause_everything(pause: Pause, ports: Ports) -> None:
    """Let nothing send until everything is resumed."""
    await ports.pauses.update(
        lambda pauses: pauses if pauses.everything else pauses.model_copy(update={"everything": pause})
    )
    ports.telemetry.event(Event.SENDING_PAUSED, why="everything")


async def resume_everything(ports: Ports) -> int:
    """End the pause of everything; single runs and connections that are paused stay so.

    Returns how many runs were put on their way.
    """
    await ports.pauses.update(
        lambda pauses: pauses.model_copy(update={"everything": None}) if pauses.everything else pauses
    )
    ports.telemetry.event(Event.SENDING_RESUMED, why="everything")
    return await _put_all_on_their_way(lambda run: True, ports)


async def redrive_run(run_id: str, ports: Ports) -> Run:
    """Put a run that has ended on its way again: only what has no good answer is sent, with tries anew.

    The run goes by its own plan and export; of the connection the present key and limits hold.
    Raises ConfigurationError where there is nothing to redrive, StopRunError ("superseded", "out_of_order")
    where a newer run of the same export and segment has sent since: older values never follow newer ones.
    """
    run = await ports.runs.load(run_id)
    if run is None:
        raise ConfigurationError(f"run {run_id} is not kept any more")
    if run.redriven_at is not None and not run.state.final and run.stopped is None:
        run = await ports.runs.reopen(run_id, lambda current: current)  # asked for twice, or cut short before
        await _put_on_its_way(run, ports)
        return run
    _check_chunks_are_kept(run, ports)
    first_chunk = await _first_open_chunk(run, ports)
    await _check_nothing_in_the_way(run, ports)
    connection = await _present_connection(run, ports)
    await _check_nothing_newer_was_sent(run, ports)
    now = ports.clock.now()

    def change(current: Run) -> Run:
        if not current.state.final:
            return current
        return current.model_copy(
            update={
                "state": RunState.DELIVERING,
                "connection": connection,
                "redriven_at": now,
                "counted": current.report.counts if current.report else None,
                "stopped": None,
                "abandoned": False,
                "pause": None,
                "completed_at": None,
                "report": None,
                "waiting_for": None,
                "waiting_since": None,
                "next_try_at": None,
                "next_check_at": None,
            }
        )

    run = await ports.runs.reopen(run_id, change)
    ports.telemetry.event(Event.RUN_REDRIVEN, run_id=run_id, export_id=run.export_id)
    await ports.queue.send(Queue.CHUNKS, ChunkMessage(run_id=run_id, trace=run.trace, chunk=first_chunk))
    return run


def _check_chunks_are_kept(run: Run, ports: Ports) -> None:
    """Raises ConfigurationError where the run's contacts are deleted by now, or may be at any moment."""
    if ended_before(run, CHUNK_DAYS, ports.clock.now()):
        raise ConfigurationError(
            f"the run ended more than {CHUNK_DAYS} days ago, and its contacts are deleted by then: "
            + (
                f"`exporter export run {run.export_id}` sends the newest drop"
                if run.export_id
                else "drop the segment again"
            )
        )


async def _first_open_chunk(run: Run, ports: Ports) -> int:
    """The first chunk with something left to send. Raises ConfigurationError where there is none."""
    if not run.state.final:
        raise ConfigurationError(_nothing_to_do(run, "redrive"))
    record = await ports.plans.record(run.run_id) if run.plan_epoch is not None else None
    if record is None or run.export is None:
        raise ConfigurationError(
            "the run ended before it sent anything, so there is nothing to go on with: mend what its error "
            "says, then "
            + (f"`exporter export run {run.export_id}`" if run.export_id else "drop the segment again")
        )
    tried_anew = run.model_copy(update={"redriven_at": ports.clock.now()})
    progress = await read_progress(tried_anew, record, ports)
    if progress.refused_outright() is not None:
        raise ConfigurationError(
            "ActiveCampaign refused every request of the run, and would again: mend what its error says, "
            f"then `exporter export run {run.export_id}`"
        )
    chunks = progress.chunks_to_send()
    cut_short = run.stopped is not None and run.stopped.code == POISONED
    if not chunks and not cut_short:
        raise ConfigurationError("nothing is left to send: every contact of the run has its answer")
    return chunks[0] if chunks else 0


async def _present_connection(run: Run, ports: Ports) -> Connection:
    """The connection as it is configured now. Raises ConfigurationError where it leads somewhere else."""
    wanted = run.connection.id if run.connection else ""
    stored = (await ports.registry.connections()).get(wanted)
    exports = await ports.registry.exports()
    if stored is None or run.export_id not in exports:
        missing = f"connection '{wanted}'" if stored is None else f"export '{run.export_id}'"
        raise ConfigurationError(f"{missing} is not configured any more: apply it again, or leave the run")
    if run.connection is not None and stored.value.host != run.connection.host:
        raise ConfigurationError(
            f"connection '{wanted}' now leads to {stored.value.host}, and the run was planned for "
            f"{run.connection.host}: `exporter export run {run.export_id}` plans it anew"
        )
    return stored.value


async def _check_nothing_in_the_way(run: Run, ports: Ports) -> None:
    """Raises ConfigurationError while another run of the same export and segment is open, planned or not."""
    async for other in open_runs_beside(run, ports):
        raise ConfigurationError(
            f"run {other.short_id} of the same export and segment is still {other.state.value}: let it "
            "end or cancel it first"
        )


async def _check_nothing_newer_was_sent(run: Run, ports: Ports) -> None:
    """Raises StopRunError where another run has sent what this one must not overwrite.

    Another run of the same files by the same export has sent the same values, so it is not in the way.
    """
    mark = Watermark.of(run)
    latest = await ports.watermarks.advance(run.export_id or "", run.segment, mark)
    if latest is None or not latest.newer_than(mark):
        return
    other = await ports.runs.load(latest.run_id)
    if other is None or (other.sources, other.export) != (run.sources, run.export):
        if "delta" in {mark.content, latest.content}:
            raise out_of_order(latest)
        raise StopRunError(
            "superseded",
            f"run {latest.run_id[:SHORT_ID_DIGITS]} has sent newer values since, which this run's must not "
            f"follow: `exporter export run {run.export_id}` sends the newest drop",
        )


def _nothing_to_do(run: Run, what: str) -> str:
    """Why something can't be done with a run as it is."""
    follow = f"`exporter run watch {run.short_id}`"
    if run.state.final:
        return f"the run has ended as {run.state.value}: there is nothing to {what}"
    if run.stopped is not None:
        return f"the run is stopped and still settling what was accepted: {follow} shows its end"
    return f"the run is under way ({run.state.value}): {follow} follows it"


async def _put_all_on_their_way(wanted: Callable[[Run], bool], ports: Ports) -> int:
    """Put the messages of the runs that may go on; what is missed, the sweep puts."""
    count = 0
    pauses = await ports.pauses.load()
    async for run in ports.runs.open():
        if wanted(run) and run.held_by(pauses) is None:
            await _put_on_its_way(run, ports)
            count += 1
    return count


async def _put_on_its_way(run: Run, ports: Ports) -> None:
    """Put the message that a run goes on with; a doubled one finds its work done or claimed."""
    if run.plan_epoch is None and run.stopped is None:
        await ports.queue.send(Queue.PLANS, PlanMessage(run_id=run.run_id, trace=run.trace))
    elif run.sendable:
        message = ChunkMessage(run_id=run.run_id, trace=run.trace, chunk=0)
        await ports.queue.send(Queue.CHUNKS, message)
