"""Drops of several files: one run with every part in it, whatever becomes of the events."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from exporter.domain.drop import Source
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.run import RunState
from exporter.steps.events import Event
from exporter.steps.messages import PlanMessage
from exporter.steps.plan import plan
from exporter.steps.sweep import sweep
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.drops import FakeDropStore
from tests.fakes.world import World

PARTS = 200
QUIET_SECONDS = 120
UNLOAD = Recipe(
    id="unload",
    pattern="{segment}/{drop}/data_{part}.csv",
    complete=(Completeness.QUIET,),
    quiet_seconds=QUIET_SECONDS,
)


async def a_world(*recipes: Recipe, seed: int = 0, worker_count: int = 2) -> World:
    world = World(seed=seed, worker_count=worker_count)
    await world.connect(a_connection(), an_export())
    for recipe in recipes:
        await world.registry.put_recipe(recipe, etag=None)
    return world


async def put(world: World, blob: str, *people: str) -> None:
    """A file lands; nobody is told."""
    await world.workers[0].ports.drops.put(blob, [a_segment(people)] if people else ())


def part_names(world: World, folder: str, pattern: str) -> list[str]:
    names = [f"{folder}{pattern % number}" for number in range(PARTS)]
    world.chance.shuffle(names)
    return names


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("marker", ["_SUCCESS", ".done"])
async def test_a_folder_of_many_parts_is_one_run_whatever_becomes_of_the_events(
    seed: int, marker: str
) -> None:
    """Parts land in any order; each event is lost, comes once, or comes twice, up to a minute late."""
    world = await a_world(seed=seed)
    names = part_names(world, "vip/monday/", "part-%05d.csv")
    for name in names:
        await put(world, name, f"{name[-9:-4]}@example.com")
    await put(world, f"vip/monday/{marker}")
    for name in [*names, f"vip/monday/{marker}"]:
        for _ in range(world.chance.choice([0, 1, 2])):
            world.announce_after(name, world.chance.uniform(0, 60))
    world.busy_until = world.clock.monotonic() + 300

    await world.until_quiet()

    assert world.report().source == tuple(sorted(names))
    assert world.report().counts.delivered == PARTS
    assert len(world.account.contacts) == PARTS
    world.check_promises()


@pytest.mark.parametrize("seed", range(4))
async def test_parts_without_any_marker_are_one_run_once_it_is_quiet(seed: int) -> None:
    world = await a_world(UNLOAD, seed=seed)
    names = part_names(world, "vip/monday/", "data_%d.csv")
    for number, name in enumerate(names):
        await put(world, name, f"p{number}@example.com")
        await world.clock.sleep(world.chance.uniform(0, 2))
        for _ in range(world.chance.choice([0, 1, 2])):
            world.announce_after(name, world.chance.uniform(0, 60))
    world.busy_until = world.clock.monotonic() + 400

    await world.until_quiet()

    run = world.run()
    assert world.report().source == tuple(sorted(names))
    assert world.report().counts.delivered == PARTS
    newest = max(source.last_modified for source in run.sources)
    assert run.ordered_at - newest >= timedelta(seconds=QUIET_SECONDS)
    world.check_promises()


async def test_a_part_that_lands_while_the_drop_is_planned_joins_its_run() -> None:
    world = await a_world(worker_count=1)
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    assert world.run().state is RunState.QUEUED

    await put(world, "vip/monday/part-1.csv", *addresses(2, "bo"))
    await world.until_quiet()

    assert world.report().source == ("vip/monday/part-0.csv", "vip/monday/part-1.csv")
    assert world.report().counts.delivered == 5
    assert len(world.account.requests) == 1
    world.check_promises()


INSIGHTS = "CustomerInsights_0f1e/BlobExport"
LATE = "vip/monday/part-1.csv"


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("is_announced", [True, False])
@pytest.mark.parametrize("after_write", range(30))
async def test_a_late_part_joins_the_run_or_starts_the_next_but_is_never_left_out(
    after_write: int, is_announced: bool
) -> None:
    """The part lands right after any write of the run; until the run is sealed it joins it."""
    world = await a_world()
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    land_after_write(world, after_write, LATE, addresses(2, "bo"), is_announced=is_announced)
    world.busy_until = world.clock.monotonic() + 300

    await world.until_quiet()

    assert world.account.contacts.keys() == {*addresses(3), *addresses(2, "bo")}
    runs = world.runs()
    assert len(runs) <= 2
    assert [source.blob for source in runs[-1].sources] == ["vip/monday/part-0.csv", LATE]
    assert {run.state for run in runs} <= {RunState.SUCCEEDED, RunState.SUPERSEDED}
    assert runs[-1].state is RunState.SUCCEEDED
    if len(runs) == 2:
        assert runs[0].sealed
        assert [source.blob for source in runs[0].sources] == ["vip/monday/part-0.csv"]
    world.check_promises()


async def test_early_late_parts_join_and_later_ones_do_not() -> None:
    """That both kinds of the test above happen."""
    counts = set()
    for after_write in (0, 25):
        world = await a_world()
        await put(world, "vip/monday/part-0.csv", *addresses(3))
        await world.drop(b"", "vip/monday/_SUCCESS")
        land_after_write(world, after_write, LATE, addresses(2, "bo"), is_announced=True)
        world.busy_until = world.clock.monotonic() + 300
        await world.until_quiet()
        counts.add(len(world.runs()))

    assert counts == {1, 2}


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("before_write", range(30))
async def test_a_drop_with_a_late_part_survives_death_before_any_write(before_write: int) -> None:
    world = await a_world(worker_count=1)
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    land_after_write(world, 4, LATE, addresses(2, "bo"), is_announced=True)
    process = world.workers[0].process
    process.dies_before_write = process.write_count + before_write
    world.busy_until = world.clock.monotonic() + 300

    await world.until_quiet()

    assert process.is_dead
    assert world.account.contacts.keys() == {*addresses(3), *addresses(2, "bo")}
    assert world.runs()[-1].state is RunState.SUCCEEDED
    assert len(world.runs()[-1].sources) == 2
    world.check_promises()


async def test_two_exports_of_a_segment_both_get_a_late_part() -> None:
    world = World()
    await world.connect(a_connection(), an_export(), an_export("other", segments=("vip",)))
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    await put(world, LATE, *addresses(2, "bo"))

    await world.until_quiet()

    reports = [run.report for run in world.runs()]
    assert sorted(report.export_id or "" for report in reports if report) == ["other", "vip"]
    assert [report.counts.delivered for report in reports if report] == [5, 5]
    world.check_promises()


async def test_a_run_waits_while_parts_still_come_that_nothing_but_quiet_ends() -> None:
    world = await a_world(UNLOAD)
    await put(world, "vip/monday/data_0.csv", *addresses(3))
    world.busy_until = world.clock.monotonic() + 600
    world.sweeps = False
    await world.clock.sleep(QUIET_SECONDS + 1)
    await sweep(world.workers[0].ports)
    assert world.run().state is RunState.QUEUED

    await put(world, "vip/monday/data_1.csv", *addresses(2, "bo"))
    world.sweeps = True
    await world.until_quiet(until=world.clock.monotonic() + 60)
    waiting = world.run()
    assert waiting.state is RunState.PLANNING
    assert waiting.waiting_for is not None
    assert "120 s without another file" in waiting.waiting_for
    await world.until_quiet()

    assert world.report().counts.delivered == 5
    assert len(world.account.requests) == 1
    world.check_promises()


async def test_a_folder_that_nobody_closes_is_listed_once_and_taken_up_when_it_is() -> None:
    world = await a_world()
    await world.drop(addresses(3), "vip/monday/part-0.csv")
    world.busy_until = world.clock.monotonic() + 3 * 3600

    await world.until_quiet()

    (listed,) = world.runs()
    assert listed.report is not None
    assert listed.report.error is not None
    assert (listed.state, listed.report.error.code) == (RunState.SKIPPED, "incomplete_drop")
    assert "_SUCCESS or .done in vip/monday/" in listed.report.error.message
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()
    assert [run.state for run in world.runs()] == [RunState.SKIPPED, RunState.SUCCEEDED]


def errors_of(world: World) -> list[str]:
    """What the runs that are no runs say."""
    return [run.report.error.message for run in world.runs() if run.report and run.report.error]


async def test_a_folder_of_a_segment_that_nobody_expects_is_listed_once() -> None:
    """As when a system writes one folder too deep."""
    world = await a_world()
    await world.drop(addresses(3), "exports/2026/11/23/vip.csv")
    world.busy_until = world.clock.monotonic() + 3 * 3600

    await world.until_quiet()

    (why,) = errors_of(world)
    assert "_SUCCESS or .done in exports/2026/" in why
    assert "no export for segment 'exports' (known: vip)" in why


async def test_a_drop_that_the_model_has_left_behind_was_sent_and_is_not_listed() -> None:
    world = await a_world()
    await put(world, f"{INSIGHTS}/vip/2026/11/22/1433/vip_1.csv", *addresses(3))
    await world.drop(a_model("vip", "vip/2026/11/22/1433/vip_1.csv"), f"{INSIGHTS}/model.json")
    await world.until_quiet()
    await world.after(hours=23)

    await world.drop(a_model("vip", "vip/2026/11/23/1433/vip_1.csv"), f"{INSIGHTS}/model.json")
    world.busy_until = world.clock.monotonic() + 120
    await world.until_quiet()

    assert world.run().state is RunState.SUCCEEDED


async def test_a_drop_that_waits_for_a_long_quiet_is_not_listed_as_unfinished() -> None:
    world = await a_world(UNLOAD.model_copy(update={"quiet_seconds": 3 * 3600}))
    await world.drop(addresses(3), "vip/monday/data_0.csv")
    world.busy_until = world.clock.monotonic() + 4 * 3600

    await world.until_quiet()

    assert world.run().state is RunState.SUCCEEDED


async def test_changes_that_are_not_closed_are_listed_though_newer_ones_came() -> None:
    world = World()
    await world.connect(a_connection(), an_export(content="delta"))
    await world.drop(changes({"ann@example.com": "update"}), "vip/monday/a.csv")
    await world.clock.sleep(2)
    await world.drop(changes({"bob@example.com": "update"}), "vip/tuesday.csv")
    world.busy_until = world.clock.monotonic() + 3 * 3600

    await world.until_quiet()

    (why,) = errors_of(world)
    assert "_SUCCESS or .done in vip/monday/" in why


async def test_a_part_costs_a_look_at_its_own_run_of_the_export_and_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The export's folder holds all runs of all tables."""
    world = await a_world()
    for table in ("lapsed", "vip"):
        for day in (22, 23):
            await put(world, f"{INSIGHTS}/{table}/2026/11/{day}/1433/{table}_1.csv", *addresses(3))
    model = a_model("vip", "vip/2026/11/23/1433/vip_1.csv")
    await world.workers[0].ports.drops.put(f"{INSIGHTS}/model.json", [model])
    listed: list[str] = []
    folder = FakeDropStore.folder

    async def noting(drops: FakeDropStore, prefix: str) -> list[Source]:
        found = await folder(drops, prefix)
        listed.extend(source.blob for source in found)
        return found

    monkeypatch.setattr(FakeDropStore, "folder", noting)
    await world.announce(f"{INSIGHTS}/vip/2026/11/23/1433/vip_1.csv")

    assert listed == [f"{INSIGHTS}/vip/2026/11/23/1433/vip_1.csv"]
    assert world.run().segment == "vip"


