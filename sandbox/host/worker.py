"""One instance: a process that listens to the triggers of its functions and runs them.

The app's event loop has the main thread to itself; triggers, storage and the wire to the host live on another
loop in a thread, as they live in another process on the platform. So a function that blocks its loop stops
the other functions of its worker, but not the renewal of their messages (azure-facts 2, "async with blocking
code").
"""

import asyncio
import contextlib
import inspect
import itertools
import json
import logging
import os
import signal
import socket
import threading
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.functions.http import HttpRequest, HttpResponseConverter
from azure.functions.queue import QueueMessage
from azure.functions.timer import TimerRequest
from azure.storage.queue import QueueMessage as StoredMessage

from sandbox.host import logs
from sandbox.host.blobs import POISON_QUEUE, BlobEvent, blob_argument, internal_queue
from sandbox.host.functions import BlobTrigger, Function, HttpTrigger, QueueTrigger, TimerTrigger
from sandbox.host.host_json import HostOptions, load_host_json
from sandbox.host.invocation import Invoker, LoadedFunction, Outcome, RetryContext, queue_items
from sandbox.host.queues import Bury, Message, QueueListener, encode, put
from sandbox.host.settings import STORAGE
from sandbox.host.storage import Accounts
from sandbox.host.timers import TimerListener
from sandbox.host.wire import Frame, Wire

STATE_CONTAINER = "azure-webjobs-hosts"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """What a worker is told by its host."""

    functions: tuple[str, ...]
    host_id: str
    lease_seconds: float  # of a queue message
    lock_ids: Mapping[str, str]  # by timer function
    quiet: bool


def load(spec: Function, code: Callable[..., Any]) -> LoadedFunction:
    """Join a function's bindings with its code."""
    annotation = typing.get_type_hints(code).get(spec.trigger.argument)
    return LoadedFunction(spec, code, annotation, "context" in inspect.signature(code).parameters)


