"""Binds events to steps; nothing else happens here."""

from functools import partial

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob_types

from exporter import __version__
from exporter.adapters.http_answers import health_answer
from exporter.bootstrap import AppOfProcess
from exporter.settings import current_settings
from exporter.steps.aggregate import aggregate
from exporter.steps.deliver import deliver
from exporter.steps.handle import handle
from exporter.steps.health import health as look_after_oneself
from exporter.steps.messages import Queue
from exporter.steps.plan import plan
from exporter.steps.poison import bury, bury_drop
from exporter.steps.receive import receive
from exporter.steps.settle import settle
from exporter.steps.sweep import sweep

SETTINGS = current_settings()
STATE = SETTINGS.storage_connection_name
LANDING = SETTINGS.landing_connection_name

# Behind App Service authentication a function asks for a key all the same: with either of the two switched
# off by mistake, a caller without credentials still gets 401 (docs/security.md, "HTTP").
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
process = AppOfProcess()
answering = AppOfProcess(impatient=True)


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
    await handle(Queue.PLANS, message.get_body(), partial(plan, gate=ours.plan_gate), ours.ports)


@app.queue_trigger(arg_name="message", queue_name="chunks", connection=STATE)
async def on_chunk_queued(message: func.QueueMessage) -> None:
    """A chunk is to be sent."""
    await handle(Queue.CHUNKS, message.get_body(), deliver, (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="settlements", connection=STATE)
async def on_settlement_queued(message: func.QueueMessage) -> None:
    """Batches of a run are to be followed up."""
    await handle(Queue.SETTLEMENTS, message.get_body(), settle, (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="receipts", connection=STATE)
async def on_receipt_queued(message: func.QueueMessage) -> None:
    """A run may be complete."""
    await handle(Queue.RECEIPTS, message.get_body(), aggregate, (await process.get(SETTINGS)).ports)


@app.timer_trigger(arg_name="timer", schedule="*/30 * * * * *", use_monitor=True)
async def sweep_stalled_runs(timer: func.TimerRequest) -> None:
    """Twice a minute: what stalled is put anew, what was missed is found."""
    await sweep((await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="webjobs-blobtrigger-poison", connection=LANDING)
async def on_drop_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on the arrival of a blob."""
    await bury_drop(message.get_body(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="plans-poison", connection=STATE)
async def on_plan_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a plan."""
    await bury(Queue.PLANS, message.get_body(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="chunks-poison", connection=STATE)
async def on_chunk_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a chunk."""
    await bury(Queue.CHUNKS, message.get_body(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="settlements-poison", connection=STATE)
async def on_settlement_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a settlement turn."""
    await bury(Queue.SETTLEMENTS, message.get_body(), (await process.get(SETTINGS)).ports)


@app.queue_trigger(arg_name="message", queue_name="receipts-poison", connection=STATE)
async def on_receipt_poisoned(message: func.QueueMessage) -> None:
    """The platform gave up on a fold."""
    await bury(Queue.RECEIPTS, message.get_body(), (await process.get(SETTINGS)).ports)


@app.route(route="health", trigger_arg_name="request", methods=("GET",))
async def health(request: func.HttpRequest) -> func.HttpResponse:
    """Whether the app does its work."""
    return health_answer(await look_after_oneself(__version__, (await answering.get(SETTINGS)).ports))
