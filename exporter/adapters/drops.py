"""The landing container, and the records of the drops in it."""

import tempfile
from collections.abc import Iterable, Iterator

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import ContainerClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient

from exporter.adapters.documents import Documents
from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.drop import DropRecord, Source
from exporter.errors import StopRunError


class BlobDropStore:
    """Reads drops pinned to their ETag; writes them only for `exporter drop`."""

    def __init__(
        self, landing: AsyncContainerClient, blocking_landing: ContainerClient, documents: Documents
    ) -> None:
        self._landing = landing
        self._blocking_landing = blocking_landing
        self._documents = documents

    async def source(self, blob: str) -> Source | None:
        """The blob as it is now, or None when it is gone."""
        try:
            properties = await self._landing.get_blob_client(blob).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return Source(
            blob=blob,
            etag=properties.etag.strip('"'),
            size=properties.size,
            last_modified=properties.last_modified,
        )

    async def folder(self, prefix: str) -> list[Source]:
        """The blobs below a prefix, sorted by name."""
        return [
            Source(
                blob=blob.name,
                etag=blob.etag.strip('"'),
                size=blob.size,
                last_modified=blob.last_modified,
            )
            async for blob in self._landing.list_blobs(name_starts_with=prefix)
        ]

    def read(self, source: Source) -> Iterator[bytes]:
        """The blob's bytes in blocks, all of the version that was seen."""
        blob = self._blocking_landing.get_blob_client(source.blob)
        try:
            stream = blob.download_blob(
                etag=f'"{source.etag}"', match_condition=MatchConditions.IfNotModified
            )
            yield from stream.chunks()
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            # A condition on a blob that is gone fails like one on a blob that changed.
            if not blob.exists():
                raise StopRunError(
                    "source_gone",
                    f"{ascii(source.blob)[1:-1]} was deleted before it was read; drop it again to send it",
                ) from error
            raise StopRunError(
                "superseded",
                f"{ascii(source.blob)[1:-1]} was overwritten while it was read; nothing of this version "
                "was sent, the newer one has a run of its own",
            ) from error

    async def record(self, record: DropRecord) -> bool:
        """Write a drop's record once."""
        return await self._documents.create(f"drops/{record.version}.json", to_bytes(record))

    async def recorded(self, version: str) -> DropRecord | None:
        """What became of a drop."""
        document = await self._documents.read(f"drops/{version}.json")
        return from_bytes(DropRecord, document.data) if document.etag else None

    async def put(self, blob: str, blocks: Iterable[bytes]) -> Source:
        """Write a blob into the landing container, as an upstream system would."""
        with tempfile.TemporaryFile() as spool:
            for block in blocks:
                spool.write(block)
            size = spool.tell()
            spool.seek(0)
            written = await self._landing.get_blob_client(blob).upload_blob(
                spool, length=size, overwrite=True
            )
        return Source(
            blob=blob,
            etag=str(written["etag"]).strip('"'),
            size=size,
            last_modified=written["last_modified"],
        )
