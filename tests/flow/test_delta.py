"""Drops of changes: one by one in their order, whatever happens, and older ones never after newer ones."""

from itertools import pairwise
from typing import Any

import pytest

from exporter.domain.configuration import Content
from exporter.domain.drop import Source
from exporter.domain.pause import Pause
from exporter.domain.run import Counts, Run, RunReport, RunState
from exporter.domain.watermark import Watermark
from exporter.errors import StopRunError
from exporter.steps.aggregate import present_report
from exporter.steps.control import cancel_run, pause_run, redrive_run, resume_run
from exporter.steps.order import order_runs
from exporter.steps.ports import Ports
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

DAYS = ("monday", "tuesday", "wednesday")


def changes(names: list[str], word: str = "update") -> bytes:
    return "".join(f"{line}\r\n" for line in ("Email,_op", *(f"{name},{word}" for name in names))).encode()


def ports(world: World) -> Ports:
    return world.workers[0].ports


async def a_world(content: Content = "delta", **options: int) -> tuple[World, FakeActiveCampaign]:
    world = World(**options)
    return world, await world.connect(a_connection(), an_export(content=content))


async def land(world: World, day: str, content: bytes) -> Source:
    """A drop lands, and is not the same second's as the one before."""
    await world.clock.sleep(1)
    return await world.drop(content, f"vip/{day}.csv")


async def declare(world: World, **changed: Any) -> None:
    """Another version of the export is configured."""
    stored = (await world.registry.exports())["vip"]
    await world.registry.put_export(an_export(**changed), etag=stored.etag)


async def until_begun(world: World, account: FakeActiveCampaign) -> None:
    while not account.requests:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)


def run_of(world: World, day: str) -> Run:
    (run,) = [run for run in world.runs() if run.sources[0].blob == f"vip/{day}.csv"]
    return run


def report_of(world: World, day: str) -> RunReport:
    report = run_of(world, day).report
    assert report is not None
    return report


def check_order(world: World, account: FakeActiveCampaign, days: tuple[str, ...] = DAYS) -> None:
    """Each drop was sent whole, and no request of it after one of a later drop."""
    moments = [
        [request.at for request in account.requests if request.addresses[0].startswith(day)] for day in days
    ]
    assert all(moments)
    assert all(max(earlier) < min(later) for earlier, later in pairwise(moments))
    for day in days:
        assert report_of(world, day).state is RunState.SUCCEEDED
    world.check_promises()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", [DAYS, DAYS[::-1], ("tuesday", "monday", "wednesday")])
async def test_drops_are_sent_in_their_order_however_they_are_announced(
    order: tuple[str, ...], seed: int
) -> None:
    world, account = await a_world(seed=seed, worker_count=3)
    world.announces = False
    for day in DAYS:
        await land(world, day, changes(addresses(40, day)))
    for day in order:
        await world.announce(f"vip/{day}.csv")

    await world.until_quiet()

    check_order(world, account)


async def test_a_waiting_run_says_for_which_one() -> None:
    world, account = await a_world()
    await land(world, "monday", changes(addresses(300, "monday")))
    await until_begun(world, account)
    await land(world, "tuesday", changes(addresses(10, "tuesday")))
    await world.until_quiet(until=world.clock.monotonic() + 10)

    waiting = run_of(world, "tuesday")
    report = await present_report(waiting, ports(world))

    assert (waiting.state, waiting.plan_epoch) == (RunState.QUEUED, None)
    assert f"run {run_of(world, 'monday').short_id}, whose drop" in (report.waiting_for or "")
    await world.until_quiet()
    check_order(world, account, DAYS[:2])


async def test_a_run_that_has_begun_goes_on_when_a_later_one_puts_its_mark_at_the_same_moment() -> None:
    world, account = await a_world()
    await land(world, "monday", changes(addresses(300, "monday")))
    await until_begun(world, account)
    await land(world, "tuesday", changes(addresses(10, "tuesday")))
    mark = Watermark.of(run_of(world, "tuesday"))
    await ports(world).watermarks.advance("vip", "vip", mark)

    await world.until_quiet()

    check_order(world, account, DAYS[:2])


async def test_who_is_paused_is_waited_for() -> None:
    world, account = await a_world()
    await land(world, "monday", changes(addresses(100, "monday")))
    await until_begun(world, account)
    first = run_of(world, "monday")
    await pause_run(first.run_id, Pause(since=world.clock.now(), by="ann"), ports(world))
    await land(world, "tuesday", changes(addresses(10, "tuesday")))
    await land(world, "wednesday", changes(addresses(10, "wednesday")))
    await world.until_quiet(until=world.clock.monotonic() + 1800)

    assert run_of(world, "tuesday").plan_epoch is None
    assert run_of(world, "wednesday").plan_epoch is None
    await resume_run(first.run_id, ports(world))
    await world.until_quiet()

    check_order(world, account)


async def test_who_is_cancelled_is_waited_for_no_longer() -> None:
    world, account = await a_world()
    await land(world, "monday", changes(addresses(400, "monday")))
    await until_begun(world, account)
    await land(world, "tuesday", changes(addresses(10, "tuesday")))
    await cancel_run(run_of(world, "monday").run_id, "ann", ports(world))

    await world.until_quiet()

    assert report_of(world, "monday").state is RunState.CANCELLED
    assert report_of(world, "tuesday").counts.delivered == 10
    with pytest.raises(StopRunError, match="a later drop of the segment has been sent") as caught:
        await redrive_run(run_of(world, "monday").run_id, ports(world))
    assert caught.value.code == "out_of_order"
    world.check_promises()