def run(assignment: Assignment, functions: Sequence[LoadedFunction], end: socket.socket) -> typing.NoReturn:
    """Be the worker: give the main thread to the app until the host says stop, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's to handle
    logs.set_up(quiet=assignment.quiet)
    app_loop = asyncio.new_event_loop()
    asyncio.set_event_loop(app_loop)
    worker = Worker(assignment, functions, app_loop)
    threading.Thread(target=_run_host_side, args=(worker, end), name="host", daemon=True).start()
    app_loop.run_forever()
    os._exit(1)


def _run_host_side(worker: "Worker", end: socket.socket) -> None:
    code = 1
    try:
        asyncio.run(worker.serve(end))
        code = 0
    except BaseException:
        _log.exception("the worker failed")
    finally:
        logging.shutdown()
        os._exit(code)


class Worker:
    """The host's side of one instance."""

    def __init__(
        self, assignment: Assignment, functions: Sequence[LoadedFunction], app_loop: asyncio.AbstractEventLoop
    ) -> None:
        self._assignment = assignment
        self._functions = {function.spec.name: function for function in functions}
        self._options: HostOptions = load_host_json(Path.cwd(), os.environ)
        self._accounts = Accounts(os.environ)
        self._invoker = Invoker(app_loop, self._options.timeout_seconds)
        self._queues: list[QueueListener] = []
        self._timers: list[TimerListener] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def serve(self, end: socket.socket) -> None:
        """Listen until the host says stop, let what runs run on for the grace it gives, and end."""
        self._wire = await Wire.over(end)
        await self._set_up()
        listeners: list[QueueListener | TimerListener] = [*self._queues, *self._timers]
        listening = [asyncio.create_task(listener.listen()) for listener in listeners]
        obeying = asyncio.create_task(self._obey())
        self._wire.say("listening")
        await asyncio.wait([obeying, *listening], return_when=asyncio.FIRST_COMPLETED)
        for task in listening:
            if task.done():
                task.result()  # a listener ends by itself only by failing, and the worker with it
        grace = await obeying
        for listener in listeners:
            listener.stop()
        if pending := [*listening, *self._calls]:
            await asyncio.wait(pending, timeout=grace)
        await self._wire.flush()

    async def _obey(self) -> float:
        while (frame := await self._wire.hear()) is not None:
            if frame.kind == "stop":
                return float(frame.header["grace"])
            if frame.kind == "wake":
                for listener in self._queues:
                    if listener.name == frame.header["queue"]:
                        listener.wake()
            elif frame.kind == "invoke":
                task = asyncio.create_task(self._invoke(frame))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
        return 0.0  # the host is gone: nobody is left to wait for

    async def _set_up(self) -> None:
        blobs = []
        enabled = [function for function in self._functions.values() if not function.spec.disabled]
        for function in enabled:
            match function.spec.trigger:
                case QueueTrigger() as trigger:
                    self._queues.append(self._queue_listener(function, trigger))
                case BlobTrigger():
                    blobs.append(function)
                case TimerTrigger() as trigger:
                    self._timers.append(await self._timer_listener(function, trigger))
                case HttpTrigger():
                    pass
        if blobs:
            self._queues.append(self._blob_listener())

    # Queue functions

    def _queue_listener(self, function: LoadedFunction, trigger: QueueTrigger) -> QueueListener:
        queues = self._accounts[trigger.connection].queues

        async def run_message(message: Message) -> bool:
            return await self._run(function, queue_value(message), {})

        return QueueListener(
            queues.get_queue_client(trigger.queue),
            run=run_message,
            bury=self._burial(trigger.connection, trigger.poison_queue) if trigger.poison_queue else None,
            options=self._options.queues,
            lease_seconds=self._assignment.lease_seconds,
        )

    def _burial(self, connection: str, queue: str) -> Bury:
        async def bury(message: Message) -> None:
            await self._put(connection, queue, message.text)

        return bury

    # Blob functions

    def _blob_listener(self) -> QueueListener:
        queue = self._accounts[STORAGE].queues.get_queue_client(internal_queue(self._assignment.host_id))
        return QueueListener(
            queue,
            run=self._run_blob_event,
            bury=self._bury_blob_event,
            options=self._options.blobs,
            lease_seconds=self._assignment.lease_seconds,
        )

    def _blob_function(self, event: BlobEvent) -> LoadedFunction | None:
        """Return the function that an event is for; none if it is gone or disabled: the event is dropped."""
        function = self._functions.get(event.FunctionId.rpartition(".")[2])
        return None if function is None or function.spec.disabled else function

    async def _run_blob_event(self, message: Message) -> bool:
        event = BlobEvent.from_json(message.body)
        function = self._blob_function(event)
        if function is None:
            _log.warning("no function %s for a blob event", event.FunctionId)
            return True
        return await self._run_blob(function, event.ContainerName, event.BlobName)

    async def _run_blob(self, function: LoadedFunction, container: str, name: str) -> bool:
        """Run it, whether or not the blob fits the trigger's path: the filter is the subscription's."""
        trigger = typing.cast("BlobTrigger", function.spec.trigger)
        parameters = trigger.match(name) if container == trigger.container else None
        account = self._accounts[trigger.connection]
        value = await blob_argument(account, container, name, function.annotation)
        return True if value is None else await self._run(function, value, parameters or {})

    async def _bury_blob_event(self, message: Message) -> None:
        """Keep a hopeless event in the account that holds the blob, not in the host's own (8.1)."""
        function = self._blob_function(BlobEvent.from_json(message.body))
        connection = typing.cast("BlobTrigger", function.spec.trigger).connection if function else STORAGE
        await self._put(connection, POISON_QUEUE, message.text)

    # Timers

    async def _timer_listener(self, function: LoadedFunction, trigger: TimerTrigger) -> TimerListener:
        container = self._accounts[STORAGE].blobs.get_container_client(STATE_CONTAINER)
        with contextlib.suppress(ResourceExistsError):
            await container.create_container()

        async def tick(request: TimerRequest) -> None:
            await self._run_timer(function, request)

        lock_id = self._assignment.lock_ids[function.spec.name]
        return TimerListener(function.spec, trigger, tick, container, self._assignment.host_id, lock_id)

    async def _run_timer(self, function: LoadedFunction, request: TimerRequest) -> None:
        """Run it; a failure is not tried again unless the function has a retry policy (8.7)."""
        policy = function.spec.retry
        for number in itertools.count():
            retry = RetryContext(number, policy.count if policy else 0)
            ok = await self._run(function, request, {}, retry=retry)
            if ok or policy is None or number == policy.count:
                return
            await asyncio.sleep(policy.pause_seconds(number))

    # HTTP, and calls by hand

    async def _invoke(self, frame: Frame) -> None:
        function = self._functions[frame.header["function"]]
        answer: dict[str, Any] = {"status": 202, "headers": []}
        body = b""
        try:
            if isinstance(function.spec.trigger, HttpTrigger):
                answer, body = await self._answer_http(function, frame)
            else:
                await self._run_by_hand(function, frame.body.decode())
        except Exception:
            _log.exception("function %s could not be called", function.spec.name)
            answer = {"status": 500, "headers": []}
        self._wire.say("answer", body, id=frame.header["id"], **answer)

    async def _answer_http(self, function: LoadedFunction, frame: Frame) -> tuple[dict[str, Any], bytes]:
        request = HttpRequest(
            frame.header["method"],
            frame.header["url"],
            headers=frame.header["headers"],
            params=frame.header["params"],
            route_params=frame.header["route_params"],
            body_type="bytes",
            body=frame.body,
        )
        trace = frame.header["headers"].get("traceparent")
        outcome = await self._invoker.call(function, request, trace_parent=trace)
        if not outcome.ok or not await self._send_outputs(function, outcome, {}):
            return {"status": 500, "headers": []}, b""
        return http_answer(outcome.result)

    async def _run_by_hand(self, function: LoadedFunction, text: str) -> None:
        match function.spec.trigger:
            case QueueTrigger():
                await self._run(function, hand_made_message(text), {})
            case BlobTrigger():
                container, _, name = text.partition("/")
                await self._run_blob(function, container, name)
            case _:
                await self._run(function, TimerRequest(past_due=False), {})

    # All functions

    async def _run(
        self,
        function: LoadedFunction,
        value: Any,
        parameters: Mapping[str, str],
        *,
        retry: RetryContext | None = None,
    ) -> bool:
        outcome = await self._invoker.call(function, value, retry=retry)
        return outcome.ok and await self._send_outputs(function, outcome, parameters)

    async def _send_outputs(
        self, function: LoadedFunction, outcome: Outcome, parameters: Mapping[str, str]
    ) -> bool:
        """Send each item by a call of its own, after the function has returned; not atomic (8.3)."""
        try:
            for output in function.spec.outputs:
                value = outcome.result if output.argument == "$return" else outcome.outputs[output.argument]
                queue = output.queue.format(**parameters)
                for item in queue_items(value):
                    await self._put(output.connection, queue, encode(item, self._options.queues.encoding))
        except (AzureError, NotImplementedError, ValueError, LookupError) as error:
            _log.error("an output of function %s failed: %s", function.spec.name, type(error).__name__)
            return False
        return True

    async def _put(self, connection: str, queue: str, text: str) -> None:
        await put(self._accounts[connection].queues.get_queue_client(queue), text)
        self._wire.say("put", queue=queue)


