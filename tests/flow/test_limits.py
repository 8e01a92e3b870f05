"""Whatever runs side by side, no window of the account is ever overfull."""

import pytest

from exporter.domain.run import RunState
from tests.builders import a_connection, addresses, an_export
from tests.fakes.world import World, check_bulk_limits, most_in_window


async def two_runs(
    first: int, second: int, *, seed: int, answer_seconds: tuple[float, float] = (0.15, 0.6)
) -> World:
    """The world after two runs that begin together on one account."""
    world = World(seed=seed)
    account = await world.connect(a_connection(), an_export("vip"), an_export("news"))
    account.answer_seconds = answer_seconds
    await world.drop(addresses(first))
    await world.drop(addresses(second, "bo"), "news/monday.csv")
    await world.until_quiet()
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    return world


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [7, 90, 392])
async def test_two_runs_that_begin_together_keep_the_limits(count: int, seed: int) -> None:
    world = await two_runs(count, count, seed=seed)

    assert world.account.throttled_count == 0
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_two_runs_together_never_make_more_than_five_requests_in_a_second() -> None:
    for seed in range(8):
        world = await two_runs(90, 90, seed=seed)

        assert most_in_window(world.account.arrivals, 1.0) <= 5


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_many_small_runs_on_one_account_take_seconds() -> None:
    world = World(worker_count=4)
    exports = [an_export(f"export-{number}") for number in range(20)]
    account = await world.connect(a_connection(), *exports)

    for export in exports:
        await world.drop(addresses(6, export.id), f"{export.id}/monday.csv")
    await world.until_quiet()

    assert len(account.requests) == 60
    assert account.requests[-1].at < 120
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert most_in_window([request.at for request in account.requests], 1.0) <= 5
    assert account.throttled_count == 0


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_run_keeps_the_minute_when_answers_are_slow() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    await world.drop(addresses(400))
    while not account.requests:
        await world.step()
    account.answer_seconds = (9.0, 11.0)

    await world.until_quiet()

    sent_at = [request.at for request in account.requests]
    assert most_in_window(sent_at, 60.0) <= 100
    assert world.report().counts.delivered == 400


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_two_runs_keep_the_minute_when_answers_are_slow() -> None:
    for seed in range(6):
        world = await two_runs(400, 400, seed=seed, answer_seconds=(9.0, 11.0))

        assert world.account.throttled_count == 0
        check_bulk_limits(world.account)


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_late_request_in_a_hundred_costs_at_most_a_few_throttles_and_never_a_contact() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    account.late_share = 0.01

    await world.drop(addresses(1000))
    await world.until_quiet()

    assert world.report().counts.delivered == 1000
    assert account.repeated_count == 0
    assert account.throttled_count <= 2
    assert most_in_window([request.at for request in account.requests], 60.0) <= 100