async def test_a_file_that_no_recipe_knows_is_listed_once() -> None:
    world = await a_world()
    await world.drop(addresses(3), "monday.csv")
    await world.announce("monday.csv")
    await world.until_quiet()

    run = world.run()
    assert run.report is not None
    assert run.report.error is not None
    assert (run.state, run.report.error.code) == (RunState.SKIPPED, "unrecognised_file")
    assert run.report.source == ("monday.csv",)


@pytest.mark.parametrize(
    "blob",
    [
        "vip/",
        "vip/monday/",
        "vip/_temporary/0/part-0.csv",
        "vip/monday/_temporary/0/part-0.csv",
        "vip/.hidden.csv",
        "vip/monday/.part-0.csv.crc",
        "vip/_started_123",
    ],
)
async def test_junk_starts_nothing_and_is_not_listed(blob: str) -> None:
    world = await a_world()
    await world.drop(addresses(3), blob)
    world.busy_until = world.clock.monotonic() + 2 * 3600
    await world.until_quiet()

    assert world.runs() == []
    assert world.telemetry.count(Event.DROP_IGNORED) == 1


async def test_an_empty_blob_that_stands_for_a_folder_is_no_drop() -> None:
    world = await a_world()
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday")
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()

    assert world.report().counts.delivered == 3


