"""Queues as the platform's queue extension treats them (azure-facts 8.2 and 8.3)."""

import asyncio
import base64
import binascii
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage as StoredMessage
from azure.storage.queue.aio import QueueClient

from sandbox.host.host_json import QueueOptions

# A message is hidden this long when taken, and again when half of it is over and the function still runs.
LEASE_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 0.1

_log = logging.getLogger(__name__)


def encode(body: str | bytes, encoding: str) -> str:
    """Turn a body into what is stored."""
    data = body.encode() if isinstance(body, str) else body
    return base64.b64encode(data).decode() if encoding == "base64" else data.decode()


def decode(text: str, encoding: str) -> str:
    """Turn what is stored into a body; ValueError if it is not in that encoding."""
    if encoding != "base64":
        return text
    try:
        return base64.b64decode(text, validate=True).decode()
    except binascii.Error as error:
        raise ValueError("the message is not base64") from error


async def put(queue: QueueClient, text: str) -> None:
    """Put one message as stored text; the queue is made if it is missing (8.3)."""
    try:
        await queue.send_message(text)
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            await queue.create_queue()
        await queue.send_message(text)


class PollingPause:
    """The pauses between looks at an empty queue: random, doubling from 100 ms up to the longest."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self.reset()

    def reset(self) -> None:
        """Something was found: look again soon."""
        self._exponent = 0
        self._reached_longest = False

    def next(self) -> float:
        """Return the next pause."""
        if self._reached_longest:
            return self._longest
        step = _FIRST_PAUSE_SECONDS * 2.0 ** (self._exponent - 1) if self._exponent else 0.0
        pause = _FIRST_PAUSE_SECONDS + random.uniform(0.8, 1.2) * step
        self._exponent += 1
        self._reached_longest = pause >= self._longest
        return min(pause, self._longest)


@dataclass
class Message:
    """A message in hand."""

    id: str
    receipt: str  # changes with each renewal
    text: str  # as stored
    body: str  # decoded
    dequeue_count: int
    stored: StoredMessage


Run = Callable[[Message], Awaitable[bool]]
Bury = Callable[[Message], Awaitable[None]]


class QueueListener:
    """Takes the messages of one queue and runs them; `run` says how it went, `bury` keeps the hopeless."""

    def __init__(
        self,
        queue: QueueClient,
        *,
        run: Run,
        bury: Bury | None,
        options: QueueOptions,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._queue = queue
        self._run = run
        self._bury = bury
        self._options = options
        self._lease_seconds = lease_seconds
        self._pause = PollingPause(options.max_polling_seconds)
        self._woken = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The queue's name."""
        return str(self._queue.queue_name)

    def wake(self) -> None:
        """Look at once: the host has just put a message there."""
        self._woken.set()

    def stop(self) -> None:
        """Take no more messages; those in hand run on."""
        self._stopping = True
        self._woken.set()

    async def listen(self) -> None:
        """Take messages until stopped, then wait for those in hand."""
        while not self._stopping:
            self._woken.clear()
            messages = await self._receive()
            for message in messages:
                task = asyncio.create_task(self._handle(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if messages:
                self._pause.reset()
                while len(self._tasks) > self._options.new_batch_threshold and not self._stopping:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            elif not self._stopping:
                await self._rest(self._pause.next())
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _rest(self, seconds: float) -> None:
        if await _within(self._woken, seconds):
            self._pause.reset()

    async def _receive(self) -> list[Message]:
        # The first page only: it holds all that was asked for.
        pages = self._queue.receive_messages(
            messages_per_page=self._options.batch_size, visibility_timeout=max(1, round(self._lease_seconds))
        ).by_page()
        try:
            page = await anext(aiter(pages))
            stored = [message async for message in page]
        except (ResourceNotFoundError, StopAsyncIteration):
            return []  # the trigger does not make the queue
        except AzureError as error:
            _log.warning("queue %s cannot be read: %s", self.name, type(error).__name__)
            return []
        return [message async for message in self._readable(stored)]

    async def _readable(self, stored: list[StoredMessage]) -> AsyncIterator[Message]:
        for entry in stored:
            message = Message(
                entry.id, str(entry.pop_receipt), entry.content, "", int(entry.dequeue_count or 0), entry
            )
            try:
                message.body = decode(entry.content, self._options.encoding)
            except ValueError:
                _log.error("message %s of %s is not %s", message.id, self.name, self._options.encoding)
                await self._give_up(message)
                continue
            yield message

    async def _handle(self, message: Message) -> None:
        try:
            await self._process(message)
        except AzureError as error:
            # The message shows up again when its time is over.
            _log.warning("message %s of %s: %s", message.id, self.name, type(error).__name__)
        except Exception:
            _log.exception("message %s of %s could not be handled", message.id, self.name)

    async def _process(self, message: Message) -> None:
        if message.dequeue_count > self._options.max_dequeue_count:
            # Unrun also where there is nowhere to put it: it stays hidden, and comes back for ever.
            await self._give_up(message)
            return
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew(message, done))
        try:
            ok = await self._run(message)
        finally:
            # Not cancelled: a renewal under way has to end, or the new receipt would be lost.
            done.set()
            await asyncio.wait([renewal])
        if ok:
            await self._delete(message)
        elif self._bury is None:
            return  # a poison queue has none: the message stays hidden
        elif message.dequeue_count >= self._options.max_dequeue_count:
            await self._give_up(message)
        else:
            await self._release(message)

    async def _renew(self, message: Message, done: asyncio.Event) -> None:
        while not await _within(done, self._lease_seconds / 2):
            try:
                renewed = await self._queue.update_message(
                    message.id, message.receipt, visibility_timeout=max(1, round(self._lease_seconds))
                )
                message.receipt = str(renewed.pop_receipt)
            except AzureError as error:
                _log.warning("message %s of %s was not renewed: %s", message.id, self.name, _code(error))

    async def _give_up(self, message: Message) -> None:
        """Copy, then delete: a crash in between leaves both (8.2). Without a poison queue, do neither."""
        if self._bury is None:
            return
        await self._bury(message)
        await self._delete(message)
        _log.warning(
            "message %s of %s was given up after %d tries", message.id, self.name, message.dequeue_count
        )

    async def _delete(self, message: Message) -> None:
        with _someone_else_touched_it():
            await self._queue.delete_message(message.id, message.receipt)

    async def _release(self, message: Message) -> None:
        with _someone_else_touched_it():
            await self._queue.update_message(
                message.id, message.receipt, visibility_timeout=round(self._options.visibility_seconds)
            )


class _someone_else_touched_it(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a sentence
    """Ignores a pop receipt that no longer fits: the function itself may have touched the message (8.2)."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, ResourceNotFoundError):
            return True
        return isinstance(error, HttpResponseError) and _code(error) == "PopReceiptMismatch"


def _code(error: AzureError) -> str:
    code = getattr(error, "error_code", None) or type(error).__name__
    return str(getattr(code, "value", code))  # the SDK turns the codes it knows into an enum


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; False if the time was over first."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
