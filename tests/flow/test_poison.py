"""What fails again and again ends visibly, with a way back; what nobody can help just now never does."""

from typing import Any

import orjson
import pytest
from azure.core.exceptions import ServiceRequestError

from exporter.domain.run import Run, RunState
from exporter.errors import NewerVersionError
from exporter.steps.control import redrive_run
from exporter.steps.events import Event
from exporter.steps.handle import handle
from exporter.steps.messages import SCHEMA, PlanMessage, Queue
from exporter.steps.poison import bury, bury_drop
from exporter.steps.ports import Ports
from exporter.steps.sweep import sweep
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.drops import FakeDropStore
from tests.fakes.facts import FakeFactStore
from tests.fakes.plans import FakePlanStore
from tests.fakes.queue import FakeWorkQueue
from tests.fakes.reports import FakeReportStore
from tests.fakes.runs import FakeRunStore
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")


class BrokenError(Exception):
    """Stands for a fault of ours that no second try mends."""


def ports(world: World) -> Ports:
    return world.workers[0].ports


async def a_world() -> tuple[World, FakeActiveCampaign]:
    world = World()
    return world, await world.connect(a_connection(), an_export())


def breaks(monkeypatch: pytest.MonkeyPatch, store: type, method: str, error: Exception) -> None:
    """Let a store fail from now on, until `monkeypatch.undo()`."""

    async def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(store, method, fail)


def kept(world: World) -> list[str]:
    return [name for name in world.storage.documents if name.startswith("poison/")]


async def check_redrive_finishes(world: World, count: int) -> None:
    await redrive_run(world.run().run_id, ports(world))
    await world.until_quiet()
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == count
    world.check_promises()


async def test_a_plan_that_always_fails_ends_its_run_and_keeps_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, account = await a_world()
    breaks(monkeypatch, FakePlanStore, "finish", BrokenError())
    await world.drop(addresses(10))
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "poisoned")
    assert "exporter export run vip" in (report.error.message if report.error else "")
    assert account.requests == []
    assert [name.split("/")[1] for name in kept(world)] == ["plans"]


@pytest.mark.parametrize(
    ("store", "method", "queue"),
    [
        (FakePlanStore, "chunk", "chunks"),
        (FakeFactStore, "write", "chunks"),
        (FakeReportStore, "write_rejects", "receipts"),
    ],
)
async def test_what_always_fails_ends_its_run_and_a_redrive_finishes_it(
    monkeypatch: pytest.MonkeyPatch, store: type, method: str, queue: str
) -> None:
    world, _ = await a_world()
    breaks(monkeypatch, store, method, BrokenError())
    await world.drop(addresses(10))
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "poisoned")
    assert "exporter run redrive" in (report.error.message if report.error else "")
    assert queue in {name.split("/")[1] for name in kept(world)}

    monkeypatch.undo()
    await check_redrive_finishes(world, 10)


@pytest.mark.parametrize("hours", [0, 3])
async def test_settling_that_always_fails_ends_the_run_without_its_answers(
    monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    world, account = await a_world()
    account.settle_seconds = 30.0
    account.failing = frozenset({addresses(10)[3]})
    await world.drop(addresses(10))
    await world.until_quiet(until=25.0)
    assert len(account.accepted) == 5
    breaks(monkeypatch, FakeFactStore, "write", BrokenError())
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.counts.undelivered) == (RunState.FAILED, 10)
    assert len(world.rejects()) == 10
    assert report.error is not None
    assert report.error.code == "poisoned"

    monkeypatch.undo()
    if hours:  # retention keeps what the redrive needs
        await world.after(hours=hours)
    await redrive_run(world.run().run_id, ports(world))
    await world.until_quiet()
    assert (world.report().counts.delivered, world.report().counts.refused) == (9, 1)
    assert account.repeated_count == 0
    world.check_promises()


@pytest.mark.parametrize("queues_serve", [True, False])
@pytest.mark.parametrize("minutes", [3, 20])
async def test_an_outage_of_storage_poisons_nothing(
    monkeypatch: pytest.MonkeyPatch, minutes: int, queues_serve: bool
) -> None:
    world, account = await a_world()
    await world.drop(addresses(60))
    while len(account.requests) < 10:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    breaks(monkeypatch, FakeFactStore, "write", ServiceRequestError("storage is away"))
    breaks(monkeypatch, FakeFactStore, "read", ServiceRequestError("storage is away"))
    if not queues_serve:
        breaks(monkeypatch, FakeWorkQueue, "put_back", ServiceRequestError("no identity gives a token"))
    await world.until_quiet(until=world.clock.monotonic() + 60 * minutes)
    assert not world.run().state.final
    monkeypatch.undo()
    await world.until_quiet()

    assert kept(world) == []
    assert world.report().state is RunState.SUCCEEDED
    assert account.contacts.keys() == set(addresses(60))
    world.check_promises()


