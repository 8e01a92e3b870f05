"""Which files are one drop, and what shows that it is whole."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.dialect import Dialect
from exporter.domain.drop import Source
from exporter.domain.layout import Drop, Junk, Landing, Meaning, Place, Sign, Stray, classify, drops_of
from exporter.domain.manifest import read_manifest
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from tests.builders import NOON, a_source

QUIET = timedelta(minutes=5)
EXPORT = "CustomerInsights_0f1e/BlobExport"
MODEL = f"{EXPORT}/model.json"
RUN = f"{EXPORT}/HighValue/2026/11/24/1433"


def land(blob: str, *, minutes_ago: float = 60, size: int = 100) -> Source:
    return a_source(blob, size=size, last_modified=NOON - timedelta(minutes=minutes_ago))


def drops(
    *files: Source,
    models: dict[str, dict[str, list[str]]] | None = None,
    commits: dict[str, bytes] | None = None,
    recipes: tuple[Recipe, ...] = (),
) -> list[Drop]:
    """The drops among files; `models` has by manifest the locations that it lists of each table."""
    manifests = {
        blob: read_manifest(blob, orjson.dumps({"entities": [a_table(*table) for table in tables.items()]}))
        for blob, tables in (models or {}).items()
    }
    landing = Landing(
        tuple(sorted(files, key=lambda file: file.blob)),
        (*recipes, *BUILT_IN),
        manifests,
        commits or {},
        NOON,
        QUIET,
    )
    return sorted(drops_of(landing), key=blobs)


def a_table(name: str, locations: list[str]) -> dict[str, Any]:
    return {
        "$type": "LocalEntity",
        "name": name,
        "attributes": [{"name": "CustomerId"}, {"name": "Email"}],
        "partitions": [{"name": str(at), "location": location} for at, location in enumerate(locations)],
    }


def at_account(blob: str) -> str:
    return f"https://acme.dfs.core.windows.net/segments/{blob}"


def blobs(drop: Drop) -> list[str]:
    return [file.blob for file in drop.files]


@pytest.mark.parametrize(
    ("blob", "kind"),
    [
        ("vip/monday.csv", Place),
        ("vip/monday/part.csv", Place),
        ("vip/monday/_SUCCESS", Sign),
        ("vip/_SUCCESS", Sign),
        ("vip/monday/.done", Sign),
        ("vip/monday/_committed_123", Sign),
        (MODEL, Sign),
        ("vip/monday/", Junk),
        ("vip/_temporary/0/part.csv", Junk),
        ("vip/_temporary/0/_SUCCESS", Junk),
        ("vip/monday/.part.csv.crc", Junk),
        ("_SUCCESS", Junk),
        (".hidden", Junk),
        ("", Junk),
        ("monday.csv", Stray),
        ("/monday.csv", Stray),
        ("vip//monday.csv", Stray),
    ],
)
def test_what_a_blob_is_shows_by_its_name(blob: str, kind: type[Meaning]) -> None:
    assert isinstance(classify(blob, BUILT_IN), kind)


@given(st.text())
def test_every_name_is_something(blob: str) -> None:
    meaning = classify(blob, BUILT_IN)

    assert isinstance(meaning, Meaning)
    if isinstance(meaning, Place):
        assert blob.startswith(meaning.folder)
        assert meaning.segment


def test_one_file_is_a_whole_drop_at_once() -> None:
    (drop,) = drops(land("vip/monday.csv", minutes_ago=0))

    assert drop.complete
    assert (drop.segment, drop.by) == ("vip", Completeness.AT_ONCE)


def test_a_folder_is_whole_once_it_is_closed() -> None:
    parts = [land("vip/monday/a.csv"), land("vip/monday/b/c.csv"), land("vip/monday/.a.csv.crc")]

    (opened,) = drops(*parts)
    (closed,) = drops(*parts, land("vip/monday/.done"))

    assert not opened.complete
    assert "_SUCCESS or .done in vip/monday/" in opened.waits_for
    assert closed.complete
    assert blobs(closed) == ["vip/monday/a.csv", "vip/monday/b/c.csv"]


def test_a_closed_folder_is_one_drop_whatever_its_files_are_called() -> None:
    names = ["data_0_0_0.csv.gz", "other.csv", "part-00000-abc-c000.csv", "x/part-00001-abc-c000.csv"]
    files = [land(f"vip/monday/{name}") for name in names]

    (drop,) = drops(*files, land("vip/monday/_SUCCESS"))

    assert drop.recipe.id == "folder"
    assert blobs(drop) == [f"vip/monday/{name}" for name in names]


def test_a_closed_folder_is_of_the_segment_that_it_lies_in_whatever_its_files_are_called() -> None:
    """As Airbyte's are, whose segment would be the folder."""
    names = [f"vip/monday/2026_11_23_1763892900000_{number}.csv" for number in range(2)]

    (drop,) = drops(*map(land, names), land("vip/monday/_SUCCESS"))

    assert (drop.segment, drop.complete, blobs(drop)) == ("vip", True, names)


