"""What `demo` and `up` run on this machine: storage, app, and for the demo an ActiveCampaign.

Everything comes from `sandbox/`, which a deployment leaves out; so it is imported when it is needed.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import orjson

from exporter.errors import ConfigurationError
from exporter.settings import IDENTITY_FORMS, SETTINGS, STORAGE_SETTINGS, StorageAccount

if TYPE_CHECKING:
    from sandbox.host import LocalHost

ROOT: Final = Path(__file__).resolve().parents[2]
"""The folder of function_app.py and host.json."""

_SIMULATOR_START_SECONDS: Final = 30.0
# Ends with this process even if that is killed; the simulator itself only listens to signals.
_SIMULATOR: Final = (
    "from sandbox.processes import end_with_parent; end_with_parent(); "
    "from sandbox.activecampaign.__main__ import main; main(['--port', '0'])"
)


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated ActiveCampaign at its real limits."""

    url: str
    host: str
    key: str = "sandbox-key"


def check_sandbox() -> None:
    """Raise ConfigurationError where only the deployed package is."""
    try:
        import sandbox  # noqa: F401 - is it there?
    except ImportError:
        raise ConfigurationError(
            "this command needs the development tools in sandbox/, which a deployment leaves out: "
            "run it in a checkout of the project"
        ) from None


@asynccontextmanager
async def start_storage(location: Path) -> AsyncIterator[str]:
    """Run Azurite with its data in a folder; gives the connection string."""
    from sandbox.azurite import Azurite
    from sandbox.processes import StartError

    folder = await asyncio.to_thread(_folder, location)
    with lock_folder(folder):
        azurite = Azurite(folder)
        try:
            await asyncio.to_thread(azurite.start)
        except StartError as error:
            raise ConfigurationError(f"the storage did not start: {error}") from None
        try:
            yield azurite.connection_string
        finally:
            await asyncio.to_thread(azurite.stop)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep a storage's folder for this process; the lock goes with it, however it ends.

    Raises ConfigurationError while another one keeps it: two storages would spoil each other's files.
    """
    import fcntl  # not on Windows, where the rest of the command line works

    with (folder / ".lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise ConfigurationError(
                f"another `exporter up`{f' (pid {holder})' if holder else ''} uses {folder}: use its storage "
                "(set EXPORTER_STORAGE as it shows it), end it, or give another folder with --data"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@asynccontextmanager
async def start_simulator() -> AsyncIterator[Simulator]:
    """Run a simulated ActiveCampaign."""
    from sandbox.processes import Child, scratch_file, tail

    complaints = scratch_file()
    # Started on this thread: the kernel ties the child to the thread that makes it.
    child = Child([sys.executable, "-c", _SIMULATOR], cwd=ROOT, stderr=complaints)
    try:
        line = await asyncio.to_thread(child.read_line, time.monotonic() + _SIMULATOR_START_SECONDS)
        if not line:
            raise ConfigurationError(f"the simulated ActiveCampaign did not start: {tail(complaints)}")
        ready = orjson.loads(line)
        child.drain()
        yield Simulator(url=ready["url"], host=ready["host"])
    finally:
        await asyncio.to_thread(child.stop)


@asynccontextmanager
async def start_app(
    environ: Mapping[str, str], *, log: IO[bytes] | None = None, quiet: bool = False
) -> AsyncIterator["LocalHost"]:
    """Run the function app in the local host with this environment; its log goes to stderr or to `log`."""
    from sandbox.host import LocalHost
    from sandbox.host.problems import StartProblemsError
    from sandbox.processes import StartError

    host = LocalHost(ROOT, environ, log=log, quiet=quiet)
    try:
        await asyncio.to_thread(host.start)
    except (StartError, StartProblemsError) as error:
        raise ConfigurationError(f"the app did not start: {error}") from None
    try:
        yield host
    finally:
        await asyncio.to_thread(host.stop)


async def ended(host: "LocalHost") -> None:
    """Wait until the local host has ended by itself; whoever started it still collects its exit code."""
    try:
        await asyncio.to_thread(os.waitid, os.P_PID, host.pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return  # it ended and was collected in the meantime


def _folder(location: Path) -> Path:
    location.mkdir(parents=True, exist_ok=True)
    return location.resolve()


async def storage_answers(account: StorageAccount) -> bool:
    """Whether a storage account answers at all; a refusal is an answer."""
    if account.connection_string is None:
        return True  # reached by identity: nothing that a storage on this machine could stand in for
    from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
    from azure.storage.blob.aio import BlobServiceClient

    client = BlobServiceClient.from_connection_string(
        account.connection_string, retry_total=0, connection_timeout=3, read_timeout=5
    )
    async with client:
        try:
            await client.get_service_properties()
        except HttpResponseError:
            return True
        except (ServiceRequestError, ServiceResponseError):
            return False
    return True


def with_storage(environ: Mapping[str, str], connection_string: str) -> dict[str, str]:
    """An environment in which app and host use this storage for everything."""
    forms = {name + form: "" for name in STORAGE_SETTINGS for form in IDENTITY_FORMS}
    present = {name: "" for name in forms if name in environ}
    landing = environ.get("EXPORTER_LANDING", "")
    if landing == environ.get("EXPORTER_STORAGE"):
        landing = ""  # the same account before, the same account now
    return {
        **environ,
        **present,
        "EXPORTER_STORAGE": connection_string,
        "EXPORTER_LANDING": landing,
        "AzureWebJobsStorage": connection_string,
    }


def blank_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Every setting that an environment or a local settings file may hold, as if it were absent."""
    forms = {name + form for name in STORAGE_SETTINGS for form in IDENTITY_FORMS}
    names = {*SETTINGS, *forms, *(name for name in environ if name.startswith("EXPORTER_"))}
    return dict.fromkeys(sorted(names), "")
