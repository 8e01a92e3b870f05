"""Accepted is not done: each batch is followed to its end, and failures find their rows."""

from typing import Any

import pytest

from exporter.adapters.activecampaign.responses import Answer
from exporter.domain.run import RunState
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, answer
from tests.fakes.world import World

SOON_SECONDS = 1800.0


async def a_world(**export: Any) -> tuple[World, FakeActiveCampaign]:
    """One connection and one export."""
    world = World()
    return world, await world.connect(a_connection(), an_export(**export))


async def test_an_address_that_fails_there_is_refused_with_its_source_and_row() -> None:
    world, account = await a_world()
    account.failing = frozenset({"ann7@example.org"})

    await world.drop(addresses(300))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.SUCCEEDED
    assert (report.counts.delivered, report.counts.refused) == (299, 1)
    assert [
        (reject["source"], reject["row"], reject["reason"], reject["email"]) for reject in world.rejects()
    ] == [("vip/monday.csv", "8", "failed_in_activecampaign", "ann7@example.org")]
    assert report.reasons == {"failed_in_activecampaign": 1}
    world.check_promises()


@pytest.mark.parametrize("naming", ["all", "first", "neighbours", "nobody"])
async def test_a_refused_contact_never_costs_the_others(naming: str) -> None:
    world, account = await a_world()
    account.naming = naming
    account.refused = frozenset({"ann7@example.org", "ann200@example.org"})

    await world.drop(addresses(300))
    await world.until_quiet()

    report = world.report()
    assert (report.counts.delivered, report.counts.refused) == (298, 2)
    assert [(reject["row"], reject["reason"]) for reject in world.rejects()] == [
        ("8", "refused_by_activecampaign"),
        ("201", "refused_by_activecampaign"),
    ]
    assert account.contacts.keys() == set(addresses(300)) - account.refused
    assert len(account.requests) <= (4 if naming == "all" else 60)
    assert account.throttled_count == 0
    world.check_promises()


@pytest.mark.parametrize(("naming", "most"), [("all", 2), ("nobody", 49), ("neighbours", 98)])
async def test_three_of_250_that_only_activecampaign_refuses_are_found(naming: str, most: int) -> None:
    world, account = await a_world()
    account.naming = naming
    account.refused = frozenset({"ann0@example.org", "ann100@example.org", "ann249@example.org"})

    await world.drop(addresses(250))
    await world.until_quiet()

    assert (world.report().counts.delivered, world.report().counts.refused) == (247, 3)
    assert {reject["email"] for reject in world.rejects()} == account.refused
    assert account.contacts.keys() == set(addresses(250)) - account.refused
    assert len(account.requests) <= most
    assert account.throttled_count == 0
    world.check_promises()


async def test_a_body_that_is_too_large_for_the_server_is_halved_until_it_fits() -> None:
    world, account = await a_world()
    account.mood = lambda request: (
        answer(413, b"<html>Too large</html>") if len(request.contacts) > 100 else None
    )

    await world.drop(addresses(300))
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert account.contacts.keys() == set(addresses(300))
    assert account.repeated_count == 0
    assert len(account.requests) == 6  # two bodies of 150, each in two halves
    world.check_promises()


async def test_a_body_of_which_nobody_is_wanted_is_refused_to_the_last_contact() -> None:
    world, account = await a_world()
    account.refused = frozenset(addresses(30))

    await world.drop(addresses(30))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.FAILED
    assert report.counts.refused == 30
    assert account.throttled_count == 0
    world.check_promises()


@pytest.mark.parametrize("end", ["failed", "interrupted"])
async def test_a_batch_that_ends_badly_is_sent_again_without_automations(end: str) -> None:
    world, account = await a_world(automations=True)
    account.end_of = lambda number: end if number == 0 else "completed"

    await world.drop(addresses(300))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.SUCCEEDED
    assert report.counts.delivered == 300
    assert [request.exclude_automations for request in account.requests] == [False, False, True]
    assert report.automations_withheld == len(account.requests[0].contacts)
    world.check_promises()


async def test_a_batch_that_always_fails_is_given_up_after_six_tries() -> None:
    world, account = await a_world()
    account.end_of = lambda number: "failed"

    await world.drop(addresses(10))
    await world.until_quiet()

    report = world.report()
    assert len(account.requests) == 6
    assert (report.state, report.counts.undelivered) == (RunState.FAILED, 10)
    assert {reject["reason"] for reject in world.rejects()} == {"undelivered"}
    world.check_promises()


