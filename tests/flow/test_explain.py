"""A file is explained: what it is, what its drop waits for, and what each export would do with it."""

import orjson
import pytest

from exporter.domain.dialect import Dialect
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.steps.explain import Explanation, ExportView, Kind, Outcome, explain
from exporter.steps.sweep import sweep
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.world import World

CONTAINER = "segments"
PEOPLE = (
    "Email,First,City,Tier\n"
    "ann@example.org,Ann,Oslo,gold\n"
    "nobody,None,Bergen,\n"
    "bob@example.org,Bob,,silver\n"
    "cid@example.org,Cid,Oslo,\n"
    "dot@example.org,Dot,Oslo,\n"
)
MAPPED = an_export(mapping={"first_name": "First", "fields": {"City": "%CITY%"}}, tags=("vip",))


async def a_world(*exports: object) -> World:
    """One connection with exports, by default the plain one; nothing is announced."""
    world = World()
    world.announces = False
    await world.connect(a_connection(), *(exports or (an_export(),)))  # type: ignore[arg-type]
    return world


async def explained(world: World, text: str = "vip/monday.csv", rows: int = 3) -> Explanation:
    return await explain(text, world.workers[0].ports, container=CONTAINER, rows=rows)


def only_export(found: Explanation) -> ExportView:
    """What the only export would do with the only drop."""
    (view,) = found.drops
    (export,) = view.exports
    return export


async def test_a_file_is_told_with_its_drop_its_reading_and_its_first_contacts() -> None:
    world = await a_world(MAPPED)
    source = await world.drop(PEOPLE.encode())
    found = await explained(world, rows=2)
    (view,) = found.drops
    assert (found.blob, found.exists, found.kind, found.why) == ("vip/monday.csv", True, Kind.DATA, "")
    assert (view.drop.segment, view.drop.files, view.drop.complete) == ("vip", (source,), True)
    assert [file.header for file in view.files] == [("Email", "First", "City", "Tier")]
    export = only_export(found)
    assert (export.outcome, export.detail) == (Outcome.RUN, "runs")
    assert export.contacts == (
        {"email": "ann@example.org", "first_name": "Ann", "fields": {"%CITY%": "Oslo"}, "tags": ["vip"]},
        {"email": "bob@example.org", "first_name": "Bob", "tags": ["vip"]},
    )
    assert [(reject.row, reject.reason) for reject in export.rejects] == [(2, "invalid_email")]


async def test_nothing_is_written_queued_or_asked() -> None:
    world = await a_world(MAPPED)
    await world.drop(PEOPLE.encode())
    before = dict(world.storage.documents)
    registry = list(world.registry.writes)
    found = await explained(world)
    assert only_export(found).contacts
    assert world.storage.documents == before
    assert world.registry.writes == registry
    assert world.queues.sent == []
    assert world.telemetry.events == []
    assert world.account.arrivals == []


@pytest.mark.parametrize(
    "text",
    [
        "segments/vip/monday.csv",
        "https://acme.blob.core.windows.net/segments/vip/monday.csv?sig=x",
    ],
)
async def test_a_blob_may_have_its_container_in_front(text: str) -> None:
    world = await a_world()
    await world.drop(PEOPLE.encode())
    assert (await explained(world, text)).blob == "vip/monday.csv"


async def test_a_segment_may_have_the_containers_name() -> None:
    world = await a_world()
    await world.drop(PEOPLE.encode(), "segments/monday.csv")
    assert (await explained(world, "segments/monday.csv")).blob == "segments/monday.csv"


async def test_each_recipe_before_the_one_that_fits_says_why_it_does_not() -> None:
    world = await a_world()
    own = Recipe(id="mine", pattern="in/{segment}/{part}.csv", complete=(Completeness.QUIET,))
    await world.registry.put_recipe(own, etag=None)
    await world.drop(PEOPLE.encode())
    tried = (await explained(world)).tried
    assert [each.recipe.id for each in tried] == ["mine", *(recipe.id for recipe in BUILT_IN)]
    assert tried[0].why_not == "it wants `in/` at the beginning"
    assert all(each.why_not for each in tried[:-1])
    assert tried[-1].why_not == ""


