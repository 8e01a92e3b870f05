"""Binds events to steps; nothing else happens here."""

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob_types

from exporter.bootstrap import AppOfProcess
from exporter.settings import current_settings
from exporter.steps.aggregate import aggregate
from exporter.steps.deliver import deliver
from exporter.steps.messages import (
    ChunkMessage,
    PlanMessage,
    Queue,
    ReceiptsMessage,
    SettlementMessage,
    parse_message,
)
from exporter.steps.plan import plan
from exporter.steps.poison import bury
from exporter.steps.receive import receive
from exporter.steps.settle import settle
from exporter.steps.sweep import sweep

SETTINGS = current_settings()
STATE = SETTINGS.storage_connection_name
LANDING = SETTINGS.landing_connection_name

app = func.FunctionApp()
process = AppOfProcess()


@app.blob_trigger(
    arg_name="dropped", path="segments/{name}", connection=LANDING, source=func.BlobSource.EVENT_GRID
)
async def on_segment_dropped(dropped: blob_types.BlobClient) -> None:
    """A blob arrived in the landing container."""
    await receive(str(dropped.blob_name), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="plans", connection=STATE)
async def on_plan_queued(message: func.QueueMessage) -> None:
    """A run is to be planned."""
    ours = await process.get(SETTINGS)
    await plan(parse_message(PlanMessage, message.get_body().decode()), ours.ports, gate=ours.plan_gate)


@app.queue_trigger(arg_name="message", queue_name="chunks", connection=STATE)
async def on_chunk_queued(message: func.QueueMessage) -> None:
    """A chunk is to be sent."""
    ours = await process.get(SETTINGS)
    await deliver(parse_message(ChunkMessage, message.get_body().decode()), ours.ports)


@app.queue_trigger(arg_name="message", queue_name="settlements", connection=STATE)
async def on_settlement_queued(message: func.QueueMessage) -> None:
    """Batches of a run are to be followed up."""
    ours = await process.get(SETTINGS)
    await settle(parse_message(SettlementMessage, message.get_body().decode()), ours.ports)


@app.queue_trigger(arg_name="message", queue_name="receipts", connection=STATE)
async def on_receipt_queued(message: func.QueueMessage) -> None:
    """A run may be complete."""
    ours = await process.get(SETTINGS)
    await aggregate(parse_message(ReceiptsMessage, message.get_body().decode()), ours.ports)


@app.timer_trigger(arg_name="timer", schedule="*/30 * * * * *", use_monitor=True)
async def sweep_stalled_runs(timer: func.TimerRequest) -> None:
    """Twice a minute: what stalled is put anew, what was missed is found."""
    await sweep((await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="plans-poison", connection=STATE)
async def on_plan_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a plan."""
    await bury(Queue.PLANS, message.get_body().decode(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="chunks-poison", connection=STATE)
async def on_chunk_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a chunk."""
    await bury(Queue.CHUNKS, message.get_body().decode(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="settlements-poison", connection=STATE)
async def on_settlement_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a settlement turn."""
    await bury(Queue.SETTLEMENTS, message.get_body().decode(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="receipts-poison", connection=STATE)
async def on_receipt_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a fold."""
    await bury(Queue.RECEIPTS, message.get_body().decode(), (await process.get(SETTINGS)).ports)
