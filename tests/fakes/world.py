"""A whole installation in memory: processes that take messages from queues and run the real steps.

Everything that chance decides comes from one seed, and time is the loop's; so a run of hours takes
milliseconds and comes out the same each time. Needs a `SimulatedLoop`.
"""

import asyncio
import contextvars
import csv
import io
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Final

import orjson

from exporter.adapters.storage import is_outage
from exporter.domain.configuration import Connection, Export
from exporter.domain.drop import Source
from exporter.domain.reject import Reject
from exporter.domain.run import Run, RunReport
from exporter.steps.aggregate import aggregate
from exporter.steps.deliver import deliver
from exporter.steps.handle import handle
from exporter.steps.messages import MAX_MESSAGE_BYTES, Queue
from exporter.steps.plan import plan
from exporter.steps.poison import bury
from exporter.steps.ports import Ports
from exporter.steps.receive import receive
from exporter.steps.settle import settle
from exporter.steps.sweep import sweep
from tests.builders import a_segment
from tests.canary import keys_in, people_in
from tests.fakes.activecampaign import SENDING_RUN, FakeActiveCampaign, FakeDestinations
from tests.fakes.budgets import FakeBudgetStore
from tests.fakes.claims import FakeClaimStore
from tests.fakes.clock import STANDSTILL, FakeClock
from tests.fakes.drops import FakeDropStore
from tests.fakes.facts import FakeFactStore
from tests.fakes.pauses import FakePauseStore
from tests.fakes.plans import FakePlanStore
from tests.fakes.poison import FakePoisonStore
from tests.fakes.queue import FakeQueues, FakeWorkQueue, Queued
from tests.fakes.randomness import FakeRandomness
from tests.fakes.registry import FakeRegistry
from tests.fakes.remains import FakeRemains
from tests.fakes.reports import FakeReportStore
from tests.fakes.retention import FakeRetentionLog
from tests.fakes.runs import FakeRunStore, decode_run
from tests.fakes.signs import FakeSigns
from tests.fakes.storage import FakeStorage, Process, ProcessClock, ProcessDiedError
from tests.fakes.suppression import FakeSuppressionStore
from tests.fakes.telemetry import FakeTelemetry
from tests.fakes.watermarks import FakeWatermarkStore

HIDDEN_AFTER_DEATH_SECONDS: Final = 600.0
HIDDEN_AFTER_ERROR_SECONDS: Final = 30.0
MAX_DEQUEUE_COUNT: Final = 5
SWEEP_SECONDS: Final = 30.0


