"""An export that is run on demand: the newest drop again, or its first contacts only."""

import pytest

from exporter.domain.configuration import Connection, Export
from exporter.domain.run import Run, RunState
from exporter.errors import ConfigurationError
from exporter.steps.order import order_runs
from exporter.steps.ports import Ports
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.world import World


async def a_world_with_an_unsent_drop(
    content: bytes | list[str], **export: object
) -> tuple[World, FakeActiveCampaign, Export]:
    """A drop that landed before its export was made, so that nothing has sent it."""
    world = World()
    world.announces = world.sweeps = False
    wanted = an_export(**export)  # type: ignore[arg-type]
    account = await world.connect(a_connection(), wanted)
    await world.drop(content)
    world.announces = True
    return world, account, wanted


def ports(world: World) -> Ports:
    return world.workers[0].ports


async def order(world: World, export: Export, **options: object) -> list[Run]:
    connection: Connection = (await world.registry.connections())["acme"].value
    return await order_runs(export, connection, ports(world), **options)  # type: ignore[arg-type]


async def test_an_export_sends_the_newest_drop_as_often_as_it_is_asked_to() -> None:
    world, account, export = await a_world_with_an_unsent_drop(addresses(3, "old"))
    await world.clock.sleep(60)
    world.announces = False
    await world.drop(addresses(3), "vip/tuesday.csv")
    world.announces = True

    for _ in range(2):
        (run,) = await order(world, export)
        assert run.cause.startswith("request:")
        await world.until_quiet()

    assert [run.state for run in world.runs()] == [RunState.SUCCEEDED] * 2
    assert account.contacts.keys() == set(addresses(3))
    assert len(account.accepted) == 2
    world.check_promises()


async def test_the_first_contacts_are_sent_counted_and_no_others() -> None:
    rows = [*addresses(1), "not an address", *addresses(9)]
    world, account, export = await a_world_with_an_unsent_drop(rows, tolerated_reject_percentage=100)

    await order(world, export, first=3)
    await world.until_quiet()

    counts = world.report().counts
    assert account.contacts.keys() == set(addresses(3))
    assert (counts.rows, counts.rejected, counts.duplicates, counts.delivered) == (5, 1, 1, 3)
    world.check_promises()


async def test_the_share_of_rejects_is_judged_over_the_whole_drop_and_not_again_over_the_first() -> None:
    world, _, export = await a_world_with_an_unsent_drop(["not an address", *addresses(400)])

    await order(world, export, first=3)
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert (world.report().counts.rejected, world.report().counts.delivered) == (1, 3)


async def test_more_than_there_are_is_all_of_them() -> None:
    world, account, export = await a_world_with_an_unsent_drop(addresses(3))

    await order(world, export, first=50)
    await world.until_quiet()

    assert account.contacts.keys() == set(addresses(3))
    assert world.report().counts.rows == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (a_segment(addresses(50)) + b'"never closed\r\n', "cut_off"),
        (a_segment([*addresses(50), *["not an address"] * 10]), "too_many_rejects"),
    ],
)
async def test_the_whole_drop_is_judged_before_its_first_contacts_leave(content: bytes, code: str) -> None:
    world, account, export = await a_world_with_an_unsent_drop(content)

    await order(world, export, first=2)
    await world.until_quiet()

    assert account.requests == []
    assert world.report().error is not None
    assert world.report().error.code == code  # type: ignore[union-attr]


async def test_every_segment_of_an_export_gets_its_run_or_the_one_that_is_named() -> None:
    world, account, export = await a_world_with_an_unsent_drop(addresses(2), segments=("vip", "news"))
    world.announces = False
    await world.drop(addresses(2, "bo"), "news/monday.csv")
    world.announces = True

    await order(world, export, segment="news")
    await world.until_quiet()
    assert account.contacts.keys() == set(addresses(2, "bo"))

    runs = await order(world, export)
    await world.until_quiet()
    assert [run.segment for run in runs] == ["vip", "news"]
    assert account.contacts.keys() == {*addresses(2), *addresses(2, "bo")}


async def test_a_segment_without_a_drop_or_of_another_export_is_refused_before_anything_runs() -> None:
    world, _, export = await a_world_with_an_unsent_drop(addresses(2), segments=("vip", "news"))

    with pytest.raises(ConfigurationError, match="no complete drop of segment 'news'"):
        await order(world, export)
    with pytest.raises(ConfigurationError, match="has no segment 'other'"):
        await order(world, export, segment="other")

    assert world.runs() == []


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("first", [None, 2])
async def test_an_export_is_not_run_twice_at_once_on_one_drop(first: int | None) -> None:
    world, account, export = await a_world_with_an_unsent_drop(addresses(300))
    (run,) = await order(world, export)
    await world.until_quiet(until=20.0)

    with pytest.raises(ConfigurationError, match=f"run {run.short_id} .* is still delivering"):
        await order(world, export, first=first)
    await world.until_quiet()

    assert account.repeated_count == 0
    assert world.report().state is RunState.SUCCEEDED


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_look_at_a_newer_drop_does_not_stop_the_run_of_an_older_one() -> None:
    world, account, export = await a_world_with_an_unsent_drop(addresses(300))
    await order(world, export)
    await world.until_quiet(until=20.0)
    world.announces = False
    await world.drop(addresses(300), "vip/tuesday.csv")
    world.announces = True

    with pytest.raises(ConfigurationError, match="still delivering"):
        await order(world, export, first=2)
    await world.until_quiet()

    assert world.report().counts.delivered == 300
    assert account.repeated_count == 0
