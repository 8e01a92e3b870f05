"""A drop: one version of one segment, as files in the landing container."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

END_MARKERS: Final = frozenset({"_SUCCESS", ".done"})


class Source(BaseModel):
    """One blob of a drop, pinned to the version that was seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blob: str
    """Name in the landing container, `<segment>/…`."""
    etag: str
    size: int
    """Bytes as stored."""
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A whole snapshot in one file: `<segment>/<file>`."""

    segment: str


@dataclass(frozen=True, slots=True)
class EndMarker:
    """The marker that closes a folder of files: `<segment>/<drop>/_SUCCESS` or `.done`."""

    segment: str
    folder: str
    """With its trailing slash; the drop's files lie below it."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing that starts a run by itself: a part of a folder, a hidden file, a stray blob."""

    why: str


def recognise(blob: str) -> SegmentFile | EndMarker | Ignored:
    """What the arrival of a blob means, by its name alone."""
    segment, *rest = blob.split("/")
    if not segment or not rest or not rest[-1]:
        return Ignored("it does not lie in a segment's folder")
    name = rest[-1]
    if len(rest) == 2 and name in END_MARKERS:
        return EndMarker(segment, f"{segment}/{rest[0]}/")
    if is_hidden(name):
        return Ignored("hidden files and markers hold no rows")
    if len(rest) == 1:
        return SegmentFile(segment)
    return Ignored("a file of a folder waits for the folder's end marker")


def is_hidden(path: str) -> bool:
    """Whether a part of a path says that its content is not for readers (Spark's and Hadoop's habit)."""
    return any(part.startswith(("_", ".")) for part in path.split("/"))


def drop_version(sources: Iterable[Source]) -> str:
    """Digest of the sorted (blob, ETag) pairs: the same files are the same drop. 32 hex digits."""
    digest = hashlib.sha256()
    for blob, etag in sorted((source.blob, source.etag) for source in sources):
        digest.update(f"{len(blob)}:{blob}{len(etag)}:{etag}".encode())
    return digest.hexdigest()[:32]


class DropRecord(BaseModel):
    """What became of a drop: its runs, or why there are none. Written once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_number: int = 1
    version: str
    segment: str
    sources: tuple[Source, ...]
    recorded_at: datetime
    run_ids: tuple[str, ...]
