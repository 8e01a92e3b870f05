"""Which files of a folder belong to finished transactions, by what Databricks writes beside them.

A transaction puts an empty `_started_<id>` into a folder before its first file, has its id in each file's
name (`part-00000-tid-<id>-…`), and ends by writing `_committed_<id>`, which lists the files that it added and
those that it replaces. `_committed_vacuum…` lists only what may be deleted
(docs.databricks.com, *Transactional writes to cloud storage with DBIO*).

Files are taken as Databricks' own listing takes them. A file that any commit removes does not count. One with
an id counts if its commit lists it, or if neither a start nor a commit of that id is there: both are deleted
some time after the transaction. One without an id counts. An empty commit is one that is being written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.domain.json_place import parse_manifest
from exporter.domain.wording import shown_list

_COMMITTED: Final = re.compile(r"_committed_(vacuum)?([0-9A-Za-z]+)")
_STARTED: Final = re.compile(r"_started_([0-9A-Za-z]+)")
_TRANSACTION: Final = re.compile(r"-tid-([0-9A-Za-z]+)-")


@dataclass(frozen=True, slots=True)
class Commits:
    """What the finished transactions of a folder say."""

    files: tuple[str, ...]
    """The files that count, in the order in which they were given."""
    waits_for: str = ""
    """What is missing, for people; "" where a transaction has ended and all of its files are there."""


def is_commit(name: str) -> bool:
    """Whether a file of this name (without folders) marks the start or the end of a transaction."""
    return _COMMITTED.fullmatch(name) is not None or _STARTED.fullmatch(name) is not None


def read_commits(marks: Mapping[str, bytes], files: Sequence[str]) -> Commits:
    """What the marks of a folder, with their contents, say of the data files beside them; all are blobs.

    Raises StopRunError `bad_manifest` for a commit that can't be read.
    """
    added, removed = _changes(marks)
    started = {found[1] for mark in marks if (found := _STARTED.fullmatch(_name(mark)))}

    def counts(file: str) -> bool:
        name = _name(file)
        if name in removed:
            return False
        transaction = _TRANSACTION.search(name)
        if transaction is None:
            return True
        if transaction[1] in added:
            return name in added[transaction[1]]
        return transaction[1] not in started

    present = {_name(file) for file in files}
    wanted = set().union(*added.values()) - removed
    return Commits(
        files=tuple(file for file in files if counts(file)),
        waits_for=_missing(sorted(wanted - present), started - added.keys(), committed=bool(added)),
    )


def _changes(marks: Mapping[str, bytes]) -> tuple[dict[str, set[str]], set[str]]:
    """By transaction the names of the files that it added, and all names that were removed."""
    added: dict[str, set[str]] = {}
    removed: set[str] = set()
    for mark, content in marks.items():
        found = _COMMITTED.fullmatch(_name(mark))
        if found is None or not content:
            continue
        commit = parse_manifest(mark, content)
        removed |= {entry.text() for entry in commit.items("removed")}
        names = {entry.text() for entry in commit.items("added")}
        if not found[1]:
            added[found[2]] = names
    return added, removed


def _missing(absent: list[str], unfinished: set[str], *, committed: bool) -> str:
    if absent:
        return f"{len(absent)} committed files: {shown_list(absent, 3)}"
    if committed:
        return ""
    if unfinished:
        return f"the end of the transaction {shown_list(sorted(unfinished), 3)}"
    return "a commit that is not empty"


def _name(blob: str) -> str:
    return blob.rpartition("/")[2]