async def test_a_message_of_a_newer_version_waits_for_an_instance_that_knows_it() -> None:
    world, _ = await a_world()
    text = orjson.dumps({"schema": SCHEMA + 1, "run_id": "0" * 32, "chunk": 1, "more": True})

    async def nobody(message: object, ports: Ports) -> None:
        raise AssertionError(message)

    await handle(Queue.CHUNKS, text, nobody, ports(world))

    assert world.queues.sent == [(Queue.CHUNKS, text.decode())]
    assert world.queues.next_visible_at() >= world.clock.monotonic() + 29
    assert world.telemetry.count(Event.MESSAGE_PUT_BACK) == 1


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"{}", b'{"schema": 1, "run_id": "nobody"}', b"[" * 600])
async def test_a_poisoned_text_of_any_kind_is_kept_and_raises_nothing(text: bytes) -> None:
    world, _ = await a_world()
    for queue in Queue:
        await bury(queue, text, ports(world))
    await bury_drop(text, ports(world))
    assert len(kept(world)) == len(Queue) + 1


async def test_a_poisoned_message_of_a_run_that_is_over_or_unknown_changes_nothing() -> None:
    world, _ = await a_world()
    await world.drop(addresses(4))
    await world.until_quiet()
    before = world.run()
    for run_id in (before.run_id, "0" * 32):
        await bury(Queue.PLANS, PlanMessage(run_id=run_id).to_text().encode(), ports(world))
    assert world.run() == before


async def test_a_drop_whose_event_failed_five_times_is_taken_up_after_all() -> None:
    world, account = await a_world()
    world.announces = False
    await world.drop(addresses(6))
    await bury_drop(orjson.dumps({"BlobName": "vip/monday.csv", "ETag": "1"}), ports(world))
    await world.until_quiet()
    assert account.contacts.keys() == set(addresses(6))


async def test_a_drop_that_can_not_be_taken_up_is_listed_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = await a_world()
    world.announces = False
    await world.drop(addresses(6))
    breaks(monkeypatch, FakeDropStore, "recorded", BrokenError())
    await bury_drop(orjson.dumps({"BlobName": "vip/monday.csv", "ETag": "1"}), ports(world))

    (run,) = world.runs()
    assert run.state is RunState.FAILED
    assert run.report is not None
    assert run.report.error is not None
    assert run.report.error.code == "poisoned"

    monkeypatch.undo()  # the sweep takes it up all the same, and both are told
    world.announces = True
    await world.clock.sleep(70)
    await world.until_quiet(until=world.clock.monotonic() + 120)
    await world.until_quiet()
    assert RunState.SUCCEEDED in {run.state for run in world.runs()}


async def test_a_run_that_can_not_be_looked_after_keeps_the_sweep_from_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await world.connect(a_connection(), an_export("news", segments=("news",)), an_export("vip"))
    await world.drop(addresses(6), "news/monday.csv")
    await world.drop(addresses(6), "vip/monday.csv")
    world.queues.messages.clear()
    healthy = next(run.run_id for run in world.runs() if run.export_id == "vip")
    free = type(world.workers[0].ports.claims).free

    async def fails_for_others(store: Any, name: str) -> bool:
        if not name.startswith(healthy):
            raise BrokenError
        return await free(store, name)

    monkeypatch.setattr(type(world.workers[0].ports.claims), "free", fails_for_others)
    await world.until_quiet(until=world.clock.monotonic() + 300)

    states = {run.export_id: run.state for run in world.runs()}
    assert states["vip"] is RunState.SUCCEEDED
    assert world.telemetry.count(Event.LOOK_FAILED) > 0


@pytest.mark.parametrize("error", [NewerVersionError("a run of a newer version"), ValueError("no run")])
async def test_a_run_that_can_not_be_read_keeps_the_sweep_from_no_other(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world = World()
    await world.connect(a_connection(), an_export("news", segments=("news",)), an_export("vip"))
    await world.drop(addresses(6), "news/monday.csv")
    await world.drop(addresses(6), "vip/monday.csv")
    world.queues.messages.clear()
    strange = next(run.run_id for run in world.runs() if run.export_id == "news")
    load = FakeRunStore.load

    async def fails_for_one(store: FakeRunStore, run_id: str) -> Run | None:
        if run_id == strange:
            raise error
        return await load(store, run_id)

    monkeypatch.setattr(FakeRunStore, "load", fails_for_one)
    for _ in range(4):
        await world.clock.sleep(60)
        await sweep(ports(world))

    told = [(event, fields.get("run_id"), fields.get("why")) for event, fields in world.telemetry.events]
    restarted = {run_id for event, run_id, _ in told if event is Event.RUN_RESTARTED}
    assert restarted == {run.run_id for run in world.runs() if run.export_id == "vip"}
    assert (Event.LOOK_FAILED, strange, type(error).__name__) in told
    assert world.telemetry.count(Event.APP_ALIVE) > 0
