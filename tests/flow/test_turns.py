"""Several runs on one account take turns, share it with others, and slow down when they are told to."""

import pytest

from exporter.domain.run import RunState
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign, answer
from tests.fakes.world import World, most_in_window

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

BUSY_ROWS = 2400
"""So many rows make 1,200 bodies here: what a run of 300,000 rows is on the account."""


async def a_busy_account(
    *exports: str, worker_count: int = 4, seed: int = 0
) -> tuple[World, FakeActiveCampaign]:
    """A world in which a big run has been sending for a while."""
    world = World(worker_count=worker_count, seed=seed)
    account = await world.connect(a_connection(), an_export("big"), *(an_export(name) for name in exports))
    await world.drop(addresses(BUSY_ROWS, "big"), "big/monday.csv")
    await world.until_quiet(until=100.0)
    assert len(account.requests) > 100
    return world, account


def seconds_taken(world: World, export_id: str) -> float:
    """From the order of an export's only run to its report."""
    (run,) = (run for run in world.runs() if run.export_id == export_id)
    assert run.state is RunState.SUCCEEDED
    assert run.completed_at is not None
    return (run.completed_at - run.ordered_at).total_seconds()


@pytest.mark.parametrize("seed", range(5))
async def test_one_row_on_a_busy_account_ends_within_three_minutes(seed: int) -> None:
    world, account = await a_busy_account("small", seed=seed)

    await world.drop(addresses(1), "small/monday.csv")
    await world.until_quiet()

    assert seconds_taken(world, "small") <= 180
    assert account.throttled_count == 0
    world.check_promises()


@pytest.mark.parametrize("seed", range(3))
async def test_a_small_run_waits_for_at_most_two_chunks_of_a_big_one(seed: int) -> None:
    world, account = await a_busy_account("small", seed=seed)
    dropped_at = world.clock.monotonic()

    await world.drop(addresses(300, "small"), "small/monday.csv")
    await world.until_quiet()

    first_at = min(r.at for r in account.requests if r.addresses[0].startswith("small"))
    waited_for = [r for r in account.requests if dropped_at <= r.at < first_at]
    assert len(waited_for) <= 2 * 98
    assert account.throttled_count == 0
    world.check_promises()


@pytest.mark.parametrize("busy", [False, True])
async def test_twenty_exports_of_three_bodies_end_within_four_minutes(busy: bool) -> None:
    names = [f"export-{number}" for number in range(20)]
    if busy:
        world, account = await a_busy_account(*names)
    else:
        world = World(worker_count=4)
        account = await world.connect(a_connection(), *(an_export(name) for name in names))

    for name in names:
        await world.drop(addresses(6, name), f"{name}/monday.csv")
    await world.until_quiet()

    assert max(seconds_taken(world, name) for name in names) <= 240
    assert account.throttled_count == 0
    world.check_promises()


async def test_accounts_run_side_by_side() -> None:
    world = World(worker_count=4)
    both = [
        await world.connect(a_connection(name), an_export(name, connection=name)) for name in ("acme", "beta")
    ]

    for name in ("acme", "beta"):
        await world.drop(addresses(588), f"{name}/monday.csv")
    await world.until_quiet()

    ended_at = [account.requests[-1].at for account in both]
    assert max(ended_at) < 200  # each has its own three minutes' worth; one after the other would take six
    assert all(account.throttled_count == 0 for account in both)


@pytest.mark.parametrize("share", [0.25, 0.5])
async def test_a_share_leaves_the_rest_of_the_account_to_others(share: float) -> None:
    world = World()
    account = await world.connect(a_connection(limits={"share": share}), an_export())

    await world.drop(addresses(400))
    await world.until_quiet()

    sent_at = [request.at for request in account.requests]
    assert len(sent_at) == 200
    assert 0.9 * 100 * share <= most_in_window(sent_at, 60.0) <= 100 * share
    assert most_in_window(account.arrivals, 1.0) <= max(1, round(5 * share) + 1)
    world.check_promises()


async def test_the_smallest_share_of_an_accounts_connections_holds_for_all() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    await world.connect(a_connection("other", host="acme.api-us1.com", limits={"share": 0.5}))

    await world.drop(addresses(300))
    await world.until_quiet()

    assert most_in_window([request.at for request in account.requests], 60.0) <= 50


async def test_a_throttle_lowers_the_rate_and_lets_it_come_back() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    throttled = answer(429, {}, **{"Retry-After": "30"})
    account.mood = lambda request: throttled if request.number == 150 else None

    await world.drop(addresses(2800))
    await world.until_quiet()

    at = account.requests[150].at
    sent_at = [request.at for request in account.requests]
    just_after = [moment for moment in sent_at if at + 30 <= moment < at + 90]
    much_later = [moment for moment in sent_at if at + 480 <= moment]
    assert [moment for moment in sent_at if at + 2 < moment < at + 30] == []
    assert 40 <= len(just_after) <= 0.95 * 98
    assert most_in_window(much_later, 60.0) >= 95
    assert world.report().counts.delivered == 2800
    assert account.throttled_count == 0  # but for the one that was made up
    world.check_promises()


async def test_requests_throttled_together_slow_the_account_down_once() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export())
    throttled = answer(429, {}, **{"Retry-After": "5"})
    account.answer_seconds = (2.0, 2.5)
    account.mood = lambda request: throttled if 150 <= request.number < 156 else None

    await world.drop(addresses(700))
    await world.until_quiet()

    (budget,) = [await worker.ports.budgets.load("acme") for worker in world.workers[:1]]
    assert budget.slowed_to == pytest.approx(0.9)
    assert world.report().counts.delivered == 700


async def test_others_who_use_the_account_are_given_way_to() -> None:
    """Somebody else takes 40 of the 100 bulk requests a minute; we find our part by ourselves."""
    world = World()
    account = await world.connect(a_connection(), an_export())
    others = [1.5 * number for number in range(2000)]
    account.others_at = others

    await world.drop(addresses(2000))
    await world.until_quiet()

    assert world.report().counts.delivered == 2000
    assert account.repeated_count == 0
    throttled = world.report().requests.throttled
    assert 0 < throttled <= 40, throttled
