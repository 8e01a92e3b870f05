"""A message that the platform gave up on: the run ends visibly instead of standing still."""

from exporter.domain.run import RunState
from exporter.errors import StopRunError
from exporter.steps.events import Event
from exporter.steps.messages import (
    BadMessageError,
    ChunkMessage,
    Message,
    PlanMessage,
    Queue,
    ReceiptsMessage,
    SettlementMessage,
    parse_message,
)
from exporter.steps.ports import Ports
from exporter.steps.stop import stop_run

KINDS: dict[Queue, type[Message]] = {
    Queue.PLANS: PlanMessage,
    Queue.CHUNKS: ChunkMessage,
    Queue.SETTLEMENTS: SettlementMessage,
    Queue.RECEIPTS: ReceiptsMessage,
}


async def bury(queue: Queue, text: str, ports: Ports) -> None:
    """Stop the run that a poisoned message belongs to.

    Settlements and receipts are put anew by the sweep, so only plans and chunks stop their run.
    """
    try:
        message = parse_message(KINDS[queue], text)
    except BadMessageError as error:
        ports.telemetry.event(Event.MESSAGE_POISONED, queue=queue.value, why=str(error))
        return
    ports.telemetry.event(Event.MESSAGE_POISONED, queue=queue.value, run_id=message.run_id)
    run = await ports.runs.load(message.run_id)
    if run is None or run.state.final or queue not in {Queue.PLANS, Queue.CHUNKS}:
        return
    planning = run.state in {RunState.QUEUED, RunState.PLANNING}
    again = f"exporter export run {run.export_id}" if planning else f"exporter run redrive {run.short_id}"
    await stop_run(
        run.run_id,
        StopRunError(
            "poisoned",
            f"the {'planning' if planning else 'delivery'} failed five times for a reason that is in the log "
            f"under this run's id; mend that, then `{again}`",
        ),
        ports,
    )
