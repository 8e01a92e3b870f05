"""One delivery of a queue message: what nobody can help just now is put back, and never poisons a run.

The platform gives a message five tries, half a minute apart. That is meant for what is wrong with the message
or with us; an outage of storage, or a deployment that is half done, takes as long as it takes.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from exporter.errors import NewerVersionError, RetryLaterError
from exporter.steps.events import Event, SpanName
from exporter.steps.messages import KINDS, Message, Queue, parse_message
from exporter.steps.outage import outlast
from exporter.steps.ports import Ports

PUT_BACK_SECONDS = 30.0
STEADFAST_SECONDS: Final = 480.0
"""So long after its begin a call tries to put its message back; the platform ends it after ten minutes."""
_SPANS: Final[Mapping[Queue, SpanName]] = MappingProxyType(
    {
        Queue.PLANS: SpanName.PLAN,
        Queue.CHUNKS: SpanName.CHUNK,
        Queue.SETTLEMENTS: SpanName.SETTLE,
        Queue.RECEIPTS: SpanName.REPORT,
    }
)


async def handle(
    queue: Queue, text: bytes, work: Callable[[Any, Ports], Awaitable[None]], ports: Ports
) -> None:
    """Do the work of a message. Raises BadMessageError, and whatever else should count as a try."""
    give_up_at = ports.clock.monotonic() + STEADFAST_SECONDS
    try:
        message = parse_message(KINDS[queue], text)
    except NewerVersionError as error:
        await _put_back(queue, text.decode(), None, error, ports, give_up_at)
        return
    try:
        with ports.telemetry.span(_SPANS[queue], message.trace, **message.ids()):
            await work(message, ports)
    except Exception as error:
        if not _passes_by_itself(error, ports):
            raise
        await _put_back(queue, text.decode(), message, error, ports, give_up_at)


def _passes_by_itself(error: BaseException, ports: Ports) -> bool:
    """Whether the same call may succeed later, with nobody doing anything about it."""
    if isinstance(error, BaseExceptionGroup):
        return all(_passes_by_itself(part, ports) for part in error.exceptions)
    return isinstance(error, RetryLaterError) or ports.is_outage(error)


async def _put_back(
    queue: Queue, text: str, message: Message | None, error: Exception, ports: Ports, give_up_at: float
) -> None:
    """Put the same text anew; the delivery that was tried counts as done.

    What keeps the work from being done, such as an identity without tokens, may keep the message from being
    put as well. To give up would count as a try, so it is tried until `give_up_at` by the monotonic clock.
    """
    await outlast(
        lambda: ports.queue.put_back(queue, text, delay_seconds=PUT_BACK_SECONDS),
        ports.is_outage,
        ports.clock,
        give_up_at,
    )
    ports.telemetry.event(
        Event.MESSAGE_PUT_BACK,
        queue=queue.value,
        run_id=message.run_id if message else None,
        why=type(error).__name__,
    )
