"""When two drops are the same."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.drop import drop_version
from tests.builders import a_source

names = st.text(min_size=1, max_size=8)
sources = st.lists(
    st.builds(a_source, names, etag=names), min_size=1, max_size=5, unique_by=lambda source: source.blob
)


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
