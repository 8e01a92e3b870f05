"""The local host as a process of its own, for tests and tools."""

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

from sandbox.host.options import Options
from sandbox.host.problems import StartProblemsError
from sandbox.processes import Child, StartError

_ROOT = Path(__file__).resolve().parents[2]


class LocalHost:
    """Starts the host for an app, gives its address, and stops it. A context manager, plain or async.

    `settings` is put over the environment of this process. However it ends, the host and its workers end too.
    """

    def __init__(
        self,
        app_dir: Path,
        settings: Mapping[str, str],
        *,
        start_seconds: float = 60.0,
        log: IO[bytes] | int | None = None,
        **options: Any,
    ) -> None:
        self._options = replace(Options(), app_dir=app_dir.resolve(), end_with_stdin=True, **options)
        self._settings = settings
        self._start_seconds = start_seconds
        self._log = log
        self._child: Child | None = None
        self.api = ""  # http://127.0.0.1:PORT once started

    @property
    def pid(self) -> int:
        """The host's process id; killing it ends its workers."""
        return self._running().pid

    def start(self) -> Self:
        """Start the host and wait until all functions listen; StartProblemsError says what is wrong."""
        python_path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        env = {**os.environ, **self._settings, "PYTHONPATH": python_path}
        self._child = Child(
            [sys.executable, "-m", "sandbox.host", *self._arguments()], env=env, stderr=self._log
        )
        line = self._child.read_line(time.monotonic() + self._start_seconds)
        answer = json.loads(line) if line else {}
        if not answer.get("ready"):
            self.stop()
            if problems := answer.get("problems"):
                raise StartProblemsError(problems)
            raise StartError("the local host ended before it was ready; its log says why")
        self._child.drain()
        self.api = answer["api"]
        return self

    def _arguments(self) -> list[str]:
        options = self._options
        arguments = ["--app-dir", str(options.app_dir), "--port", str(options.port), "--end-with-stdin"]
        arguments += [
            "--grace-seconds",
            str(options.grace_seconds),
            "--lease-seconds",
            str(options.lease_seconds),
        ]
        arguments += [
            "--list-seconds",
            str(options.list_seconds),
            "--init-seconds",
            str(options.init_seconds),
        ]
        if options.instances:
            counts = [f"{name}={count}" for name, count in options.instances.items()]
            arguments += ["--instances", ",".join(counts)]
        if options.function_key is not None:
            arguments += ["--function-key", options.function_key]
        return [*arguments, "--quiet"] if options.quiet else arguments

    def stop(self) -> int:
        """End the host politely and return its exit code. Stopping twice does no harm."""
        if self._child is None:
            return 0
        code = self._child.stop(self._options.grace_seconds + 10.0)
        self._child = None
        return code

    def kill(self) -> None:
        """End the host as a crash would; its workers end with it."""
        self._running().kill()
        self._child = None

    def status(self) -> dict[str, Any]:
        """Ask the host for its state and its workers."""
        request = urllib.request.Request(f"{self.api}/admin/host/status")  # noqa: S310 - our own address
        if self._options.function_key is not None:
            request.add_header("x-functions-key", self._options.function_key)
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            found: dict[str, Any] = json.load(response)
        return found

    def worker_pids(self, function: str) -> list[int]:
        """Return the process ids of the workers that run a function now."""
        return [
            w["pid"] for w in self.status()["workers"] if function in w["functions"] and w["pid"] is not None
        ]

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError("the local host is not running")
        return self._child

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)
