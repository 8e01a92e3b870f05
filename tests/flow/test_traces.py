"""A run stays in one trace, whatever happens to it; what is measured is measured once."""

import contextlib

import orjson
import pytest

from exporter.domain.pause import Pause
from exporter.domain.run import Run, RunState
from exporter.domain.trace import trace_id_of
from exporter.steps.control import cancel_run, pause_run, redrive_run, resume_run
from exporter.steps.events import Event, Metric, SpanName
from exporter.steps.messages import Queue
from exporter.steps.order import order_runs
from exporter.steps.receive import receive
from tests.builders import a_connection, addresses, an_export
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

WORK = {SpanName.PLAN, SpanName.CHUNK, SpanName.SETTLE, SpanName.REPORT}


async def a_world(*exports: str, worker_count: int = 2) -> World:
    world = World(worker_count=worker_count)
    await world.connect(a_connection(), *(an_export(name) for name in exports or ("vip",)))
    return world


def check_in_one_trace(world: World, run: Run) -> None:
    """All spans of a run and all its messages are in the trace that the run names."""
    spans = world.telemetry.of(run.run_id)
    assert {span.name for span in spans} >= WORK
    assert {span.trace_id for span in spans} == {trace_id_of(run.trace)}
    messages = [orjson.loads(text) for _, text in world.queues.sent]
    assert {m.get("trace") for m in messages if m["run_id"] == run.run_id} == {run.trace}


async def test_all_runs_of_a_drop_are_in_the_trace_that_its_arrival_opened() -> None:
    world = World()
    await world.connect(a_connection(), an_export("vip"), an_export("news", segments=("vip",)))
    await world.drop(addresses(250))
    await world.until_quiet()

    (drop,) = [span for span in world.telemetry.spans if span.name is SpanName.DROP]
    runs = world.runs()
    assert len(runs) == 2
    for run in runs:
        assert trace_id_of(run.trace) == drop.trace_id
        check_in_one_trace(world, run)
        told = world.telemetry.of(run.run_id)
        assert {span.ids.get("export_id") for span in told} <= {run.export_id, None}
        assert {span.ids["chunk"] for span in told if span.name is SpanName.CHUNK} == {0, 1}
    sweeps = {span.trace_id for span in world.telemetry.spans if span.name is SpanName.SWEEP}
    assert drop.trace_id not in sweeps


async def test_two_drops_are_two_traces() -> None:
    world = await a_world("vip", "news")
    await world.drop(addresses(4))
    await world.drop(addresses(4, "bo"), "news/monday.csv")
    await world.until_quiet()

    assert len({run.trace for run in world.runs()}) == 2


@pytest.mark.parametrize("queue", Queue)
async def test_what_the_sweep_puts_anew_stays_in_the_trace(queue: Queue) -> None:
    world = await a_world()

    def lose_it() -> None:
        if world.queues.sent[-1][0] is queue and world.telemetry.count(Event.RUN_RESTARTED) == 0:
            del world.queues.messages[-1]

    world.queues.on_send.append(lose_it)
    await world.drop(addresses(20))
    await world.until_quiet()

    assert world.telemetry.count(Event.RUN_RESTARTED) > 0
    assert world.report().state is RunState.SUCCEEDED
    check_in_one_trace(world, world.run())


@pytest.mark.parametrize("before_write", range(8))
async def test_a_drop_that_is_taken_up_twice_keeps_the_first_trace(before_write: int) -> None:
    world = await a_world(worker_count=1)
    world.announces = False
    await world.drop(addresses(20))
    process = world.workers[0].process
    process.dies_before_write = process.write_count + before_write
    with contextlib.suppress(ProcessDiedError):
        await receive("vip/monday.csv", world.workers[0].ports)
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    check_in_one_trace(world, world.run())


async def test_a_run_that_is_stopped_and_redriven_stays_in_its_trace_and_is_counted_once() -> None:
    world = await a_world()
    await world.drop([*addresses(300), "nonsense"])
    await world.until_quiet(until=world.clock.monotonic() + 30)
    ports = world.workers[0].ports
    run_id = world.run().run_id
    await cancel_run(run_id, "ann", ports)
    await world.until_quiet()
    delivered = world.report().counts.delivered
    assert 0 < delivered < 300
    assert world.telemetry.total(Metric.CONTACTS_DELIVERED) == delivered

    await redrive_run(run_id, ports)
    await world.until_quiet()

    check_in_one_trace(world, world.run())
    assert world.telemetry.total(Metric.CONTACTS_DELIVERED) == world.report().counts.delivered == 300
    assert world.telemetry.total(Metric.CONTACTS_REJECTED) == world.report().counts.rejected == 1
    assert world.telemetry.count(Event.RUN_COMPLETED) == 2


