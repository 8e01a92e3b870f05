import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.cli.drop import folder_name
from exporter.cli.running import ExitCode
from exporter.domain.layout import Landing, Place, Sign, classify, drops_of
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from tests.builders import a_source
from tests.unit.cli.world import NOW, World, a_report, an_export


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        path.write_text(f"Email\n{path.stem}@example.org\n")
    return paths


def test_one_file_is_a_whole_snapshot(world: World, files: list[Path]) -> None:
    world.configure(exports=[an_export()])
    assert world.command("drop", files[0], "--segment", "vip", "--json") == ExitCode.DONE
    assert world.drops.blobs == {"vip/a.csv": files[0].read_bytes()}
    assert world.document["segment"] == "vip"
    assert world.document["exports"] == ["vip"]
    assert [blob["blob"] for blob in world.document["blobs"]] == ["vip/a.csv"]
    place = classify("vip/a.csv", BUILT_IN)
    assert isinstance(place, Place)
    assert (place.recipe.id, place.segment) == ("file", "vip")
    assert world.err == ""


def test_several_files_are_one_folder_that_a_marker_closes_last(world: World, files: list[Path]) -> None:
    world.configure(exports=[an_export()])
    assert world.command("drop", *files, "--segment", "vip") == ExitCode.DONE
    first, second, marker = world.drops.blobs
    folder = f"vip/{folder_name(NOW, '0123456789ab')}"
    assert (first, second, marker) == (f"{folder}/a.csv", f"{folder}/b.csv", f"{folder}/_SUCCESS")
    assert world.drops.blobs[marker] == b""
    assert classify(marker, BUILT_IN) == Sign(f"{folder}/")
    assert "Dropped 2 files" in world.out


def test_a_segment_that_no_export_takes_is_told_at_once(world: World, files: list[Path]) -> None:
    world.configure(exports=[an_export()])
    assert world.command("drop", files[0], "--segment", "vpi") == ExitCode.DONE
    assert "no export takes the segment 'vpi' (known: vip)" in world.err


def test_everything_wrong_is_told_before_anything_is_put(
    world: World, files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "_hidden.csv").write_text("Email\n")
    (tmp_path / "model.json").write_text('{"Email": "ann@example.org"}\n')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("Email\n")
    wrong = ["empty.csv", "_hidden.csv", "model.json", "folder", "absent.csv", "folder/a.csv"]
    assert world.command("drop", files[0], *wrong, "--segment", "a/b", "--json") == ExitCode.ERROR
    message = world.document["error"]["message"]
    for said in (
        "--segment: should be a segment's name, without slashes",
        "empty.csv: is empty",
        "_hidden.csv: files whose names begin with _ or . are never read",
        "model.json: a file of this name lists other files",
        "folder: is a directory",
        "absent.csv: there is no such file",
        "a.csv: more than one file has this name",
    ):
        assert said in message
    assert world.drops.blobs == {}


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("vip_00001.csv", "vip"),
        ("2026_11_23_1763892900000_0.csv", "vip"),
        ("data_0_0_0.csv.gz", "vip"),
        ("part-00000-x.csv", "vip"),
        ("export_5_1763892900.csv", "CustomerInsights_acme"),
    ],
)
def test_a_file_named_like_a_part_is_a_folder_of_its_segment(
    world: World, tmp_path: Path, name: str, segment: str
) -> None:
    file = tmp_path / name
    file.write_text("Email\nann@example.org\n")
    assert world.command("drop", file, "--segment", segment) == ExitCode.DONE
    found = [a_source(blob, size=len(data)) for blob, data in sorted(world.drops.blobs.items())]
    (drop,) = drops_of(Landing(tuple(found), BUILT_IN, {}, {}, NOW, timedelta(minutes=5)))
    assert (drop.segment, drop.complete) == (segment, True)
    assert [file.blob.rpartition("/")[2] for file in drop.files] == [name]


def test_a_recipe_that_makes_another_segment_of_the_files_is_told_before_anything_is_put(
    world: World, files: list[Path]
) -> None:
    recipe = Recipe(id="leads", pattern="{folder}/{segment}.csv", complete=(Completeness.AT_ONCE,))
    asyncio.run(world.registry.put_recipe(recipe, etag=None))
    assert world.command("drop", files[0], "--segment", "vip") == ExitCode.DONE  # in a folder of its own
    assert all(blob.count("/") == 2 for blob in world.drops.blobs)
    world.drops.blobs.clear()
    deeper = recipe.model_copy(update={"id": "deeper", "pattern": "{folder}/{segment}/{file}"})
    asyncio.run(world.registry.put_recipe(deeper, etag=None))
    assert world.command("drop", files[0], "--segment", "vip", "--json") == ExitCode.ERROR
    assert "as the recipe 'deeper' says" in world.document["error"]["message"]
    assert world.drops.blobs == {}


def test_waiting_follows_the_runs_and_prints_their_reports(world: World, files: list[Path]) -> None:
    world.configure(exports=[an_export()])
    report = a_report("partly_failed", delivered=1, rejected=1)
    world.has_run(report)
    world.clock.on_sleep = lambda: world.drops.take_up(report.run_id)
    assert world.command("drop", files[0], "--segment", "vip", "--wait", "--json") == ExitCode.PARTLY_FAILED
    assert world.document == [report.model_dump(mode="json")]
    assert "vip: partly failed" in world.err


def test_a_drop_that_starts_nothing_ends_with_its_reason(world: World, files: list[Path]) -> None:
    report = a_report("skipped", error="no export for segment 'vip' (known: none)")
    world.has_run(report)
    world.clock.on_sleep = lambda: world.drops.take_up(report.run_id)
    assert world.command("drop", *files, "--segment", "vip", "--wait") == ExitCode.FAILED
    assert "no export for segment 'vip'" in world.out


def test_waiting_says_that_nobody_takes_the_drop_up(world: World, files: list[Path]) -> None:
    world.configure(exports=[an_export()])
    report = a_report(delivered=1)
    world.has_run(report)

    def late() -> None:
        if world.clock.seconds > 30:
            world.drops.take_up(report.run_id)

    world.clock.on_sleep = late
    assert world.command("drop", files[0], "--segment", "vip", "--wait") == ExitCode.DONE
    assert "is the app running?" in world.err


def test_waiting_ends_when_the_drop_was_replaced(world: World, files: list[Path]) -> None:
    world.configure(exports=[an_export()])
    world.clock.on_sleep = lambda: world.drops.blobs.update({"vip/a.csv": b"newer"})
    assert world.command("drop", files[0], "--segment", "vip", "--wait") == ExitCode.ERROR
    assert "vip/a.csv was replaced" in world.err
