"""Stands in for Event Grid: finds new blobs by listing, tells of each ETag once; also reads real events.

What has been delivered is remembered in storage, as lines appended to one blob for each container watched, so
that a host that was stopped goes on where it was. An event is put on the internal queue first and remembered
afterwards: after a crash in between it comes again, which Event Grid may do at any time (azure-facts 8.1).
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient as BlobAddress
from azure.storage.blob.aio import BlobClient, ContainerClient
from azure.storage.queue.aio import QueueClient

from sandbox.host.blobs import BlobEvent
from sandbox.host.functions import BlobTrigger, Function
from sandbox.host.queues import encode, put

LIST_SECONDS = 1.0
# Appending ends at 50,000 blocks; the journal is written anew long before.
_LONGEST_JOURNAL_BLOCKS = 10_000
_EVENTS_AT_ONCE = 100
_PUTS_AT_ONCE = 16
_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundBlob:
    """One version of a blob."""

    name: str
    etag: str
    kind: str = "BlockBlob"


class Journal:
    """Which ETag of each blob of a container has been delivered, kept in an append blob."""

    def __init__(self, blob: BlobClient) -> None:
        self._blob = blob
        self._delivered: dict[str, str] = {}
        self._blocks = 0

    def is_new(self, found: FoundBlob) -> bool:
        """Whether this version has not been delivered."""
        return self._delivered.get(found.name) != found.etag

    async def load(self) -> None:
        """Read what earlier hosts delivered."""
        try:
            download = await self._blob.download_blob()
        except ResourceNotFoundError:
            await self._blob.create_append_blob()
            return
        self._blocks = download.properties.append_blob_committed_block_count or 0
        for line in (await download.readall()).splitlines():
            name, etag = json.loads(line)
            self._delivered[name] = etag

    async def add(self, found: Sequence[FoundBlob]) -> None:
        """Remember a few deliveries."""
        lines = "".join(json.dumps([blob.name, blob.etag]) + "\n" for blob in found)
        await self._blob.append_block(lines.encode())
        self._blocks += 1
        self._delivered.update((blob.name, blob.etag) for blob in found)

    async def compact(self, existing: Iterable[str]) -> None:
        """Write the journal anew, without blobs that are gone, if it has grown long.

        A crash in the middle of it loses the rest of the journal, and those events come again.
        """
        if self._blocks < _LONGEST_JOURNAL_BLOCKS:
            return
        kept = {name: self._delivered[name] for name in existing if name in self._delivered}
        await self._blob.create_append_blob()
        self._delivered, self._blocks = {}, 0
        entries = [FoundBlob(name, etag) for name, etag in kept.items()]
        for start in range(0, len(entries), 1000):
            await self.add(entries[start : start + 1000])


class BlobEvents:
    """Puts blob events on the internal queue that the blob functions' worker listens to."""

    def __init__(self, queue: QueueClient, encoding: str, wake: Callable[[str], None]) -> None:
        self._queue = queue
        self._encoding = encoding
        self._wake = wake

    async def deliver(self, function: Function, container: str, blob: FoundBlob) -> None:
        """Tell one function of one version of a blob."""
        event = BlobEvent(function.id, blob.kind, container, blob.name, f'"{blob.etag}"')
        await put(self._queue, encode(event.to_json(), self._encoding))
        self._wake(self._queue.queue_name)


class ContainerWatcher:
    """Watches one container for the functions that are triggered by it."""

    def __init__(
        self,
        container: ContainerClient,
        journal: Journal,
        functions: Sequence[Function],
        events: BlobEvents,
        seconds: float,
    ) -> None:
        self._container = container
        self._journal = journal
        self._functions = functions
        self._events = events
        self._seconds = seconds

    async def set_up(self) -> None:
        """Make the container if it is missing, and read what was delivered before."""
        with contextlib.suppress(ResourceExistsError):
            await self._container.create_container()
        await self._journal.load()

    async def watch(self) -> None:
        """List and deliver for ever; a container that takes long to list is listed less often."""
        while True:
            started = time.monotonic()
            try:
                await self.look()
            except AzureError as error:
                _log.warning("container %s: %s", self._container.container_name, type(error).__name__)
            await asyncio.sleep(max(self._seconds, 4 * (time.monotonic() - started)))

    async def look(self) -> None:
        """List the container once and deliver what is new, oldest first."""
        names, found = [], []
        async for properties in self._container.list_blobs():
            names.append(str(properties.name))
            blob = FoundBlob(str(properties.name), str(properties.etag), _kind(properties.blob_type))
            if self._journal.is_new(blob):
                found.append((properties.last_modified, blob))
        new = [blob for _, blob in sorted(found, key=lambda entry: (entry[0], entry[1].name))]
        for start in range(0, len(new), _EVENTS_AT_ONCE):
            await self._deliver(new[start : start + _EVENTS_AT_ONCE])
        await self._journal.compact(names)

    async def _deliver(self, blobs: Sequence[FoundBlob]) -> None:
        room = asyncio.Semaphore(_PUTS_AT_ONCE)

        async def tell(function: Function, blob: FoundBlob) -> None:
            async with room:
                await self._events.deliver(function, self._container.container_name, blob)

        async with asyncio.TaskGroup() as group:
            for blob in blobs:
                for function in self._functions:
                    if (
                        isinstance(function.trigger, BlobTrigger)
                        and function.trigger.match(blob.name) is not None
                    ):
                        group.create_task(tell(function, blob))
        await self._journal.add(blobs)


def _kind(blob_type: object) -> str:
    return str(getattr(blob_type, "value", blob_type))


def validation_code(events: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the code of Event Grid's handshake, if this is one."""
    for event in events:
        # The cloud events schema says `type`, and has the data as text.
        if _VALIDATION in (event.get("eventType"), event.get("type")):
            data = event["data"]
            return str((json.loads(data) if isinstance(data, str) else data)["validationCode"])
    return None


def read_event(event: Mapping[str, Any]) -> tuple[str, FoundBlob]:
    """Take from an event what the platform takes: data.url, data.eTag and data.blobType (azure-facts 8.1)."""
    data = event["data"]
    address = BlobAddress.from_blob_url(str(data["url"]))
    return str(address.container_name), FoundBlob(
        str(address.blob_name), str(data["eTag"]), str(data.get("blobType", "BlockBlob"))
    )
