"""`exporter up`: storage and app on this machine, in the foreground."""

import asyncio
import os
import shlex
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.local import (
    ROOT,
    check_sandbox,
    ended,
    start_app,
    start_storage,
    storage_answers,
    with_storage,
)
from exporter.cli.running import ExitCode, JsonOption, run
from exporter.settings import Settings, load_local_settings

_DATA: Final = Path(".cache") / "exporter"


def up(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the storage keeps its data.")] = _DATA,
    as_json: JsonOption = False,
) -> None:
    """Run the app here until a signal, with a storage of its own if the settings name none that answers."""

    async def work(output: Output) -> int:
        check_sandbox()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with AsyncExitStack() as stack:
            environ = load_local_settings(ROOT / "local.settings.json", os.environ)
            own = await _needs_storage(environ, output)
            if own:
                environ = with_storage(environ, await stack.enter_async_context(start_storage(data)))
            settings = Settings.from_env(environ)
            host = await stack.enter_async_context(start_app(host_environ(environ)))
            _say_ready(host.api, settings, output, own_storage=own)
            waiting = {asyncio.create_task(stopped.wait()), asyncio.create_task(ended(host))}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            if stopped.is_set():
                output.note("Stopping.")
                return ExitCode.DONE
        output.warn("the app has ended by itself; its log says why")
        return ExitCode.ERROR

    run(work, as_json=as_json)


def host_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for the host, which keeps its own state where the app does if nothing else is said."""
    if any(name.startswith("AzureWebJobsStorage") and value for name, value in environ.items()):
        return dict(environ)
    prefix = "EXPORTER_STORAGE"
    own = {
        "AzureWebJobsStorage" + name.removeprefix(prefix): value
        for name, value in environ.items()
        if name == prefix or name.startswith(f"{prefix}__")
    }
    return {**environ, **own}


async def _needs_storage(environ: Mapping[str, str], output: Output) -> bool:
    """Whether to start a storage: none is named, or the one that is does not answer."""
    if not any(value for name, value in environ.items() if name.startswith("EXPORTER_STORAGE")):
        return True
    if await storage_answers(Settings.from_env(environ).storage):
        return False
    output.note("The storage that EXPORTER_STORAGE names does not answer: starting one on this machine.")
    return True


def _say_ready(api: str, settings: Settings, output: Output, *, own_storage: bool) -> None:
    account = settings.storage
    storage = account.connection_string or account.blob_uri or ""
    output.document({"ready": True, "api": api, "storage": storage})
    output.show(Text.assemble(("Ready. ", "bold green"), "The app runs at ", (api, "bold"), "."))
    if own_storage:
        output.show("To use it from another shell:", "")
        output.show_command(f"export EXPORTER_STORAGE={shlex.quote(storage)}")
    else:
        output.show("It uses the storage that EXPORTER_STORAGE names. From another shell:", "")
    output.show_command("exporter apply FILE")
    output.show_command("exporter drop FILE --segment SEGMENT --wait")
    output.show("", "Ctrl+C ends it.")
