"""ActiveCampaign refuses a connection in mid-run: it pauses, its runs wait, and nothing is lost."""

import pytest

from exporter.domain.pause import Pause
from exporter.domain.run import RunReport, RunState
from exporter.steps.aggregate import present_report
from exporter.steps.control import cancel_run, pause_connection, resume_connection
from exporter.steps.ports import Ports
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FIRST_KEY, FakeActiveCampaign, answer
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

SECRET = a_connection().secret


def ports(world: World) -> Ports:
    return world.workers[0].ports


async def a_run_under_way(count: int = 200, sent: int = 40) -> tuple[World, FakeActiveCampaign]:
    """A world whose only run has sent so many bodies."""
    world = World()
    account = await world.connect(a_connection(), an_export(automations=True))
    await world.drop(addresses(count))
    while len(account.requests) < sent:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    return world, account


async def shown(world: World) -> RunReport:
    return await present_report(world.run(), ports(world))


async def for_hours(world: World, hours: float) -> None:
    await world.until_quiet(until=world.clock.monotonic() + 3600 * hours)


def check_all_arrived(world: World, count: int) -> None:
    """Everybody arrived, once, with automations."""
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == count
    assert world.account.contacts.keys() == set(addresses(count))
    assert world.account.automations_started.keys() == set(addresses(count))
    assert set(world.account.automations_started.values()) == {1}
    world.check_promises()


async def test_a_revoked_key_pauses_the_connection_until_the_secret_holds_another() -> None:
    world, account = await a_run_under_way()
    account.refused_keys.add(FIRST_KEY)
    revoked_at = world.clock.monotonic()
    arrived = len(account.arrivals)
    await for_hours(world, 3)

    report = await shown(world)
    assert report.state is RunState.PAUSED
    assert SECRET in (report.waiting_for or "")
    assert len(account.arrivals) - arrived < 12
    assert max(account.arrivals) < revoked_at + 30

    world.keys[SECRET] = "second-key"
    replaced_at = world.clock.monotonic()
    await world.until_quiet()
    assert min(request.at for request in account.requests if request.at > replaced_at) < replaced_at + 60
    check_all_arrived(world, 200)


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_account_meets_only_the_requests_under_way_and_a_second_look(status: int) -> None:
    world, account = await a_run_under_way(sent=38)
    account.mood = lambda request: answer(status, {"message": "No."}) if request.number >= 40 else None
    await for_hours(world, 5)

    assert (await shown(world)).state is RunState.PAUSED
    assert len(account.requests) <= 44
    assert len(account.accepted) == 40

    account.mood = lambda request: None
    await resume_connection("acme", ports(world))
    await world.until_quiet()
    check_all_arrived(world, 200)


async def test_who_resumes_a_refused_connection_too_early_costs_a_request_or_two() -> None:
    world, account = await a_run_under_way()
    account.key_refused = True
    await for_hours(world, 1)
    arrived = len(account.arrivals)

    await resume_connection("acme", ports(world))
    await for_hours(world, 1)

    assert (await shown(world)).state is RunState.PAUSED
    assert 1 <= len(account.arrivals) - arrived <= 8


async def test_another_secret_of_the_connection_is_as_good_as_another_key() -> None:
    world, account = await a_run_under_way()
    account.refused_keys.add(FIRST_KEY)
    await for_hours(world, 1)
    world.keys["acme-anew"] = "second-key"
    stored = (await world.registry.connections())["acme"]
    await world.registry.put_connection(
        stored.value.model_copy(update={"secret": "acme-anew"}), etag=stored.etag
    )

    await world.until_quiet()
    check_all_arrived(world, 200)


async def test_a_pause_by_a_person_is_not_ended_by_a_new_key() -> None:
    world, account = await a_run_under_way()
    account.refused_keys.add(FIRST_KEY)
    await for_hours(world, 1)
    await pause_connection("acme", Pause(since=world.clock.now(), by="ann"), ports(world))
    world.keys[SECRET] = "second-key"
    sent = len(account.requests)
    await for_hours(world, 1)
    assert len(account.requests) == sent
    assert (await shown(world)).counts.delivered == 2 * len(account.accepted)
    assert "by ann" in ((await shown(world)).waiting_for or "")

    await resume_connection("acme", ports(world))
    await world.until_quiet()
    check_all_arrived(world, 200)


async def test_a_key_that_is_refused_while_batches_settle_is_not_asked_with_again() -> None:
    world, account = await a_run_under_way(count=20, sent=10)
    await world.clock.sleep(1)
    account.refused_keys.add(FIRST_KEY)
    asked = len(account.arrivals)
    await for_hours(world, 2)
    assert len(account.arrivals) - asked < 25
    assert max(account.arrivals) < 60
    assert (await shown(world)).state is RunState.PAUSED

    world.keys[SECRET] = "second-key"
    await world.until_quiet()
    check_all_arrived(world, 20)


async def test_a_cancelled_run_ends_though_nobody_tells_what_became_of_its_batches() -> None:
    world, account = await a_run_under_way()
    account.key_refused = True
    await cancel_run(world.run().run_id, "ann", ports(world))
    await world.until_quiet(hours=30)

    report = world.report()
    assert report.state is RunState.CANCELLED
    assert report.counts.undelivered > 0
    world.check_promises()


async def test_a_list_that_vanishes_pauses_the_connection_and_nobody_counts_as_delivered_without_it() -> None:
    world, account = await a_run_under_way(count=400)
    account.lists.clear()
    sent = len(account.requests)
    delivered = (await shown(world)).counts.delivered
    await for_hours(world, 3)

    report = await shown(world)
    assert report.state is RunState.PAUSED
    assert "list 5 does not exist" in (report.waiting_for or "")
    assert len(account.requests) < sent + 80
    assert report.counts.delivered == delivered

    account.lists["5"] = "Customers"
    back_at = world.clock.monotonic()
    await resume_connection("acme", ports(world))
    await world.until_quiet()
    assert world.report().state is RunState.SUCCEEDED
    sent_since = {
        address for request in account.requests if request.at > back_at for address in request.addresses
    }
    assert len(sent_since) == 400 - delivered
    world.check_promises()


async def test_a_run_that_is_cancelled_since_its_list_is_gone_ends_and_counts_nobody_who_is_not_on_it() -> (
    None
):
    world, account = await a_run_under_way()
    account.lists.clear()
    await for_hours(world, 1)
    delivered = (await shown(world)).counts.delivered

    await cancel_run(world.run().run_id, "ann", ports(world))
    await world.until_quiet(hours=30)

    report = world.report()
    assert report.state is RunState.CANCELLED
    assert report.counts.delivered == delivered
    world.check_promises()
