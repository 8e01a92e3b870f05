"""Queue messages come late, out of order, or not at all; many of them say the last word at once."""

import asyncio

import pytest

from exporter.domain.run import RunState
from exporter.steps.aggregate import aggregate
from exporter.steps.events import Event
from exporter.steps.messages import ChunkMessage, PlanMessage, Queue, ReceiptsMessage, SettlementMessage
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

RECOVERY_SECONDS = 150.0


async def a_world(*exports: str, seed: int = 0, worker_count: int = 3) -> tuple[World, FakeActiveCampaign]:
    world = World(seed=seed, worker_count=worker_count)
    return world, await world.connect(a_connection(), *(an_export(name) for name in exports))


def check_all_arrived_once(world: World, account: FakeActiveCampaign, people: set[str]) -> None:
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert account.contacts.keys() == people
    assert account.repeated_count == account.throttled_count == 0
    assert world.telemetry.count(Event.RUN_COMPLETED) == len(world.runs())
    assert world.errors == []
    world.check_promises()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slowest_seconds", [20.0, 75.0])
async def test_messages_that_come_in_any_order_change_nothing(slowest_seconds: float, seed: int) -> None:
    """Each is taken up at a random moment, so that they overtake each other; some come behind their slots."""
    world, account = await a_world("vip", "news", seed=seed)
    world.slowest_poll_seconds = slowest_seconds

    await world.drop(addresses(500))
    await world.drop(addresses(300, "bo"), "news/monday.csv")
    await world.until_quiet()

    check_all_arrived_once(world, account, {*addresses(500), *addresses(300, "bo")})


@pytest.mark.parametrize("bodies", [1, 40, 110])
async def test_messages_that_come_before_their_time_change_nothing(bodies: int) -> None:
    world, account = await a_world("vip")
    await world.drop(addresses(400))
    while len(account.requests) < bodies:
        await world.step()

    run_id = world.run().run_id
    early = [
        (Queue.RECEIPTS, ReceiptsMessage(run_id=run_id)),
        (Queue.SETTLEMENTS, SettlementMessage(run_id=run_id, turn=90)),
        (Queue.CHUNKS, ChunkMessage(run_id=run_id, chunk=2)),
        (Queue.CHUNKS, ChunkMessage(run_id=run_id, chunk=1)),
        (Queue.PLANS, PlanMessage(run_id=run_id)),
    ]
    for queue, message in early:
        world.queues.put(queue, message.to_text(), 0)
    await world.until_quiet()

    check_all_arrived_once(world, account, set(addresses(400)))


@pytest.mark.parametrize("lost_count", [1, 2, 3])
@pytest.mark.parametrize("queue", Queue)
async def test_messages_that_get_lost_are_put_anew_by_the_sweep(queue: Queue, lost_count: int) -> None:
    world, account = await a_world("vip")
    put_count = 0

    def lose_the_first() -> None:
        nonlocal put_count
        if world.queues.sent[-1][0] is queue:
            put_count += 1
            if put_count <= lost_count:
                del world.queues.messages[-1]

    world.queues.on_send.append(lose_the_first)
    await world.drop(addresses(300))
    await world.until_quiet()

    report = world.report()
    assert report.completed_at is not None
    took_seconds = (report.completed_at - world.run().ordered_at).total_seconds()
    assert took_seconds < 2 * 61.2 + RECOVERY_SECONDS * lost_count
    assert put_count >= lost_count
    check_all_arrived_once(world, account, set(addresses(300)))


@pytest.mark.parametrize("worker_count", [1, 4])
async def test_a_run_is_completed_once_however_many_see_that_nothing_is_open(worker_count: int) -> None:
    world, account = await a_world("vip", worker_count=worker_count)
    world.sweeps = False
    world.queues.on_send.append(lambda: forget_receipts(world))
    await world.drop(addresses(40))
    await world.until_quiet(until=120.0)
    assert not world.run().state.final

    message = ReceiptsMessage(run_id=world.run().run_id)
    await asyncio.gather(*(aggregate(message, world.workers[n % worker_count].ports) for n in range(12)))
    first = world.report()
    await aggregate(message, world.workers[0].ports)

    assert world.report() == first
    check_all_arrived_once(world, account, set(addresses(40)))


def forget_receipts(world: World) -> None:
    """Nobody folds but the test."""
    world.queues.messages[:] = [m for m in world.queues.messages if m.queue is not Queue.RECEIPTS]
