"""Stopping a run: nothing more is sent; what was accepted is still settled and counted."""

from exporter.domain.run import Run, RunError, RunState
from exporter.errors import StopRunError
from exporter.steps.events import Event
from exporter.steps.messages import Queue, ReceiptsMessage
from exporter.steps.ports import Ports


async def stop_run(run_id: str, error: StopRunError, ports: Ports) -> None:
    """Stop a run with its reason (the first one stays) and let the aggregator see whether it is over."""
    reason = RunError(code=error.code, message=str(error))

    def change(run: Run) -> Run:
        if run.state.final or run.stopped is not None:
            return run
        return run.model_copy(
            update={
                "stopped": reason,
                "state": RunState.SETTLING,
                "started_at": run.started_at or ports.clock.now(),
                "waiting_for": None,
                "waiting_since": None,
            }
        )

    await ports.runs.update(run_id, change)
    ports.telemetry.event(Event.RUN_STOPPED, run_id=run_id, code=error.code)
    await ports.queue.send(Queue.RECEIPTS, ReceiptsMessage(run_id=run_id))


async def note_waiting(run_id: str, waiting_for: str | None, ports: Ports) -> Run:
    """Write into the run what it waits for, and since when; None when it goes on."""

    def change(run: Run) -> Run:
        if run.state.final or run.waiting_for == waiting_for:
            return run
        since = ports.clock.now() if waiting_for else None
        return run.model_copy(update={"waiting_for": waiting_for, "waiting_since": since})

    return await ports.runs.update(run_id, change)