async def test_a_cancelled_run_may_be_redriven_while_nothing_later_was_sent() -> None:
    world, account = await a_world()
    await land(world, "monday", changes(addresses(100, "monday")))
    await until_begun(world, account)
    await cancel_run(run_of(world, "monday").run_id, "ann", ports(world))
    await world.until_quiet()
    await redrive_run(run_of(world, "monday").run_id, ports(world))
    await land(world, "tuesday", changes(addresses(10, "tuesday")))

    await world.until_quiet()

    assert report_of(world, "monday").counts.delivered == 100
    check_order(world, account, DAYS[:2])


@pytest.mark.parametrize("before_write", range(0, 60, 3))
async def test_the_order_survives_death_before_any_write(before_write: int) -> None:
    world, account = await a_world(worker_count=1)
    world.announces = False
    for day in DAYS:
        await land(world, day, changes(addresses(6, day)))
    for day in DAYS[::-1]:
        await world.announce(f"vip/{day}.csv")
    process = world.workers[0].process
    process.dies_before_write = process.write_count + before_write

    await world.until_quiet()

    assert process.is_dead
    check_order(world, account)


@pytest.mark.parametrize("seed", range(4))
async def test_the_order_survives_processes_that_die_again_and_again(seed: int) -> None:
    world, account = await a_world(seed=seed)
    for day in DAYS:
        await land(world, day, changes(addresses(60, day)))
    for number in range(1, 5):
        world.kill_after(world.workers[0], 23.0 * number)
        world.kill_after(world.workers[1], 37.0 * number)

    await world.until_quiet()

    check_order(world, account)


@pytest.mark.parametrize(
    ("older", "newer"), [("delta", "delta"), ("snapshot", "delta"), ("delta", "snapshot")]
)
async def test_a_drop_that_comes_after_a_later_one_ends_visibly(older: Content, newer: Content) -> None:
    world, account = await a_world(newer)
    world.announces = False
    await land(world, "monday", changes(addresses(10, "monday")))
    unseen = world.landed.pop("vip/monday.csv")  # or it would be taken up before the later one
    await land(world, "tuesday", changes(addresses(10, "tuesday")))
    await world.announce("vip/tuesday.csv")
    while not run_of(world, "tuesday").state.final:
        await world.step()
    world.landed["vip/monday.csv"] = unseen
    await declare(world, content=older)
    await world.announce("vip/monday.csv")
    await world.until_quiet()

    late = report_of(world, "monday")
    assert (late.state, late.error and late.error.code) == (RunState.FAILED, "out_of_order")
    assert late.counts == Counts(rows=10, undelivered=10)
    assert not [request for request in account.requests if request.addresses[0].startswith("monday")]
    world.check_promises()


@pytest.mark.parametrize(("older", "newer"), [("delta", "snapshot"), ("snapshot", "delta")])
async def test_an_export_may_be_switched_while_it_sends(older: Content, newer: Content) -> None:
    world, account = await a_world(older)
    await land(world, "monday", changes(addresses(100, "monday")))
    await until_begun(world, account)
    await declare(world, content=newer)
    await land(world, "tuesday", changes(addresses(10, "tuesday")))

    await world.until_quiet()

    check_order(world, account, DAYS[:2])


async def test_a_drop_of_leavers_alone_succeeds_and_sends_nothing() -> None:
    world, account = await a_world()
    await world.drop(changes(addresses(7), "deleted"))

    await world.until_quiet()

    assert (world.report().state, account.requests) == (RunState.SUCCEEDED, [])
    assert world.report().counts == Counts(rows=7, unchanged=7)
    world.check_promises()


async def test_every_row_of_a_drop_of_changes_is_counted_once() -> None:
    world, account = await a_world()
    await declare(world, content="delta", tolerated_reject_percentage=50)
    rows = ["ann@example.org,u", "bo@example.org,u", "ann@example.org,d", "cy@example.org,u"]
    rows += ["bo@example.org,u", ",u", "cy@example.org,what"]
    await world.drop("\n".join(["Email,_op", *rows, ""]).encode())

    await world.until_quiet()

    assert world.report().counts == Counts(rows=7, rejected=2, duplicates=2, unchanged=1, delivered=2)
    assert world.report().reasons == {"missing_email": 1, "unknown_operation": 1}
    assert account.contacts.keys() == {"bo@example.org", "cy@example.org"}
    world.check_promises()


async def test_two_operation_columns_refuse_the_drop() -> None:
    world, account = await a_world()
    await world.drop(b"Email,_op,__deleted\r\nann@example.org,d,true\r\n")

    await world.until_quiet()

    error = world.report().error
    assert error is not None
    assert (error.code, account.requests) == ("ambiguous_operation", [])


async def test_a_drop_that_was_overwritten_before_it_was_read_has_lost_its_changes() -> None:
    world, account = await a_world()
    await world.drop(changes(addresses(10, "old")))
    await world.clock.sleep(1)
    await world.drop(changes(addresses(10, "new")))

    await world.until_quiet()

    assert account.contacts.keys() == set(addresses(10, "new"))
    lost, sent = world.runs()
    assert lost.report is not None
    assert lost.report.error is not None
    assert (lost.state, lost.report.error.code) == (RunState.FAILED, "source_gone")
    assert sent.state is RunState.SUCCEEDED


async def test_the_newest_drop_may_be_run_again_and_its_first_contacts_before_that() -> None:
    world, _ = await a_world()
    await land(world, "monday", changes([*addresses(4), *addresses(6)]))
    await world.until_quiet()

    for first in (3, None):
        await order_runs(an_export(content="delta"), a_connection(), ports(world), first=first)
        await world.until_quiet()

    counts = [run.report.counts for run in world.runs() if run.report]
    assert counts[0] == counts[2] == Counts(rows=10, duplicates=4, delivered=6)
    assert counts[1] == Counts(rows=7, duplicates=4, delivered=3)
    world.check_promises()
