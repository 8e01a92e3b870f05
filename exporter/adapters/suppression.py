"""Whom a connection must not send: `suppression/<connection id>.json`, and the key `suppression/key`."""

from datetime import datetime
from typing import Final

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.domain.suppression import NOBODY, Suppressed, SuppressionList, suppression_digest
from exporter.steps.ports import Randomness

_KEY: Final = "suppression/key"


class BlobSuppressionStore:
    """One document a connection, swapped by ETag; one key for all, made when it is first needed."""

    def __init__(self, documents: Documents, randomness: Randomness) -> None:
        self._documents = documents
        self._randomness = randomness

    async def load(self, connection_id: str) -> Suppressed:
        """Whom a plan must leave out now."""
        since = _decode(await self._documents.read(_path(connection_id))).since
        if not since:
            return NOBODY
        return Suppressed((await self._documents.read(_KEY)).data, frozenset(since))

    async def add(self, connection_id: str, address: str, since: datetime) -> datetime:
        """Put a person on the list for good; since when they are on it."""
        key = await self._documents.write_once(_KEY, self._randomness.secret())
        digest = suppression_digest(key, address)
        listed = SuppressionList()

        def swap(document: DocumentBytes) -> bytes | None:
            nonlocal listed
            before = _decode(document)
            listed = before.with_digest(digest, since)
            return None if listed is before else listed.model_dump_json().encode()

        await self._documents.swap(_path(connection_id), swap)
        return listed.since[digest]


def _path(connection_id: str) -> str:
    return f"suppression/{connection_id}.json"


def _decode(document: DocumentBytes) -> SuppressionList:
    return SuppressionList.model_validate_json(document.data) if document.etag else SuppressionList()