@dataclass(eq=False)
class Worker:
    """One process with its ports, the handlers that it is running, and the messages that these have taken."""

    process: Process
    ports: Ports
    plan_gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    messages: list[Queued] = field(default_factory=list)
    announcements: list["Announcement"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Announcement:
    """An event of a blob's arrival, on its way."""

    blob: str
    visible_at: float
    dequeue_count: int = 0


class World:
    """Storage, queues, ActiveCampaign accounts and as many workers as asked for.

    The processes' clocks are wrong by up to `skew_seconds`, either way.
    """

    def __init__(self, *, seed: int = 0, worker_count: int = 2, skew_seconds: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.clock = FakeClock()
        self.storage = FakeStorage(self.clock, self.chance)
        self.queues = FakeQueues(self.clock.monotonic)
        self.registry = FakeRegistry(now=self.clock.now())
        self.telemetry = FakeTelemetry()
        self.signs = FakeSigns()
        self.landed: dict[str, tuple[Source, bytes]] = {}
        self.planned_rejects: dict[tuple[str, int], list[Reject]] = {}
        self.accounts: dict[str, FakeActiveCampaign] = {}
        self.unreadable_secrets: set[str] = set()
        self.unavailable_secrets: set[str] = set()
        self.keys: dict[str, str] = {}
        """What secrets hold, by name, once their first key was replaced."""
        self.errors: list[BaseException] = []
        """What handlers raised, other than dying."""
        self.slowest_poll_seconds = 2.0
        self.sweeps = True
        self.announces = True
        """Whether drops are announced, as Event Grid does."""
        self.announcements: list[Announcement] = []
        """Those that are under way, for a worker to take."""
        self.busy_until = -math.inf
        """Before that moment the world is not quiet, so that sweeps go on."""
        self._skew_seconds = skew_seconds
        self._worker_number = 0
        self.workers = [self._start_worker() for _ in range(worker_count)]
        self._wake = asyncio.Event()
        self.queues.on_send.append(self._wake.set)
        self._next_sweep_at = self.clock.monotonic() + SWEEP_SECONDS

    @property
    def account(self) -> FakeActiveCampaign:
        """The only account."""
        (account,) = self.accounts.values()
        return account

    async def connect(self, connection: Connection, *exports: Export) -> FakeActiveCampaign:
        """Configure a connection with exports; the account comes with it."""
        account = self.accounts.setdefault(connection.host, FakeActiveCampaign(self.clock, self.chance))
        self.registry.now = self.clock.now()
        await self.registry.put_connection(connection, etag=None)
        for export in exports:
            await self.registry.put_export(export, etag=None)
        return account

    async def drop(self, content: bytes | list[str], blob: str = "vip/monday.csv") -> Source:
        """A file lands and is announced."""
        data = content if isinstance(content, bytes) else a_segment(content)
        ports = self.workers[0].ports
        source = await ports.drops.put(blob, [data])
        if self.announces:
            await self.announce(blob)
        return source

    async def announce(self, blob: str) -> None:
        """The event of a blob's arrival."""
        await receive(blob, self.workers[0].ports)

    def announce_after(self, blob: str, seconds: float) -> None:
        """Let the event of a blob's arrival reach a worker after a while."""
        self.announcements.append(Announcement(blob, self.clock.monotonic() + seconds))
        self._wake.set()

    def start(self, work: Callable[[Ports], Awaitable[None]]) -> None:
        """Let one of the workers do something, as an operator's command does on a machine of its own."""
        worker = self.chance.choice(self.workers)
        self._start(worker, partial(work, worker.ports))
        self._wake.set()

    async def until_quiet(self, *, hours: float = 6.0, until: float = math.inf) -> None:
        """Let the workers work until every run is over and every message is gone, or until a moment."""
        ends_at = self.clock.monotonic() + 3600 * hours
        while self.clock.monotonic() < until:
            if not await self.step(until=min(until, ends_at)):
                break
            assert self.clock.monotonic() < ends_at, self._what_is_open()

    async def after(self, **delta: float) -> None:
        """Let time pass while nobody works, and one sweep come by then."""
        await self.clock.sleep(timedelta(**delta).total_seconds())
        self._next_sweep_at = self.clock.monotonic() + SWEEP_SECONDS
        await sweep(self.workers[0].ports)

    async def step(self, *, until: float = math.inf) -> bool:
        """Let the workers work until something happens; False when nothing is left to do."""
        self._start_handlers()
        running = [task for worker in self.workers for task in worker.tasks]
        nothing_under_way = not running and not self.queues.messages and not self.announcements
        is_over = nothing_under_way and self.clock.monotonic() >= self.busy_until
        if is_over and self._all_runs_are_over():
            return False
        self._wake.clear()
        waking = asyncio.ensure_future(self._wake.wait())
        announced_at = min((event.visible_at for event in self.announcements), default=math.inf)
        next_at = min(self.queues.next_visible_at(), announced_at, self._next_sweep_at, until)
        timeout = next_at - self.clock.monotonic()
        await asyncio.wait({*running, waking}, timeout=max(0.0, timeout), return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        return True

    def kill_after(self, worker: Worker, seconds: float) -> None:
        """Let a worker's process die at a moment, whatever it is doing."""

        def kill() -> None:
            if not worker.process.is_dead:
                worker.process.die()

        asyncio.get_running_loop().call_later(seconds, kill)

    def runs(self) -> list[Run]:
        """All runs as they lie in storage, oldest first."""
        documents = self.storage.documents
        runs = [decode_run(documents[name].data) for name in documents if name.startswith("runs/")]
        return sorted(runs, key=lambda run: (run.ordered_at, run.export_id or "", run.run_id))

    def run(self) -> Run:
        """The only run."""
        (run,) = self.runs()
        return run

    def report(self) -> RunReport:
        """The report of the only run."""
        report = self.run().report
        assert report is not None
        return report

    def rejects(self, run: Run | None = None) -> list[dict[str, str]]:
        """The rejects file of a run, by default of the only one."""
        document = self.storage.documents[f"reports/{(run or self.run()).run_id}/rejects.csv"]
        return list(csv.DictReader(io.StringIO(document.data.decode(), newline="")))

    def check_promises(self) -> None:
        """What must hold at the end of every run whatsoever, whoever else uses the account."""
        for run in self.runs():
            report = run.report
            assert run.state.final, run
            assert report is not None
            assert report.counts.add_up, report
            if report.export_id is not None and (report.counts.rows or report.error is None):
                counts = report.counts
                assert len(self.rejects(run)) == counts.rejected + counts.refused + counts.undelivered, report
                assert sum(report.reasons.values()) == counts.rejected + counts.refused + counts.undelivered
        assert all(len(text.encode()) <= MAX_MESSAGE_BYTES for _, text in self.queues.sent)
        told = "\n".join(text for _, text in self.queues.sent) + self.telemetry.text()
        assert "@" not in told.replace("<address>", "")
        raised = "\n".join(repr(error) for error in self.errors)
        assert not keys_in(raised) + people_in(raised), raised
        for account in self.accounts.values():
            check_bulk_limits(account)
            if len(self.runs()) == 1:
                assert most_in_window(account.arrivals, 1.0) <= 5

    def _all_runs_are_over(self) -> bool:
        runs = self.runs()
        if not self.announces and len(self.landed) > len(runs):
            return False
        return all(run.state.final for run in runs)

    def _start_worker(self) -> Worker:
        self._worker_number += 1
        owner = f"{self._worker_number:012x}"
        skew_seconds = self.chance.uniform(-self._skew_seconds, self._skew_seconds)
        process = Process(self.storage, owner, clock=FakeClock(skew_seconds))
        ports = Ports(
            owner=owner,
            clock=ProcessClock(process),
            randomness=FakeRandomness(self.chance.getrandbits(32)),
            telemetry=self.telemetry,
            registry=self.registry,
            drops=FakeDropStore(process, self.landed),
            runs=FakeRunStore(process),
            pauses=FakePauseStore(process),
            suppression=FakeSuppressionStore(process),
            plans=FakePlanStore(process, self.planned_rejects),
            facts=FakeFactStore(process),
            claims=FakeClaimStore(process),
            budgets=FakeBudgetStore(process),
            watermarks=FakeWatermarkStore(process),
            queue=FakeWorkQueue(process, self.queues),
            poison=FakePoisonStore(process),
            reports=FakeReportStore(process),
            signs=self.signs,
            destinations=FakeDestinations(
                process, self.accounts, self.unreadable_secrets, self.keys, self.unavailable_secrets
            ),
            is_outage=is_outage,
            retention=FakeRetentionLog(process),
            remains=FakeRemains(),
        )
        worker = Worker(process, ports)
        process.on_death.append(lambda: self._bury_worker(worker))
        return worker

    def _bury_worker(self, worker: Worker) -> None:
        """A process is gone with all that it was doing; another takes its place."""
        for task in worker.tasks:
            task.cancel()
        for message in worker.messages:
            self.queues.put_back(message, HIDDEN_AFTER_DEATH_SECONDS)
        for announcement in worker.announcements:
            self._put_back(announcement, HIDDEN_AFTER_DEATH_SECONDS)
        self._wake.set()
        self.workers[self.workers.index(worker)] = self._start_worker()

    def _start_handlers(self) -> None:
        """Hand every visible message to a worker, and sweep when it is time."""
        while (message := self.queues.take()) is not None:
            worker = self._any_worker()
            worker.messages.append(message)
            self._start(worker, partial(self._handle, worker, message))
        now = self.clock.monotonic()
        for announcement in [event for event in self.announcements if event.visible_at <= now]:
            worker = self.chance.choice(self.workers)
            self.announcements.remove(announcement)
            announcement.dequeue_count += 1
            worker.announcements.append(announcement)
            self._start(worker, partial(self._take_up, worker, announcement))
        if self.clock.monotonic() >= self._next_sweep_at:
            self._next_sweep_at += SWEEP_SECONDS
            if self.sweeps:
                worker = self._any_worker()
                self._start(worker, partial(sweep, worker.ports))

    def _any_worker(self) -> Worker:
        """Whoever is quickest; one that stands still takes nothing, unless nobody else is there."""
        now = self.clock.monotonic()
        awake = [worker for worker in self.workers if not worker.process.standstill.holds(now)]
        return self.chance.choice(awake or self.workers)

    def _start(self, worker: Worker, work: Callable[[], Awaitable[None]]) -> None:
        """Let a worker do something; what it raises is kept, unless its process is dead."""

        async def run() -> None:
            try:
                await work()
            except (Exception, ProcessDiedError, asyncio.CancelledError, BaseExceptionGroup) as error:
                if not worker.process.is_dead:
                    self.errors.append(error)

        context = contextvars.copy_context()
        context.run(STANDSTILL.set, worker.process.standstill)
        task = asyncio.get_running_loop().create_task(run(), context=context)
        worker.tasks.append(task)
        task.add_done_callback(worker.tasks.remove)

    async def _handle(self, worker: Worker, message: Queued) -> None:
        """One delivery of a message, with what the platform does when it fails."""
        SENDING_RUN.set(orjson.loads(message.text).get("run_id", ""))
        try:
            await self.clock.sleep(self.chance.uniform(0, self.slowest_poll_seconds))
            await self._run_step(worker, message)
        except Exception:
            if worker.process.is_dead:
                return
            if message.dequeue_count < MAX_DEQUEUE_COUNT:
                self.queues.put_back(message, HIDDEN_AFTER_ERROR_SECONDS)
            else:
                self._start(worker, partial(self._bury_message, worker, message))
            raise
        finally:
            if not worker.process.is_dead:
                worker.messages.remove(message)

    async def _bury_message(self, worker: Worker, message: Queued) -> None:
        """What the poison queue's handler does; where it keeps failing, the message is left alone."""
        for tries_left in reversed(range(MAX_DEQUEUE_COUNT)):
            try:
                await bury(message.queue, message.text.encode(), worker.ports)
            except Exception:
                if not tries_left:
                    raise
                await self.clock.sleep(HIDDEN_AFTER_ERROR_SECONDS)
            else:
                return

    async def _take_up(self, worker: Worker, announcement: Announcement) -> None:
        """One delivery of a blob's event; one that keeps failing is given up: the sweep finds the drop."""
        try:
            await self.clock.sleep(self.chance.uniform(0, self.slowest_poll_seconds))
            await receive(announcement.blob, worker.ports)
        except Exception:
            if not worker.process.is_dead and announcement.dequeue_count < MAX_DEQUEUE_COUNT:
                self._put_back(announcement, HIDDEN_AFTER_ERROR_SECONDS)
            raise
        finally:
            if not worker.process.is_dead:
                worker.announcements.remove(announcement)

    def _put_back(self, announcement: Announcement, seconds: float) -> None:
        """Deliver an event again, later."""
        announcement.visible_at = self.clock.monotonic() + seconds
        self.announcements.append(announcement)

    async def _run_step(self, worker: Worker, message: Queued) -> None:
        steps: dict[Queue, Callable[[Any, Ports], Awaitable[None]]] = {
            Queue.PLANS: partial(plan, gate=worker.plan_gate),
            Queue.CHUNKS: deliver,
            Queue.SETTLEMENTS: settle,
            Queue.RECEIPTS: aggregate,
        }
        await handle(message.queue, message.text.encode(), steps[message.queue], worker.ports)

    def _what_is_open(self) -> str:
        open_runs = [(run.run_id, run.state, run.waiting_for) for run in self.runs() if not run.state.final]
        return f"after {self.clock.monotonic():.0f} s: {open_runs}, {len(self.queues.messages)} messages"


def check_bulk_limits(account: FakeActiveCampaign) -> None:
    """No window of the importer's limits was ever overfull, by the moments of arrival."""
    bulk = [request.at for request in account.requests]
    single = [request.at for request in account.requests if len(request.contacts) == 1]
    assert most_in_window(bulk, 60.0) <= account.bulk_per_minute
    assert most_in_window(single, 60.0) <= account.single_per_minute
    assert most_in_window(bulk, 1.0) <= 5


def most_in_window(times: list[float], seconds: float) -> int:
    """The most moments that any window of that length holds, its end excluded."""
    times = sorted(times)
    most = start = 0
    for end, moment in enumerate(times):
        while times[start] <= moment - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


def longest_pause(times: list[float]) -> float:
    """The longest time between two neighbouring moments."""
    return max((later - earlier for earlier, later in pairwise(sorted(times))), default=math.inf)
