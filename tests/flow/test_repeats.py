"""Whatever is delivered twice, at once or later, changes nothing in the end."""

import asyncio

import pytest

from exporter.domain.run import RunState
from exporter.steps.messages import ChunkMessage, Queue
from tests.builders import a_connection, addresses, an_export
from tests.fakes.world import World

TWICE = [(0.0,), (3.0,), (20.0,), (40.0,), (61.2,), (300.0,), (0.0, 40.0)]


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("copies_after", TWICE, ids=str)
@pytest.mark.parametrize("count", [7, 400])
async def test_every_message_may_be_delivered_more_than_once(
    count: int, copies_after: tuple[float, ...]
) -> None:
    world = World()
    world.queues.copies_after = copies_after
    account = await world.connect(a_connection(), an_export())

    await world.drop(addresses(count))
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == count
    assert account.repeated_count == 0
    assert account.throttled_count == 0
    assert world.report().requests.bulk == len(account.requests)
    assert world.errors == []
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seed", range(6))
async def test_repeated_messages_and_batches_that_fail_still_add_up(seed: int) -> None:
    world = World(seed=seed)
    world.queues.copies_after = (2.0, 70.0)
    account = await world.connect(a_connection(), an_export())
    account.end_of = lambda number: "failed" if number % 7 == 0 else "completed"

    await world.drop(addresses(300))
    await world.until_quiet()

    assert world.report().counts.delivered == 300
    assert account.contacts.keys() == set(addresses(300))
    assert account.throttled_count == 0
    world.check_promises()


async def test_the_same_drop_announced_ten_times_at_once_is_one_run() -> None:
    world = World(worker_count=5)
    world.announces = False
    await world.connect(a_connection(), an_export())
    await world.drop(addresses(600))

    await asyncio.gather(*(world.announce("vip/monday.csv") for _ in range(10)))
    await world.until_quiet()
    await world.clock.sleep(3600)
    await world.announce("vip/monday.csv")
    await world.until_quiet()

    assert world.report().counts.delivered == 600
    assert len(world.account.requests) == 3
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("after", [0.5, 10.0, 34.5, 50.0, 61.0])
async def test_a_doubled_chain_collapses(after: float) -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    await world.drop(addresses(800))

    async def double() -> None:
        while not account.requests:
            await world.clock.sleep(0.1)
        await world.clock.sleep(after)
        for _ in range(3):
            message = ChunkMessage(run_id=world.run().run_id, chunk=0)
            world.queues.put(Queue.CHUNKS, message.to_text(), 0)

    doubling = asyncio.ensure_future(double())
    await world.until_quiet()
    await doubling

    assert len(account.requests) == 400
    assert account.repeated_count == account.throttled_count == 0
    assert account.requests[-1].at - account.requests[0].at < 5.5 * 61.2
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_late_copy_of_a_message_does_not_make_the_account_forget_what_was_sent() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export("vip"), an_export("news"))
    await world.drop(addresses(392))

    async def copy_late() -> None:
        while len(account.accepted) < 196:
            await world.clock.sleep(0.5)
        await world.clock.sleep(3)
        carried = next(text for _, text in world.queues.sent if '"chunk":1' in text and '"slots"' in text)
        world.queues.put(Queue.CHUNKS, carried, 0)
        await world.clock.sleep(3)
        await world.drop(addresses(196, "bo"), "news/monday.csv")

    copying = asyncio.ensure_future(copy_late())
    while not copying.done():
        await world.clock.sleep(1)
        await world.until_quiet()

    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert account.throttled_count == 0
    world.check_promises()
