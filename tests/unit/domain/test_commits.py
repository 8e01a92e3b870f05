"""Which files of a folder finished transactions have left, as Databricks lists them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.commits import Commits, is_commit, read_commits
from exporter.errors import StopRunError

FOLDER = "vip/monday/"


def part(number: int, transaction: str) -> str:
    return f"part-{number:05}-tid-{transaction}-2dd664f9-c2f9-{number}-1-c000.csv"


def a_commit(*added: str, removed: tuple[str, ...] = ()) -> bytes:
    return json.dumps({"added": added, "removed": removed}).encode()


def read(marks: dict[str, bytes], *names: str) -> Commits:
    found = read_commits(
        {FOLDER + mark: content for mark, content in marks.items()}, [FOLDER + name for name in names]
    )
    return Commits(tuple(file.removeprefix(FOLDER) for file in found.files), found.waits_for)


ONE, TWO, THREE = part(0, "11"), part(1, "11"), part(2, "11")
OTHER = part(0, "77")


def test_files_of_a_finished_transaction_count_and_no_others_of_its_own() -> None:
    marks = {"_started_11": b"", "_committed_11": a_commit(ONE, TWO)}

    assert read(marks, ONE, TWO, THREE) == Commits((ONE, TWO))


def test_files_of_an_unfinished_transaction_never_count() -> None:
    assert read({"_started_11": b""}, ONE, OTHER) == Commits((OTHER,), "the end of the transaction '11'")
    assert read({"_started_11": b"", "_committed_77": a_commit(OTHER)}, ONE, OTHER) == Commits((OTHER,))


def test_committed_files_that_are_not_there_are_waited_for() -> None:
    found = read({"_committed_11": a_commit(ONE, TWO)}, ONE)

    assert found == Commits((ONE,), f"1 committed files: '{TWO}'")


def test_a_removed_file_does_not_count_whoever_has_added_it() -> None:
    marks = {
        "_committed_11": a_commit(ONE, TWO, "old.csv"),
        "_committed_99": a_commit("old.csv", removed=(TWO, "old.csv")),
    }

    assert read(marks, ONE, TWO, "old.csv") == Commits((ONE,))


def test_a_vacuum_removes_and_commits_nothing() -> None:
    marks = {"_committed_vacuum55": a_commit(removed=(TWO,))}

    assert read(marks, ONE, TWO) == Commits((ONE,), "a commit that is not empty")


def test_files_without_a_transaction_count() -> None:
    assert read({"_committed_11": a_commit(ONE)}, ONE, "part-00000-c000.csv") == Commits(
        (ONE, "part-00000-c000.csv")
    )


def test_a_transaction_without_any_mark_has_ended_long_ago() -> None:
    assert read({"_committed_11": a_commit(ONE)}, ONE, OTHER) == Commits((ONE, OTHER))


def test_an_empty_commit_is_being_written() -> None:
    assert read({"_started_11": b"", "_committed_11": b""}, ONE) == Commits(
        (), "the end of the transaction '11'"
    )


@pytest.mark.parametrize("content", [b"corrupt", b"[]", b'{"added": 1}', b'{"added": [1]}'])
def test_a_commit_that_cannot_be_read_is_an_error(content: bytes) -> None:
    with pytest.raises(StopRunError, match="_committed_11") as caught:
        read({"_committed_11": content}, ONE)

    assert caught.value.code == "bad_manifest"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_committed_123", True),
        ("_committed_vacuum123", True),
        ("_started_123", True),
        ("_SUCCESS", False),
        ("_committed_", False),
        ("part-_committed_1", False),
    ],
)
def test_marks_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_commit(name) is expected


@given(
    st.sets(st.sampled_from("abcdef"), min_size=1),
    st.sets(st.sampled_from("abcdef")),
    st.sets(st.integers(0, 3), max_size=3),
)
def test_what_counts_is_of_no_transaction_that_only_started(
    started: set[str], committed: set[str], numbers: set[int]
) -> None:
    files = [part(number, transaction) for transaction in "abcdef" for number in numbers]
    marks = {f"_started_{name}": b"" for name in started}
    marks |= {
        f"_committed_{name}": a_commit(*(file for file in files if f"-tid-{name}-" in file))
        for name in committed
    }

    found = read(marks, *files)

    assert not [file for file in found.files for name in started - committed if f"-tid-{name}-" in file]
    assert bool(found.waits_for) == (not committed)
