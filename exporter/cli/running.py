"""Running a command: its session with the storage, its exit code, and its errors as one clear message."""

import asyncio
import getpass
import logging
import os
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
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
async def open_session(settings: Settings | None = None, *, creates: bool = True) -> AsyncIterator["App"]:
    """The app on the storage of this process's settings, or of those given. Raises ConfigurationError.

    Containers and queues that are missing are created, unless `creates` says that nothing may be.
    """
    # Errors in the settings are told before the seconds that the storage's libraries take to import.
    settings = settings or current_settings()
    from exporter.bootstrap import open_app

    async with open_app(settings, impatient=True, creates=creates) as app:
        yield app


class _OneDocument(Output):
    """Output that writes one document at most: what goes wrong after it is told on stderr."""

    _written = False

    def document(self, value: Any) -> None:
        self._written = True
        super().document(value)

    def fail(self, code: str, message: str) -> None:
        if self.as_json and self._written:
            self.note(f"Error: {message}")
        else:
            super().fail(code, message)

    def interrupted(self) -> None:
        """The command did not come to its end because somebody ended it."""
        if self.as_json:
            self.fail("interrupted", "the command was interrupted before its end")
        else:
            self.note("Interrupted.")


_PATIENCE_SECONDS: Final = 0.5


class _Termination:
    """SIGTERM ends a command as Ctrl+C does: its work is cancelled and tidies up; the next one is rude."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._asked = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Be in force; work may still put a handler of its own in its place."""
        previous = signal.signal(signal.SIGTERM, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)

    async def await_work(self, work: Callable[[Output], Awaitable[int]], output: Output) -> int:
        """Do the work as the task that the signal cancels."""
        self._task = asyncio.current_task()
        try:
            return await work(output)
        except KeyboardInterrupt:
            raise asyncio.CancelledError from None  # what a task can end with in peace
        finally:
            self._task = None

    def _on_signal(self, *_: object) -> None:
        task, again = self._task, self._asked
        self._asked = True
        if task is None or again:
            raise KeyboardInterrupt
        task.cancel()
        # Work that waits for something else than the loop, like stdin, hears of it by the alarm.
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS)
        task.get_loop().call_soon_threadsafe(signal.setitimer, signal.ITIMER_REAL, 0)


def run(work: Callable[[Output], Awaitable[int]], *, as_json: bool) -> NoReturn:
    """Run a command's work and end the process with its exit code; an error becomes a message and 1."""
    # Says at length, on stderr, what `explain` says in a sentence.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    output, termination = _OneDocument(as_json=as_json), _Termination()
    try:
        with termination.caught():
            code = asyncio.run(termination.await_work(work, output))
    except (KeyboardInterrupt, asyncio.CancelledError):
        output.interrupted()
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise  # typer ends quietly when whoever reads stdout has gone
    except Exception as error:  # the last line of defence: users see no traceback
        if os.environ.get("EXPORTER_DEBUG") == "1":
            traceback.print_exc()
        output.fail(*explain(error))
        code = ExitCode.ERROR
    raise typer.Exit(int(code))


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

    from exporter.adapters.identity import is_without_token

    if is_without_token(error):
        return "no_identity", (
            "no identity gives a token for the storage that EXPORTER_STORAGE names: `az login` here, "
            "in Azure give the app its identity and that one's client id in EXPORTER_STORAGE__clientId"
        )
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


def whoever_asks() -> str:
    """The name under which a person's order is written down: that of the account on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "somebody"


def pick(documents: dict[str, Any], wanted: str, kind: str) -> Any:
    """One document by id. Raises ConfigurationError that names those that exist."""
    if wanted not in documents:
        known = ", ".join(sorted(documents)) or "none yet; `exporter apply FILE` adds them"
        raise ConfigurationError(f"there is no {kind} {wanted!r} (known: {known})")
    return documents[wanted]