def test_what_transactions_did_not_commit_is_not_read() -> None:
    files = [
        land("vip/monday/part-00000-tid-111-a-1-c000.csv"),
        land("vip/monday/part-00000-tid-222-a-1-c000.csv"),
    ]
    commit = {"added": ["part-00000-tid-111-a-1-c000.csv"], "removed": []}
    commits = {
        "vip/monday/_started_111": b"",
        "vip/monday/_committed_111": orjson.dumps(commit),
        "vip/monday/_started_222": b"",
    }

    (drop,) = drops(*files, *map(land, commits), land("vip/monday/_SUCCESS"), commits=commits)

    assert drop.complete
    assert drop.by is Completeness.COMMITTED
    assert blobs(drop) == [files[0].blob]


def test_a_commit_that_cannot_be_read_closes_nothing() -> None:
    commits = {"vip/monday/_committed_111": b"{"}

    (drop,) = drops(
        land("vip/monday/a.csv"), *map(land, commits), land("vip/monday/_SUCCESS"), commits=commits
    )

    assert not drop.complete
    assert "_committed_111" in drop.waits_for


class CountedMarks(dict[str, bytes]):
    """Marks that know how often all of them were gone through."""

    looks = 0

    def items(self) -> Any:
        self.looks += 1
        return super().items()


def test_the_marks_of_many_folders_are_gone_through_once() -> None:
    names = [f"vip/{number:03}/part-00000-tid-1-a-1-c000.csv" for number in range(100)]
    content = orjson.dumps({"added": ["part-00000-tid-1-a-1-c000.csv"], "removed": []})
    marks = CountedMarks({f"vip/{number:03}/_committed_1": content for number in range(100)})

    found = drops(*map(land, names), *map(land, marks), commits=marks)

    assert [drop.by for drop in found] == [Completeness.COMMITTED] * 100
    assert marks.looks == 1


def test_a_run_of_customer_insights_is_whole_when_the_model_lists_it_and_all_is_there() -> None:
    parts = [f"{RUN}/HighValue_{number}.csv" for number in (1, 2, 3)]
    models = {MODEL: {"HighValue": [at_account(part) for part in parts]}}

    (drop,) = drops(*map(land, parts), land(MODEL), models=models)
    (waiting,) = drops(*map(land, parts[:2]), land(MODEL), models=models)

    assert drop.complete
    assert (drop.recipe.id, drop.segment, drop.by) == (
        "customer-insights",
        "HighValue",
        Completeness.MANIFEST,
    )
    assert blobs(drop) == parts
    assert drop.dialect.columns == ("CustomerId", "Email")
    assert not waiting.complete
    assert "HighValue_3.csv" in waiting.waits_for


def test_what_a_persons_recipe_declares_goes_before_what_the_manifest_says() -> None:
    own = Recipe(
        id="own",
        pattern="lake/{segment}/{part}.csv",
        complete=(Completeness.MANIFEST,),
        manifest="lake/model.json",
        dialect=Dialect(null="-"),
    )
    models = {"lake/model.json": {"Vip": [at_account("lake/Vip/1.csv")]}}

    (drop,) = drops(land("lake/Vip/1.csv"), land("lake/model.json"), models=models, recipes=(own,))

    assert drop.recipe == own
    assert drop.dialect.null == "-"
    assert drop.dialect.columns == ("CustomerId", "Email")


def test_a_run_that_the_model_does_not_list_yet_waits_for_it() -> None:
    yesterday = f"{EXPORT}/HighValue/2026/11/23/1433/HighValue_1.csv"
    models = {MODEL: {"HighValue": [at_account(yesterday)]}}

    old, new = drops(
        land(yesterday, minutes_ago=1440),
        land(f"{RUN}/HighValue_1.csv", minutes_ago=30),
        land(MODEL, minutes_ago=1439),
        models=models,
    )

    assert old.complete
    assert not new.complete
    assert f"{MODEL}, which does not list these files yet" in new.waits_for


