"""The process that workers are forked from: it imports the app once, and has neither threads nor event loops.

It takes commands on stdin, a socket over which each new worker's end of the wire comes along, and reports on
stdout, one JSON object a line. When stdin ends, the host is gone: every worker is killed and the zygote
leaves. An app whose import starts threads cannot be forked safely: its workers import it anew.
"""

import gc
import importlib
import inspect
import json
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from azure.functions.decorators.function_app import FunctionRegister
from azure.functions.meta import get_binding_registry

from sandbox.host import worker
from sandbox.host.blobs import is_sdk_type
from sandbox.host.functions import read_functions
from sandbox.processes import end_with_parent

# What workers use from their first moment on, imported here once.
_PRELOADED = (
    "aiohttp",
    "azure.storage.blob.aio",
    "azure.storage.queue.aio",
    "encodings.idna",
    "sandbox.host.worker",
)


class AppError(Exception):
    """The app cannot be read; the text is for its author."""


def import_app() -> list[Any]:
    """Import `function_app` from the current folder and return its functions (azure-facts 4)."""
    sys.path.insert(0, str(Path.cwd()))
    module = importlib.import_module("function_app")
    apps = {id(value): value for value in vars(module).values() if isinstance(value, FunctionRegister)}
    if len(apps) != 1:
        raise AppError(f"function_app.py must define one app at module level, and defines {len(apps)}")
    return list(next(iter(apps.values())).get_functions())


def describe(function: Any) -> dict[str, Any]:
    """Return the metadata of one function: what the real worker reports, and what it would refuse."""
    code = function.get_user_function()
    bindings = [json.loads(raw) for raw in function.get_raw_bindings()]
    return {
        "name": function.get_function_name(),
        "bindings": bindings,
        "retry": function.get_settings_dict("retry_policy"),
        "problems": signature_problems(code, bindings),
    }


def signature_problems(code: Callable[..., Any], bindings: Sequence[dict[str, Any]]) -> list[str]:
    """Compare a function's parameters with its bindings, as the real worker does (azure-facts 2)."""
    parameters = set(inspect.signature(code).parameters) - {"context"}
    bound = {str(binding["name"]) for binding in bindings} - {"$return"}
    problems = [f"parameter {name!r} has no binding" for name in sorted(parameters - bound)]
    problems += [f"binding {name!r} has no parameter" for name in sorted(bound - parameters)]
    hints = typing.get_type_hints(code)
    for binding in bindings:
        name, kind = str(binding["name"]), str(binding["type"])
        if name not in parameters or name not in hints:
            continue
        if str(binding["direction"]).upper() == "OUT":
            if getattr(typing.get_origin(hints[name]), "__name__", "") != "Out":
                problems.append(f"parameter {name!r} must be annotated func.Out[...]")
            elif any(isinstance(argument, types.GenericAlias) for argument in typing.get_args(hints[name])):
                # Seen in azure-functions-runtime 1.3.0: "has invalid non-type annotation".
                problems.append(
                    f"parameter {name!r} must be annotated with a type of typing, as Out[List[str]]"
                )
        elif not _fits(hints[name], kind):
            problems.append(f"parameter {name!r} cannot be a {getattr(hints[name], '__name__', hints[name])}")
    return problems


def _fits(hint: object, kind: str) -> bool:
    converter = get_binding_registry().get(kind)  # type: ignore[no-untyped-call]
    if converter is None or not isinstance(hint, type):
        return converter is None
    if kind == "blobTrigger" and is_sdk_type(hint):
        return True
    return bool(converter.check_input_type_annotation(hint))


def thread_count() -> int:
    """Count the threads of this process, those of native libraries too where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


class Zygote:
    """Forks workers on command and reports their ends."""

    def __init__(self, functions: Sequence[Any], commands: socket.socket, events: TextIO) -> None:
        self._functions = functions
        self._commands = commands
        self._events = events
        self._workers: set[int] = set()
        self._text = b""
        self._ends: list[int] = []
        self._forkable = thread_count() == 1

    def serve(self) -> None:
        """Obey the host until it is gone."""
        wake_read, wake_write = socket.socketpair()
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._commands, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            self._private = (wake_read, wake_write, self._commands, selector)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wake_read:
                        wake_read.recv(4096)
                        self._reap()
                    elif not self._obey():
                        self._kill_all()
                        return

    def _obey(self) -> bool:
        data, ends, _, _ = socket.recv_fds(self._commands, 65_536, 16)
        self._ends += ends
        self._text += data
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            command = json.loads(line)
            if "fork" in command:
                self._fork(command["fork"], self._ends.pop(0))
            elif command.get("kill") in self._workers:
                os.kill(command["kill"], signal.SIGKILL)
        return bool(data)

    def _fork(self, assignment: dict[str, Any], end: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker(assignment, end)
        os.close(end)
        self._workers.add(pid)
        self._report(forked=pid)

    def _become_worker(self, assignment: dict[str, Any], end: int) -> typing.NoReturn:
        try:
            end_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for private in self._private:
                private.close()
            self._events.close()
            text = json.dumps(assignment)
            if self._forkable:
                start_worker(text, self._functions, end)
            os.set_inheritable(end, True)
            command = [sys.executable, "-m", "sandbox.host.zygote", text, str(end)]
            os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self._workers:
                self._workers.remove(pid)
                self._report(exited=pid, code=os.waitstatus_to_exitcode(status))

    def _kill_all(self) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            os.waitpid(pid, 0)

    def _report(self, **event: Any) -> None:
        try:
            self._events.write(json.dumps(event) + "\n")
            self._events.flush()
        except BrokenPipeError:
            return  # the host is gone; the end of the commands says so too


def start_worker(text: str, functions: Sequence[Any], end: int) -> typing.NoReturn:
    """Be the worker that this assignment describes."""
    assignment = worker.read_assignment(text)
    wanted = set(assignment.functions)
    chosen = {f.get_function_name(): f for f in functions if f.get_function_name() in wanted}
    specs = read_functions([describe(function) for function in chosen.values()], os.environ)
    loaded = [worker.load(spec, chosen[spec.name].get_user_function()) for spec in specs]
    worker.run(assignment, loaded, socket.socket(fileno=end))


def main() -> int:
    """Import the app, report its functions, fork workers."""
    if len(sys.argv) == 3:
        start_worker(sys.argv[1], import_app(), int(sys.argv[2]))
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the app prints must not get into the reports
    commands = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # an app that reads stdin must not take the host's commands
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for name in _PRELOADED:
            importlib.import_module(name)
        functions = import_app()
        report = {"functions": [describe(function) for function in functions]}
    except Exception as error:  # whatever an app may raise while it is imported
        trouble = str(error) if isinstance(error, AppError) else traceback.format_exc(limit=-4)
        events.write(json.dumps({"broken": trouble}) + "\n")
        events.flush()
        return 1
    zygote = Zygote(functions, commands, events)
    events.write(json.dumps(report) + "\n")
    events.flush()
    gc.collect()
    gc.freeze()
    zygote.serve()
    return 0


if __name__ == "__main__":
    # Run under its importable name, so that a worker's classes are the same as everyone's.
    from sandbox.host.zygote import main as run_main

    sys.exit(run_main())
