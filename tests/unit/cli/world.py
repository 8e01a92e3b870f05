"""A storage in memory as far as the command line looks at it, and the command line on top of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from exporter.cli.main import run_command_line
from exporter.domain.configuration import Connection, Consent, Export, Mapping
from exporter.domain.drop import DropRecord, Source, drop_version
from exporter.domain.pause import Pauses
from exporter.domain.run import Counts, PlanRecord, RequestCounts, Run, RunError, RunReport, RunState
from exporter.settings import Settings
from exporter.steps.messages import Message, Queue
from exporter.steps.ports import Ports
from tests.fakes.registry import FakeRegistry
from tests.fakes.telemetry import FakeTelemetry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STORAGE = "UseDevelopmentStorage=true"


class FakeClock:
    """Sleeping advances a number, and lets the world go on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.on_sleep: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_sleep()


class FakeRuns:
    def __init__(self) -> None:
        self.known: dict[str, Run] = {}

    async def load(self, run_id: str) -> Run | None:
        return self.known.get(run_id)

    async def all(self) -> AsyncIterator[Run]:
        for run in self.known.values():
            yield run

    async def update(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        self.known[run_id] = change(self.known[run_id])
        return self.known[run_id]

    async def open(self) -> AsyncIterator[Run]:
        for run in [*self.known.values()]:
            if not run.state.final:
                yield run


class FakePauses:
    def __init__(self) -> None:
        self.kept = Pauses()

    async def load(self) -> Pauses:
        return self.kept

    async def update(self, change: Callable[[Pauses], Pauses]) -> Pauses:
        self.kept = change(self.kept)
        return self.kept


class FakeDrops:
    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.records: dict[str, DropRecord] = {}

    async def put(self, blob: str, blocks: Iterable[bytes]) -> Source:
        self.blobs[blob] = b"".join(blocks)
        return self.found(blob)

    async def source(self, blob: str) -> Source | None:
        return self.found(blob) if blob in self.blobs else None

    def found(self, blob: str) -> Source:
        data = self.blobs[blob]
        return Source(blob=blob, etag=f"etag-{hash(data)}", size=len(data), last_modified=NOW)

    def take_up(self, *run_ids: str) -> None:
        """Record the drop that all blobs together are, with its runs."""
        sources = [self.found(blob) for blob in self.blobs if not blob.endswith("_SUCCESS")]
        version = drop_version(sources)
        self.records[version] = DropRecord(
            version=version, segment="vip", sources=tuple(sources), recorded_at=NOW, run_ids=run_ids
        )

    async def recorded(self, version: str) -> DropRecord | None:
        return self.records.get(version)


class FakeReports:
    def __init__(self) -> None:
        self.rejects: dict[str, bytes] = {}

    async def read_rejects(self, run_id: str) -> AsyncIterator[bytes]:
        data = self.rejects[run_id]
        yield data[:10]
        yield data[10:]


@dataclass
class World:
    """The storage, and what a command said about it."""

    capture: pytest.CaptureFixture[str]
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    runs: FakeRuns = field(default_factory=FakeRuns)
    pauses: FakePauses = field(default_factory=FakePauses)
    drops: FakeDrops = field(default_factory=FakeDrops)
    reports: FakeReports = field(default_factory=FakeReports)
    plans: dict[str, PlanRecord] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    queued: list[tuple[Queue, Message]] = field(default_factory=list)
    """What commands have put on the queues."""
    may_create: bool = True
    """Whether the last command may create what is missing."""
    out: str = ""
    err: str = ""

    @property
    def ports(self) -> Ports:
        async def plan_record(run_id: str) -> PlanRecord | None:
            return self.plans.get(run_id)

        async def send(queue: Queue, message: Message, *, delay_seconds: float = 0.0) -> None:
            self.queued.append((queue, message))

        return cast(
            "Ports",
            SimpleNamespace(
                registry=self.registry,
                runs=self.runs,
                pauses=self.pauses,
                queue=SimpleNamespace(send=send),
                telemetry=FakeTelemetry(),
                drops=self.drops,
                reports=self.reports,
                clock=self.clock,
                randomness=SimpleNamespace(token=lambda: "0123456789ab"),
                plans=SimpleNamespace(record=plan_record),
            ),
        )

    @asynccontextmanager
    async def open_app(
        self, settings: Settings, *, impatient: bool, creates: bool = True
    ) -> AsyncIterator[Any]:
        assert impatient, "somebody waits for the command line"
        self.may_create = creates
        yield SimpleNamespace(settings=settings, ports=self.ports)

    def command(self, *arguments: object) -> int:
        """Run a command; what it said is in `out` and `err`."""
        code = run_command_line([str(argument) for argument in arguments])
        self.out, self.err = self.capture.readouterr()
        return code

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    def configure(self, *, exports: Iterable[Export] = ()) -> None:
        """Store a connection and exports."""

        async def put() -> None:
            await self.registry.put_connection(a_connection(), etag=None)
            for export in exports:
                await self.registry.put_export(export, etag=None)

        asyncio.run(put())

    def has_run(self, report: RunReport) -> Run:
        """Store a run that has ended, or has not, with this report."""
        run = Run(
            run_id=report.run_id,
            segment=report.segment,
            sources=(),
            cause="drop",
            export=None,
            connection=None,
            ordered_at=self.clock.now(),
            state=report.state,
            completed_at=self.clock.now() if report.state.final else None,
            report=report,
        )
        self.runs.known[run.run_id] = run
        return run


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> World:
    """A world whose storage the settings name; the working directory is empty."""
    import exporter.bootstrap

    made = World(capsys)
    monkeypatch.setattr(exporter.bootstrap, "open_app", made.open_app)
    monkeypatch.setenv("EXPORTER_STORAGE", STORAGE)
    monkeypatch.chdir(tmp_path)
    return made


def a_connection(**changes: Any) -> Connection:
    connection = Connection(
        id="acme", name="Acme", host="acme.api-us1.com", secret="key", consent=Consent(accepted_by="Ann")
    )
    return connection.model_copy(update=changes)


def an_export(**changes: Any) -> Export:
    export = Export(
        id="vip",
        name="VIP customers",
        connection="acme",
        list_id="5",
        segments=("vip",),
        mapping=Mapping(email="Email", fields={"City": "City"}),
    )
    return export.model_copy(update=changes)


def a_report(
    state: str = "succeeded", *, run_id: str = "a" * 32, error: str | None = None, **counts: int
) -> RunReport:
    rows = counts.pop("rows", sum(counts.values()))
    return RunReport(
        run_id=run_id,
        export_id="vip",
        segment="vip",
        source=("vip/customers.csv",),
        cause="drop",
        state=RunState(state),
        retrying=False,
        waiting_for=None,
        counts=Counts(rows=rows, **counts),
        reasons={"invalid_email": counts["rejected"]} if counts.get("rejected") else {},
        requests=RequestCounts(bulk=4, status=1),
        automations_withheld=0,
        started_at=NOW,
        completed_at=NOW + timedelta(seconds=65),
        error=RunError(code="list_missing", message=error) if error else None,
    )