def test_a_run_without_a_model_is_whole_once_it_is_quiet() -> None:
    (drop,) = drops(land(f"{RUN}/HighValue_1.csv"), land(f"{RUN}/HighValue_2.csv"))
    (growing,) = drops(land(f"{RUN}/HighValue_1.csv"), land(f"{RUN}/HighValue_2.csv", minutes_ago=4))

    assert drop.by is Completeness.QUIET
    assert drop.complete
    assert not growing.complete
    assert "300 s without another file" in growing.waits_for


def test_one_model_speaks_of_all_tables_of_its_export() -> None:
    vip, lapsed = f"{EXPORT}/Vip/2026/11/24/1433/Vip_1.csv", f"{EXPORT}/Lapsed/2026/11/24/1433/Lapsed_1.csv"
    models = {MODEL: {"Vip": [at_account(vip)], "Lapsed": [at_account(lapsed)]}}

    found = drops(land(vip), land(lapsed), land(MODEL), models=models)

    assert [(drop.segment, blobs(drop)) for drop in found] == [("Lapsed", [lapsed]), ("Vip", [vip])]


def test_a_folder_of_the_common_data_model_is_what_its_manifest_lists() -> None:
    files = ["lake/Customer/a.csv", "lake/Customer/2026/b.csv"]
    models = {
        "lake/model.json": {"Customer": [f"https://x.blob.core.windows.net/s/{file}" for file in files]}
    }

    (drop,) = drops(*map(land, files), land("lake/model.json"), models=models)

    assert drop.complete
    assert (drop.recipe.id, drop.segment) == ("cdm", "Customer")
    assert blobs(drop) == sorted(files)


def test_files_named_like_further_parts_a_day_later_are_another_drop() -> None:
    monday = [land("vip/unload_00000.csv", minutes_ago=1500), land("vip/unload_00001.csv", minutes_ago=1490)]
    tuesday = [land("vip/unload_00002.csv", minutes_ago=60), land("vip/unload_00003.csv", minutes_ago=6)]

    first, second = drops(*monday, *tuesday)

    assert (first.recipe.id, blobs(first)) == ("data-factory", [file.blob for file in monday])
    assert blobs(second) == [file.blob for file in tuesday]


def test_an_empty_blob_with_others_below_its_name_stands_for_a_folder() -> None:
    empty = land("vip/monday", size=0)

    found = drops(empty, land("vip/monday-2", size=0), land("vip/monday/a.csv"))

    assert [blobs(drop) for drop in found] == [["vip/monday-2"], ["vip/monday/a.csv"]]
    assert [blobs(drop) for drop in drops(empty)] == [["vip/monday"]]


def test_a_users_own_recipe_is_tried_first() -> None:
    own = Recipe(
        id="own", pattern="{segment}/monday.csv", complete=(Completeness.QUIET,), quiet_seconds=3600 * 2
    )

    (drop,) = drops(land("vip/monday.csv"), recipes=(own,))

    assert drop.recipe == own
    assert not drop.complete


@given(st.lists(st.sampled_from(range(12)), unique=True), st.randoms(use_true_random=False))
def test_each_file_is_in_one_drop_at_most_whatever_lies_there(chosen: list[int], chance: Any) -> None:
    names = [
        "vip/a.csv",
        "vip/monday/a.csv",
        "vip/monday/_SUCCESS",
        "vip/monday/part-00000-x.csv",
        "vip/data_0_0_0.csv.gz",
        "vip/data_0_1_0.csv.gz",
        f"{RUN}/HighValue_1.csv",
        f"{RUN}/HighValue_2.csv",
        MODEL,
        "vip/unload_00000.csv",
        "stray.csv",
        "vip/_SUCCESS",
    ]
    files = [land(names[number], minutes_ago=chance.choice([1, 60, 3000])) for number in chosen]
    models = {MODEL: {"HighValue": [at_account(f"{RUN}/HighValue_1.csv")]}} if 8 in chosen else {}

    found = [blob for drop in drops(*files, models=models) for blob in blobs(drop)] if files else []

    assert len(found) == len(set(found))
    assert set(found) <= {file.blob for file in files}
