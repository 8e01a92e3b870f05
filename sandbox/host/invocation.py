"""Calls one function as the Python worker does, and hands back what it returned and put into its outputs.

Coroutines run on the app's one event loop, plain functions in a thread pool of PYTHON_THREADPOOL_THREAD_COUNT
threads (azure-facts 2, "Concurrency"). A call that takes longer than functionTimeout takes the whole process
with it (8.6).
"""

import asyncio
import contextvars
import inspect
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.meta import get_binding_registry

from sandbox.host import logs
from sandbox.host.functions import Function

TIMED_OUT = 124  # the exit code of a worker whose function took too long

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedFunction:
    """A function with the code behind it."""

    spec: Function
    code: Callable[..., Any]
    annotation: object  # of the trigger's argument: decides what a blob function is given
    wants_context: bool


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    ok: bool
    result: Any = None
    outputs: Mapping[str, Any] = field(default_factory=dict)  # by argument


class OutputValue(func.Out[Any]):
    """What a function is given for an output binding."""

    def __init__(self) -> None:
        self.value: Any = None

    def set(self, val: Any) -> None:
        """Keep the value, to be sent after the function has returned."""
        self.value = val

    def get(self) -> Any:
        """Return the value set so far."""
        return self.value


@dataclass(frozen=True)
class TraceContext:
    """The W3C trace that a call belongs to."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RetryContext:
    """Which try of a retry policy a call is."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: Any = None


@dataclass(frozen=True)
class CallContext:
    """The `context` argument, with all that `func.Context` has (which is abstract and demands properties)."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: TraceContext
    retry_context: RetryContext
    thread_local_storage: Any = field(default_factory=threading.local)


class Invoker:
    """Runs the functions of one worker process."""

    def __init__(self, app_loop: asyncio.AbstractEventLoop, timeout_seconds: float | None) -> None:
        self._app_loop = app_loop
        threads = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._threads = ThreadPoolExecutor(int(threads) if threads else None, thread_name_prefix="function")
        self._deadlines = Deadlines(timeout_seconds) if timeout_seconds is not None else None
        self._running = 0

    @property
    def running(self) -> int:
        """How many calls have not ended yet."""
        return self._running

    async def call(
        self,
        function: LoadedFunction,
        value: Any,
        *,
        trace_parent: str | None = None,
        retry: RetryContext | None = None,
    ) -> Outcome:
        """Call a function with its trigger's value; an exception is logged, and the outcome a failure."""
        call_id = str(uuid.uuid4())
        outputs = {binding.argument: OutputValue() for binding in function.spec.outputs}
        outputs.pop("$return", None)
        arguments: dict[str, Any] = {function.spec.trigger.argument: value, **outputs}
        if function.wants_context:
            trace = TraceContext(trace_parent or f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01")
            arguments["context"] = CallContext(
                call_id, function.spec.name, str(Path.cwd()), trace, retry or RetryContext()
            )
        self._running += 1
        if self._deadlines:
            self._deadlines.start(call_id, function.spec.name)
        token = logs.invocation.set((function.spec.name, call_id))
        try:
            result = await self._run(function.code, arguments)
        except Exception:
            _log.exception("function failed")
            return Outcome(ok=False)
        else:
            return Outcome(True, result, {name: out.value for name, out in outputs.items()})
        finally:
            logs.invocation.reset(token)
            self._running -= 1
            if self._deadlines:
                self._deadlines.end(call_id)

    async def _run(self, code: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        context = contextvars.copy_context()
        if inspect.iscoroutinefunction(code):
            # The task is made by a callback of the app's loop, so that it inherits this call's context.
            return await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(code(**arguments), self._app_loop)
            )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(code, **arguments))


class Deadlines:
    """Ends the process when a call is overdue; in a thread, since the function may block everything else."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: dict[str, tuple[float, str]] = {}
        threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

    def start(self, call_id: str, function: str) -> None:
        """Begin to watch a call."""
        self._calls[call_id] = (time.monotonic() + self._seconds, function)

    def end(self, call_id: str) -> None:
        """A call has ended in time."""
        self._calls.pop(call_id, None)

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self._seconds / 4))
            now = time.monotonic()
            for call_id, (deadline, function) in list(self._calls.items()):
                if now > deadline:
                    logs.invocation.set((function, call_id))
                    _log.error(
                        "function took longer than functionTimeout; its worker process ends with all calls"
                    )
                    os._exit(TIMED_OUT)


def queue_items(value: Any) -> list[str | bytes]:
    """Turn what a queue output was given into message bodies, by the library's own converter (4)."""
    if value is None:
        return []
    converter = get_binding_registry().get("queue")  # type: ignore[no-untyped-call]
    datum = converter.encode(value, expected_type=None)
    if datum.type != "json":
        return [datum.value]
    decoded = json.loads(datum.value)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [item if isinstance(item, str) else str(item["body"]) for item in items]