async def test_a_run_that_is_paused_and_resumed_stays_in_its_trace() -> None:
    world = await a_world()
    await world.drop(addresses(300))
    await world.until_quiet(until=world.clock.monotonic() + 20)
    ports = world.workers[0].ports
    run_id = world.run().run_id
    await pause_run(run_id, Pause(since=world.clock.now(), by="ann", reason="prices"), ports)
    await world.until_quiet(until=world.clock.monotonic() + 400)

    await resume_run(run_id, ports)
    await world.until_quiet()

    assert world.report().counts.delivered == 300
    check_in_one_trace(world, world.run())


async def test_an_order_opens_a_trace_of_its_own() -> None:
    connection, export = a_connection(), an_export()
    world = World()
    await world.connect(connection, export)
    await world.drop(addresses(4))
    await world.until_quiet()

    await order_runs(export, connection, world.workers[0].ports)
    await world.until_quiet()

    first, second = world.runs()
    (order,) = [span for span in world.telemetry.spans if span.name is SpanName.ORDER]
    assert trace_id_of(second.trace) == order.trace_id != trace_id_of(first.trace)
    check_in_one_trace(world, second)


async def test_a_span_that_fails_says_so_and_the_next_try_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await a_world()

    async def broken(*_: object) -> None:
        monkeypatch.undo()
        raise ValueError("nobody may read this")

    monkeypatch.setattr("exporter.steps.plan.resolve_mapping", broken)
    await world.drop(addresses(4))
    await world.until_quiet()

    plans = [span.failed for span in world.telemetry.spans if span.name is SpanName.PLAN]
    assert plans == ["ValueError", None]
    assert world.report().state is RunState.SUCCEEDED


async def test_slots_budget_and_settling_are_measured() -> None:
    world = await a_world()
    await world.drop(addresses(400))
    await world.until_quiet()

    values = world.telemetry.values
    assert {account for _, _, account, _ in values} == {"acme"}
    used = [value for metric, value, _, _ in values if metric is Metric.BUDGET_USED]
    assert used[0] == pytest.approx(49 / 98)
    assert max(used) == 1.0
    settled = [value for metric, value, _, _ in values if metric is Metric.SETTLE_TIME]
    assert len(settled) == world.report().requests.bulk == 200
    waits = [(value, export) for metric, value, _, export in values if metric is Metric.SLOT_WAIT]
    assert {export for _, export in waits} == {"vip"}
    assert max(value for value, _ in waits) > 10  # for the second chunk's minute


async def test_the_end_of_a_run_is_told_with_its_counts_and_its_time() -> None:
    world = await a_world()
    await world.drop([*addresses(10), *addresses(2)])
    await world.until_quiet()

    (ended,) = [fields for event, fields in world.telemetry.events if event is Event.RUN_COMPLETED]
    run = world.run()
    assert run.completed_at is not None
    assert ended == {
        "run_id": run.run_id,
        "export_id": "vip",
        "state": "succeeded",
        "code": None,
        "seconds": round((run.completed_at - run.ordered_at).total_seconds(), 1),
        **world.report().counts.model_dump(),
    }
    assert ended["duplicates"] == 2


async def test_a_drop_that_the_sweep_finds_was_not_announced() -> None:
    world = await a_world()
    await world.drop(addresses(4))
    world.announces = False
    await world.drop(addresses(6), "vip/tuesday.csv")
    await world.until_quiet()

    told = [fields["announced"] for event, fields in world.telemetry.events if event is Event.DROP_RECORDED]
    assert told == [True, False]


async def test_a_drop_that_quiet_ends_is_none_that_an_event_was_lost_of() -> None:
    world = await a_world()
    await world.drop(addresses(4), "vip/unload_00000.csv")
    await world.until_quiet()
    await world.after(minutes=6)

    told = [fields["announced"] for event, fields in world.telemetry.events if event is Event.DROP_RECORDED]
    assert told == [True]


async def test_the_app_says_that_it_is_alive_and_how_many_runs_are_open() -> None:
    world = await a_world()
    await world.drop(addresses(300))
    await world.until_quiet()
    await world.after(minutes=1)

    alive = [fields["open_runs"] for event, fields in world.telemetry.events if event is Event.APP_ALIVE]
    assert len(alive) == world.signs.beat_count
    assert alive[0] == 1
    assert alive[-1] == 0


async def test_a_key_that_cannot_be_read_is_told_with_its_connection() -> None:
    world = await a_world()
    world.unreadable_secrets.add(a_connection().secret)
    await world.drop(addresses(4))
    await world.until_quiet()

    told = [fields for event, fields in world.telemetry.events if event is Event.SECRET_UNREADABLE]
    assert {fields["connection"] for fields in told} == {"acme"}
    error = world.report().error
    assert error is not None
    assert (error.code, error.message) == ("key_unreadable", told[0]["why"])
