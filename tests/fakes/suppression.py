"""Suppression lists in memory, in their stored form."""

from datetime import datetime

from exporter.domain.suppression import NOBODY, Suppressed, SuppressionList, suppression_digest
from tests.fakes.storage import Document, Process

KEY = b"k" * 32


class FakeSuppressionStore:
    """One document a connection."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def load(self, connection_id: str) -> Suppressed:
        since = _decode(await self._process.read(_path(connection_id))).since
        return Suppressed(KEY, frozenset(since)) if since else NOBODY

    async def add(self, connection_id: str, address: str, since: datetime) -> datetime:
        digest = suppression_digest(KEY, address)
        listed = SuppressionList()

        def swap(document: Document) -> bytes | None:
            nonlocal listed
            before = _decode(document)
            listed = before.with_digest(digest, since)
            return None if listed is before else listed.model_dump_json().encode()

        await self._process.swap(_path(connection_id), swap)
        return listed.since[digest]


def _path(connection_id: str) -> str:
    return f"suppression/{connection_id}.json"


def _decode(document: Document) -> SuppressionList:
    return SuppressionList.model_validate_json(document.data) if document.etag else SuppressionList()
