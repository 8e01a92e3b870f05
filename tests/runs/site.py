"""A whole site on this machine: storage, local host, simulated ActiveCampaign, and the command line."""

import gzip
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from exporter.adapters.storage import LANDING_CONTAINER
from sandbox.azurite import Azurite
from sandbox.host import LocalHost
from tests import canary
from tests.canary import WATCH

ROOT = Path(__file__).resolve().parents[2]
KEY = canary.KEY
HEADER = "Email,FirstName,LastName,Phone,City,Tier"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended."""

    code: int
    document: Any
    """What it wrote to stdout, parsed."""
    notes: str
    """What it wrote to stderr."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated ActiveCampaign in a process of its own."""

    host: str

    def ask(self, path: str, content: Any = None) -> Any:
        """Read from the control API, or write to it."""
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"http://{self.host}/_sandbox/{path}", data=data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")

    def bulk_requests(self) -> list[dict[str, Any]]:
        """The bulk requests that arrived, oldest first."""
        with urllib.request.urlopen(f"http://{self.host}/_sandbox/requests", timeout=60) as response:
            requests = [json.loads(line) for line in response]
        return [
            entry for entry in requests if entry["path"].endswith("import/bulk_import") and entry["contacts"]
        ]

    def contacts(self) -> dict[str, dict[str, Any]]:
        """All contacts by lower-case address."""
        with urllib.request.urlopen(f"http://{self.host}/_sandbox/contacts", timeout=60) as response:
            return {(contact := json.loads(line))["email"].lower(): contact for line in response}


