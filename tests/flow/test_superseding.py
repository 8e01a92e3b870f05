"""A newer drop takes over: nothing older leaves after it, and what the older run sent is counted."""

import pytest

from exporter.domain.run import RunReport, RunState
from exporter.errors import StopRunError
from exporter.steps.stop import stop_run
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, Request
from tests.fakes.world import World


async def a_world_that_has_begun(rows: list[str]) -> tuple[World, FakeActiveCampaign]:
    """A world whose run has just sent its first body."""
    world = World()
    account = await world.connect(a_connection(), an_export())
    await world.drop(rows)
    while not account.requests:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    return world, account


def reports(world: World) -> list[RunReport]:
    """The reports of all runs, oldest first."""
    found = [run.report for run in world.runs()]
    assert all(found)
    return [report for report in found if report is not None]


def sent_for(account: FakeActiveCampaign, name: str) -> list[Request]:
    """Accepted requests with contacts of that name."""
    return [request for request in account.accepted if request.addresses[0].startswith(name)]


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seconds", [0.0, 1.0, 4.0, 8.0, 30.0, 50.0, 63.0])
@pytest.mark.parametrize("answer_seconds", [(0.1, 0.5), (6.0, 9.0)])
async def test_a_newer_drop_takes_over_and_what_the_older_sent_is_counted(
    seconds: float, answer_seconds: tuple[float, float]
) -> None:
    world, account = await a_world_that_has_begun(addresses(400, "old"))
    account.answer_seconds = answer_seconds
    await world.until_quiet(until=world.clock.monotonic() + seconds)

    await world.drop(addresses(100, "new"), "vip/tuesday.csv")
    await world.until_quiet()

    older, newer = reports(world)
    assert older.state is RunState.SUPERSEDED
    assert newer.state is RunState.SUCCEEDED
    assert newer.counts.delivered == 100
    assert older.counts.delivered == 2 * len(sent_for(account, "old"))
    assert max((request.at for request in sent_for(account, "old")), default=0.0) < min(
        request.at for request in sent_for(account, "new")
    )
    world.check_promises()


async def test_an_older_drop_that_is_announced_late_sends_nothing() -> None:
    world = World()
    world.announces = False
    account = await world.connect(a_connection(), an_export())
    await world.drop(addresses(10, "old"), "vip/monday.csv")
    await world.clock.sleep(5)
    await world.drop(addresses(10, "new"), "vip/tuesday.csv")

    await world.announce("vip/tuesday.csv")
    while len(world.runs()) < 1 or not world.runs()[0].state.final:
        await world.step()
    await world.announce("vip/monday.csv")
    await world.until_quiet()

    assert sent_for(account, "old") == []
    assert {report.state for report in reports(world)} == {RunState.SUCCEEDED, RunState.SUPERSEDED}
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0, 7.0, 12.0, 40.0])
async def test_a_run_that_is_cancelled_counts_what_was_under_way(seconds: float) -> None:
    world, account = await a_world_that_has_begun(addresses(400))
    account.answer_seconds = (6.0, 9.0)
    await world.until_quiet(until=world.clock.monotonic() + seconds)

    await stop_run(world.run().run_id, StopRunError("cancelled", "a person did"), world.workers[0].ports)
    cancelled_at = world.clock.monotonic()
    await world.until_quiet()
    await world.clock.sleep(600)

    report = world.report()
    assert report.state is RunState.CANCELLED
    assert report.counts.delivered == 2 * len(account.accepted)
    assert max(request.at for request in account.requests) <= cancelled_at + 5.2
    world.check_promises()


async def test_a_file_that_is_overwritten_before_it_is_planned_is_sent_in_its_new_version_alone() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())

    await world.drop(addresses(10, "old"))
    await world.clock.sleep(1)
    await world.drop(addresses(10, "new"))
    await world.until_quiet()

    assert account.contacts.keys() == set(addresses(10, "new"))
    assert {report.state for report in reports(world)} == {RunState.SUPERSEDED, RunState.SUCCEEDED}
    world.check_promises()
