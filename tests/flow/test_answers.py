"""Answers that say nothing: an error page, a broken acceptance, a batch that is not known yet."""

from itertools import pairwise

import pytest

from exporter.adapters.activecampaign.responses import Answer
from exporter.domain.run import RunState
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, Request, answer
from tests.fakes.world import World

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>ann6@example.org</body></html>"

SOON_SECONDS = 60.0


async def a_world() -> tuple[World, FakeActiveCampaign]:
    """One connection, one export that lets automations start."""
    world = World()
    return world, await world.connect(a_connection(), an_export(automations=True))


def sent_with(account: FakeActiveCampaign, address: str) -> list[Request]:
    return [request for request in account.requests if address in request.addresses]


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_body_that_meets_error_pages_is_sent_again_with_growing_pauses(status: int) -> None:
    world, account = await a_world()

    def falter(request: Request) -> Answer | None:
        faltering = (
            "ann6@example.org" in request.addresses and len(sent_with(account, "ann6@example.org")) < 5
        )
        return answer(status, PAGE) if faltering else None

    account.mood = falter
    await world.drop(addresses(40))
    await world.until_quiet()

    tries = sent_with(account, "ann6@example.org")
    pauses = [later.at - earlier.at for earlier, later in pairwise(tries)]
    assert len(tries) == 5
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 8
    assert [request.exclude_automations for request in tries] == [False, True, True, True, True]
    assert account.repeated_count == 0
    assert world.report().state is RunState.SUCCEEDED
    assert "502 Bad Gateway" not in world.telemetry.text()
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("rows", [1, 40, 200, 600])
@pytest.mark.parametrize("status", [500, 502, 504])
async def test_ten_minutes_of_error_pages_are_waited_out_with_few_requests(status: int, rows: int) -> None:
    world, account = await a_world()
    account.mood = lambda request: answer(status, PAGE) if request.at <= 610 else None

    await world.drop(addresses(rows))
    await world.until_quiet()

    assert len([request for request in account.requests if request.at <= 610]) <= 100
    assert world.report().counts.delivered == rows
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_an_hour_of_error_pages_does_not_use_up_the_tries_of_the_first_bodies() -> None:
    world, account = await a_world()
    account.mood = lambda request: answer(502, PAGE) if request.at <= 3600 else None

    await world.drop(addresses(400))
    await world.until_quiet()

    assert world.report().counts.delivered == 400
    world.check_promises()


STRANGE = {
    "nothing": b"",
    "broken JSON": b'{"success":1,"batchId":"9b1c',
    "no batch id": {"success": 1},
    "no success": {"success": 0, "batchId": "batch-x"},
    "a list": [{"success": 1, "batchId": "batch-x"}],
    "a batch id that is none": {"success": 1, "batchId": {"id": 1}},
}


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("taken", [True, False])
async def test_an_acceptance_without_a_batch_id_is_none_and_the_body_is_sent_again(
    content: object, *, taken: bool
) -> None:
    world, account = await a_world()

    def mumble(request: Request) -> Answer | None:
        if request.number not in {3, 17}:
            return None
        if taken:
            account.take(request)
        return answer(200, content)

    account.mood = mumble
    await world.drop(addresses(100))
    await world.until_quiet()

    again = [
        request for request in account.requests[4:] if request.addresses == account.requests[3].addresses
    ]
    assert [request.exclude_automations for request in again] == [True]
    assert again[0].at - account.requests[3].at < SOON_SECONDS
    assert len(account.requests) == 52
    assert account.repeated_count == (2 if taken else 0)
    assert max(account.automations_started.values()) == 1
    assert world.report().state is RunState.SUCCEEDED
    assert account.contacts.keys() == set(addresses(100))
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
async def test_a_body_that_is_never_answered_sensibly_is_given_up_with_the_reason(content: object) -> None:
    world, account = await a_world()
    account.mood = lambda request: answer(200, content) if "ann6@example.org" in request.addresses else None

    await world.drop(addresses(40))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.PARTLY_FAILED
    assert (report.counts.delivered, report.counts.undelivered) == (38, 2)
    assert len(sent_with(account, "ann6@example.org")) == 6
    assert {reject["detail"] for reject in world.rejects()} == {
        "6 tries; the last one: HTTP 200 without a batch id"
    }
    world.check_promises()


@pytest.mark.parametrize("status", [{"status": False}, {"status": None}, {}], ids=str)
async def test_a_batch_that_is_false_in_its_first_seconds_is_asked_about_again_soon(
    status: dict[str, object],
) -> None:
    world, account = await a_world()
    account.settle_seconds = 0.0
    account.question = lambda batch_id: answer(200, status) if len(account.questions) <= 2 else None

    await world.drop(addresses(10))
    await world.until_quiet()

    assert len(account.requests) == 1
    asked_at = [at for at, _ in account.questions]
    assert len(asked_at) == 3
    assert all(1.0 <= later - earlier <= 6.0 for earlier, later in pairwise(asked_at))
    assert world.report().counts.delivered == 10
    world.check_promises()