@contextmanager
def running_simulator(*arguments: str) -> Iterator[Simulator]:
    """Start a simulator, and end it by its process."""
    command = [sys.executable, "-m", "sandbox.activecampaign", "--key", KEY, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Simulator(json.loads(process.stdout.readline())["host"])
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that a run needs, and the command line to use it with."""

    folder: Path
    environ: dict[str, str]
    simulator: Simulator
    host: LocalHost

    def run(self, *arguments: str, as_json: bool = True) -> Answer:
        """Run a command of the exporter as a user would."""
        command = [sys.executable, "-m", "exporter", *arguments, *(["--json"] if as_json else [])]
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        WATCH.look(f"exporter {' '.join(arguments)}: stderr", ended.stderr)
        WATCH.look(f"exporter {' '.join(arguments)}: stdout", ended.stdout, people=False)
        document = json.loads(ended.stdout) if as_json and ended.stdout else ended.stdout
        return Answer(ended.returncode, document, ended.stderr)

    def apply(self, export: dict[str, Any], **connection: Any) -> Answer:
        """Apply one connection and one export; what is not named is what most tests want."""
        return self.apply_all([export], **connection)

    def apply_all(
        self, exports: Sequence[dict[str, Any]], *, recipes: Sequence[dict[str, Any]] = (), **connection: Any
    ) -> Answer:
        """Apply one connection, its exports and recipes, in one file named after the first export."""
        wanted = {
            "connections": [
                {
                    "id": "acme",
                    "host": self.simulator.host,
                    "secret": "activecampaign-acme",
                    "limits": {"bulk_requests_per_minute": 1_000_000, "requests_per_second": 100_000},
                    "consent": {"accepted_by": "ann@example.org"},
                    **connection,
                }
            ],
            "exports": [
                {
                    "connection": connection.get("id", "acme"),
                    "list_id": "5",
                    "segments": [export["id"]],
                    "mapping": {
                        "email": "Email",
                        "first_name": "FirstName",
                        "last_name": "LastName",
                        "phone": "Phone",
                        "fields": {"City": "City"},
                    },
                    "tolerated_reject_percentage": 100,
                    **export,
                }
                for export in exports
            ],
            "recipes": list(recipes),
        }
        file = self.folder / f"{exports[0]['id']}.json"
        file.write_text(json.dumps(wanted))
        return self.run("apply", str(file))

    def file(self, name: str, lines: list[str], header: str = HEADER) -> Path:
        """A CSV file."""
        path = self.folder / name
        path.write_bytes("".join(f"{line}\r\n" for line in [header, *lines]).encode())
        return path

    def announce(self, path: str) -> None:
        """Run the blob function by hand for a blob, as an event that is delivered again does."""
        self.call("on_segment_dropped", path)

    def call(self, function: str, given: str = "") -> None:
        """Run a function by hand; a timer is given nothing."""
        request = urllib.request.Request(
            f"{self.host.api}/admin/functions/{function}", data=json.dumps({"input": given}).encode()
        )
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command and leave it running; whoever starts it waits for it."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "exporter", *arguments],
                cwd=self.folder,
                env={**os.environ, **self.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )

    def drop(self, segment: str, *files: Path) -> Answer:
        """Drop files and follow their runs to the end."""
        return self.run("drop", *map(str, files), "--segment", segment, "--wait")


def environ_of(connection_string: str, activecampaign_host: str) -> dict[str, str]:
    """The settings of an app with one storage and one stand-in for ActiveCampaign."""
    return {
        "EXPORTER_STORAGE": connection_string,
        "AzureWebJobsStorage": connection_string,
        "EXPORTER_LOCAL_HOSTS": activecampaign_host,
        "EXPORTER_SECRET_ACTIVECAMPAIGN_ACME": KEY,
    }


# Only for the tests' patience: the platform's own name for a value of host.json.
SHORT_POLLS = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.200"}


@contextmanager
def running_site(
    folder: Path,
    *simulator_arguments: str,
    settings: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[Site]:
    """Start a site in an empty folder, and end all its processes.

    `settings` come beside the usual ones, `options` go to the local host.
    """
    with ExitStack() as stack:
        simulator = stack.enter_context(running_simulator(*simulator_arguments))
        storage = stack.enter_context(Azurite())
        environ = {
            **environ_of(storage.connection_string, simulator.host),
            "EXPORTER_SECRET_WRONG_KEY": "not-the-key",
            **SHORT_POLLS,
            **(settings or {}),
        }
        stack.callback(search_site, folder, storage.connection_string)
        yield stack.enter_context(site_on(folder, environ, simulator, **options))


@contextmanager
def site_on(folder: Path, environ: dict[str, str], simulator: Simulator, **options: Any) -> Iterator[Site]:
    """A site on a storage and an ActiveCampaign that run already; ends the local host."""
    with (
        (folder / "host.log").open("wb") as log,
        LocalHost(ROOT, environ, log=log, **options) as host,
    ):
        yield Site(folder, environ, simulator, host)


FOR_PEOPLE = ("plans/", "reports/")
"""Where the state may hold people: chunks and rejects."""


def search_site(folder: Path, storage: str, **options: Any) -> None:
    """Look for keys and people in what a site leaves behind: logs, blobs and their names, queues.

    `options` go to the storage clients.
    """
    for log in folder.glob("*.log"):
        WATCH.look(str(log), log.read_text(errors="replace"))
    with BlobServiceClient.from_connection_string(storage, **options) as blobs:
        for container in blobs.list_containers():
            with blobs.get_container_client(container.name) as client:
                for blob in client.list_blobs():
                    data = client.download_blob(blob.name).readall()
                    plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
                    people = container.name != LANDING_CONTAINER and not blob.name.startswith(FOR_PEOPLE)
                    WATCH.look(f"name of {blob.name}", blob.name)
                    WATCH.look(f"blob {blob.name}", plain.decode(errors="replace"), people=people)
    with QueueServiceClient.from_connection_string(storage, **options) as queues:
        for queue in queues.list_queues():
            for message in queues.get_queue_client(queue.name).peek_messages(max_messages=32):
                WATCH.look(f"message of {queue.name}", str(message.content))
