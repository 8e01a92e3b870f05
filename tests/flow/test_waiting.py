"""A run that stands still says what it waits for, and since when."""

from datetime import timedelta

import pytest

from exporter.domain.pause import Pause
from exporter.domain.run import RunReport
from exporter.steps.aggregate import present_report
from exporter.steps.control import pause_run
from exporter.steps.stop import note_waiting
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, answer
from tests.fakes.clock import STARTED_AT
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

DAY = f"{STARTED_AT:%Y-%m-%d}"


async def a_world() -> tuple[World, FakeActiveCampaign]:
    world = World()
    return world, await world.connect(a_connection(), an_export())


async def waits_for(world: World) -> str:
    """What the last run waits for; there must be something."""
    report: RunReport = await present_report(world.runs()[-1], world.workers[0].ports)
    assert report.waiting_for is not None
    assert f"since {DAY}" in report.waiting_for or f"accepted {DAY}" in report.waiting_for
    return report.waiting_for


def the_app_is_gone(world: World) -> None:
    """Whoever was at work dies; nobody takes messages, nobody sweeps."""
    for worker in list(world.workers):
        worker.process.die()
    world.queues.messages.clear()
    world.sweeps = False


async def for_seconds(world: World, seconds: float) -> None:
    await world.until_quiet(until=world.clock.monotonic() + seconds)


async def test_a_run_that_moves_waits_for_nothing() -> None:
    world, _ = await a_world()
    await world.drop(addresses(60))
    await for_seconds(world, 12.0)
    assert (await present_report(world.run(), world.workers[0].ports)).waiting_for is None


@pytest.mark.parametrize(("seconds", "said"), [(60.0, "the next look"), (600.0, "exporter doctor")])
async def test_a_run_that_nobody_plans_says_so(seconds: float, said: str) -> None:
    world, _ = await a_world()
    await world.drop(addresses(10))
    the_app_is_gone(world)
    await world.clock.sleep(seconds)
    assert said in await waits_for(world)


async def test_a_run_that_nobody_sends_says_so() -> None:
    world, account = await a_world()
    await world.drop(addresses(200))
    while len(account.requests) < 20:
        await for_seconds(world, 0.1)
    the_app_is_gone(world)
    await world.clock.sleep(600.0)
    assert "exporter doctor" in await waits_for(world) or "ActiveCampaign to finish" in await waits_for(world)


async def test_a_run_whose_drop_takes_long_to_read_says_so() -> None:
    world, _ = await a_world()
    await world.drop(addresses(10))
    the_app_is_gone(world)
    await world.workers[0].ports.claims.acquire(f"{world.run().run_id}/plan", "somebody", 3600.0)
    await world.clock.sleep(100.0)
    assert "being read" in await waits_for(world)


async def test_a_run_on_an_account_that_is_held_says_until_when() -> None:
    world, account = await a_world()
    account.mood = lambda request: answer(429, {}, **{"Retry-After": "600"}) if request.number == 5 else None
    await world.drop(addresses(60))
    await for_seconds(world, 120.0)
    said = await waits_for(world)
    assert "throttles" in said


async def test_a_run_behind_a_big_one_says_when_its_turn_comes() -> None:
    world, account = await a_world()
    account.settle_seconds = 4000.0
    await world.drop(addresses(20))
    await for_seconds(world, 400.0)
    assert "ActiveCampaign to finish 10 batches" in await waits_for(world)


async def test_a_paused_run_says_who_paused_it() -> None:
    world, _ = await a_world()
    await world.drop(addresses(20))
    ports = world.workers[0].ports
    await pause_run(world.run().run_id, Pause(since=world.clock.now(), by="ann"), ports)
    assert "by ann" in await waits_for(world)


async def test_a_run_without_a_key_says_which_secret_it_needs() -> None:
    world, account = await a_world()
    await world.drop(addresses(60))
    while len(account.requests) < 5:
        await for_seconds(world, 0.1)
    world.unreadable_secrets.add(a_connection().secret)
    await for_seconds(world, 600.0)
    assert a_connection().secret in await waits_for(world)


async def test_a_run_that_nobody_settles_any_more_says_so() -> None:
    world, account = await a_world()
    await world.drop(addresses(4))
    while len(account.accepted) < 2:
        await for_seconds(world, 0.1)
    the_app_is_gone(world)
    await world.clock.sleep(600.0)
    assert "exporter doctor" in await waits_for(world)


async def test_a_run_between_two_tries_says_when_the_next_one_is() -> None:
    world, account = await a_world()
    account.end_of = lambda number: "failed"
    await world.drop(addresses(2))
    said = set()
    while not world.run().state.final:
        await for_seconds(world, 20.0)
        said.add((await present_report(world.run(), world.workers[0].ports)).waiting_for or "")
    assert any("its next try" in text for text in said)
    assert not any("the app" in text for text in said)


async def test_a_run_that_waits_for_something_else_waits_since_then() -> None:
    world, _ = await a_world()
    await world.drop(addresses(2))
    ports = world.workers[0].ports
    await note_waiting(world.run().run_id, "one thing", ports)
    the_app_is_gone(world)
    await world.clock.sleep(3600.0)
    await note_waiting(world.run().run_id, "another thing", world.workers[0].ports)
    since = world.run().waiting_since
    assert since is not None
    assert world.clock.now() - since < timedelta(minutes=1)
