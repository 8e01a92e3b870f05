"""Steps on the real stores: what comes twice, late, at once or not at all, and what is gone meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import pytest
from azure.storage.blob import ContainerClient

from exporter.adapters.clock import SystemClock
from exporter.adapters.drops import BlobDropStore
from exporter.adapters.storage import LANDING_CONTAINER
from exporter.bootstrap import App, open_app
from exporter.domain.configuration import Configuration, Limits
from exporter.domain.drop import Source
from exporter.domain.run import Run, RunState
from exporter.settings import Settings
from exporter.steps.aggregate import aggregate
from exporter.steps.apply import apply_configuration
from exporter.steps.deliver import deliver
from exporter.steps.events import Event
from exporter.steps.messages import ChunkMessage, PlanMessage, ReceiptsMessage, SettlementMessage
from exporter.steps.plan import plan
from exporter.steps.ports import Ports
from exporter.steps.receive import receive
from exporter.steps.settle import settle
from exporter.steps.sweep import sweep
from sandbox.activecampaign import SimulatedActiveCampaign, SimulatorSettings
from sandbox.azurite import Azurite
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.telemetry import FakeTelemetry
from tests.runs.site import KEY, environ_of

ACCOUNTS: Final = [f"steps{number}" for number in range(12)]
BLOB: Final = "vip/monday.csv"


@pytest.fixture(scope="module")
def emulator() -> Iterator[tuple[Azurite, list[str]]]:
    """An emulator with an account for each test, whose containers bear the app's own names."""
    with Azurite(accounts=ACCOUNTS) as azurite:
        yield azurite, [*ACCOUNTS]


@dataclass(slots=True)
class Installation:
    """An app without a host: a test calls the steps itself."""

    connection_string: str
    app: App
    ports: Ports
    telemetry: FakeTelemetry
    simulator: SimulatedActiveCampaign

    async def run(self) -> Run:
        """The only run."""
        (run,) = [run async for run in self.ports.runs.all()]
        return run

    async def planned(self, rows: int) -> Run:
        """A run with a plan, of which nothing has been sent."""
        await self.ports.drops.put(BLOB, [a_segment(addresses(rows))])
        await receive(BLOB, self.ports)
        await plan(PlanMessage(run_id=(await self.run()).run_id), self.ports, gate=self.app.plan_gate)
        return await self.run()

    async def delivered(self, rows: int) -> Run:
        """A run of which everything has been sent and settled, and that nobody has completed."""
        run = await self.planned(rows)
        await deliver(ChunkMessage(run_id=run.run_id, chunk=0), self.ports)
        for turn in range(1, 20):
            await settle(SettlementMessage(run_id=run.run_id, turn=turn), self.ports)
            if self.telemetry.events[-1][1].get("final"):
                break
        return run

    def another(self, number: int) -> Ports:
        """The ports as another process has them."""
        return replace(self.ports, owner=f"{number:012x}")

    def later(self, seconds: float) -> Ports:
        """The ports as they are some time from now."""
        return replace(self.ports, clock=LaterClock(seconds))


