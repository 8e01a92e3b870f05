"""The queues in memory: messages hide, come back, and may be delivered more than once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.steps.messages import Message, Queue
from tests.fakes.storage import Process


@dataclass(slots=True, eq=False)
class Queued:
    """A message that lies on a queue; hidden until `visible_at`."""

    queue: Queue
    text: str
    visible_at: float
    dequeue_count: int = 0


@dataclass(slots=True)
class FakeQueues:
    """What all processes share."""

    now: Callable[[], float]
    copies_after: tuple[float, ...] = ()
    """Every message is delivered once more so many seconds after it first became visible."""
    fate: Callable[[], tuple[float, ...]] = lambda: (0.0,)
    """How many seconds later than it should each copy of a message becomes visible; none for a lost one."""
    messages: list[Queued] = field(default_factory=list)
    sent: list[tuple[Queue, str]] = field(default_factory=list)
    on_send: list[Callable[[], None]] = field(default_factory=list)

    def put(self, queue: Queue, text: str, delay_seconds: float) -> None:
        """Put a message, and the copies of it that a queue may deliver."""
        self.sent.append((queue, text))
        visible_at = self.now() + delay_seconds
        self.messages += [
            Queued(queue, text, visible_at + later) for later in (*self.fate(), *self.copies_after)
        ]
        for wake in self.on_send:
            wake()

    def next_visible_at(self) -> float:
        """When the next message can be taken."""
        return min((message.visible_at for message in self.messages), default=math.inf)

    def take(self) -> Queued | None:
        """The message that has been visible for longest, taken off for good: put it back if it fails."""
        now = self.now()
        visible = [message for message in self.messages if message.visible_at <= now]
        if not visible:
            return None
        taken = min(visible, key=lambda message: message.visible_at)
        self.messages.remove(taken)
        taken.dequeue_count += 1
        return taken

    def put_back(self, message: Queued, seconds: float) -> None:
        """Make a message visible again, later."""
        message.visible_at = self.now() + seconds
        self.messages.append(message)


class FakeWorkQueue:
    """The queues as one process sees them; delays are whole seconds, as in Storage."""

    def __init__(self, process: Process, queues: FakeQueues) -> None:
        self._process = process
        self._queues = queues

    async def send(self, queue: Queue, message: Message, *, delay_seconds: float = 0.0) -> None:
        await self.put_back(queue, message.to_text(), delay_seconds=delay_seconds)

    async def put_back(self, queue: Queue, text: str, *, delay_seconds: float) -> None:
        await self._process.operate_write()
        self._queues.put(queue, text, math.floor(max(0.0, delay_seconds)))
        await self._process.come_back()
