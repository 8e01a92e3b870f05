"""Which drops may go: only what is recognised as a drop, and nothing that somebody needs."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from exporter.domain.drop import Source
from exporter.domain.layout import Landing, drops_of
from exporter.domain.manifest import Listed
from exporter.domain.recipes import BUILT_IN
from exporter.domain.retention import expired_drops
from tests.builders import NOON, a_source

LONG_AGO = NOON - timedelta(days=40)


def expired(
    *files: Source,
    wanted: tuple[str, ...] = (),
    held: tuple[str, ...] = (),
    manifests: Mapping[str, tuple[Listed, ...]] = MappingProxyType({}),
) -> list[list[str]]:
    landing = Landing(tuple(files), BUILT_IN, manifests, {}, NOON, timedelta(minutes=5))
    found = expired_drops(
        sorted(drops_of(landing), key=lambda drop: drop.order),
        files,
        wanted_segments=wanted,
        held_blobs=held,
        arrived_before=NOON - timedelta(days=30),
    )
    return sorted([source.blob for source in drop] for drop in found)


def old(blob: str, **later: float) -> Source:
    return a_source(blob, last_modified=LONG_AGO + timedelta(**later))


def test_old_drops_go_where_no_export_takes_the_segment() -> None:
    assert expired(old("vip/a.csv"), old("vip/b.csv")) == [["vip/a.csv"], ["vip/b.csv"]]


def test_the_newest_drop_of_a_wanted_segment_stays() -> None:
    assert expired(old("vip/a.csv", days=1), old("vip/b.csv"), wanted=("vip",)) == [["vip/b.csv"]]


def test_a_folder_goes_as_a_whole_with_its_end_marker_last() -> None:
    files = [old("vip/1/_SUCCESS"), old("vip/1/a.csv"), old("vip/1/_committed_1"), old("vip/1/x/b.csv")]

    assert expired(*files) == [["vip/1/_committed_1", "vip/1/a.csv", "vip/1/x/b.csv", "vip/1/_SUCCESS"]]


def test_a_folder_with_one_young_file_stays() -> None:
    assert expired(old("vip/1/_SUCCESS"), a_source("vip/1/a.csv")) == []


def test_a_folder_is_a_drop_by_its_marker_alone() -> None:
    newer_folder = [old("vip/1/_SUCCESS", days=1), old("vip/1/a.csv")]

    assert expired(*newer_folder, old("vip/b.csv"), wanted=("vip",)) == [["vip/b.csv"]]


def test_what_is_no_complete_drop_stays() -> None:
    strays = ["readme.txt", "vip/_hidden.csv", "vip/open-folder/a.csv", "vip/a/b/c.csv"]

    assert expired(*(old(blob) for blob in strays)) == []


def test_a_drop_that_a_run_still_reads_stays_whole() -> None:
    assert expired(old("vip/1/.done"), old("vip/1/a.csv"), held=("vip/1/a.csv",)) == []


def test_a_young_drop_stays() -> None:
    assert expired(a_source("vip/a.csv"), a_source("vip/b.csv")) == []


def test_the_drops_of_a_table_that_is_no_longer_exported_go() -> None:
    """Customer Insights rewrites its model without it; nothing newer of that segment ever comes."""
    export = "CustomerInsights_0f1e/BlobExport"
    left, listed = f"{export}/Left/2026/10/01/1433/Left_1.csv", f"{export}/Vip/2026/10/01/1433/Vip_1.csv"
    model = f"{export}/model.json"
    absent = f"{export}/Vip/2026/10/01/1433/Vip_2.csv"
    tables = {model: (Listed("Vip", (listed, absent)),)}

    assert expired(old(left), old(listed), old(model, hours=1), manifests=tables) == [[left]]
    assert expired(old(left), old(listed), old(model), manifests=tables) == []