class LaterClock(SystemClock):
    """The system's time, some seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._ahead


@asynccontextmanager
async def installed(connection_string: str) -> AsyncIterator[Installation]:
    settings = SimulatorSettings(key=KEY, limits_enforced=False)
    async with SimulatedActiveCampaign(settings) as simulator:
        environ = environ_of(connection_string, simulator.host)
        async with open_app(Settings.from_env(environ)) as app:
            telemetry = FakeTelemetry()
            limits = Limits(bulk_requests_per_minute=1_000_000, requests_per_second=100_000)
            connection = a_connection(host=simulator.host).model_copy(update={"limits": limits})
            configuration = Configuration(connections=(connection,), exports=(an_export(),))
            ports = replace(app.ports, telemetry=telemetry)
            await apply_configuration(configuration, ports.registry)
            yield Installation(connection_string, app, ports, telemetry, simulator)


@pytest.fixture
async def installation(emulator: tuple[Azurite, list[str]]) -> AsyncIterator[Installation]:
    """An app with an empty storage."""
    azurite, free = emulator
    async with installed(azurite.connection_string_of(free.pop())) as installation:
        yield installation


async def test_ten_announcements_at_once_and_one_later_are_one_run(installation: Installation) -> None:
    await installation.ports.drops.put(BLOB, [a_segment(addresses(3))])

    records = await asyncio.gather(*(receive(BLOB, installation.another(n)) for n in range(10)))
    again = await receive(BLOB, installation.ports)

    run = await installation.run()
    assert {record.run_ids for found in [*records, again] for record in found} == {(run.run_id,)}
    assert installation.telemetry.count(Event.DROP_REPEATED) >= 1


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
async def test_two_drops_whose_events_come_in_either_order_end_with_the_newer_ones_values(
    installation: Installation, order: tuple[str, str]
) -> None:
    ports = installation.ports
    for name in ("old", "new"):
        await ports.drops.put(f"vip/{name}.csv", [a_segment(addresses(3, name))])
        await asyncio.sleep(1.1)  # storage tells when a blob was written in whole seconds

    for name in order:
        await receive(f"vip/{name}.csv", ports)
    runs = {run.sources[0].blob: run.run_id async for run in ports.runs.all()}
    for name in order:
        await plan(PlanMessage(run_id=runs[f"vip/{name}.csv"]), ports, gate=installation.app.plan_gate)
    for run_id in runs.values():
        await deliver(ChunkMessage(run_id=run_id, chunk=0), ports)

    older = await ports.runs.load(runs["vip/old.csv"])
    assert older is not None
    assert older.stopped is not None
    assert older.stopped.code == "superseded"
    assert installation.simulator.counters()["bulk_accepted"] == 1
    await asyncio.sleep(installation.simulator.settings.unlimited_processing_seconds)
    assert {contact.email for contact in installation.simulator.state.contacts.after(0, 10)} == {
        *addresses(3, "new")
    }


async def test_an_event_of_an_older_version_starts_nothing_but_the_newer_one(
    installation: Installation,
) -> None:
    await installation.ports.drops.put(BLOB, [a_segment(addresses(2, "old"))])
    newer = await installation.ports.drops.put(BLOB, [a_segment(addresses(2, "new"))])

    await receive(BLOB, installation.ports)  # the newer version's event
    await receive(BLOB, installation.ports)  # the older one's, late: it names the blob alone

    assert (await installation.run()).sources[0].etag == newer.etag


async def test_an_event_of_a_blob_that_is_gone_starts_nothing(installation: Installation) -> None:
    assert await receive(BLOB, installation.ports) == []

    assert [run async for run in installation.ports.runs.all()] == []
    assert installation.telemetry.events == [(Event.DROP_IGNORED, {"why": "its files are gone"})]


async def test_a_drop_that_is_deleted_before_it_is_planned_ends_its_run(installation: Installation) -> None:
    await installation.ports.drops.put(BLOB, [a_segment(addresses(2))])
    await receive(BLOB, installation.ports)
    await installation.app.storage.landing.delete_blob(BLOB)

    run_id = (await installation.run()).run_id
    await plan(PlanMessage(run_id=run_id), installation.ports, gate=installation.app.plan_gate)
    await aggregate(ReceiptsMessage(run_id=run_id), installation.ports)

    run = await installation.run()
    assert run.report is not None
    assert (run.state, run.report.error and run.report.error.code) == (RunState.FAILED, "source_gone")


async def test_a_drop_that_is_overwritten_while_it_is_read_sends_nothing(installation: Installation) -> None:
    ports = installation.ports
    await ports.drops.put(BLOB, [a_segment(addresses(1000))])
    await receive(BLOB, ports)
    storage = installation.app.storage
    assert isinstance(ports.drops, BlobDropStore)
    with ContainerClient.from_connection_string(
        installation.connection_string, LANDING_CONTAINER, max_single_get_size=1024, max_chunk_get_size=1024
    ) as small_ranges:
        drops = OverwrittenDropStore(storage.landing, small_ranges, ports.drops._documents)
        drops.overwrite = partial(
            small_ranges.upload_blob, BLOB, b"Email\nsomebody@example.org\n", overwrite=True
        )
        run_id = (await installation.run()).run_id
        await plan(PlanMessage(run_id=run_id), replace(ports, drops=drops), gate=installation.app.plan_gate)
    await aggregate(ReceiptsMessage(run_id=run_id), ports)

    run = await installation.run()
    assert run.state is RunState.SUPERSEDED
    assert await ports.plans.record(run_id) is None
    assert installation.simulator.counters()["bulk_requests"] == 0


class OverwrittenDropStore(BlobDropStore):
    """Drops that somebody overwrites when the first of their bytes have been read."""

    overwrite: Callable[[], object]

    def read(self, source: Source) -> Iterator[bytes]:
        blocks = super().read(source)
        yield next(blocks)
        self.overwrite()
        yield from blocks


async def test_a_drop_that_nobody_announces_is_found_by_the_sweep(installation: Installation) -> None:
    await installation.ports.drops.put(BLOB, [a_segment(addresses(2))])

    await sweep(installation.ports)
    assert [run async for run in installation.ports.runs.all()] == []
    await sweep(installation.later(65))

    assert (await installation.run()).state is RunState.QUEUED


async def test_a_chunk_that_ten_take_up_at_once_and_one_later_is_sent_once(
    installation: Installation,
) -> None:
    run = await installation.planned(5_000)
    message = ChunkMessage(run_id=run.run_id, chunk=0)

    await asyncio.gather(*(deliver(message, installation.another(number)) for number in range(10)))
    await deliver(message, installation.ports)

    counters = installation.simulator.counters()
    assert (counters["bulk_requests"], counters["repeated_bodies"]) == (20, 0)


async def test_a_run_that_ten_complete_at_once_is_completed_once(installation: Installation) -> None:
    run = await installation.delivered(300)
    message = ReceiptsMessage(run_id=run.run_id)

    await asyncio.gather(*(aggregate(message, installation.another(number)) for number in range(10)))
    await aggregate(message, installation.ports)

    assert (await installation.run()).state is RunState.SUCCEEDED
    assert installation.telemetry.count(Event.RUN_COMPLETED) == 1


@pytest.mark.parametrize("lost", ["chunk", "plan"])
async def test_a_run_whose_state_is_deleted_says_so_and_never_succeeds(
    installation: Installation, lost: str
) -> None:
    run = await installation.planned(300)
    name = {"chunk": f"plans/{run.run_id}/0001/00000.gz", "plan": f"plans/{run.run_id}/plan.json"}[lost]
    await installation.app.storage.state.delete_blob(name)

    async with installed_again(installation) as ports:  # another process, which has nothing at hand
        await deliver(ChunkMessage(run_id=run.run_id, chunk=0), ports)
        await aggregate(ReceiptsMessage(run_id=run.run_id), ports)

    run = await installation.run()
    assert run.report is not None
    assert (run.state, run.report.error and run.report.error.code) == (RunState.FAILED, "state_lost")
    assert installation.simulator.counters()["bulk_requests"] == 0


@asynccontextmanager
async def installed_again(installation: Installation) -> AsyncIterator[Ports]:
    async with open_app(installation.app.settings) as app:
        yield app.ports
