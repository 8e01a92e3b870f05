"""The host: reads the app, starts its workers, opens the port, watches for blobs, ends it all in order."""

import asyncio
import hashlib
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError

from sandbox.host.app_process import AppProcess
from sandbox.host.blobs import internal_queue
from sandbox.host.events import BlobEvents, ContainerWatcher, Journal
from sandbox.host.front import Front
from sandbox.host.functions import BlobTrigger, Function, QueueTrigger, read_functions
from sandbox.host.host_json import HostOptions, load_host_json
from sandbox.host.options import Options
from sandbox.host.pool import Instance, Pool, plan_instances
from sandbox.host.problems import StartProblemsError
from sandbox.host.settings import STORAGE
from sandbox.host.storage import Accounts
from sandbox.host.worker import STATE_CONTAINER

_log = logging.getLogger(__name__)


def host_id_of(app_dir: Path, settings: Mapping[str, str]) -> str:
    """Name this host in storage: the platform's setting for it, else made from the app's folder."""
    if chosen := settings.get("AzureFunctionsWebHost__hostid"):
        return chosen.lower()
    return "local-" + hashlib.sha256(str(app_dir.resolve()).encode()).hexdigest()[:16]


class Host:
    """One run of the local host."""

    def __init__(self, options: Options, settings: Mapping[str, str], app: AppProcess) -> None:
        self._options = options
        self._settings = settings
        self._app = app
        self._host_id = host_id_of(options.app_dir, settings)
        self._accounts = Accounts(settings)
        self._stop = asyncio.Event()
        self._grace = options.grace_seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, ready: Callable[[str], None]) -> int:
        """Run until told to stop and return the exit code; `ready` gets the address once all listen."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._options.end_with_stdin:
            self._tasks.append(asyncio.create_task(self._end_with_stdin()))
        try:
            functions, host_json = await self._read_app()
            await self._check_storage()
            following = asyncio.create_task(self._app.follow())
            self._tasks.append(following)
            pool, front = self._build(functions, host_json)
            starting = asyncio.create_task(self._start(pool, front, functions, host_json))
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait([starting, stopped, following], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                ready(starting.result())
                await asyncio.wait([stopped, following], return_when=asyncio.FIRST_COMPLETED)
            starting.cancel()
            if following.done():
                _log.error("the process that workers are forked from has ended")
            await asyncio.gather(front.close(), pool.stop(self._grace))
            return 0 if stopped.done() else 1
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._accounts.close()

    async def _read_app(self) -> tuple[list[Function], HostOptions]:
        """Read `host.json` and the functions; what is wrong with either is reported together."""
        metadata = await self._import_app()
        problems: list[str] = []
        functions: list[Function] = []
        host_json = HostOptions()
        try:
            functions = read_functions(metadata, self._settings)
        except StartProblemsError as found:
            problems += found.problems
        try:
            host_json = load_host_json(self._options.app_dir, self._settings)
        except StartProblemsError as found:
            problems += found.problems
        queue_functions = {f.name for f in functions if isinstance(f.trigger, QueueTrigger)}
        if not problems:
            problems = [
                f"--instances: there is no queue function {name!r}"
                for name in self._options.instances
                if name not in queue_functions
            ]
        if problems:
            raise StartProblemsError(problems)
        return functions, host_json

    async def _import_app(self) -> list[dict[str, Any]]:
        limit = self._options.init_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._app.functions()
        except TimeoutError as error:
            raise StartProblemsError(
                [f"function_app.py was not loaded within {limit:g} s, the platform's limit"]
            ) from error

    async def _check_storage(self) -> None:
        container = self._accounts[STORAGE].blobs.get_container_client(STATE_CONTAINER)
        try:
            await container.create_container()
        except ResourceExistsError:
            pass
        except AzureError as error:
            raise StartProblemsError(
                [f"the storage of {STORAGE} does not answer: {type(error).__name__}"]
            ) from error

    def _build(self, functions: list[Function], host_json: HostOptions) -> tuple[Pool, Front]:
        instances = plan_instances(functions, self._options.instances)
        assignment = {
            "host_id": self._host_id,
            "lease_seconds": self._options.lease_seconds,
            "quiet": self._options.quiet,
        }
        for function in functions:
            if function.disabled:
                _log.info("function %s is disabled", function.name)
        pool = Pool(self._app, instances, assignment)
        queue = self._accounts[STORAGE].queues.get_queue_client(internal_queue(self._host_id))
        self._events = BlobEvents(queue, host_json.blobs.encoding, pool.wake)
        front = Front(
            functions,
            pool=pool,
            events=self._events,
            route_prefix=host_json.route_prefix,
            key=self._options.function_key,
            describe=lambda: {"id": self._host_id},
            grace_seconds=self._options.grace_seconds,
        )
        return pool, front

    async def _start(
        self, pool: Pool, front: Front, functions: list[Function], host_json: HostOptions
    ) -> str:
        watchers = self._watchers(functions)
        *_, port = await asyncio.gather(
            pool.start(), *(watcher.set_up() for watcher in watchers), front.listen(self._options.port)
        )
        self._tasks += [asyncio.create_task(watcher.watch()) for watcher in watchers]
        for instance in pool.instances:
            if instance.lazy and instance.queues():
                self._tasks.append(asyncio.create_task(self._watch_queue(instance, host_json)))
        return f"http://127.0.0.1:{port}"

    def _watchers(self, functions: list[Function]) -> list[ContainerWatcher]:
        groups: dict[tuple[str, str], list[Function]] = {}
        for function in functions:
            if isinstance(function.trigger, BlobTrigger):
                groups.setdefault((function.trigger.connection, function.trigger.container), []).append(
                    function
                )
        state = self._accounts[STORAGE].blobs
        watchers = []
        for (connection, container), group in groups.items():
            path = f"eventgrid/{self._host_id}/{connection}/{container}.jsonl"
            journal = Journal(state.get_blob_client(STATE_CONTAINER, path))
            client = self._accounts[connection].blobs.get_container_client(container)
            watchers.append(
                ContainerWatcher(client, journal, group, self._events, self._options.list_seconds)
            )
        return watchers

    async def _watch_queue(self, instance: Instance, host_json: HostOptions) -> None:
        """Stand in for the scale controller: want the instance once a message is on its queue."""
        trigger = instance.functions[0].trigger
        if not isinstance(trigger, QueueTrigger):
            return
        queue = self._accounts[trigger.connection].queues.get_queue_client(trigger.queue)
        while not instance.wanted.is_set():
            try:
                if await queue.peek_messages():
                    instance.wanted.set()
            except AzureError:  # most often: there is no such queue yet
                pass
            await asyncio.sleep(host_json.queues.max_polling_seconds)

    async def _end_with_stdin(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
        )
        while await reader.read(1024):
            pass
        self._grace = 0.0
        self._stop.set()
