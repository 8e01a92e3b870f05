"""A message that the platform gave up on: it is kept, and its run ends visibly instead of standing still."""

from datetime import datetime

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.domain.drop import Source
from exporter.domain.layout import Place, classify
from exporter.domain.recipes import BUILT_IN
from exporter.domain.run import Run, RunError, RunState
from exporter.errors import RetryLaterError, StopRunError
from exporter.steps.aggregate import end_unfolded
from exporter.steps.events import Event
from exporter.steps.messages import KINDS, BadMessageError, Queue, parse_message
from exporter.steps.ports import Ports
from exporter.steps.receive import note_failed_drop, receive
from exporter.steps.stop import POISONED, stop_run

DROPS = "drops"
"""Under this name the events of drops are kept that failed again and again."""


async def bury(queue: Queue, text: bytes, ports: Ports) -> None:
    """End the run that a poisoned message belongs to; the message is kept.

    What is accepted can't be followed where settling is what failed, nor be counted where folding is.
    """
    await ports.poison.keep(queue.value, text)
    try:
        message = parse_message(KINDS[queue], text)
    except (BadMessageError, RetryLaterError) as error:
        ports.telemetry.event(Event.MESSAGE_POISONED, queue=queue.value, why=str(error))
        return
    ports.telemetry.event(Event.MESSAGE_POISONED, queue=queue.value, run_id=message.run_id)
    run = await ports.runs.load(message.run_id)
    if run is None or run.state.final:
        return
    if queue is Queue.SETTLEMENTS:
        await ports.runs.update(
            run.run_id,
            lambda current: (
                current if current.state.final else current.model_copy(update={"abandoned": True})
            ),
        )
    await stop_run(run.run_id, StopRunError(POISONED, _what_failed(queue, run)), ports)
    if queue is Queue.RECEIPTS:
        await end_unfolded(run.run_id, ports)


def _what_failed(queue: Queue, run: Run) -> str:
    """What the run ends with, and the way back."""
    planning = run.state in {RunState.QUEUED, RunState.PLANNING}
    again = f"exporter export run {run.export_id}" if planning else f"exporter run redrive {run.short_id}"
    what = {
        Queue.PLANS: "planning",
        Queue.CHUNKS: "delivery",
        Queue.SETTLEMENTS: "following up what was accepted",
        Queue.RECEIPTS: "counting",
    }[queue]
    return (
        f"the {what} failed five times for a reason that is in the log under this run's id; mend that, "
        f"then `{again}`"
    )


class _DropEvent(BaseModel):
    """What the platform writes of a blob that its trigger failed for, as far as it is needed here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    blob: str = Field(alias="BlobName")
    etag: str = Field(alias="ETag", default="")


async def bury_drop(text: bytes, ports: Ports) -> None:
    """Take a drop up a last time; where that fails as well it is listed as failed. The event is kept."""
    await ports.poison.keep(DROPS, text)
    try:
        event = _DropEvent.model_validate(orjson.loads(text))
    except (orjson.JSONDecodeError, ValidationError):
        ports.telemetry.event(Event.MESSAGE_POISONED, queue=DROPS, why="not an event of a blob")
        return
    try:
        await receive(event.blob, ports)
    except Exception as error:
        if ports.is_outage(error):
            raise
        ports.telemetry.event(Event.MESSAGE_POISONED, queue=DROPS, why=type(error).__name__)
        await _list_as_failed(event, ports.clock.now(), ports)


async def _list_as_failed(event: _DropEvent, at: datetime, ports: Ports) -> None:
    meaning = classify(event.blob, BUILT_IN)
    if not isinstance(meaning, Place):
        return
    source = Source(blob=event.blob, etag=event.etag, size=0, last_modified=at)
    why = RunError(
        code=POISONED,
        message="taking the drop up failed six times for a reason that is in the log; mend that, then drop "
        "it again",
    )
    await note_failed_drop(why, meaning.segment, (source,), ports)
