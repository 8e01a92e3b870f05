"""ActiveCampaign throttles, falters, refuses the key, or loses answers."""

import pytest

from exporter.adapters.activecampaign.responses import Answer
from exporter.domain.run import RunState
from exporter.steps.events import Event
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, LostAnswerError, Request, answer, throttle
from tests.fakes.world import World, longest_pause


async def a_world() -> tuple[World, FakeActiveCampaign]:
    """One connection, one export that lets automations start."""
    world = World()
    return world, await world.connect(a_connection(), an_export(automations=True))


def check_all_arrived(world: World, count: int) -> None:
    """Everybody arrived, and the counts say so."""
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == count
    assert world.account.contacts.keys() == set(addresses(count))
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize(
    ("reply", "pause"),
    [
        (answer(429, {}, **{"Retry-After": "30"}), 30.0),
        (answer(429, {}), 60.0),
        (throttle(), 60.0),
        (throttle(45), 45.0),
        (answer(503, {}, **{"Retry-After": "20"}), 20.0),
    ],
)
async def test_a_throttle_pauses_the_account_as_long_as_it_says(reply: Answer, pause: float) -> None:
    world, account = await a_world()
    account.mood = lambda request: reply if request.number == 20 else None

    await world.drop(addresses(100))
    await world.until_quiet()

    throttled_at = account.requests[20].at
    under_way = [r.at for r in account.requests if throttled_at < r.at < throttled_at + pause]
    assert len(under_way) <= 3
    assert world.report().requests.throttled == 1
    assert world.telemetry.count(Event.ACCOUNT_HELD) == 1
    assert account.repeated_count == 0
    assert all(not request.exclude_automations for request in account.requests)
    check_all_arrived(world, 100)


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_throttle_met_by_one_export_pauses_the_others_on_the_account() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export("vip"), an_export("news"))
    account.mood = lambda request: answer(429, {}, **{"Retry-After": "120"}) if request.number == 20 else None

    await world.drop(addresses(100))
    await world.drop(addresses(100, "bo"), "news/monday.csv")
    await world.until_quiet()

    throttled_at = account.requests[20].at
    later = [at for at in account.arrivals if at > throttled_at]
    assert longest_pause([throttled_at, *later]) > 110
    assert len([at for at in later if at < throttled_at + 119]) <= 8
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_ten_minutes_of_503_are_waited_out() -> None:
    world, account = await a_world()
    page = answer(503, b"<html><h1>Down for maintenance</h1></html>")
    account.mood = lambda request: page if 10 <= request.at <= 610 else None

    await world.drop(addresses(200))
    await world.until_quiet()

    turned_away = [request for request in account.requests if 10 <= request.at <= 610]
    assert len(turned_away) <= 20
    assert account.repeated_count == 0
    assert account.requests[-1].at < 1300
    check_all_arrived(world, 200)


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("taken", [True, False])
async def test_a_lost_answer_is_followed_by_a_resend_without_automations(*, taken: bool) -> None:
    world, account = await a_world()

    def lose(request: Request) -> Answer | None:
        if request.number in {3, 17}:
            raise LostAnswerError(taken=taken)
        return None

    account.mood = lose
    await world.drop(addresses(100))
    await world.until_quiet()

    lost = {account.requests[3].addresses, account.requests[17].addresses}
    again = [request for request in account.requests[18:] if request.addresses in lost]
    assert [request.exclude_automations for request in again] == [True, True]
    assert account.repeated_count == (2 if taken else 0)
    assert max(account.automations_started.values()) == 1
    assert world.report().automations_withheld == 4
    check_all_arrived(world, 100)


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_body_whose_answers_are_always_lost_is_given_up_after_six_tries() -> None:
    world, account = await a_world()

    def lose(request: Request) -> Answer | None:
        if "ann6@example.org" in request.addresses:
            raise LostAnswerError(taken=False)
        return None

    account.mood = lose
    await world.drop(addresses(40))
    await world.until_quiet()

    assert len([request for request in account.requests if "ann6@example.org" in request.addresses]) == 6
    report = world.report()
    assert report.state is RunState.PARTLY_FAILED
    assert (report.counts.delivered, report.counts.undelivered) == (38, 2)
    assert {(reject["row"], reject["reason"]) for reject in world.rejects()} == {
        ("7", "undelivered"),
        ("8", "undelivered"),
    }
    world.check_promises()


