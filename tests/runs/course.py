"""One course: a whole installation of its own that is hit by a fault and has to come through by itself.

The app runs in the real local host, against the emulator's blobs and queues and a simulated
ActiveCampaign, each behind a proxy. A supervisor starts a host that was killed again at once. Many courses
share one loop, one emulator and a machine of two cores, so a course asks rarely and leaves nothing behind.
"""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from exporter.bootstrap import open_app
from exporter.cli.demo import compare, demo_configuration
from exporter.domain.configuration import Limits
from exporter.domain.run import Run
from exporter.settings import Settings
from exporter.steps.apply import apply_configuration
from exporter.steps.lot import MAX_WITHOUT_RECEIPT
from exporter.steps.ports import Ports
from sandbox.activecampaign import SimulatedActiveCampaign, SimulatorSettings
from sandbox.azurite import Azurite
from sandbox.host import LocalHost
from sandbox.segment import Truth, made_up_segment
from tests.proxy import Exchange, Proxy
from tests.runs.site import KEY, ROOT, environ_of

LOOK_SECONDS = 2.0
STARTS_AT_ONCE = 2
"""A start costs seconds of a core; a killed host is started again without waiting for a turn."""
NO_LIMITS = Limits(bulk_requests_per_minute=1_000_000, requests_per_second=100_000)
SEGMENT = "customers"
BULK = "^POST /api/3/import/bulk_import"


class Supervised:
    """A local host that can be killed with all that belongs to it, and is started again then."""

    def __init__(self, environ: dict[str, str], log: IO[bytes], **options: Any) -> None:
        self._host = LocalHost(
            ROOT, environ, log=log, start_seconds=200.0, init_seconds=180.0, list_seconds=2.0, **options
        )
        self._group = 0

    async def start(self) -> None:
        """Start it, and learn the process group that its workers are in."""
        await asyncio.to_thread(self._host.start)
        pids = await asyncio.to_thread(self._host.worker_pids, "on_chunk_queued")
        self._group = os.getpgid(pids[0])

    def kill(self) -> None:
        """SIGKILL for the host and every worker, with nothing of them running in between."""
        os.killpg(self._group, signal.SIGSTOP)
        self._host.kill()
        os.killpg(self._group, signal.SIGKILL)

    async def worker_pids(self, function: str) -> list[int]:
        """The processes that run a function now."""
        return await asyncio.to_thread(self._host.worker_pids, function)

    async def stop(self) -> None:
        """End it politely."""
        await asyncio.to_thread(self._host.stop)


@dataclass(slots=True)
class Course:
    """What runs, and what is seen of it."""

    ports: Ports
    simulator: SimulatedActiveCampaign
    before_simulator: Proxy
    before_blobs: Proxy
    before_queues: Proxy
    host: Supervised
    truth: Truth = field(default_factory=Truth)
    killed_at: list[float] = field(default_factory=list)
    """When the host was killed, in seconds since 1970."""
    restarted_at: list[float] = field(default_factory=list)
    """When its successor was started: what passed before was the killed one's."""
    restarts: list[asyncio.Task[None]] = field(default_factory=list)
    run: Run | None = None
    """The run as it ended."""
    unequal: list[str] = field(default_factory=list)
    """What differs from the truth at the end: report and contacts, value by value."""

    async def drop(self, rows: int, *, limits: Limits = NO_LIMITS, automations: bool = True) -> None:
        """Apply an export and drop a made-up segment for it."""
        wanted = demo_configuration(self.before_simulator.host)
        (connection,), (export,) = wanted.connections, wanted.exports
        wanted = wanted.model_copy(
            update={
                "connections": (connection.model_copy(update={"limits": limits}),),
                "exports": (export.model_copy(update={"automations": automations}),),
            }
        )
        await apply_configuration(wanted, self.ports.registry)
        blocks, self.truth = made_up_segment(rows, seed=rows, with_contacts=True)
        await self.ports.drops.put(f"{SEGMENT}/{SEGMENT}.csv", blocks)

    def kill_and_restart(self, _port: int = 0) -> None:
        """What a crash and a supervisor do; a proxy may call it."""
        self.killed_at.append(time.time())
        self.host.kill()
        self.restarts.append(asyncio.get_running_loop().create_task(self._restart()))

    async def _restart(self) -> None:
        """Start another host at once, but for what the dead one had sent: that arrives first."""
        await until(lambda: not any(proxy.under_way for proxy in self.proxies), 0.01)
        self.restarted_at.append(time.time())
        await self.host.start()

    @property
    def proxies(self) -> tuple[Proxy, Proxy, Proxy]:
        """All that the app speaks through."""
        return self.before_blobs, self.before_queues, self.before_simulator

    async def until_over(self) -> None:
        """Wait until the run is over and nothing of it is left open, then compare it with the truth."""
        while self.run is None:
            await asyncio.sleep(LOOK_SECONDS)
            runs = [run async for run in self.ports.runs.all()]
            if runs and runs[0].state.final and not await self._open_marks():
                (self.run,) = runs
        report = self.run.report
        assert report is not None
        contacts = self._contacts()
        comparisons = await compare(report, self.truth, contacts)
        self.unequal = [
            f"{entry.what}: made up {entry.expected}, found {entry.found}"
            for entry in comparisons
            if not entry.equal
        ]

    async def _open_marks(self) -> list[Exchange]:
        """Marks of open runs that nobody has cleared since they were made, by what passed."""
        made = self.before_blobs.passed("^PUT .*/exporter/open-runs/")
        cleared = self.before_blobs.passed("^DELETE .*/exporter/open-runs/")
        return made[-1:] if len(made) > len(cleared) else []

    async def _contacts(self) -> AsyncIterator[dict[str, Any]]:
        for contact in self.simulator.state.contacts.after(0, len(self.truth.contacts) + 1):
            yield self.simulator.state.view(contact)

    def next_seen(self, call: str, since: float) -> float | None:
        """When the first request of a kind was done after a moment, by the servers' records."""
        moments = [exchange.at for proxy in self.proxies for exchange in proxy.passed(call, since=since)]
        return min(moments, default=None)

    def gap_seconds(self, kill: int, call: str) -> float | None:
        """How long after a kill the first request of a kind was done by the successor; None for never."""
        if kill >= len(self.restarted_at):
            return None
        seen_at = self.next_seen(call, self.restarted_at[kill])
        return None if seen_at is None else seen_at - self.killed_at[kill]

    def accepted(self) -> list["Body"]:
        """The bulk requests that ActiveCampaign has accepted, in their order."""
        return [Body.of(exchange) for exchange in self.before_simulator.passed(BULK)]

    def repeated(self) -> int:
        """How many accepted bodies had been accepted before."""
        counts = Counter(body.addresses for body in self.accepted())
        return sum(count - 1 for count in counts.values())

    def started_twice(self) -> list[str]:
        """People for whom more than one accepted request could start automations."""
        counts = Counter(
            address for body in self.accepted() if body.automations for address in body.addresses
        )
        return [address for address, count in counts.items() if count > 1]