async def test_a_batch_that_is_not_known_a_quarter_of_an_hour_later_is_sent_again_once() -> None:
    world, account = await a_world()
    account.end_of = lambda number: "lost" if number == 0 else "completed"

    await world.drop(addresses(10))
    await world.until_quiet()

    assert [round(request.at / 60) for request in account.requests] == [0, 15]
    assert world.report().counts.delivered == 10
    world.check_promises()


async def test_a_batch_that_is_lost_twice_is_given_up() -> None:
    world, account = await a_world()
    account.end_of = lambda number: "lost"

    await world.drop(addresses(10))
    await world.until_quiet()

    assert len(account.requests) == 2
    assert world.report().counts.undelivered == 10
    world.check_promises()


@pytest.fixture
def half_an_hour_is_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is given up after half an hour instead of a day, which leads to the same end sooner."""
    monkeypatch.setattr("exporter.steps.settle.UNSETTLED_SECONDS", SOON_SECONDS)


@pytest.mark.usefixtures("two_contacts_a_body", "half_an_hour_is_a_day")
async def test_a_batch_that_stays_stuck_ends_the_run_partly_failed_and_is_not_sent_again() -> None:
    world, account = await a_world()
    account.end_of = lambda number: "stuck" if number == 2 else "completed"

    await world.drop(addresses(20))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.PARTLY_FAILED
    assert (report.counts.delivered, report.counts.undelivered) == (18, 2)
    assert len(account.requests) == 10
    assert report.completed_at is not None
    took = (report.completed_at - world.run().ordered_at).total_seconds()
    assert SOON_SECONDS <= took < SOON_SECONDS + 1200
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_batch_that_is_stuck_is_asked_about_with_growing_pauses() -> None:
    world, account = await a_world()
    account.end_of = lambda number: "stuck" if number == 2 else "completed"

    await world.drop(addresses(20))
    await world.until_quiet(until=3600.0)

    assert len([at for at, _ in account.questions if at > 1800]) <= 30


@pytest.mark.usefixtures("two_contacts_a_body", "half_an_hour_is_a_day")
@pytest.mark.parametrize(
    "reply",
    [
        answer(200, {"status": "sideways"}),
        answer(500, {}),
        answer(200, b""),
        answer(400, {"message": "No."}),
    ],
    ids=["an unknown status", "an error", "nothing", "a refusal"],
)
async def test_a_batch_of_which_nothing_sensible_is_told_ends_and_holds_up_nobody(reply: Answer) -> None:
    world = World()
    account = await world.connect(a_connection(), an_export("vip"), an_export("news"))
    account.question = lambda batch_id: reply if batch_id == "batch-000002" else None

    await world.drop(addresses(20))
    await world.until_quiet(until=900.0)
    await world.drop(addresses(200, "bo"), "news/monday.csv")
    await world.until_quiet()

    first, second = world.runs()
    assert first.report is not None
    assert first.report.counts.undelivered == 2
    assert second.report is not None
    assert second.report.counts.delivered == 200
    assert second.completed_at is not None
    assert (second.completed_at - second.ordered_at).total_seconds() < 900
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("settle_seconds", [1.0, 20.0, 90.0])
async def test_few_questions_are_enough_however_long_batches_take(settle_seconds: float) -> None:
    world, account = await a_world()
    account.settle_seconds = settle_seconds

    await world.drop(addresses(1200))
    await world.until_quiet()

    report = world.report()
    assert report.counts.delivered == 1200
    assert report.requests.status <= 1.2 * 600
    last_accepted_at = account.requests[-1].at
    assert report.completed_at is not None
    elapsed = (report.completed_at - world.run().ordered_at).total_seconds()
    assert elapsed - last_accepted_at < settle_seconds + 120
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_every_throttled_question_is_counted_also_those_under_way_together() -> None:
    world, account = await a_world()
    account.settle_seconds = 1.0
    throttled: list[str] = []

    def reply(batch_id: str) -> Answer | None:
        if 12 <= len(account.questions) <= 15:
            throttled.append(batch_id)
            return answer(429, {}, **{"Retry-After": "5"})
        return None

    account.question = reply
    account.answer_seconds = (1.0, 1.5)

    await world.drop(addresses(60))
    await world.until_quiet()

    assert len(throttled) > 1
    assert world.report().requests.throttled == len(throttled)
    assert world.report().counts.delivered == 60


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("status", [429, 503])
async def test_what_nobody_tells_of_is_given_up_after_a_day_however_much_it_is(status: int) -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    account.settle_seconds = 10 * 24 * 3600.0
    await world.drop(addresses(400))
    while len(account.accepted) < 200:
        await world.until_quiet(until=world.clock.monotonic() + 1)
    account.question = lambda batch_id: answer(status)
    await world.until_quiet(hours=30)

    assert world.report().counts.undelivered == 400
    world.check_promises()
