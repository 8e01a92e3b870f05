"""Running a command: its session with the storage, its exit code, and its errors as one clear message."""

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from exporter.cli.console import Output
from exporter.domain.run import RunReport, RunState
from exporter.errors import ConfigurationError, ConflictError, RetryLaterError, StopRunError
from exporter.settings import Settings, current_settings

if TYPE_CHECKING:
    from exporter.bootstrap import App


class ExitCode(IntEnum):
    """How a command ends."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    PARTLY_FAILED = 3
    FAILED = 4
    NEEDS_APPROVAL = 5
    INTERRUPTED = 130


JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]


@asynccontextmanager
async def open_session(settings: Settings | None = None) -> AsyncIterator["App"]:
    """The app on the storage of this process's settings, or of those given. Raises ConfigurationError."""
    # Errors in the settings are told before the seconds that the storage's libraries take to import.
    settings = settings or current_settings()
    from exporter.bootstrap import open_app

    async with open_app(settings) as app:
        yield app


def run(work: Callable[[Output], Awaitable[int]], *, as_json: bool) -> NoReturn:
    """Run a command's work and end the process with its exit code; an error becomes a message and 1."""
    output = Output(as_json=as_json)
    try:
        code = asyncio.run(_awaited(work, output))
    except (KeyboardInterrupt, asyncio.CancelledError):
        output.note("Interrupted.")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise  # typer ends quietly when whoever reads stdout has gone
    except Exception as error:  # the last line of defence: users see no traceback
        if os.environ.get("EXPORTER_DEBUG") == "1":
            traceback.print_exc()
        output.fail(*explain(error))
        code = ExitCode.ERROR
    raise typer.Exit(int(code))


async def _awaited(work: Callable[[Output], Awaitable[int]], output: Output) -> int:
    return await work(output)


def explain(error: Exception) -> tuple[str, str]:
    """An error as a stable code and a sentence; text that may hold secrets is left out."""
    match error:
        case StopRunError():
            return error.code, str(error)
        case ConfigurationError():
            return "configuration", str(error)
        case ConflictError():
            return "conflict", f"{error}; somebody else changes the same at this moment: run it again"
        case RetryLaterError():
            return "retry_later", f"{error}; try again later"
        case OSError() if error.filename is not None:
            return "file", f"{error.filename}: {error.strerror}"
    return _storage_problem(error) or (
        "unexpected",
        f"something went wrong that should not ({type(error).__name__}); EXPORTER_DEBUG=1 shows where",
    )


def _storage_problem(error: Exception) -> tuple[str, str] | None:
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    if isinstance(error, ClientAuthenticationError):
        return "storage_denied", (
            "the storage that EXPORTER_STORAGE names refuses the key or the identity: check the connection "
            "string, or sign in and let the identity read and write its blobs and queues"
        )
    if isinstance(error, HttpResponseError):
        status = f" ({error.status_code})" if error.status_code else ""
        return "storage", f"the storage that EXPORTER_STORAGE names refuses a request{status}"
    if isinstance(error, AzureError):
        return "storage_unreachable", (
            "the storage that EXPORTER_STORAGE names does not answer: check the setting and the network; "
            "`exporter up` starts a storage on this machine"
        )
    return None


_EXIT_CODES: Final = {"succeeded": ExitCode.DONE, "needs_approval": ExitCode.NEEDS_APPROVAL}


def exit_code(reports: Iterable[RunReport]) -> ExitCode:
    """The worst of the runs' ends; one that ended before its time counts by what it delivered."""
    return max((_exit_code(report) for report in reports), default=ExitCode.DONE)


def _exit_code(report: RunReport) -> ExitCode:
    known = _EXIT_CODES.get(report.state.value)
    if known is not None:
        return known
    failed = report.state is RunState.FAILED or not report.counts.delivered
    return ExitCode.FAILED if failed else ExitCode.PARTLY_FAILED


def pick(documents: dict[str, Any], wanted: str, kind: str) -> Any:
    """One document by id. Raises ConfigurationError that names those that exist."""
    if wanted not in documents:
        known = ", ".join(sorted(documents)) or "none yet; `exporter apply FILE` adds them"
        raise ConfigurationError(f"there is no {kind} {wanted!r} (known: {known})")
    return documents[wanted]
