"""The host's handle on the process that has imported the app (see `zygote`). Light: it is started first."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.host.problems import StartProblemsError

_ROOT = Path(__file__).resolve().parents[2]


class AppProcess:
    """Imports the app and forks workers from it."""

    def __init__(self, app_dir: Path, settings: Mapping[str, str]) -> None:
        self._commands, theirs = socket.socketpair()
        python_path = os.pathsep.join(filter(None, [str(_ROOT), settings.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.host.zygote"],
            cwd=app_dir,
            env={**settings, "PYTHONPATH": python_path},
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            # Ctrl-C and signals to a process group are for the host alone, which stops its workers in order.
            start_new_session=True,
        )
        theirs.close()
        self._forked: asyncio.Queue[int] = asyncio.Queue()
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._forking = asyncio.Lock()
        self._reports: asyncio.StreamReader | None = None
        self._imported = False

    async def functions(self) -> list[dict[str, Any]]:
        """Wait until the app is imported and return the metadata of its functions."""
        loop = asyncio.get_running_loop()
        self._reports = asyncio.StreamReader(limit=64 * 1024 * 1024)
        protocol = asyncio.StreamReaderProtocol(self._reports)
        await loop.connect_read_pipe(lambda: protocol, self._process.stdout)
        report = json.loads(
            await self._reports.readline() or b'{"broken": "the process that imports it ended"}'
        )
        self._imported = True
        if "broken" in report:
            raise StartProblemsError([f"function_app.py cannot be loaded: {report['broken']}"])
        functions: list[dict[str, Any]] = report["functions"]
        return functions

    async def follow(self) -> None:
        """Take note of what the process reports, until it ends."""
        if self._reports is None:
            raise RuntimeError("the app has not been imported")
        while line := await self._reports.readline():
            event = json.loads(line)
            if "forked" in event:
                self._exits[event["forked"]] = asyncio.get_running_loop().create_future()
                self._forked.put_nowait(event["forked"])
            elif not (ended := self._exits.pop(event["exited"])).done():
                ended.set_result(event["code"])

    async def fork(self, assignment: Mapping[str, Any]) -> tuple[int, socket.socket, asyncio.Future[int]]:
        """Start a worker; return its process id, this end of the wire to it, and its exit code to come."""
        ours, theirs = socket.socketpair()
        async with self._forking:
            line = json.dumps({"fork": assignment}).encode() + b"\n"
            socket.send_fds(self._commands, [line], [theirs.fileno()])
            theirs.close()
            pid = await self._forked.get()
        return pid, ours, self._exits[pid]

    def kill(self, pid: int) -> None:
        """Kill a worker; its parent does it, so the id cannot belong to anyone else by now."""
        self._commands.sendall(json.dumps({"kill": pid}).encode() + b"\n")

    def close(self) -> None:
        """End the process, and with it every worker that is left."""
        self._commands.close()
        if not self._imported:
            self._process.kill()  # it has no workers yet, and hears nothing while it imports
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