async def test_a_drop_that_is_not_whole_says_what_it_waits_for() -> None:
    world = await a_world()
    await world.drop(PEOPLE.encode(), "vip/march/a.csv")
    found = await explained(world, "vip/march/a.csv")
    export = only_export(found)
    assert not found.drops[0].drop.complete
    assert export.outcome is Outcome.WAIT
    assert "an empty _SUCCESS or .done in vip/march/" in export.detail
    assert len(export.contacts) == 3


async def test_an_own_recipe_says_how_a_file_is_read() -> None:
    world = await a_world(MAPPED)
    dialect = Dialect(header=False, columns=("Email", "First", "City"), delimiter=";", encoding="latin-1")
    own = Recipe(
        id="crm", pattern="crm/{segment}_{date:8}.txt", complete=(Completeness.AT_ONCE,), dialect=dialect
    )
    await world.registry.put_recipe(own, etag=None)
    await world.drop("ann@example.org;Åse;Tromsø\n".encode("latin-1"), "crm/vip_20260301.txt")
    found = await explained(world, "crm/vip_20260301.txt")
    assert found.drops[0].drop.recipe.id == "crm"
    assert only_export(found).contacts[0]["fields"] == {"%CITY%": "Tromsø"}


@pytest.mark.parametrize(
    ("blob", "kind"),
    [
        ("vip/", Kind.JUNK),
        ("vip/_temporary/0/a.csv", Kind.JUNK),
        ("vip/.hidden.csv", Kind.JUNK),
        ("alone.csv", Kind.UNRECOGNISED),
        ("vip/march/_SUCCESS", Kind.SIGN),
    ],
)
async def test_what_holds_no_rows_is_told_by_its_name(blob: str, kind: Kind) -> None:
    found = await explained(await a_world(), blob)
    assert (found.exists, found.kind, found.drops) == (False, kind, ())


async def test_an_end_marker_speaks_of_its_drop() -> None:
    world = await a_world()
    await world.drop(PEOPLE.encode(), "vip/march/a.csv")
    await world.drop(b"", "vip/march/_SUCCESS")
    found = await explained(world, "vip/march/_SUCCESS")
    assert found.kind is Kind.SIGN
    assert [file.blob for file in found.drops[0].drop.files] == ["vip/march/a.csv"]
    assert only_export(found).outcome is Outcome.RUN


async def test_an_empty_blob_that_stands_for_a_folder_is_in_no_drop() -> None:
    world = await a_world()
    await world.drop(b"", "vip/march")
    await world.drop(PEOPLE.encode(), "vip/march/a.csv")
    found = await explained(world, "vip/march")
    assert found.drops == ()
    assert found.why.startswith("it is in no drop")


async def test_a_segment_that_no_export_takes_names_the_known_ones() -> None:
    world = await a_world()
    await world.drop(PEOPLE.encode(), "vpi/monday.csv")
    (view,) = (await explained(world, "vpi/monday.csv")).drops
    assert view.exports == ()
    assert view.nobody.startswith("no export for segment 'vpi' (known: vip)")


async def test_a_file_that_can_not_be_mapped_says_what_a_run_would_end_with() -> None:
    world = await a_world(MAPPED)
    await world.drop(b"Email,City\nann@example.org,Oslo\n")
    found = await explained(world)
    export = only_export(found)
    assert export.contacts == ()
    assert "lacks what the mapping reads: 'First'" in export.problem
    assert export.problem == found.drops[0].files[0].problem


