"""What is over and no longer needed is deleted in time; what is needed stays."""

import pytest

from exporter.domain.chunk import decode_chunk
from exporter.domain.retention import CHUNK_DAYS, RUN_DAYS
from exporter.domain.run import RunState
from exporter.errors import ConfigurationError
from exporter.steps.control import cancel_run, redrive_run
from tests.builders import a_connection, addresses, an_export
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

CANARY = "canary@example.org"


def state(world: World, *prefixes: str) -> list[str]:
    """The names in the state container, all or those that begin so."""
    names = sorted(name for name in world.storage.documents if not name.startswith("landing/"))
    return [name for name in names if name.startswith(prefixes)] if prefixes else names


def where_is_the_canary(world: World) -> list[str]:
    """All that holds the canary's address."""
    needle = CANARY.encode()
    found = [name for name, document in world.storage.documents.items() if needle in document.data]
    found += [blob for blob, (_, data) in world.landed.items() if needle in data]
    found += ["rejects" for rejects in world.planned_rejects.values() if CANARY in repr(rejects)]
    return found


async def a_world_with_a_canary_in_every_place() -> World:
    """A cancelled run with the canary rejected twice, and a contact that was not sent."""
    world = World()
    account = await world.connect(
        a_connection(), an_export(tolerated_reject_percentage=100), an_export("other", segments=("other",))
    )
    await world.drop([*addresses(100), CANARY, f"{CANARY},one column more"])
    while len(account.requests) < 20:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    await cancel_run(world.run().run_id, "ann", world.workers[0].ports)
    await world.until_quiet()
    assert world.run().state is RunState.CANCELLED
    return world


async def test_after_31_days_nobody_is_left_but_in_the_last_complete_drop() -> None:
    world = await a_world_with_a_canary_in_every_place()
    assert {name.split("/")[0] for name in where_is_the_canary(world)} == {
        "plans",
        "reports",
        "rejects",
        "vip",
    }

    await world.after(days=31)

    assert where_is_the_canary(world) == ["vip/monday.csv"]
    assert state(world, "runs/", "facts/", "watermarks/", "drops/")
    assert world.report().counts.add_up


async def test_a_newer_drop_lets_the_older_one_go_after_30_days() -> None:
    world = await a_world_with_a_canary_in_every_place()
    await world.drop(addresses(2), "vip/tuesday.csv")
    await world.until_quiet()

    await world.after(days=29)
    assert world.landed.keys() == {"vip/monday.csv", "vip/tuesday.csv"}

    await world.after(days=2)
    assert world.landed.keys() == {"vip/tuesday.csv"}
    assert where_is_the_canary(world) == []


async def test_after_91_days_nothing_is_left_but_what_is_needed_for_good() -> None:
    world = await a_world_with_a_canary_in_every_place()
    await world.workers[0].ports.suppression.add("acme", CANARY, world.clock.now())
    ((export_id, stored),) = [
        entry for entry in (await world.workers[0].ports.registry.exports()).items() if entry[0] == "vip"
    ]
    await world.workers[0].ports.registry.remove_export(export_id, etag=stored.etag)

    await world.after(days=RUN_DAYS + 1)

    assert {name.split("/")[0] for name in state(world)} == {
        "budgets",
        "control",
        "suppression",
        "watermarks",
    }
    assert world.landed == {}


async def test_the_record_of_a_drop_that_still_lies_there_stays() -> None:
    world = await a_world_with_a_canary_in_every_place()

    await world.after(days=RUN_DAYS + 1)
    await world.announce("vip/monday.csv")

    assert state(world, "drops/")
    assert world.runs() == []


async def test_chunks_go_when_a_run_has_ended_and_left_nothing_to_send() -> None:
    world = World()
    await world.connect(a_connection(), an_export())
    await world.drop(addresses(20))
    await world.until_quiet()

    await world.after(minutes=30)
    assert state(world, "plans/")

    await world.after(hours=2)
    assert [name.split("/")[-1] for name in state(world, "plans/")] == ["plan.json"]


async def test_what_a_redrive_needs_stays_for_7_days() -> None:
    world = await a_world_with_a_canary_in_every_place()
    run_id = world.run().run_id
    await world.after(days=CHUNK_DAYS - 1)

    await redrive_run(run_id, world.workers[0].ports)
    await world.until_quiet()

    assert world.run().state is RunState.SUCCEEDED
    assert CANARY in world.account.contacts
    world.check_promises()


async def test_a_redrive_after_7_days_says_what_to_do() -> None:
    world = await a_world_with_a_canary_in_every_place()
    await world.after(days=CHUNK_DAYS)

    with pytest.raises(ConfigurationError, match=r"7 days ago.*export run vip"):
        await redrive_run(world.run().run_id, world.workers[0].ports)
    assert [name.split("/")[-1] for name in state(world, "plans/")] == ["plan.json"]


async def test_chunks_of_a_planner_that_died_go_while_the_run_is_under_way() -> None:
    world = World()
    await world.connect(a_connection(), an_export())
    world.workers[0].process.dies_before_write = world.workers[0].process.write_count + 6
    world.workers[1].process.dies_before_write = world.workers[1].process.write_count + 6
    await world.drop(addresses(400))
    while len(world.account.requests) < 5:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    run = world.run()
    assert run.plan_epoch is not None
    assert run.plan_epoch > 1
    storage = world.storage
    held = f"plans/{run.run_id}/{run.plan_epoch:04d}/00000"
    dead = f"plans/{run.run_id}/{run.plan_epoch - 1:04d}/00000"
    storage.put(dead, storage.documents[held].data)

    await world.after(hours=1)

    assert dead not in storage.documents
    assert decode_chunk(storage.documents[held].data).bodies


async def test_drops_of_open_runs_stay() -> None:
    world = World()
    await world.connect(a_connection(), an_export())
    world.unreadable_secrets.add("activecampaign-acme")
    await world.drop(addresses(4), "vip/monday.csv")
    await world.drop(addresses(4), "vip/tuesday.csv")

    await world.after(days=31)

    assert world.landed.keys() == {"vip/monday.csv", "vip/tuesday.csv"}


async def test_retention_looks_once_an_hour() -> None:
    world = await a_world_with_a_canary_in_every_place()
    await world.after(days=31)
    await world.drop(addresses(2), "vip/tuesday.csv")

    await world.after(minutes=59)
    assert "vip/monday.csv" in world.landed

    await world.after(minutes=1)
    assert "vip/monday.csv" not in world.landed


@pytest.mark.parametrize("writes", range(0, 12, 2))
async def test_whoever_dies_in_the_middle_leaves_the_rest_to_the_next_sweep(writes: int) -> None:
    world = await a_world_with_a_canary_in_every_place()
    process = world.workers[0].process
    process.dies_before_write = process.write_count + writes

    with pytest.raises(ProcessDiedError):
        await world.after(days=91)
    await world.after(minutes=1)

    assert where_is_the_canary(world) == ["vip/monday.csv"]
    assert state(world, "runs/", "facts/", "claims/", "plans/", "reports/") == []
