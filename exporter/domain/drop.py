"""A drop: one version of one segment, as files in the landing container."""

import hashlib
from collections.abc import Iterable
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
