"""Stops, deaths, slow storage and fast accounts meet each other."""

import random
from functools import partial
from itertools import pairwise

import pytest

from exporter.domain.pause import Pause
from exporter.domain.planning import PlanLimits, plan_drop
from exporter.domain.progress import RunProgress
from exporter.domain.run import PlanRecord, Run, RunState
from exporter.errors import ConfigurationError
from exporter.steps import aggregate as aggregate_module
from exporter.steps.control import cancel_run, pause_run, redrive_run, resume_run
from exporter.steps.events import Event
from exporter.steps.order import order_runs
from exporter.steps.ports import Ports
from exporter.steps.run_progress import read_progress
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.pauses import FakePauseStore
from tests.fakes.world import World


async def a_run_that_has_sent(
    bodies: int, *, rows: int = 300, seed: int = 0
) -> tuple[World, FakeActiveCampaign]:
    world = World(seed=seed)
    account = await world.connect(a_connection(), an_export(automations=True))
    await world.drop(addresses(rows))
    while len(account.requests) < bodies:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    return world, account


@pytest.mark.parametrize("seconds", [9.8 + 0.2 * number for number in range(20)])
async def test_a_sender_that_dies_behind_a_refusal_starts_no_automation_twice(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    small = partial(plan_drop, limits=PlanLimits(body_contacts=4))
    monkeypatch.setattr("exporter.steps.plan.plan_drop", small)
    world = World(worker_count=1)
    account = await world.connect(
        a_connection(), an_export(automations=True, tolerated_reject_percentage=100)
    )
    account.refused = frozenset(addresses(40)[::4])
    await world.drop(addresses(40))

    world.kill_after(world.workers[0], seconds)
    await world.until_quiet()

    assert max(account.automations_started.values()) == 1
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seconds", [0.2, 0.8, 1.6, 2.4, 3.2, 4.0])
async def test_a_newer_run_that_is_cancelled_before_it_sends_leaves_the_older_one_alone(
    seconds: float,
) -> None:
    world, account = await a_run_that_has_sent(30)
    await world.drop(addresses(10, "new"), "vip/tuesday.csv")
    newer = world.runs()[-1]
    await world.until_quiet(until=world.clock.monotonic() + seconds)
    if (await world.workers[0].ports.runs.load(newer.run_id)) != newer and world.runs()[-1].plan_epoch:
        return  # it was planned already, and had taken over

    await cancel_run(newer.run_id, "ann", world.workers[0].ports)
    await world.until_quiet()

    assert [run.state for run in world.runs()] == [RunState.SUCCEEDED, RunState.CANCELLED]
    assert account.contacts.keys() == set(addresses(300))


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("hangs_seconds", [3.0, 20.0])
async def test_a_sender_that_can_not_look_stops_rather_than_goes_on(
    monkeypatch: pytest.MonkeyPatch, hangs_seconds: float
) -> None:
    world, account = await a_run_that_has_sent(10)
    load = FakePauseStore.load

    async def slow(store: FakePauseStore) -> object:
        await world.clock.sleep(hangs_seconds)
        return await load(store)

    monkeypatch.setattr(FakePauseStore, "load", slow)
    await cancel_run(world.run().run_id, "ann", world.workers[0].ports)
    cancelled_at = world.clock.monotonic()
    await world.until_quiet()

    assert [request.at for request in account.requests if request.at > cancelled_at + 5] == []
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_redrive_waits_for_a_run_of_the_same_segment_that_is_still_being_planned() -> None:
    world, account = await a_run_that_has_sent(30)
    cancelled = world.run()
    ports = world.workers[0].ports
    await cancel_run(cancelled.run_id, "ann", ports)
    await world.until_quiet()
    await order_runs(an_export(), a_connection(), ports)

    with pytest.raises(ConfigurationError, match="is still queued"):
        await redrive_run(cancelled.run_id, ports)
    await world.until_quiet()

    assert account.contacts.keys() == set(addresses(300))
    assert [run.state for run in world.runs()] == [RunState.CANCELLED, RunState.SUCCEEDED]


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seed", range(40, 50))
async def test_a_slow_aggregator_counts_what_was_accepted_while_it_read(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    async def slow(run: Run, record: PlanRecord, ports: Ports) -> RunProgress:
        progress = await read_progress(run, record, ports)
        await ports.clock.sleep(0.6)
        return progress

    monkeypatch.setattr(aggregate_module, "read_progress", slow)
    chance = random.Random(seed)
    world, account = await a_run_that_has_sent(chance.randint(1, 45), seed=seed)
    account.answer_seconds = (2.0, 7.0)
    await world.until_quiet(until=world.clock.monotonic() + chance.uniform(0, 3))

    await cancel_run(world.run().run_id, "ann", world.workers[0].ports)
    await world.until_quiet()

    assert world.report().counts.delivered == 2 * len(account.accepted)
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seed", range(12))
async def test_a_run_that_is_resumed_soon_after_its_pause_goes_on_soon(seed: int) -> None:
    world, account = await a_run_that_has_sent(5 + 4 * seed, rows=600, seed=seed)
    account.answer_seconds = (9.0, 12.0)
    ports = world.workers[0].ports
    run_id = world.run().run_id

    await pause_run(run_id, Pause(since=world.clock.now(), by="ann"), ports)
    await world.until_quiet(until=world.clock.monotonic() + 0.5 * seed)
    sent = len(account.requests)
    await resume_run(run_id, ports)
    resumed_at = world.clock.monotonic()
    await world.until_quiet()

    assert account.requests[sent].at - resumed_at <= 75
    assert account.repeated_count == 0
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("bodies", [3, 49])
async def test_who_waits_for_a_dead_owner_reserves_no_slots_meanwhile(bodies: int) -> None:
    world = World()
    await world.connect(a_connection(), an_export())
    await world.drop(addresses(2 * bodies))
    while not world.run().plan_epoch:
        await world.until_quiet(until=world.clock.monotonic() + 0.02)
    ports = world.workers[0].ports
    await ports.claims.acquire(f"{world.run().run_id}/chunk-00000", "dead", 75.0)

    await world.until_quiet(until=world.clock.monotonic() + 60)

    budget = await ports.budgets.load("acme")
    assert sum(slots.count for slots in budget.bulk) <= bodies
    await world.until_quiet()
    assert world.report().state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    "limits", [{"share": 0.01}, {"share": 0.06}, {"requests_per_second": 1, "share": 0.3}]
)
async def test_the_smallest_share_is_slow_but_moves(limits: dict[str, float]) -> None:
    world = World()
    await world.connect(a_connection(limits=limits), an_export())
    await world.drop(addresses(4))

    await world.until_quiet(hours=2)

    assert world.report().counts.delivered == 4


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_minute", [10_000, 100_000, 1_000_000])
async def test_a_stand_in_without_limits_is_never_waited_for(per_minute: int, seed: int) -> None:
    world = World(seed=seed, worker_count=4)
    limits = {"bulk_requests_per_minute": per_minute, "requests_per_second": 100_000}
    exports = [an_export("vip"), an_export("news")]
    account = await world.connect(a_connection(host="127.0.0.1:9999", limits=limits), *exports)
    account.enforces_limits = False
    account.settle_seconds = 0.5

    for export in exports:
        await world.drop(addresses(1200, export.id), f"{export.id}/monday.csv")
    await world.until_quiet()

    sent_at = [request.at for request in account.requests]
    assert max(later - earlier for earlier, later in pairwise(sent_at)) < 30
    assert world.telemetry.count(Event.RUN_RESTARTED) == 0


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("slowest_seconds", [0.4, 1.0, 2.0])
async def test_a_slow_storage_delays_a_run_and_does_not_stop_it(slowest_seconds: float) -> None:
    world = World()
    await world.connect(a_connection(), an_export())
    world.storage.slowest_seconds = slowest_seconds
    await world.drop(addresses(60))

    await world.until_quiet(hours=1)

    assert world.report().counts.delivered == 60
    assert world.account.throttled_count == 0
