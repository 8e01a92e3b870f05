"""A process may die before any of its writes, and at any moment in between."""

import contextlib

import pytest

from exporter.domain.run import RunState
from exporter.steps.control import cancel_run, redrive_run
from exporter.steps.order import order_runs
from tests.builders import a_connection, addresses, an_export
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import World

MOST_REPEATED = 24


async def a_run_that_dies(count: int, *, before_write: int, copies_after: tuple[float, ...] = ()) -> World:
    """The world after a run whose only process died before its n-th write and was replaced."""
    world = World(worker_count=1)
    world.queues.copies_after = copies_after
    account = await world.connect(a_connection(), an_export())
    account.answer_seconds = (0.5, 4.0)
    await world.drop(addresses(count))
    process = world.workers[0].process
    process.dies_before_write = process.write_count + before_write
    await world.until_quiet()
    assert process.is_dead
    return world


def check_the_end(world: World, count: int) -> None:
    """Every contact arrived, and little was sent twice."""
    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == count
    assert world.account.contacts.keys() == set(addresses(count))
    assert world.account.repeated_count <= MOST_REPEATED
    assert world.account.throttled_count == 0
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("before_write", range(26))
async def test_a_small_run_survives_death_before_any_write(before_write: int) -> None:
    world = await a_run_that_dies(6, before_write=before_write)

    check_the_end(world, 6)
    completed_at, ordered_at = world.run().completed_at, world.run().ordered_at
    assert completed_at is not None
    assert (completed_at - ordered_at).total_seconds() < 300


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("before_write", range(0, 70, 5))
async def test_a_run_of_several_chunks_survives_death_before_any_write(before_write: int) -> None:
    world = await a_run_that_dies(260, before_write=before_write)

    check_the_end(world, 260)


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("before_write", range(1, 40, 5))
async def test_a_run_survives_death_while_every_message_is_delivered_twice(before_write: int) -> None:
    world = await a_run_that_dies(61, before_write=before_write, copies_after=(4.0,))

    check_the_end(world, 61)


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seconds", [2.5, 7.0, 11.0, 19.5, 33.0, 47.0, 70.0])
async def test_a_process_that_dies_while_answers_are_slow_repeats_at_most_24_bodies(seconds: float) -> None:
    world = World(worker_count=1)
    account = await world.connect(a_connection(), an_export(automations=True))
    account.answer_seconds = (8.0, 12.0)
    await world.drop(addresses(260))
    worker = world.workers[0]

    world.kill_after(worker, seconds)
    await world.until_quiet()

    assert worker.process.is_dead
    check_the_end(world, 260)
    assert max(account.automations_started.values()) == 1


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("seed", range(4))
async def test_processes_that_die_again_and_again_still_finish_the_run(seed: int) -> None:
    world = World(seed=seed, worker_count=2)
    account = await world.connect(a_connection(), an_export())
    await world.drop(addresses(300))

    for number in range(1, 6):
        world.kill_after(world.workers[0], 41.0 * number)
        world.kill_after(world.workers[1], 67.0 * number)
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert account.contacts.keys() == set(addresses(300))
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("settle_seconds", [5.0, 150.0])
async def test_a_killed_sender_is_replaced_within_two_and_a_half_minutes(settle_seconds: float) -> None:
    world = World(worker_count=1)
    account = await world.connect(a_connection(), an_export())
    account.settle_seconds = settle_seconds
    await world.drop(addresses(100))
    world.kill_after(world.workers[0], 12.0)

    await world.until_quiet()

    killed_at = max(request.at for request in account.requests if request.at <= 13)
    resumed_at = min(request.at for request in account.requests if request.at > 13)
    assert resumed_at - killed_at <= 150
    world.check_promises()


@pytest.mark.parametrize("before_write", range(4))
async def test_a_run_that_was_ordered_while_the_process_died_is_sent_or_does_not_exist(
    before_write: int,
) -> None:
    world = World(worker_count=1)
    connection, export = a_connection(), an_export()
    account = await world.connect(connection, export)
    await world.drop(addresses(6))
    await world.until_quiet()
    worker = world.workers[0]
    worker.process.dies_before_write = worker.process.write_count + before_write

    with contextlib.suppress(ProcessDiedError):
        await order_runs(export, connection, worker.ports)
    await world.until_quiet()

    assert [run.state for run in world.runs()] == [RunState.SUCCEEDED] * len(account.accepted)
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("before_write", range(5))
async def test_a_redrive_whose_process_dies_goes_on_or_has_not_begun(before_write: int) -> None:
    world = World(worker_count=1)
    await world.connect(a_connection(), an_export())
    await world.drop(addresses(40))
    await world.until_quiet(until=5.0)
    await cancel_run(world.run().run_id, "ann", world.workers[0].ports)
    await world.until_quiet()
    worker = world.workers[0]
    worker.process.dies_before_write = worker.process.write_count + before_write

    with contextlib.suppress(ProcessDiedError):
        await redrive_run(world.run().run_id, worker.ports)
    await world.until_quiet()

    begun = world.run().redriven_at is not None
    assert world.run().state is (RunState.SUCCEEDED if begun else RunState.CANCELLED)
    world.check_promises()
