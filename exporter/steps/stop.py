"""Stopping a run: nothing more is sent; what was accepted is still settled and counted."""

from datetime import timedelta

from exporter.domain.run import SHORT_ID_DIGITS, Run, RunError, RunState
from exporter.domain.watermark import Watermark
from exporter.errors import StopRunError
from exporter.steps.events import Event
from exporter.steps.messages import Queue, ReceiptsMessage
from exporter.steps.ports import Ports

POISONED = "poisoned"
"""The code of a run that was stopped since its messages failed again and again."""


async def stop_run(run_id: str, error: StopRunError, ports: Ports) -> bool:
    """Stop a run with its reason and let the aggregator see whether it is over.

    The first reason stays. Returns whether the run was going on until now.
    """
    reason = RunError(code=error.code, message=str(error))
    was_going_on = False

    def change(run: Run) -> Run:
        nonlocal was_going_on
        was_going_on = not run.state.final and run.stopped is None
        if not was_going_on:
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

    run = await ports.runs.update(run_id, change)
    if was_going_on:
        ports.telemetry.event(Event.RUN_STOPPED, run_id=run_id, code=error.code)
    await ports.queue.send(Queue.RECEIPTS, ReceiptsMessage(run_id=run_id, trace=run.trace))
    return was_going_on


async def give_way(run: Run, export_id: str, ports: Ports, *, begun: bool = False) -> Watermark | None:
    """Claim to be the newest run of its export and segment; returns whose mark stood there before.

    Raises StopRunError("superseded") when a newer drop has been planned, or "out_of_order" where one of the
    two drops holds changes, so that the newer one does not stand for the older. Then a run that has `begun`
    may go on, since the newer one waits for it; nobody waits for one that was redriven.
    """
    mark = Watermark.of(run)
    before = await ports.watermarks.advance(export_id, run.segment, mark)
    if before is None or not before.newer_than(mark):
        return before
    if "delta" in {mark.content, before.content}:
        if begun and run.redriven_at is None:
            return before
        raise out_of_order(before)
    raise StopRunError("superseded", f"a newer drop of the segment took over, as run {before.run_id}")


def out_of_order(newer: Watermark) -> StopRunError:
    """Why a run may send nothing more: changes were sent since that its values must not follow."""
    return StopRunError(
        "out_of_order",
        f"a later drop of the segment has been sent, as run {newer.run_id[:SHORT_ID_DIGITS]}, and older"
        " values must not follow newer ones. What this run did not send is in its rejects. Have the source"
        " write those people anew, or, if what the file says of them holds, drop it again under a new name",
    )


async def note_waiting(
    run_id: str, waiting_for: str | None, ports: Ports, *, retry_seconds: float | None = None
) -> Run:
    """Write into the run what it waits for, and since when; None when it goes on.

    With `retry_seconds` a message that tries again is under way until then.
    """
    now = ports.clock.now()
    update: dict[str, object] = {"waiting_for": waiting_for}
    if retry_seconds is not None:
        update["next_try_at"] = now + timedelta(seconds=retry_seconds)

    def change(run: Run) -> Run:
        if run.state.final or (run.waiting_for == waiting_for and retry_seconds is None):
            return run
        goes_on = run.waiting_for == waiting_for
        since = ((run.waiting_since if goes_on else None) or now) if waiting_for else None
        return run.model_copy(update={**update, "waiting_since": since})

    return await ports.runs.update(run_id, change)