def a_model(table: str, *locations: str) -> bytes:
    """A `model.json` of one table."""
    entity = {
        "$type": "LocalEntity",
        "name": table,
        "attributes": [{"name": "Email"}],
        "partitions": [{"name": location, "location": location} for location in locations],
    }
    return orjson.dumps({"entities": [entity]})


def land_after_write(
    world: World,
    count: int,
    blob: str,
    people: list[str],
    *,
    is_announced: bool,
    latest_seconds: float = 5,
) -> None:
    """Let a file land right after so many more writes of documents."""
    left = count

    def tell(name: str, data: bytes) -> None:
        nonlocal left
        del data
        if name.startswith("landing/"):
            return
        left -= 1
        if left == -1:
            FakeDropStore.land(world.storage, world.landed, blob, a_segment(people))
            if is_announced:
                world.announce_after(blob, world.chance.uniform(0, latest_seconds))

    world.storage.on_write.append(tell)


def changes(people: dict[str, str]) -> bytes:
    """A file of changes: what became of each person."""
    lines = ["Email,_op", *(f"{person},{word}" for person, word in people.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


async def test_a_late_part_of_changes_goes_alone() -> None:
    """What the first parts said may be older by now than what another drop said since."""
    world = World()
    await world.connect(a_connection(), an_export(content="delta"))
    ports = world.workers[0].ports
    await ports.drops.put("vip/monday/a.csv", [changes(dict.fromkeys(addresses(3), "update"))])
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()
    await world.clock.sleep(2)

    await world.drop(changes({"bo0@example.org": "update"}), "vip/monday/b.csv")
    world.busy_until = world.clock.monotonic() + 400
    await world.until_quiet()

    first, second = world.runs()
    assert [source.blob for source in first.sources] == ["vip/monday/a.csv"]
    assert [source.blob for source in second.sources] == ["vip/monday/b.csv"]
    assert second.report is not None
    assert second.report.counts.delivered == 1
    world.check_promises()


@pytest.mark.parametrize("seed", range(4))
async def test_changes_that_nobody_announced_go_before_the_next_ones(seed: int) -> None:
    world = World(seed=seed)
    await world.connect(a_connection(), an_export(content="delta", mapping={"first_name": "Name"}))
    ports = world.workers[0].ports
    for day, name in enumerate(["Old", "Older", "Newest"]):
        data = f"Email,Name,_op\r\nann@example.com,{name},update\r\np{day}@example.com,P,update\r\n".encode()
        await ports.drops.put(f"vip/{day}.csv", [data])
        await world.clock.sleep(2)

    await world.announce("vip/2.csv")
    await world.until_quiet()

    assert [run.sources[0].blob for run in world.runs()] == ["vip/0.csv", "vip/1.csv", "vip/2.csv"]
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert world.account.contacts["ann@example.com"]["first_name"] == "Newest"
    assert len(world.account.contacts) == 4
    world.check_promises()


@pytest.mark.parametrize("before_write", range(24))
async def test_death_while_a_late_part_joins_starts_no_second_run(before_write: int) -> None:
    world = await a_world(worker_count=1)
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    await put(world, LATE, *addresses(2, "bo"))
    world.announce_after(LATE, 0)
    process = world.workers[0].process
    process.dies_before_write = process.write_count + before_write
    world.busy_until = world.clock.monotonic() + 1300

    await world.until_quiet()

    assert process.is_dead
    assert [source.blob for source in world.run().sources] == ["vip/monday/part-0.csv", LATE]
    assert world.report().counts.delivered == 5
    world.check_promises()


@pytest.mark.parametrize("content", ["snapshot", "delta"])
@pytest.mark.parametrize("part_count", [2, 3])
async def test_what_is_left_of_a_drop_that_was_sent_is_no_new_drop(content: str, part_count: int) -> None:
    """The source, or retention, deletes a drop file by file."""
    world = World()
    await world.connect(a_connection(), an_export(content=content))
    for number in range(part_count):
        people = changes(dict.fromkeys(addresses(2, f"p{number}-"), "update"))
        await world.workers[0].ports.drops.put(f"vip/monday/{number}.csv", [people])
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()

    del world.landed["vip/monday/0.csv"]
    world.busy_until = world.clock.monotonic() + 300
    await world.until_quiet()

    assert world.report().counts.delivered == 2 * part_count
    world.check_promises()


async def test_yesterdays_files_beside_todays_first_one_are_no_drop_of_their_own() -> None:
    """A copy job writes the same names each day, one after the other."""
    world = await a_world()
    for number in range(3):
        await put(world, f"vip/copy_0000{number}.csv", *addresses(2, f"p{number}-"))
    world.busy_until = world.clock.monotonic() + 600
    await world.until_quiet()
    await world.after(hours=23)

    for number in range(3):
        await put(world, f"vip/copy_0000{number}.csv", *addresses(1, f"new{number}-"))
        world.busy_until = world.clock.monotonic() + 200
        await world.until_quiet()
    world.busy_until = world.clock.monotonic() + 400
    await world.until_quiet()

    assert [len(run.sources) for run in world.runs()] == [3, 3]
    assert [run.report.counts.delivered for run in world.runs() if run.report] == [6, 3]
    world.check_promises()


async def test_changes_that_failed_do_not_go_with_a_late_part_once_a_later_drop_has_gone() -> None:
    world = World()
    await world.connect(a_connection(), an_export(content="delta", mapping={"first_name": "Name"}))
    ports = world.workers[0].ports
    failing = b"Email,Name,_op\r\nann@example.com,Old,update\r\nnobody,N,update\r\n"
    await ports.drops.put("vip/monday/a.csv", [failing])
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()
    await world.clock.sleep(2)
    await world.drop(b"Email,Name,_op\r\nann@example.com,New,update\r\n", "vip/tuesday.csv")
    await world.until_quiet()
    await world.clock.sleep(2)

    many = "".join(f"{person},N,update\r\n" for person in addresses(40, "bo"))
    await world.drop(b"Email,Name,_op\r\n" + many.encode(), "vip/monday/b.csv")
    world.busy_until = world.clock.monotonic() + 400
    await world.until_quiet()

    assert world.account.contacts["ann@example.com"]["first_name"] == "New"
    assert [source.blob for source in world.runs()[-1].sources] == ["vip/monday/b.csv"]
    world.check_promises()


@pytest.mark.parametrize("after_write", range(10))
async def test_a_late_part_does_not_join_a_run_that_an_earlier_version_ordered(after_write: int) -> None:
    """That run is never sealed: nobody would see that it has read fewer files than it names."""
    world = await a_world()
    world.slowest_poll_seconds = 0
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    ports = world.workers[0].ports
    await ports.runs.update(world.run().run_id, lambda run: run.model_copy(update={"recipe": None}))
    land_after_write(world, after_write, LATE, addresses(2, "bo"), is_announced=True, latest_seconds=0)
    world.busy_until = world.clock.monotonic() + 300

    await world.until_quiet()

    assert world.account.contacts.keys() == {*addresses(3), *addresses(2, "bo")}
    world.check_promises()


async def test_files_that_a_manifest_does_not_list_hold_nobody_up() -> None:
    """The manifest lies two folders above, so that a file's own folder does not show it."""
    world = await a_world()
    await put(world, "lake/vip/yesterday.csv", *addresses(1, "old"))
    await put(world, "lake/vip/today.csv", *addresses(3))

    await world.drop(a_model("vip", "vip/today.csv"), "lake/model.json")
    await world.until_quiet()

    assert world.report().source == ("lake/vip/today.csv",)
    assert world.report().counts.delivered == 3
    world.check_promises()


async def test_of_two_runs_of_a_drop_the_one_with_fewer_files_gives_way() -> None:
    """Two events at the same moment: whoever looked before the late part came orders after the other."""
    world = await a_world()
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    early = world.run()
    del world.storage.documents[f"runs/{early.run_id}.json"]
    await put(world, LATE, *addresses(2, "bo"))
    await world.announce(LATE)
    ports = world.workers[0].ports
    await ports.runs.create(early)

    await plan(PlanMessage(run_id=early.run_id), ports, gate=asyncio.Lock())
    await world.until_quiet()

    assert sorted((run.state, len(run.sources)) for run in world.runs()) == [
        (RunState.SUCCEEDED, 2),
        (RunState.SUPERSEDED, 1),
    ]
    assert len(world.account.requests) == 1
    world.check_promises()


async def test_a_late_part_joins_though_its_export_was_edited_since() -> None:
    world = await a_world()
    await put(world, "vip/monday/part-0.csv", *addresses(3))
    await world.drop(b"", "vip/monday/_SUCCESS")
    await put(world, LATE, *addresses(2, "bo"))
    await world.clock.sleep(2)
    world.registry.now = world.clock.now()
    stored = (await world.registry.exports())["vip"]
    await world.registry.put_export(an_export(tags=("vip",)), etag=stored.etag)

    await world.until_quiet()

    sent = [run for run in world.runs() if run.state is RunState.SUCCEEDED]
    assert [len(run.sources) for run in sent] == [2]
    assert world.account.contacts.keys() == {*addresses(3), *addresses(2, "bo")}
    world.check_promises()


async def test_a_drop_that_becomes_quiet_behind_a_newer_one_is_seen_to_be_superseded() -> None:
    world = await a_world(UNLOAD)
    await put(world, "vip/monday/data_0.csv", *addresses(3))
    await world.clock.sleep(30)
    await world.drop(addresses(2, "bo"), "vip/tuesday.csv")
    world.busy_until = world.clock.monotonic() + 300

    await world.until_quiet()

    states = {run.sources[0].blob: run.state for run in world.runs()}
    assert states == {
        "vip/monday/data_0.csv": RunState.SUPERSEDED,
        "vip/tuesday.csv": RunState.SUCCEEDED,
    }


async def test_changes_wait_for_earlier_ones_that_are_being_written_still() -> None:
    world = World()
    await world.connect(a_connection(), an_export(content="delta", mapping={"first_name": "Name"}))
    await world.registry.put_recipe(UNLOAD, etag=None)
    ports = world.workers[0].ports
    early, late = (
        f"Email,Name,_op\r\nann@example.com,{name},update\r\n".encode() for name in ("Early", "Late")
    )
    await ports.drops.put("vip/monday/data_0.csv", [early])
    await world.clock.sleep(30)
    await world.drop(late, "vip/tuesday.csv")
    assert world.runs() == []
    world.busy_until = world.clock.monotonic() + 600

    await world.until_quiet()

    assert [run.sources[0].blob for run in world.runs()] == ["vip/monday/data_0.csv", "vip/tuesday.csv"]
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert world.account.contacts["ann@example.com"]["first_name"] == "Late"


async def test_a_marker_that_was_left_lying_closes_no_part_of_the_next_drop() -> None:
    """A job that overwrites its files one by one, and leaves yesterday's marker where it is."""
    world = await a_world()
    for number in range(3):
        await put(world, f"vip/monday/{number}.csv", *addresses(2, f"old{number}-"))
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()
    await world.clock.sleep(60)

    for number in range(3):
        await world.drop(addresses(2, f"new{number}-"), f"vip/monday/{number}.csv")
        world.busy_until = world.clock.monotonic() + 100
        await world.until_quiet()
    world.busy_until = world.clock.monotonic() + 400
    await world.until_quiet()

    first, second = world.runs()
    assert len(second.sources) == 3
    assert not {source.etag for source in first.sources} & {source.etag for source in second.sources}
    assert second.report is not None
    assert second.report.counts.delivered == 6
    world.check_promises()
