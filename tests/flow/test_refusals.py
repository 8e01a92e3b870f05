"""ActiveCampaign refuses a connection in mid-run: it pauses, its runs wait, and nothing is lost."""

import pytest

from exporter.adapters.activecampaign.responses import Answer
from exporter.domain.configuration import Connection
from exporter.domain.pause import Pause
from exporter.domain.run import RunReport, RunState
from exporter.steps.aggregate import present_report
from exporter.steps.control import cancel_run, pause_connection, resume_connection
from exporter.steps.ports import Ports
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FIRST_KEY, FakeActiveCampaign, FakeDestinations, answer
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


async def for_seconds(world: World, seconds: float) -> None:
    await world.until_quiet(until=world.clock.monotonic() + seconds, hours=1000)


async def a_world() -> tuple[World, FakeActiveCampaign]:
    world = World()
    return world, await world.connect(a_connection(), an_export())


async def for_hours(world: World, hours: float) -> None:
    await for_seconds(world, 3600 * hours)


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


async def test_a_key_that_is_revoked_before_the_look_at_the_list_is_no_matter_of_the_list() -> None:
    world, account = await a_world()
    await world.drop(addresses(200))
    await for_seconds(world, 20)

    def revoke(path: str) -> Answer | None:
        if path.startswith("lists/"):
            account.refused_keys.add(FIRST_KEY)
        return None

    account.resource = revoke
    await for_seconds(world, 600)
    pauses = await ports(world).pauses.load()
    pause = pauses.connections["acme"]
    world.keys[SECRET] = "second"
    await world.until_quiet()
    assert (pause.refused, account.repeated_count) == ("key_refused", 0)


async def test_a_list_that_is_gone_costs_runs_of_other_lists_nothing() -> None:
    world = World()
    account = await world.connect(
        a_connection(), an_export("vip"), an_export("news", segments=("news",), list_id="6")
    )
    account.lists = {"5": "five", "6": "six"}
    account.settle_seconds = 100.0
    await world.drop(addresses(40, "bob"), "news/monday.csv")
    await for_seconds(world, 40)
    news = next(r for r in world.runs() if r.export_id == "news")
    n = len(account.accepted)
    assert n == 20
    await cancel_run(news.run_id, "ann", ports(world))
    account.settle_seconds = 5.0
    await world.drop(addresses(40))
    await for_seconds(world, 10)
    account.lists = {"6": "six"}
    await for_seconds(world, 2000)
    news = next(r for r in world.runs() if r.export_id == "news")
    assert news.state.final
    assert news.report is not None
    assert news.report.counts.delivered == 40


async def test_the_list_of_a_run_that_is_over_pauses_nobody() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export("vip"))
    account.lists = {"5": "five", "6": "six"}
    account.settle_seconds = 100.0
    await world.drop(addresses(40))
    await for_seconds(world, 40)
    run = world.run()
    await cancel_run(run.run_id, "ann", ports(world))
    account.lists = {"6": "six"}
    stored = (await ports(world).registry.exports())["vip"]
    world.registry.now = world.clock.now()
    await ports(world).registry.put_export(an_export("vip", list_id="6"), etag=stored.etag)
    await world.clock.sleep(2)
    await world.drop(addresses(40), "vip/tuesday.csv")
    await for_seconds(world, 3000)
    newer = world.runs()[-1]
    assert newer.state is RunState.SUCCEEDED, (newer.state, await ports(world).pauses.load())


async def test_what_a_person_pauses_during_a_refusal_is_followed_once_the_key_is_good() -> None:
    world, account = await a_world()
    account.settle_seconds = 60.0
    await world.drop(addresses(200))
    while len(account.requests) < 40:
        await for_seconds(world, 0.1)
    account.refused_keys.add(FIRST_KEY)
    await for_seconds(world, 120)
    assert (await ports(world).pauses.load()).refused("acme", "5")
    await pause_connection("acme", Pause(since=world.clock.now(), by="ann"), ports(world))
    world.keys[SECRET] = "second"
    await for_seconds(world, 26 * 3600)
    report = await present_report(world.run(), ports(world))
    assert report.counts.delivered >= 70, report


async def test_a_persons_pause_that_comes_while_a_refusal_is_lifted_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, account = await a_world()
    await world.drop(addresses(200))
    while len(account.requests) < 40:
        await for_seconds(world, 0.1)
    account.refused_keys.add(FIRST_KEY)
    await for_seconds(world, 120)
    world.keys[SECRET] = "second"
    real = FakeDestinations.key_mark

    async def key_mark(destinations: FakeDestinations, connection: Connection) -> str:
        mark = await real(destinations, connection)
        await pause_connection("acme", Pause(since=world.clock.now(), by="ann"), ports(world))
        return mark

    monkeypatch.setattr(FakeDestinations, "key_mark", key_mark)
    await for_seconds(world, 31)
    assert "acme" in (await ports(world).pauses.load()).connections


@pytest.mark.parametrize("tenths", [14, 30, 50])
async def test_a_key_that_is_replaced_while_answers_are_under_way(tenths: int) -> None:
    world, account = await a_world()
    account.answer_seconds = (0.2, 6.0)
    await world.drop(addresses(200))
    while len(account.requests) < 40:
        await for_seconds(world, 0.1)
    account.refused_keys.add(FIRST_KEY)
    await for_seconds(world, tenths / 10)
    world.keys[SECRET] = "second"
    await for_seconds(world, 3600)
    assert world.run().state.final, await ports(world).pauses.load()


async def test_a_run_with_an_unreadable_key_ends_when_cancelled() -> None:
    world, account = await a_world()
    account.settle_seconds = 60.0
    await world.drop(addresses(200))
    while len(account.requests) < 40:
        await for_seconds(world, 0.1)
    world.unreadable_secrets.add(SECRET)
    await for_seconds(world, 100)
    await cancel_run(world.run().run_id, "ann", ports(world))
    await for_seconds(world, 3 * 24 * 3600)
    assert world.run().state.final, (world.run().state, world.run().waiting_for)