async def test_a_key_that_is_refused_before_the_first_body_fails_the_run() -> None:
    world, account = await a_world()
    account.key_refused = True

    await world.drop(addresses(10))
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "key_refused")
    assert account.requests == []
    world.check_promises()


async def test_a_list_that_is_not_there_fails_the_run_before_the_first_body() -> None:
    world, account = await a_world()
    account.lists = {}

    await world.drop(addresses(10))
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "list_missing")
    assert account.requests == []
    world.check_promises()


async def test_a_field_that_is_not_there_fails_the_run_before_the_first_body() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export(mapping={"fields": {"City": "City"}}))
    account.fields = [{"id": str(number), "title": f"Field {number}"} for number in range(1, 130)]

    await world.drop(b"Email,City\r\nann@example.org,Oslo\r\n")
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "field_missing")
    assert account.requests == []
    world.check_promises()


async def test_a_field_on_the_second_page_is_found() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export(mapping={"fields": {"City": "City"}}))
    account.fields = [{"id": str(number), "title": f"Field {number}"} for number in range(1, 130)]
    account.fields.append({"id": "900", "title": "City", "type": "text"})

    await world.drop(b"Email,City\r\nann@example.org,Oslo\r\n")
    await world.until_quiet()

    assert account.contacts["ann@example.org"]["fields"] == [{"id": 900, "value": "Oslo"}]
    world.check_promises()


@pytest.mark.parametrize(
    "content",
    [
        b'Email,Name\r\nann@example.org,"Ann',
        b"Name\r\nAnn\r\n",
        b"\xff\xfe\x00",
        b"",
        b"Email\r\n",
    ],
)
async def test_a_drop_that_can_not_be_read_whole_sends_nothing(content: bytes) -> None:
    world, account = await a_world()

    await world.drop(content)
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.FAILED
    assert report.error is not None
    assert account.requests == []
    world.check_promises()


async def test_too_many_bad_rows_stop_the_run_before_the_first_body() -> None:
    world, account = await a_world()

    await world.drop([*addresses(90), *["nobody"] * 10])
    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "too_many_rejects")
    assert (report.counts.rejected, report.counts.undelivered) == (10, 90)
    assert account.requests == []
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_key_that_can_not_be_read_for_ten_minutes_only_delays_the_run() -> None:
    world, account = await a_world()
    account.mood = lambda request: throttle(5) if request.number == 10 else None
    await world.drop(addresses(60))
    while len(account.requests) < 11:
        await world.step()

    world.unreadable_secrets.add("activecampaign-acme")
    await world.until_quiet(until=world.clock.monotonic() + 600)
    assert world.run().waiting_for is not None
    world.unreadable_secrets.clear()
    await world.until_quiet()

    check_all_arrived(world, 60)


async def test_a_vault_that_is_away_when_a_drop_arrives_only_delays_the_plan() -> None:
    world, _ = await a_world()
    world.unavailable_secrets.add("activecampaign-acme")
    await world.drop(addresses(20))
    await world.until_quiet(until=world.clock.monotonic() + 600)
    assert world.run().waiting_for == "the vault can't be reached"

    world.unavailable_secrets.clear()
    await world.until_quiet()

    check_all_arrived(world, 20)


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_vault_that_is_away_in_mid_run_only_delays_it() -> None:
    world, account = await a_world()
    account.mood = lambda request: throttle(5) if request.number == 10 else None
    await world.drop(addresses(60))
    while len(account.requests) < 11:
        await world.step()

    world.unavailable_secrets.add("activecampaign-acme")
    await world.until_quiet(until=world.clock.monotonic() + 600)
    assert world.run().waiting_for == "the vault can't be reached"
    world.unavailable_secrets.clear()
    await world.until_quiet()

    check_all_arrived(world, 60)