@dataclass(slots=True)
class Venue:
    """What courses share: an emulator, a folder for logs, and turns at starting a host."""

    azurite: Azurite
    folder: Path
    starting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTS_AT_ONCE))
    courses: dict[str, Course] = field(default_factory=dict)
    """By name, for whoever judges them."""

    @asynccontextmanager
    async def course(
        self, name: str, settings: SimulatorSettings, *, all_through_proxies: bool = False, **options: Any
    ) -> AsyncIterator[Course]:
        """A course with a host that runs, in a storage account of its own; all of it ended at the end.

        The host's own leases and the test's own look-ups take the direct way, unless they are to meet the
        same faults as the app.
        """
        async with AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(SimulatedActiveCampaign(settings))
            before_simulator = await stack.enter_async_context(Proxy(simulator.url))
            direct = self.azurite.connection_string_of(account_of(name))
            proxied, proxies = direct, {}
            for service in ("Blob", "Queue"):
                proxy = await stack.enter_async_context(Proxy(self.azurite.addresses[service]))
                proxied = proxied.replace(self.azurite.addresses[service], proxy.url)
                proxies[service] = proxy
            environ = environ_of(proxied, before_simulator.host)
            ours = proxied if all_through_proxies else direct
            environ["AzureWebJobsStorage"] = ours
            environ["EXPORTER_SECRET_ACTIVECAMPAIGN_DEMO"] = KEY
            # The platform's own name for a value of host.json: so many hosts that wait share two cores.
            environ["AzureFunctionsJobHost__extensions__queues__maxPollingInterval"] = "00:00:04"
            app = await stack.enter_async_context(
                open_app(Settings.from_env({**environ, "EXPORTER_STORAGE": ours}))
            )
            log = stack.enter_context((self.folder / f"{name}.log").open("ab"))
            host = Supervised(environ, log, **options)
            course = Course(app.ports, simulator, before_simulator, proxies["Blob"], proxies["Queue"], host)
            self.courses[name] = course
            try:
                async with self.starting:
                    await host.start()
                yield course
            finally:
                await asyncio.shield(self._end(course))

    @staticmethod
    async def _end(course: Course) -> None:
        """End the host, also one that is just being started; not even a time-out interrupts that."""
        await asyncio.gather(*course.restarts, return_exceptions=True)
        await course.host.stop()


def account_of(name: str) -> str:
    """The storage account of a course: small letters and digits."""
    return name.replace("-", "")


async def until(reached: Callable[[], bool], look_seconds: float) -> None:
    """Wait until something is so."""
    while True:
        if reached():
            return
        await asyncio.sleep(look_seconds)


@dataclass(frozen=True, slots=True)
class Body:
    """A bulk request as it arrived."""

    addresses: tuple[str, ...]
    automations: bool

    @classmethod
    def of(cls, exchange: Exchange) -> "Body":
        """Read it."""
        content = json.loads(exchange.body)
        return cls(
            tuple(contact["email"] for contact in content["contacts"]),
            automations=content.get("exclude_automations") is not True,
        )


def check_the_end(course: Course, *, most_repeated: int = MAX_WITHOUT_RECEIPT) -> None:
    """The run has ended well, with exactly the valid rows, and little was sent twice."""
    run = course.run
    assert run is not None, "the run did not end by itself in time"
    assert run.report is not None
    assert (run.state, run.report.error) == ("succeeded", None)
    assert run.report.counts.add_up
    assert course.unequal == []
    assert course.repeated() <= most_repeated
    assert course.started_twice() == []