async def test_a_drop_older_than_its_export_is_not_taken_up_by_itself() -> None:
    world = World()
    world.announces = False
    await world.drop(PEOPLE.encode())
    await world.clock.sleep(60)
    await world.connect(a_connection(), an_export())
    export = only_export(await explained(world))
    assert export.outcome is Outcome.OLDER_THAN_EXPORT
    assert "`exporter export run vip`" in export.detail


async def test_a_drop_that_was_taken_up_names_its_run() -> None:
    world = await a_world()
    await world.drop(a_segment(addresses(3)))
    await world.announce("vip/monday.csv")
    await world.until_quiet()
    export = only_export(await explained(world))
    run = world.run()
    assert (export.outcome, export.run_ids) == (Outcome.RECORDED, (run.run_id,))
    assert f"{run.short_id} (succeeded)" in export.detail


async def test_an_export_that_came_after_the_drop_was_taken_up_does_nothing() -> None:
    world = await a_world()
    await world.drop(a_segment(addresses(3)))
    await world.announce("vip/monday.csv")
    await world.until_quiet()
    await world.registry.put_export(an_export("late", segments=("vip",)), etag=None)
    (view,) = (await explained(world)).drops
    late = next(export for export in view.exports if export.export_id == "late")
    assert (late.outcome, late.run_ids) == (Outcome.RECORDED, ())
    assert "taken up before without it" in late.detail


async def test_a_drop_behind_a_newer_one_is_superseded() -> None:
    world = await a_world()
    await world.drop(a_segment(addresses(2, "old")), "vip/monday.csv")
    await world.clock.sleep(60)
    await world.drop(a_segment(addresses(2, "new")), "vip/tuesday.csv")
    await world.announce("vip/tuesday.csv")
    await world.until_quiet(until=world.clock.monotonic() + 20)
    export = only_export(await explained(world))
    (newer,) = [run for run in world.runs() if run.sources[0].blob == "vip/tuesday.csv"]
    assert (export.outcome, export.run_ids) == (Outcome.SUPERSEDED, (newer.run_id,))


async def test_a_late_part_joins_the_run_that_has_the_others() -> None:
    world = await a_world()
    own = Recipe(
        id="mine", pattern="in/{segment}/{drop}/{part}.csv", complete=(Completeness.QUIET,), quiet_seconds=1
    )
    await world.registry.put_recipe(own, etag=None)
    await world.drop(a_segment(addresses(2, "first")), "in/vip/march/1.csv")
    await world.clock.sleep(5)
    await sweep(world.workers[0].ports)
    await world.drop(a_segment(addresses(2, "second")), "in/vip/march/2.csv")
    await world.clock.sleep(5)
    export = only_export(await explained(world, "in/vip/march/2.csv"))
    assert (export.outcome, export.run_ids) == (Outcome.JOIN, (world.run().run_id,))


async def test_what_is_left_of_a_drop_names_the_run_that_had_it() -> None:
    world = await a_world()
    for number in range(2):
        await world.drop(addresses(2, f"p{number}-"), f"vip/monday/{number}.csv")
    world.announces = True
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()
    del world.landed["vip/monday/0.csv"]

    export = only_export(await explained(world, "vip/monday/1.csv"))

    assert (export.outcome, export.run_ids) == (Outcome.RECORDED, (world.run().run_id,))
    assert "has all of the files" in export.detail


async def test_a_manifest_says_that_nothing_of_what_it_lists_is_there() -> None:
    world = await a_world()
    part = {"name": "p", "location": "https://acme.blob.core.windows.net/segments/crm/vip/vip-0.csv"}
    email = {"name": "Email", "dataType": "string"}
    table = {"$type": "LocalEntity", "name": "vip", "attributes": [email], "partitions": [part]}
    await world.drop(orjson.dumps({"name": "crm", "entities": [table]}), "crm/model.json")

    found = await explained(world, "crm/model.json")

    assert (found.kind, found.drops) == (Kind.SIGN, ())
    assert found.why == "of the files that it lists none is there: 'crm/vip/vip-0.csv'"
