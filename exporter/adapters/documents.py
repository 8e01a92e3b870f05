"""Small documents in the state container: written once, or swapped by ETag."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob.aio import ContainerClient

from exporter.errors import ConflictError, RetryLaterError
from exporter.steps.ports import Clock, Randomness

MAX_SWAPS = 20
SHORTEST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 4.0
PAUSE_PER_TRY = 2.0
"""A pause is drawn from at least so many times what the try took: a storage under siege answers slowly."""
READERS = 16
_MARK = "write"
"""Metadata that names a write, so that whoever made it can recognise it."""


@dataclass(frozen=True, slots=True)
class DocumentBytes:
    """A document as it was read. `etag` is None, and `data` empty, where there is none."""

    data: bytes
    etag: str | None
    read_at: datetime
    """By storage's own clock, or by ours where the answer does not tell."""


def next_pause(pause: float, try_seconds: float) -> float:
    """The longest pause after a try that met another's write, given the one before (0 after the first)."""
    return min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, 2 * pause, PAUSE_PER_TRY * try_seconds))


class Documents:
    """Reads, creates and swaps blobs of the state container."""

    def __init__(self, container: ContainerClient, clock: Clock, randomness: Randomness) -> None:
        self._container = container
        self._clock = clock
        self._randomness = randomness

    async def read(self, name: str) -> DocumentBytes:
        """The document as it is now."""
        dates: list[datetime] = []

        def note_date(response: Any) -> None:
            dates.append(parsedate_to_datetime(response.http_response.headers["Date"]))

        try:
            stream = await self._container.download_blob(name, raw_response_hook=note_date)
            data = await stream.readall()
            # The SDK forgets the hook when it tries again after a connection broke.
            return DocumentBytes(data, stream.properties.etag, dates[-1] if dates else self._clock.now())
        except ResourceNotFoundError as error:
            headers: dict[str, str] = getattr(error.response, "headers", {})
            date = headers.get("Date")
            return DocumentBytes(b"", None, parsedate_to_datetime(date) if date else self._clock.now())

    async def create(self, name: str, data: bytes) -> bool:
        """Write a document that must not exist; False when it does."""
        try:
            await self.replace(name, data, etag=None)
        except ConflictError:
            return False
        return True

    async def write_once(self, name: str, data: bytes) -> bytes:
        """Write a document once; returns what it holds now, which is another's where that was quicker."""
        if await self.create(name, data):
            return data
        return (await self.read(name)).data

    async def replace(self, name: str, data: bytes, *, etag: str | None) -> str:
        """Write a document over the version `etag`, or for the first time where that is None.

        Returns the new ETag; raises ConflictError when it changed meanwhile.
        """
        blob = self._container.get_blob_client(name)
        condition: dict[str, Any] = (
            {"overwrite": False}
            if etag is None
            else {"overwrite": True, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        )
        mark = self._randomness.token()
        try:
            written = await blob.upload_blob(data, metadata={_MARK: mark}, **condition)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
            if etag is None and isinstance(error, ResourceNotFoundError):
                raise  # it is the container that is missing
            # A write whose answer got lost is tried again by the SDK, and then meets itself.
            etag_of_own_write = await self._etag_if_marked(name, mark)
            if etag_of_own_write is not None:
                return etag_of_own_write
            raise ConflictError(f"{name} changed meanwhile: read it again and repeat") from error
        return str(written["etag"])

    async def _etag_if_marked(self, name: str, mark: str) -> str | None:
        """The document's ETag if the write with this mark was the last one."""
        try:
            properties = await self._container.get_blob_client(name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return properties.etag if (properties.metadata or {}).get(_MARK) == mark else None

    async def swap(self, name: str, change: Callable[[DocumentBytes], bytes | None]) -> None:
        """Read, change and write a document, again with full-jitter pauses until nobody interferes.

        `change` returns the new bytes, or None to leave the document as it is.
        """
        pause = 0.0
        for _ in range(MAX_SWAPS):
            began_at = self._clock.monotonic()
            document = await self.read(name)
            changed = change(document)
            if changed is None:
                return
            try:
                await self.replace(name, changed, etag=document.etag)
            except ConflictError:
                pause = next_pause(pause, self._clock.monotonic() - began_at)
                await self._clock.sleep(self._randomness.random() * pause)
            else:
                return
        raise RetryLaterError(f"{name} is swapped by too many at once")

    async def remove(self, name: str, *, etag: str) -> None:
        """Delete the version `etag`; raises ConflictError when it changed meanwhile."""
        try:
            await self._container.delete_blob(name, etag=etag, match_condition=MatchConditions.IfNotModified)
        except ResourceModifiedError as error:
            # A condition on what is gone fails like one on what has changed; a first try may have deleted it.
            if (await self.read(name)).etag is None:
                return
            raise ConflictError(f"{name} changed meanwhile: read it again and repeat") from error
        except ResourceNotFoundError:
            return

    async def clear(self, name: str) -> None:
        """Delete a document whatever it holds; nothing happens when there is none."""
        try:
            await self._container.delete_blob(name)
        except ResourceNotFoundError:
            return

    async def names_untouched_since(self, prefix: str, moment: datetime) -> list[str]:
        """Names of the documents below a prefix that were last written before a moment."""
        blobs = self._container.list_blobs(name_starts_with=prefix)
        return [blob.name async for blob in blobs if blob.last_modified < moment]

    async def clear_all(self, names: Sequence[str]) -> None:
        """Delete documents, some at a time, whatever they hold; those that are gone are fine."""
        for start in range(0, len(names), READERS):
            await asyncio.gather(*(self.clear(name) for name in names[start : start + READERS]))

    async def names(self, prefix: str) -> list[tuple[str, str]]:
        """Names and ETags of the documents below a prefix."""
        return [(blob.name, blob.etag) async for blob in self._container.list_blobs(name_starts_with=prefix)]

    async def read_many(self, names: list[str]) -> AsyncIterator[tuple[str, DocumentBytes]]:
        """Several documents, some at a time, in the order of the names."""
        for start in range(0, len(names), READERS):
            part = names[start : start + READERS]
            for name, document in zip(
                part, await asyncio.gather(*(self.read(name) for name in part)), strict=True
            ):
                yield name, document
