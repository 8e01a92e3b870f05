"""A person cancels, pauses, resumes and redrives: it takes hold within seconds, and no row gets lost."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from exporter.domain.pause import Pause
from exporter.domain.run import RunReport, RunState
from exporter.errors import ConfigurationError, StopRunError
from exporter.steps.aggregate import present_report
from exporter.steps.control import (
    cancel_run,
    pause_connection,
    pause_everything,
    pause_run,
    redrive_run,
    resume_connection,
    resume_everything,
    resume_run,
)
from exporter.steps.order import order_runs
from exporter.steps.ports import Ports
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, Request, answer
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

HOLDS_WITHIN_SECONDS = 5.0


def ports(world: World) -> Ports:
    """The ports of one of the processes, as the command line has them."""
    return world.workers[0].ports


def a_pause(world: World) -> Pause:
    return Pause(since=world.clock.now(), by="ann", reason="prices are wrong")


async def a_run_in_the_middle_of_a_chunk(
    count: int = 300, sent: int = 30
) -> tuple[World, FakeActiveCampaign, str]:
    """A world whose only run has sent so many bodies."""
    world = World()
    account = await world.connect(a_connection(), an_export(automations=True))
    await world.drop(addresses(count))
    while len(account.requests) < sent:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    return world, account, world.run().run_id


async def shown(world: World) -> RunReport:
    return await present_report(world.run(), ports(world))


def sent_after(account: FakeActiveCampaign, moment: float) -> list[Request]:
    return [request for request in account.requests if request.at > moment]


def check_everybody_arrived_once(world: World, account: FakeActiveCampaign, count: int) -> None:
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == count
    assert account.contacts.keys() == set(addresses(count))
    assert account.repeated_count == 0
    assert set(account.automations_started.values()) == {1}
    assert account.throttled_count == 0
    world.check_promises()


@pytest.mark.parametrize("answer_seconds", [(0.15, 0.6), (4.0, 9.0)])
async def test_a_cancelled_run_stops_counts_what_arrived_and_redrive_finishes_it(
    answer_seconds: tuple[float, float],
) -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()
    account.answer_seconds = answer_seconds

    assert await cancel_run(run_id, "ann", ports(world))
    cancelled_at = world.clock.monotonic()
    await world.until_quiet()

    assert sent_after(account, cancelled_at + HOLDS_WITHIN_SECONDS) == []
    report = world.report()
    assert report.state is RunState.CANCELLED
    assert report.counts.delivered == 2 * len(account.accepted)
    assert 0 < report.counts.delivered < 300
    assert report.reasons == {"undelivered": 300 - report.counts.delivered}
    world.check_promises()

    await redrive_run(run_id, ports(world))
    await world.until_quiet()

    check_everybody_arrived_once(world, account, 300)


async def test_a_run_is_cancelled_once_and_never_after_its_end() -> None:
    world, _, run_id = await a_run_in_the_middle_of_a_chunk()

    assert await cancel_run(run_id, "ann", ports(world))
    assert not await cancel_run(run_id, "bo", ports(world))
    await world.until_quiet()
    assert not await cancel_run(run_id, "bo", ports(world))

    assert world.report().error is not None
    assert world.report().error.message == "cancelled by ann"  # type: ignore[union-attr]


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
async def test_a_run_that_is_cancelled_before_its_first_body_sends_nothing(seconds: float) -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    await world.drop(addresses(100))
    await world.until_quiet(until=seconds)

    await cancel_run(world.run().run_id, "ann", ports(world))
    await world.until_quiet()

    assert account.requests == []
    assert world.report().state is RunState.CANCELLED
    world.check_promises()


async def test_a_cancelled_run_does_not_make_an_older_one_give_way() -> None:
    world, account, older_id = await a_run_in_the_middle_of_a_chunk()
    await world.drop(addresses(10, "new"), "vip/tuesday.csv")
    newer = world.runs()[-1]

    await cancel_run(newer.run_id, "ann", ports(world))
    await world.until_quiet()

    older = next(run for run in world.runs() if run.run_id == older_id)
    assert older.state is RunState.SUCCEEDED
    assert account.contacts.keys() == set(addresses(300))


Order = Callable[[World, str], Awaitable[object]]

PAUSES: list[tuple[str, Order, Order]] = [
    (
        "run",
        lambda world, run_id: pause_run(run_id, a_pause(world), ports(world)),
        lambda world, run_id: resume_run(run_id, ports(world)),
    ),
    (
        "connection",
        lambda world, _: pause_connection("acme", a_pause(world), ports(world)),
        lambda world, _: resume_connection("acme", ports(world)),
    ),
    (
        "everything",
        lambda world, _: pause_everything(a_pause(world), ports(world)),
        lambda world, _: resume_everything(ports(world)),
    ),
]


@pytest.mark.parametrize(("what", "pause", "resume"), PAUSES)
@pytest.mark.parametrize("hours", [0.02, 3.0])
async def test_what_is_paused_sends_nothing_until_it_is_resumed(
    what: str, pause: Order, resume: Order, hours: float
) -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()

    await pause(world, run_id)
    await pause(world, run_id)
    paused_at = world.clock.monotonic()
    await world.until_quiet(until=paused_at + 3600 * hours)

    assert sent_after(account, paused_at + HOLDS_WITHIN_SECONDS) == []
    report = await shown(world)
    assert report.state is RunState.PAUSED
    assert "by ann: prices are wrong" in (report.waiting_for or "")
    assert report.counts.delivered == 2 * len(account.accepted)  # what was accepted is settled meanwhile

    await resume(world, run_id)
    await resume(world, run_id)
    resumed_at = world.clock.monotonic()
    await world.until_quiet()

    assert account.requests[-1].at > resumed_at
    check_everybody_arrived_once(world, account, 300)


@pytest.mark.parametrize(("what", "pause", "resume"), PAUSES)
async def test_a_run_that_is_paused_before_its_plan_asks_nothing_of_activecampaign(
    what: str, pause: Order, resume: Order
) -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    await world.drop(addresses(20))
    run_id = world.run().run_id
    await pause(world, run_id)
    await world.until_quiet(until=1800.0)
    assert account.arrivals == []
    assert (await shown(world)).state is RunState.PAUSED

    await resume(world, run_id)
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED


async def test_a_resume_that_dies_halfway_is_finished_by_the_sweep() -> None:
    world, account, _ = await a_run_in_the_middle_of_a_chunk()
    await pause_connection("acme", a_pause(world), ports(world))
    await world.until_quiet(until=world.clock.monotonic() + 600)

    await ports(world).pauses.update(lambda pauses: pauses.with_connection("acme", None))
    await world.until_quiet()

    check_everybody_arrived_once(world, account, 300)


async def test_a_paused_connection_leaves_the_others_alone() -> None:
    world = World()
    paused = await world.connect(a_connection(), an_export("vip"))
    other = await world.connect(a_connection("beta"), an_export("news", connection="beta"))
    await pause_connection("acme", a_pause(world), ports(world))

    await world.drop(addresses(20))
    await world.drop(addresses(20, "bo"), "news/monday.csv")
    await world.until_quiet(until=600.0)

    assert paused.requests == []
    assert other.contacts.keys() == set(addresses(20, "bo"))


async def test_a_paused_run_can_be_cancelled() -> None:
    world, _, run_id = await a_run_in_the_middle_of_a_chunk()
    await pause_run(run_id, a_pause(world), ports(world))

    await cancel_run(run_id, "ann", ports(world))
    await world.until_quiet()

    assert world.report().state is RunState.CANCELLED
    with pytest.raises(ConfigurationError, match="ended as cancelled"):
        await resume_run(run_id, ports(world))
    with pytest.raises(ConfigurationError, match="ended as cancelled"):
        await pause_run(run_id, a_pause(world), ports(world))


async def test_redrive_gives_new_tries_to_what_had_used_them_up() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export(automations=True))
    account.end_of = lambda number: "failed"
    await world.drop(addresses(8))
    await world.until_quiet()
    assert world.report().counts.undelivered == 8
    tries = len(account.accepted)

    account.end_of = lambda number: "completed"
    await redrive_run(world.run().run_id, ports(world))
    await world.until_quiet()

    assert len(account.accepted) == tries + 4
    assert all(request.exclude_automations for request in account.accepted[tries:])
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().automations_withheld == 8
    world.check_promises()


async def test_redrive_sends_nothing_again_that_has_its_answer() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export(tolerated_reject_percentage=0))
    account.refused = frozenset(addresses(1))
    await world.drop(addresses(8))
    await world.until_quiet()
    assert world.report().state is RunState.PARTLY_FAILED

    with pytest.raises(ConfigurationError, match="nothing is left to send"):
        await redrive_run(world.run().run_id, ports(world))

    assert world.run().state is RunState.PARTLY_FAILED
    assert account.repeated_count == 0


async def test_redrive_twice_is_the_same_as_once() -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()
    with pytest.raises(ConfigurationError, match="under way"):
        await redrive_run(run_id, ports(world))
    await cancel_run(run_id, "ann", ports(world))
    with pytest.raises(ConfigurationError, match="still settling"):
        await redrive_run(run_id, ports(world))
    await world.until_quiet()

    await redrive_run(run_id, ports(world))
    await redrive_run(run_id, ports(world))
    await world.until_quiet(until=world.clock.monotonic() + 5)
    await redrive_run(run_id, ports(world))
    await world.until_quiet()

    check_everybody_arrived_once(world, account, 300)


async def test_redrive_after_an_answer_that_stopped_the_run() -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()
    account.mood = lambda request: answer(404, {"message": "Not found"})
    await world.until_quiet()
    assert world.report().error is not None

    account.mood = lambda request: None
    await redrive_run(run_id, ports(world))
    await world.until_quiet()

    check_everybody_arrived_once(world, account, 300)


async def test_redrive_looks_again_whether_the_list_is_still_there() -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()
    await cancel_run(run_id, "ann", ports(world))
    await world.until_quiet()
    await world.clock.sleep(timedelta(hours=2).total_seconds())
    sent = len(account.requests)
    account.lists.clear()

    await redrive_run(run_id, ports(world))
    await world.until_quiet(until=world.clock.monotonic() + 600)

    assert len(account.requests) == sent
    report = await shown(world)
    assert report.state is RunState.PAUSED
    assert "list 5 does not exist" in (report.waiting_for or "")


async def test_redrive_never_sends_older_values_after_newer_ones() -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()
    await cancel_run(run_id, "ann", ports(world))
    await world.until_quiet()
    await world.drop(addresses(10), "vip/tuesday.csv")
    await world.until_quiet()
    sent = len(account.requests)

    with pytest.raises(StopRunError, match="newer values") as caught:
        await redrive_run(run_id, ports(world))

    assert caught.value.code == "superseded"
    assert len(account.requests) == sent


async def test_redrive_follows_a_look_at_the_first_contacts_of_the_same_drop() -> None:
    world, account, run_id = await a_run_in_the_middle_of_a_chunk()
    await cancel_run(run_id, "ann", ports(world))
    await world.until_quiet()
    export = (await world.registry.exports())["vip"].value
    await order_runs(export, a_connection(), ports(world), first=2)
    await world.until_quiet()

    await redrive_run(run_id, ports(world))
    await world.until_quiet()

    assert [run.state for run in world.runs()] == [RunState.SUCCEEDED] * 2
    assert account.contacts.keys() == set(addresses(300))
    world.check_promises()


async def test_redrive_refuses_a_run_whose_connection_leads_elsewhere_now() -> None:
    world, _, run_id = await a_run_in_the_middle_of_a_chunk()
    await cancel_run(run_id, "ann", ports(world))
    await world.until_quiet()
    stored = (await world.registry.connections())["acme"]
    await world.registry.put_connection(a_connection(host="other.api-us1.com"), etag=stored.etag)

    with pytest.raises(ConfigurationError, match="leads to other"):
        await redrive_run(run_id, ports(world))


async def test_redrive_of_a_run_that_never_had_a_plan_says_what_to_do() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    account.lists.clear()
    await world.drop(addresses(10))
    await world.until_quiet()

    with pytest.raises(ConfigurationError, match="exporter export run vip"):
        await redrive_run(world.run().run_id, ports(world))
