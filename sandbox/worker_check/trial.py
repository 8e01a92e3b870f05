"""Gives the worker and the local host the same app, settings, blobs and calls, each in storage of its own."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from sandbox.azurite import Azurite
from sandbox.worker_check.calls import Plan

ROOT = Path(__file__).resolve().parents[2]
_ACCOUNTS = ("worker", "localhost")
_DEADLINE_SECONDS = 120.0
_OURS = re.compile(r"EXPORTER_|AzureWebJobs|APPLICATIONINSIGHTS|PYTHONPATH", re.IGNORECASE)


class TrialError(Exception):
    """A side ended without a report; the text has its last words."""


@dataclass(frozen=True)
class Side:
    """One side's report, and what it left in storage: names of blobs, and messages by queue."""

    report: dict[str, Any]
    left: dict[str, int]


@dataclass(frozen=True)
class Trial:
    """Both sides, and the settings that the local host's reading was made with."""

    worker: Side
    local: Side
    settings: dict[str, str]


def run_trial(app_dir: Path, plan: Plan, worker_python: Path, folder: Path) -> Trial:
    """Let both sides index, load and call. Raises TrialError."""
    with Azurite(accounts=_ACCOUNTS) as storage:
        in_worker = run_worker(
            app_dir, plan, worker_python, storage.connection_string_of("worker"), folder / "worker.json"
        )
        in_local = _run_side(
            [sys.executable, "-m", "sandbox.worker_check.local"],
            app_dir,
            plan,
            storage.connection_string_of("localhost"),
            folder / "local.json",
            python_path=[str(app_dir), str(ROOT)],
        )
        settings = _settings(plan, storage.connection_string_of("localhost"))
    return Trial(in_worker, in_local, settings)


def run_worker(
    app_dir: Path, plan: Plan, worker_python: Path, storage: str, report: Path, *, until: str = ""
) -> Side:
    """Let the platform's worker index, load and call. Raises TrialError.

    With `until` it then listens to the app's queues, until the app logs that text.
    """
    driver = Path(__file__).parent / "driver.py"
    # -P: what lies beside the driver is not for the app to import.
    return _run_side([str(worker_python), "-P", str(driver)], app_dir, plan, storage, report, until=until)


def _settings(plan: Plan, storage: str) -> dict[str, str]:
    return {name: text.replace("{storage}", storage) for name, text in plan.settings.items()}


def _run_side(
    command: list[str],
    app_dir: Path,
    plan: Plan,
    storage: str,
    report: Path,
    *,
    python_path: list[str] | None = None,
    until: str = "",
) -> Side:
    _put_blobs(plan, storage)
    environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    environment |= _settings(plan, storage)
    if python_path:
        environment["PYTHONPATH"] = os.pathsep.join(python_path)
    calls = [call.to_job() for call in plan.calls]
    job = {"app_dir": str(app_dir), "report": str(report), "calls": calls, "until": until}
    try:
        ended = subprocess.run(
            command,
            input=json.dumps(job).encode(),
            cwd=app_dir,
            env=environment,
            capture_output=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TrialError(f"{command[0]} gave no report within {_DEADLINE_SECONDS:.0f} s") from error
    if ended.returncode or not report.is_file():
        raise TrialError(f"{command[0]} gave no report: {ended.stderr.decode(errors='replace')[-3000:]}")
    return Side(json.loads(report.read_text("utf-8")), _left_behind(storage))


def _put_blobs(plan: Plan, storage: str) -> None:
    with BlobServiceClient.from_connection_string(storage) as blobs:
        for call in plan.calls:
            if place := call.given.get("blob"):
                container = blobs.get_container_client(place["container"])
                with contextlib.suppress(ResourceExistsError):
                    container.create_container()
                container.upload_blob(place["name"], place["content"].encode(), overwrite=True)


def _left_behind(storage: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    with BlobServiceClient.from_connection_string(storage) as blobs:
        for container in blobs.list_containers():
            for name in blobs.get_container_client(container.name).list_blob_names():
                found[f"blob {container.name}/{without_chance(name)}"] += 1
    with QueueServiceClient.from_connection_string(storage) as queues:
        for queue in queues.list_queues():
            properties = queues.get_queue_client(queue.name).get_queue_properties()
            found[f"messages in {queue.name}"] = properties.approximate_message_count or 0
    return dict(found)


def without_chance(text: str) -> str:
    """Return a text with marks where digests, ids, times and other figures stand: they differ by chance."""
    return re.sub(r"\b[0-9a-f]{12,}\b|\d+(?:\.\d+)*", "#", text)
