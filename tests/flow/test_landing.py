"""Files are overwritten, deleted and announced in any order; exports are edited in mid-run."""

from collections.abc import Iterator

import pytest

from exporter.domain.configuration import Export
from exporter.domain.drop import Source
from exporter.domain.run import RunState
from exporter.steps.events import Event
from exporter.steps.messages import Queue
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.drops import BLOCK_BYTES, FakeDropStore
from tests.fakes.world import World

BLOB = "vip/monday.csv"


async def a_world(*, announces: bool = True) -> tuple[World, FakeActiveCampaign]:
    """One connection, one export."""
    world = World()
    world.announces = announces
    return world, await world.connect(a_connection(), an_export())


async def test_the_event_of_an_older_version_that_comes_after_the_newer_ones_changes_nothing() -> None:
    world, account = await a_world(announces=False)
    await world.drop(addresses(10, "old"))
    await world.clock.sleep(2)
    await world.drop(addresses(10, "new"))

    for _ in ("the newer version's event", "the older version's event"):
        await world.announce(BLOB)
    await world.until_quiet()
    await world.announce(BLOB)
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert account.contacts.keys() == set(addresses(10, "new"))
    assert len(account.requests) == 1
    assert world.telemetry.count(Event.DROP_REPEATED) == 2
    world.check_promises()


async def test_the_event_of_a_blob_that_is_gone_starts_nothing_and_says_so() -> None:
    world, account = await a_world(announces=False)
    await world.drop(addresses(10))
    world.landed.clear()

    await world.announce(BLOB)
    await world.clock.sleep(600)
    await world.until_quiet()

    assert world.runs() == []
    assert world.telemetry.count(Event.DROP_IGNORED) == 1
    assert world.queues.sent == []
    assert account.arrivals == []


async def test_a_blob_that_is_deleted_before_it_is_read_ends_its_run_at_once() -> None:
    world, account = await a_world()
    await world.drop(addresses(10))
    world.landed.clear()

    await world.until_quiet()

    report = world.report()
    assert (report.state, report.error and report.error.code) == (RunState.FAILED, "source_gone")
    assert [queue for queue, _ in world.queues.sent if queue is Queue.PLANS] == [Queue.PLANS]
    assert world.errors == []
    assert account.requests == []
    world.check_promises()


async def test_of_a_file_that_is_overwritten_while_it_is_read_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, account = await a_world()
    read = FakeDropStore.read
    newer = a_segment(addresses(600, "new"))

    def overwritten_meanwhile(store: FakeDropStore, source: Source) -> Iterator[bytes]:
        blocks = read(store, source)
        yield next(blocks)
        if source.size > 2 * BLOCK_BYTES and world.landed[BLOB][0] == source:
            later = source.model_copy(update={"etag": "0x2", "size": len(newer)})
            monkeypatch.undo()
            world.landed[BLOB] = later, newer
        yield from blocks

    monkeypatch.setattr(FakeDropStore, "read", overwritten_meanwhile)
    await world.drop(addresses(600, "old"))
    while not world.runs()[0].state.final:
        await world.step()
    await world.announce(BLOB)
    await world.until_quiet()

    assert {run.state for run in world.runs()} == {RunState.SUPERSEDED, RunState.SUCCEEDED}
    assert account.contacts.keys() == set(addresses(600, "new"))
    assert len(account.requests) == 3
    assert world.errors == []
    world.check_promises()


EDITED = an_export(list_id="7", tags=("edited",), automations=True, mapping={"first_name": "Name"})


async def edit(world: World, export: Export) -> None:
    stored = (await world.registry.exports())[export.id]
    await world.registry.put_export(export, etag=stored.etag)


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("bodies", [0, 1, 60])
async def test_a_run_keeps_the_export_as_it_was_when_it_was_ordered(bodies: int) -> None:
    world, account = await a_world()
    account.lists["7"] = "Others"
    await world.drop(addresses(200))
    while len(account.requests) < bodies:
        await world.step()

    await edit(world, EDITED)
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert account.contacts == {
        address: {"email": address, "subscribe": [{"listid": 5}]} for address in addresses(200)
    }
    assert all(request.exclude_automations for request in account.requests)
    world.check_promises()


async def test_the_next_drop_is_sent_as_the_export_is_then() -> None:
    world, account = await a_world()
    account.lists["7"] = "Others"
    await world.drop(addresses(3))
    await world.until_quiet()

    await edit(world, EDITED)
    await world.clock.sleep(5)
    await world.drop(b"Email,Name\r\nbo@example.org,Bo\r\n", "vip/tuesday.csv")
    await world.until_quiet()

    assert account.contacts["bo@example.org"] == {
        "email": "bo@example.org",
        "first_name": "Bo",
        "tags": ["edited"],
        "subscribe": [{"listid": 7}],
    }
    assert not account.requests[-1].exclude_automations
    world.check_promises()
