"""Clocks are wrong, jump and stand still: no limit is broken, and nobody waits for long."""

import asyncio
from dataclasses import replace
from statistics import median

import pytest

from exporter.domain.budget import AccountBudget, Slots
from exporter.domain.run import RunState
from exporter.steps.accounts import open_account
from exporter.steps.events import Event
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.world import Worker, World, longest_pause

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

HOUR_SECONDS = 3600.0
RECOVERY_SECONDS = 150.0


async def a_run_that_has_sent(
    bodies: int, *, worker_count: int = 2, seed: int = 0
) -> tuple[World, FakeActiveCampaign]:
    """A world whose only run has sent so many of its 300 bodies."""
    world = World(worker_count=worker_count, seed=seed)
    account = await world.connect(a_connection(), an_export(automations=True))
    await world.drop(addresses(600))
    while len(account.requests) < bodies:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    return world, account


def sender(world: World) -> Worker:
    """The worker that is sending just now."""
    (worker,) = (worker for worker in world.workers if any(m.queue == "chunks" for m in worker.messages))
    return worker


def check_all_arrived(world: World, account: FakeActiveCampaign) -> None:
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == 600
    assert account.contacts.keys() == set(addresses(600))
    assert account.throttled_count == 0
    world.check_promises()


@pytest.mark.parametrize("seed", range(4))
async def test_clocks_that_differ_by_half_a_second_meet_no_limit(seed: int) -> None:
    world = World(seed=seed, worker_count=4)
    account = await world.connect(a_connection(), an_export("vip"), an_export("news"))
    for number, worker in enumerate(world.workers):
        worker.process.clock.off_seconds = 0.25 if number % 2 else -0.25

    await world.drop(addresses(400))
    await world.drop(addresses(400, "bo"), "news/monday.csv")
    await world.until_quiet()

    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert account.throttled_count == account.repeated_count == 0
    world.check_promises()


@pytest.mark.parametrize("jump_seconds", [-HOUR_SECONDS, -120.0, 120.0, HOUR_SECONDS])
async def test_a_clock_that_jumps_in_the_middle_of_a_chunk_costs_minutes_and_no_throttle(
    jump_seconds: float,
) -> None:
    """An instance with a wrong clock can only put its messages back. Chance decides how often it is the one
    that takes the run's next message: half of the runs have to go on within twice the usual time."""
    pauses = []
    for seed in range(8):
        world, account = await a_run_that_has_sent(20, seed=seed)

        sender(world).process.clock.off_seconds = jump_seconds
        await world.until_quiet()

        pauses.append(longest_pause([request.at for request in account.requests]))
        assert account.repeated_count <= 24
        check_all_arrived(world, account)
    assert median(pauses) <= 2 * RECOVERY_SECONDS


@pytest.mark.parametrize("jump_seconds", [-HOUR_SECONDS, HOUR_SECONDS])
async def test_an_instance_alone_with_a_wrong_clock_waits_says_so_and_goes_on_when_it_is_right(
    jump_seconds: float,
) -> None:
    world, account = await a_run_that_has_sent(20, worker_count=1)

    world.workers[0].process.clock.off_seconds = jump_seconds
    jumped_at = world.clock.monotonic()
    told = set()
    for seconds in range(60):
        await world.until_quiet(until=jumped_at + seconds)
        told.add(world.run().waiting_for or "")
    sent = len(account.requests)
    await world.until_quiet(until=jumped_at + 1200)
    assert len(account.requests) == sent < 300
    assert [reason for reason in told if "clock" in reason]
    assert world.telemetry.count(Event.SETTLEMENT_TURNED) <= 600

    world.workers[0].process.clock.off_seconds = 0.0
    await world.until_quiet()

    check_all_arrived(world, account)


@pytest.mark.parametrize(
    "lie",
    [
        {"hold_until": HOUR_SECONDS},
        {"bulk": HOUR_SECONDS},
        {"general": HOUR_SECONDS},
    ],
    ids=lambda lie: next(iter(lie)),
)
async def test_a_budget_of_the_future_is_rebuilt_instead_of_waited_for(lie: dict[str, float]) -> None:
    world, account = await a_run_that_has_sent(20)
    ports = world.workers[0].ports
    now = world.clock.now().timestamp()
    budget = await ports.budgets.load("acme")
    if "hold_until" in lie:
        spoilt = replace(budget, hold_until=now + lie["hold_until"], hold_reason="a lie")
    elif "general" in lie:
        spoilt = replace(budget, general=(*budget.general, now + lie["general"]))
    else:
        spoilt = replace(budget, bulk=(*budget.bulk, Slots(now + lie["bulk"], 49, 0.35, "nobody")))

    await ports.budgets.update("acme", lambda _: spoilt, rebuilt=AccountBudget())
    await world.until_quiet()

    assert longest_pause([request.at for request in account.requests]) <= 2 * RECOVERY_SECONDS
    assert longest_pause([at for at, _ in account.questions]) <= 2 * RECOVERY_SECONDS
    check_all_arrived(world, account)


async def test_who_waits_for_a_moment_waits_no_longer_when_the_clock_is_put_back() -> None:
    world = World(worker_count=1)
    connection = a_connection()
    await world.connect(connection)
    worker = world.workers[0]
    account = await open_account(connection, worker.ports)
    began_at = world.clock.monotonic()

    async def put_back() -> None:
        await world.clock.sleep(5)
        worker.process.clock.off_seconds = -HOUR_SECONDS

    await asyncio.gather(account.wait_until(account.now() + 10), put_back())

    assert world.clock.monotonic() - began_at == pytest.approx(10)


@pytest.mark.parametrize("bodies", [1, 20, 60])
@pytest.mark.parametrize("answer_seconds", [(0.15, 0.6), (8.0, 12.0)])
async def test_a_sender_that_stands_still_for_five_minutes_is_replaced_and_repeats_little(
    bodies: int, answer_seconds: tuple[float, float]
) -> None:
    world, account = await a_run_that_has_sent(bodies)
    account.answer_seconds = answer_seconds
    frozen = sender(world).process

    frozen_at = world.clock.monotonic()
    frozen.stand_still(300)
    await world.until_quiet()

    after = [request.at for request in account.requests if request.at > frozen_at + 1]
    assert after[0] - frozen_at <= RECOVERY_SECONDS
    assert account.repeated_count <= 24
    assert max(account.automations_started.values()) == 1
    check_all_arrived(world, account)