def queue_value(message: Message) -> QueueMessage:
    """Return what a queue function is given."""
    stored: StoredMessage = message.stored
    return QueueMessage(  # type: ignore[no-untyped-call]
        id=message.id,
        body=message.body,
        dequeue_count=message.dequeue_count,
        expiration_time=stored.expires_on,
        insertion_time=stored.inserted_on,
        time_next_visible=stored.next_visible_on,
        pop_receipt=message.receipt,
    )


def hand_made_message(text: str) -> QueueMessage:
    """Return a message that was never on a queue."""
    now = datetime.now(UTC)
    return QueueMessage(  # type: ignore[no-untyped-call]
        id="by-hand",
        body=text,
        dequeue_count=1,
        expiration_time=now,
        insertion_time=now,
        time_next_visible=now,
    )


def http_answer(result: Any) -> tuple[dict[str, Any], bytes]:
    """Turn what an HTTP function returned into status, headers and body, by the library's own converter."""
    if result is None:
        return {"status": 204, "headers": []}, b""
    if isinstance(result, str):
        result = func.HttpResponse(result)
    value = HttpResponseConverter.encode(result, expected_type=None).value
    headers = [(name, datum.value) for name, datum in value["headers"].items()]
    for jar in value["cookies"] or ():
        headers += [("Set-Cookie", morsel.OutputString()) for morsel in jar.values()]
    return {"status": int(value["status_code"].value), "headers": headers}, bytes(value["body"].value)


def read_assignment(text: str) -> Assignment:
    """Read what the host sent."""
    document = json.loads(text)
    return Assignment(**{**document, "functions": tuple(document["functions"])})
