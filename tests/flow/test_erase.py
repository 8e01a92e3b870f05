"""A person is erased while runs are under way: nothing of them is left, and everybody else arrives."""

import asyncio
from datetime import timedelta

import pytest

from exporter.domain.run import Counts, RunState
from exporter.steps.erase import Erasure, erase
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

CANARY = "canary@example.org"
ROWS = [*addresses(300), CANARY, f"{CANARY.title()},one column more", *addresses(100, "bo")]
WRITES_OF_AN_ERASURE = 6
"""Suppression, file, fact, chunk, plan rejects, rejects file."""
OTHERS = {*addresses(300), *addresses(100, "bo")}


async def a_world() -> tuple[World, FakeActiveCampaign]:
    world = World()
    account = await world.connect(a_connection(), an_export(tolerated_reject_percentage=100))
    return world, account


async def erase_canary(world: World) -> Erasure:
    """Erase as the command line does, beside everything else."""
    ports = world.workers[0].ports
    connections = [stored.value for stored in (await ports.registry.connections()).values()]
    erasing = asyncio.ensure_future(erase(CANARY.upper(), connections, ports))
    while not erasing.done():
        await world.until_quiet(until=world.clock.monotonic() + 0.2)
        await asyncio.sleep(0.1)
    return erasing.result()


def check_nobody_finds_the_canary(world: World) -> None:
    needle = CANARY.encode()
    assert [name for name, found in world.storage.documents.items() if needle in found.data.lower()] == []
    assert not any(needle in data.lower() for _, data in world.landed.values())
    assert CANARY not in repr(world.planned_rejects).lower()
    assert CANARY not in world.telemetry.text().lower()


@pytest.mark.parametrize("sent", [0, 1, 40])
async def test_erasing_while_a_run_is_being_sent(sent: int) -> None:
    world, account = await a_world()
    await world.drop(ROWS)
    while len(account.requests) < sent:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)

    erasure = await erase_canary(world)
    check_nobody_finds_the_canary(world)
    await world.until_quiet()

    assert world.run().state is RunState.SUCCEEDED
    assert account.contacts.keys() - {CANARY} == OTHERS
    assert CANARY not in account.contacts
    check_nobody_finds_the_canary(world)
    counts = world.report().counts
    assert counts.add_up
    assert counts.delivered == len(OTHERS)
    assert erasure.suppressed_since.keys() == {"acme"}


async def test_whoever_stands_in_the_bodies_that_are_being_sent_is_sent_or_left_out_but_counted() -> None:
    world, account = await a_world()
    await world.drop(ROWS)
    while len(account.requests) < 140:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)

    await erase_canary(world)
    await world.until_quiet()

    assert account.contacts.keys() - {CANARY} == OTHERS
    check_nobody_finds_the_canary(world)
    counts = world.report().counts
    assert counts.add_up
    assert counts.delivered == len(account.contacts)
    assert counts.suppressed == (CANARY not in account.contacts)


async def test_the_next_drop_with_the_person_counts_them_as_suppressed() -> None:
    world, account = await a_world()
    await erase_canary(world)

    await world.drop(["ann@example.org", CANARY, CANARY.upper()])
    await world.until_quiet()

    assert world.report().counts == Counts(rows=3, suppressed=2, delivered=1)
    assert account.contacts.keys() == {"ann@example.org"}


async def test_a_rewritten_drop_starts_no_run_and_passes_for_no_newer_one() -> None:
    world, account = await a_world()
    await world.drop(ROWS)
    await world.until_quiet()
    before = world.landed["vip/monday.csv"][0]

    erasure = await erase_canary(world)
    await world.announce("vip/monday.csv")

    assert len(world.runs()) == 1
    assert (erasure.counts["files"], erasure.counts["rows"]) == (1, 2)
    after, data = world.landed["vip/monday.csv"]
    assert after == before
    assert data == a_segment([row for row in ROWS if CANARY not in row.lower()])
    assert CANARY in account.contacts  # nobody asked for it to be deleted there


async def test_erasing_twice_finds_nothing_the_second_time() -> None:
    world, _ = await a_world()
    await world.drop(ROWS)
    await world.until_quiet()

    first = await erase_canary(world)
    await world.clock.sleep(timedelta(hours=1).total_seconds())
    second = await erase_canary(world)

    assert first.counts.total() > 0
    assert second.counts.total() == 0
    assert second.suppressed_since == first.suppressed_since


@pytest.mark.parametrize("writes", range(8))
async def test_whoever_is_killed_while_erasing_erases_once_more(writes: int) -> None:
    world, _ = await a_world()
    await world.drop(ROWS)
    await world.until_quiet()
    worker = world.workers[0]
    worker.process.dies_before_write = worker.process.write_count + writes
    try:
        await erase_canary(world)
    except ProcessDiedError:
        assert worker.process.is_dead
    assert worker.process.is_dead == (writes < WRITES_OF_AN_ERASURE)

    await erase_canary(world)

    check_nobody_finds_the_canary(world)
    assert world.report().counts.add_up


async def test_a_person_in_a_batch_that_is_not_final_is_told() -> None:
    world, account = await a_world()
    account.settle_seconds = 600.0
    await world.drop([CANARY, "ann@example.org"])
    while not account.requests:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    await world.until_quiet(until=world.clock.monotonic() + 30)

    erasure = await erase_canary(world)

    assert any("has not finished the import" in left.what for left in erasure.left)
    await world.until_quiet()
    assert world.report().counts.add_up
    check_nobody_finds_the_canary(world)
