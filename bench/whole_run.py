"""Measure whole runs through the real app: local host, Azurite and the simulated ActiveCampaign.

    .venv/bin/python bench/whole_run.py --rows 1000000 --no-limits     # the pipeline alone
    .venv/bin/python bench/whole_run.py --rows 1000000                 # at the documented limits: 42 min
    .venv/bin/python bench/whole_run.py --rows 50000,2000 --instances 4
    .venv/bin/python bench/whole_run.py --rows 100000 --speed 5

Each number of `--rows` is an export with a segment of its own, all on one account and dropped together.
Seconds are the simulator's: with `--speed 5` one of them lasts a fifth of a real one, and so do the limits'
windows. It prints figures and judges nothing. Memory is VmHWM from /proc, so it runs on Linux.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `python bench/whole_run.py` puts bench/ there, not the checkout

from sandbox.azurite import Azurite  # noqa: E402 - needs the path set above
from sandbox.host import LocalHost  # noqa: E402 - as above
from sandbox.processes import Child  # noqa: E402 - as above
from sandbox.segment import write_segment  # noqa: E402 - as above

KEY = "a-made-up-key"
START_SECONDS = 30.0
LOOK_SECONDS = 0.25
SPREAD = ("on_plan_queued", "on_chunk_queued", "on_settlement_queued", "on_receipt_queued")
"""Functions that get as many instances as asked for."""
TOLD_COUNTERS = (
    "bulk_requests",
    "throttled_bulk",
    "throttled_single",
    "throttled_general",
    "peak_bulk_per_minute",
    "peak_requests_per_second",
    "contacts_per_bulk",
    "repeated_accepted_bodies",
)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", default="100000", help="rows of each export, with commas (100000)")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds in a real one (1)")
    parser.add_argument("--no-limits", action="store_true", help="an ActiveCampaign that takes everything")
    parser.add_argument("--instances", type=int, default=1, help="processes of each queue function (1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exporter-bench-") as folder, ExitStack() as stack:
        site = start(Path(folder), options, stack)
        sizes = {f"export-{number}": int(rows) for number, rows in enumerate(options.rows.split(","), 1)}
        site.measure(sizes)


@dataclass
class Site:
    """All that runs, and what is seen of it."""

    folder: Path
    environ: dict[str, str]
    url: str
    host: str
    app: LocalHost
    pids: dict[str, int]
    speed: float
    limits: dict[str, float]
    peaks: dict[str, float] = field(default_factory=dict)
    """Megabytes (VmHWM) by process."""
    bulk_at: list[tuple[float, int]] = field(default_factory=list)
    """When (simulated seconds since the drop) so many bulk requests had been accepted; only changes."""
    _started_at: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    def measure(self, sizes: dict[str, int]) -> None:
        """Drop a segment for each export, follow the runs, and print what it took."""
        self._apply(sizes)
        files = {}
        for seed, (name, rows) in enumerate(sizes.items()):  # other people in each, so that no body is equal
            files[name] = self.folder / f"{name}.csv"
            write_segment(files[name], rows, seed=seed)
        watching = threading.Thread(target=self._watch)
        self._started_at = time.monotonic()
        watching.start()
        dropping = {
            name: subprocess.Popen(
                self._command("drop", str(file), "--segment", name, "--wait", "--json"),
                env=self._env(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for name, file in files.items()
        }
        reports = {}
        for name, process in dropping.items():
            output, _ = process.communicate()
            (reports[name],) = json.loads(output)
        ended_at = self._now()
        self._done.set()
        watching.join()
        self._tell(sizes, reports, ended_at)

    def _tell(self, sizes: dict[str, int], reports: dict[str, Any], ended_at: float) -> None:
        counters = self._counters()
        for name, rows in sizes.items():
            report = reports[name]
            say(f"{name}: {rows:,} rows, {report['state']}, counts {report['counts']}")
            say(f"  requests {report['requests']}, {report['started_at']} to {report['completed_at']}")
        say(f"first body {self.bulk_at[0][0]:.1f} s after the drop began to be written")
        say(f"last acceptance {self.bulk_at[-1][0]:.1f} s after it ({self.bulk_at[-1][0] / 60:.2f} min)")
        say(f"last report {ended_at:.1f} s after it ({ended_at / 60:.2f} min)")
        for key in TOLD_COUNTERS:
            say(f"{key} {counters[key]}")
        for name, megabytes in sorted(self.peaks.items(), key=lambda item: -item[1]):
            say(f"{megabytes:7.0f} MB peak of {name}")

    def _apply(self, sizes: dict[str, int]) -> None:
        connection = {"id": "bench", "host": self.host, "secret": "bench", "limits": self.limits}
        mapping = {"email": "Email", "first_name": "FirstName", "last_name": "LastName", "phone": "Phone"}
        wanted = {
            "connections": [{**connection, "consent": {"accepted_by": "nobody: these people are made up"}}],
            "exports": [
                {
                    "id": name,
                    "connection": "bench",
                    "list_id": "5",
                    "segments": [name],
                    "mapping": {**mapping, "fields": {"City": "City"}},
                    "tolerated_reject_percentage": 100,
                }
                for name in sizes
            ],
        }
        file = self.folder / "exports.json"
        file.write_text(json.dumps(wanted))
        subprocess.run(self._command("apply", str(file)), env=self._env(), check=True, stdout=sys.stderr)

    def _watch(self) -> None:
        """Look at memory and at the simulator's counters until the runs are over."""
        accepted = 0
        while not self._done.wait(LOOK_SECONDS):
            self._look_at_memory()
            now, count = self._now(), self._counters()["bulk_accepted"]
            if count > accepted:
                self.bulk_at.append((now, count))
                accepted = count

    def _look_at_memory(self) -> None:
        functions = {worker["pid"]: ",".join(worker["functions"]) for worker in self.app.status()["workers"]}
        for root_name, root in self.pids.items():
            for pid in descendants(root):
                name = f"{root_name} {functions.get(pid, '')} (process {pid})"
                self.peaks[name] = max(self.peaks.get(name, 0.0), peak_megabytes(pid))
        for pid in descendants(os.getpid(), among=frozenset(self.pids.values())):
            name = f"command line (process {pid})"
            self.peaks[name] = max(self.peaks.get(name, 0.0), peak_megabytes(pid))

    def _now(self) -> float:
        return (time.monotonic() - self._started_at) * self.speed

    def _counters(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/counters", timeout=30) as answer:
            counters: dict[str, Any] = json.load(answer)
        return counters

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "exporter", *arguments]

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.environ, "PYTHONPATH": str(ROOT)}


