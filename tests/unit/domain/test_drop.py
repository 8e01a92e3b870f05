"""What the arrival of a blob means, and when two drops are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.drop import (
    EndMarker,
    Ignored,
    SegmentFile,
    drop_version,
    is_hidden,
    recognise,
)
from tests.builders import a_source

names = st.text(min_size=1, max_size=8)
sources = st.lists(
    st.builds(a_source, names, etag=names), min_size=1, max_size=5, unique_by=lambda source: source.blob
)


@pytest.mark.parametrize(
    ("blob", "meaning"),
    [
        ("vip/monday.csv", SegmentFile("vip")),
        ("vip/monday.csv.gz", SegmentFile("vip")),
        ("vip customers/Ünïcode.csv", SegmentFile("vip customers")),
        ("vip/monday/_SUCCESS", EndMarker("vip", "vip/monday/")),
        ("vip/monday/.done", EndMarker("vip", "vip/monday/")),
        ("vip/../_SUCCESS", EndMarker("vip", "vip/../")),
    ],
)
def test_some_blobs_start_something(blob: str, meaning: SegmentFile | EndMarker) -> None:
    assert recognise(blob) == meaning


@pytest.mark.parametrize(
    "blob",
    [
        "",
        "/",
        "monday.csv",
        "/monday.csv",
        "vip/",
        "vip/monday/",
        "vip/_SUCCESS",
        "vip/.done",
        "vip/_started_1",
        "vip/.hidden.csv",
        "vip/monday/part-0.csv",
        "vip/2026/03/01/_SUCCESS",
        "vip/monday/_temporary/0/part-0.csv",
    ],
)
def test_other_blobs_start_nothing_and_say_why(blob: str) -> None:
    meaning = recognise(blob)

    assert isinstance(meaning, Ignored)
    assert meaning.why


@given(st.text())
def test_every_name_has_one_meaning(blob: str) -> None:
    meaning = recognise(blob)

    if isinstance(meaning, EndMarker):
        assert blob.startswith(meaning.folder)
        assert meaning.folder.startswith(f"{meaning.segment}/")
    elif isinstance(meaning, SegmentFile):
        assert blob.startswith(f"{meaning.segment}/")
        assert not is_hidden(blob.rsplit("/", 1)[1])


@given(sources, st.randoms(use_true_random=False))
def test_the_order_of_its_files_does_not_make_another_drop(files: list[object], chance: object) -> None:
    shuffled = [*files]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert drop_version(shuffled) == drop_version(files)  # type: ignore[arg-type]
    assert len(drop_version(files)) == 32  # type: ignore[arg-type]


def test_another_version_another_name_and_another_cut_are_other_drops() -> None:
    drops = [
        [a_source("vip/a", etag="1")],
        [a_source("vip/a", etag="2")],
        [a_source("vip/b", etag="1")],
        [a_source("vip/a1", etag="")],
        [a_source("vip/", etag="a1")],
        [a_source("vip/a", etag="1"), a_source("vip/b", etag="1")],
        [a_source("vip/a", etag="15:vip/b1:1")],
    ]

    assert len({drop_version(drop) for drop in drops}) == len(drops)


def test_when_a_file_landed_and_how_long_it_is_does_not_matter() -> None:
    assert drop_version([a_source(size=1)]) == drop_version([a_source(size=2)])
