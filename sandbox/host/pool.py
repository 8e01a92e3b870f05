"""The host's view of its workers: starts them, starts them again when they die, and passes calls to them."""

import asyncio
import itertools
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.host.app_process import AppProcess
from sandbox.host.functions import Function, QueueTrigger, TimerTrigger, instances_of
from sandbox.host.wire import Frame, Wire

_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 30.0  # a worker that lived so long is not in a crash loop
_START_SECONDS = 20.0  # a call waits so long for a worker that is just being started

_log = logging.getLogger(__name__)


class NoWorkerError(Exception):
    """No worker took the call, or the one that did ended before answering."""


@dataclass
class Instance:
    """A place for one worker process: its functions, and the process if one is there."""

    functions: tuple[Function, ...]
    lazy: bool = False  # started when there is something to do (scale from zero)
    pid: int | None = None
    wire: Wire | None = None
    starts: int = 0
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[int, asyncio.Future[Frame]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of its functions."""
        return [function.name for function in self.functions]

    def queues(self) -> set[str]:
        """The queues it would listen to."""
        return {
            f.trigger.queue for f in self.functions if isinstance(f.trigger, QueueTrigger) and not f.disabled
        }

    def ended(self) -> None:
        """Forget the process; calls that it has not answered fail."""
        self.pid, self.wire = None, None
        self.listening.clear()
        for call in self.calls.values():
            if not call.done():
                call.set_exception(NoWorkerError("the worker ended"))
        self.calls.clear()


def plan_instances(functions: Sequence[Function], wanted: Mapping[str, int]) -> list[Instance]:
    """Decide on the instances: one for each group, several where asked for.

    Those for poison queues are lazy, and those of disabled functions, which only a call by hand starts.
    """
    instances = []
    for group in instances_of(functions):
        trigger = group[0].trigger
        poison = isinstance(trigger, QueueTrigger) and trigger.poison
        lazy = poison or all(function.disabled for function in group)
        count = wanted.get(group[0].name, 1) if isinstance(trigger, QueueTrigger) else 1
        instances += [Instance(group, lazy) for _ in range(count)]
    return instances


class Pool:
    """All workers of a host."""

    def __init__(
        self,
        app: AppProcess,
        instances: Sequence[Instance],
        assignment: Mapping[str, Any],
    ) -> None:
        self._app = app
        self.instances = list(instances)
        self._assignment = dict(assignment)
        self._host_run = uuid.uuid4()
        self._stopping = False
        self._ids = itertools.count(1)
        self._turns = itertools.count()
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start every worker that is not lazy, and wait until all of them listen."""
        self._keepers = [asyncio.create_task(self._keep(instance)) for instance in self.instances]
        await asyncio.gather(*(instance.listening.wait() for instance in self.instances if not instance.lazy))

    async def stop(self, grace_seconds: float) -> None:
        """Let workers finish what they run, for the grace given, and end them."""
        self._stopping = True
        running = [instance for instance in self.instances if instance.pid is not None]
        for instance in running:
            if instance.wire is not None:
                instance.wire.say("stop", grace=grace_seconds)
        for keeper, instance in zip(self._keepers, self.instances, strict=True):
            if instance not in running:
                keeper.cancel()
        # A little longer than the grace: leases are given back and logs written after it.
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=grace_seconds + 2.0)
        for instance in self.instances:
            if instance.pid is not None:
                self._app.kill(instance.pid)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def call(self, function: str, body: bytes, **header: Any) -> Frame:
        """Have a worker run a function now, and return its answer."""
        instance = self._pick(function)
        instance.wanted.set()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await instance.listening.wait()
        except TimeoutError:
            raise NoWorkerError("no worker is running") from None
        if instance.wire is None:
            raise NoWorkerError("the worker has just ended")
        number = next(self._ids)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        instance.calls[number] = answer
        instance.wire.say("invoke", body, id=number, function=function, **header)
        try:
            return await answer
        finally:
            instance.calls.pop(number, None)

    def _pick(self, function: str) -> Instance:
        able = [instance for instance in self.instances if function in instance.names]
        ready = [instance for instance in able if instance.listening.is_set()]
        choice = ready or able
        return choice[next(self._turns) % len(choice)]

    def wake(self, queue: str) -> None:
        """Something was put on a queue by the host or an output binding: its listeners look at once (8.2)."""
        for instance in self.instances:
            if queue in instance.queues():
                instance.wanted.set()
            if instance.wire is not None:
                instance.wire.say("wake", queue=queue)

    async def _keep(self, instance: Instance) -> None:
        """Keep one worker running, with growing pauses between starts if it keeps dying."""
        if instance.lazy:
            await instance.wanted.wait()
        failures = 0
        while not self._stopping:
            started = time.monotonic()
            code = await self._run_worker(instance)
            if self._stopping:
                return
            failures = 0 if time.monotonic() - started > _STEADY_SECONDS else failures + 1
            pause = min(0.1 * 2.0**failures, _LONGEST_PAUSE_SECONDS)
            _log.error(
                "the worker of %s ended with %d; again in %.1f s", ", ".join(instance.names), code, pause
            )
            await asyncio.sleep(pause)

    async def _run_worker(self, instance: Instance) -> int:
        pid, end, exit_code = await self._app.fork(self._assignment_of(instance))
        instance.pid = pid
        instance.starts += 1
        instance.wire = await Wire.over(end)
        if self._stopping:
            self._app.kill(pid)
        hearing = asyncio.create_task(self._hear(instance, instance.wire))
        try:
            return await exit_code
        finally:
            if exit_code.done():
                # What the worker said before its end is still to be heard.
                await asyncio.wait([hearing], timeout=0.5)
            hearing.cancel()
            wire = instance.wire
            instance.ended()
            if wire is not None:
                wire.close()

    def _assignment_of(self, instance: Instance) -> dict[str, Any]:
        timers = [f.name for f in instance.functions if isinstance(f.trigger, TimerTrigger)]
        lock_ids = {name: str(uuid.uuid5(self._host_run, name)) for name in timers}
        return {**self._assignment, "functions": instance.names, "lock_ids": lock_ids}

    async def _hear(self, instance: Instance, wire: Wire) -> None:
        while (frame := await wire.hear()) is not None:
            if frame.kind == "listening":
                instance.listening.set()
            elif frame.kind == "put":
                self.wake(frame.header["queue"])
            elif frame.kind == "answer":
                call = instance.calls.get(frame.header["id"])
                if call is not None and not call.done():
                    call.set_result(frame)

    def describe(self) -> list[dict[str, Any]]:
        """Say which workers there are."""
        return [
            {
                "functions": i.names,
                "pid": i.pid,
                "listening": i.listening.is_set(),
                "starts": i.starts,
                "lazy": i.lazy,
            }
            for i in self.instances
        ]