def start(folder: Path, options: argparse.Namespace, stack: ExitStack) -> Site:
    """Start everything; the stack ends it."""
    limits_off = ["--no-limits"] if options.no_limits else ["--speed", str(options.speed)]
    simulator = stack.enter_context(
        Child([sys.executable, "-m", "sandbox.activecampaign", "--key", KEY, *limits_off], cwd=ROOT)
    )
    ready = json.loads(simulator.read_line(time.monotonic() + START_SECONDS))
    simulator.drain()
    storage = stack.enter_context(Azurite(folder / "storage"))
    environ = {
        "EXPORTER_STORAGE": storage.connection_string,
        "AzureWebJobsStorage": storage.connection_string,
        "EXPORTER_LOCAL_HOSTS": ready["host"],
        "EXPORTER_SECRET_BENCH": KEY,
    }
    log = stack.enter_context((folder / "host.log").open("wb"))
    instances = dict.fromkeys(SPREAD, options.instances) if options.instances > 1 else {}
    app = stack.enter_context(LocalHost(ROOT, environ, log=log, quiet=True, instances=instances))
    limits: dict[str, float] = (
        {"bulk_requests_per_minute": 1_000_000, "requests_per_second": 100_000}
        if options.no_limits
        else {
            "bulk_requests_per_minute": round(100 * options.speed),
            "requests_per_second": round(5 * options.speed),
        }
    )
    pids = {"host": app.pid, "simulator": simulator.pid, "storage": storage.pid or 0}
    speed = 1.0 if options.no_limits else options.speed
    return Site(folder, environ, ready["url"], ready["host"], app, pids, speed, limits)


def descendants(pid: int, *, among: frozenset[int] = frozenset()) -> Iterator[int]:
    """A process and all below it; those in `among` and below them are left out."""
    if pid in among:
        return
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # the process ended meanwhile
            continue
        for child in found:
            yield from descendants(int(child), among=among)


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had at once; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def say(text: str) -> None:
    """Print a figure."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
