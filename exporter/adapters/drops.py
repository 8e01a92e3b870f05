"""The landing container, and the records of the drops in it.

A file from which a person was erased stands for the version it replaced: its metadata keep the ETag, the
moment and the size which that version had, and everybody is shown these. So the drop stays the same drop, no
run begins anew, and it does not pass for a newer one. Whoever overwrites the file takes the metadata away.
"""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties, ContainerClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient

from exporter.adapters.documents import Documents
from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.drop import DropRecord, Source
from exporter.errors import ConflictError, RetryLaterError, StopRunError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RANGE_BYTES: Final = 64 * 1024
"""So much is asked for at a time, or more where more is wanted."""
_ETAG: Final = "exporter_etag"
_LAST_MODIFIED: Final = "exporter_last_modified"
_SIZE: Final = "exporter_size"
_MAX_KEPT_BYTES: Final = 256 * 1024
_MAX_BYTES_KEPT_IN_ALL: Final = 24 * 1024 * 1024
"""Each look wants all of them: if the oldest always made room, nothing would ever be found kept."""
_IS_FOLDER: Final = "hdi_isfolder"
"""Metadata of a blob that stands for a folder: Hadoop's clients, so Spark's too, make one for each where the
account has no folders of its own (github.com/apache/hadoop, hadoop-azure, BlobMaterialization)."""


class BlobDropStore:
    """Reads drops pinned to their ETag; writes them only for `exporter drop` and `exporter erase`."""

    def __init__(
        self, landing: AsyncContainerClient, blocking_landing: ContainerClient, documents: Documents
    ) -> None:
        self._landing = landing
        self._blocking_landing = blocking_landing
        self._documents = documents
        self._contents: dict[str, tuple[str, bytes]] = {}
        """What manifests hold, by blob, with the ETag."""
        self._kept_bytes = 0

    async def source(self, blob: str) -> Source | None:
        """The blob as it is now, or None when it is gone or stands for a folder."""
        try:
            properties = await self._landing.get_blob_client(blob).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return None if _is_folder(properties) else _source(properties)

    async def folder(self, prefix: str) -> list[Source]:
        """The blobs below a prefix, sorted by name; those that stand for folders left out."""
        blobs = self._landing.list_blobs(name_starts_with=prefix or None, include=["metadata"])
        return [_source(blob) async for blob in blobs if not _is_folder(blob)]

    async def content(self, source: Source, max_bytes: int) -> bytes | None:
        """All bytes of a small blob, kept at hand for the next look at the same version."""
        known = self._contents.get(source.blob)
        if known is not None and known[0] == source.etag:
            return known[1]
        if source.size > max_bytes:
            return None
        try:
            stream = await self._landing.get_blob_client(source.blob).download_blob(
                etag=f'"{source.etag}"', match_condition=MatchConditions.IfNotModified
            )
            data = await stream.readall()
        except (ResourceModifiedError, ResourceNotFoundError):
            return None
        self._keep(source, data)
        return data

    def _keep(self, source: Source, data: bytes) -> None:
        """Keep what a manifest holds while there is room; begin anew once there is none."""
        if len(data) > _MAX_KEPT_BYTES:
            return
        _, before = self._contents.pop(source.blob, ("", b""))
        self._kept_bytes += len(data) - len(before)
        if self._kept_bytes > _MAX_BYTES_KEPT_IN_ALL:
            self._contents.clear()
            self._kept_bytes = len(data)
        self._contents[source.blob] = source.etag, data

    def read(self, source: Source) -> Iterator[bytes]:
        """The blob's bytes in blocks, all of the version that was seen, or of the one that stands for it.

        Raises RetryLaterError when a person is erased from it at this moment.
        """
        blob = self._blocking_landing.get_blob_client(source.blob)
        etag = f'"{source.etag}"'
        has_begun = False
        while True:
            try:
                stream = blob.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
                for block in stream.chunks():
                    has_begun = True
                    yield block
            except (ResourceModifiedError, ResourceNotFoundError) as error:
                etag, _ = _standing_for(blob, source)
                if has_begun:
                    raise _erased_meanwhile() from error
            else:
                return

    def open(self, source: Source) -> BinaryIO:
        """The blob's bytes by position, all of the version that was seen, or of the one that stands for it.

        Opening and reading raise as `read` does.
        """
        blob = self._blocking_landing.get_blob_client(source.blob)
        etag, size = _standing_for(blob, source)
        return io.BufferedReader(_Ranges(blob, source, etag, size), RANGE_BYTES)

    async def record(self, record: DropRecord) -> bool:
        """Write a drop's record once."""
        return await self._documents.create(_record_name(record.version), to_bytes(record))

    async def recorded(self, version: str) -> DropRecord | None:
        """What became of a drop."""
        document = await self._documents.read(_record_name(version))
        return from_bytes(DropRecord, document.data) if document.etag else None

    async def records_untouched_since(self, moment: datetime) -> AsyncIterator[DropRecord]:
        """The records of drops that were written before a moment."""
        names = await self._documents.names_untouched_since("drops/", moment)
        async for _, document in self._documents.read_many(names):
            if document.etag:
                yield from_bytes(DropRecord, document.data)

    async def forget(self, version: str) -> None:
        """Delete a drop's record."""
        await self._documents.clear(_record_name(version))

    async def put(self, blob: str, blocks: Iterable[bytes]) -> Source:
        """Write a blob into the landing container, as an upstream system would."""
        with tempfile.TemporaryFile() as spool:
            size = _fill(spool, blocks)
            written = await self._landing.get_blob_client(blob).upload_blob(
                spool, length=size, overwrite=True
            )
        return Source(
            blob=blob,
            etag=str(written["etag"]).strip('"'),
            size=size,
            last_modified=written["last_modified"],
        )

    async def rewrite(self, source: Source, blocks: Iterable[bytes]) -> bool:
        """Put other bytes in a file's place, with what it has of metadata, headers and tags."""
        blob = self._landing.get_blob_client(source.blob)
        try:
            now = await blob.get_blob_properties()
        except ResourceNotFoundError:
            return False
        etag = _present_etag(now, source)
        if etag is None:
            return False
        first: dict[str, str] = {
            _ETAG: source.etag,
            _LAST_MODIFIED: source.last_modified.isoformat(),
            _SIZE: str(source.size),
        }
        options: dict[str, Any] = {"tags": await blob.get_blob_tags()} if now.tag_count else {}
        with tempfile.TemporaryFile() as spool:
            size = await asyncio.to_thread(_fill, spool, blocks)
            try:
                await blob.upload_blob(
                    spool,
                    length=size,
                    overwrite=True,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                    metadata={**(now.metadata or {}), **first},
                    content_settings=_headers(now),
                    **options,
                )
            except (ResourceModifiedError, ResourceNotFoundError):
                return False
        return True

    async def remove(self, source: Source) -> None:
        """Delete a file. Raises ConflictError when it was overwritten meanwhile."""
        blob = self._landing.get_blob_client(source.blob)
        try:
            etag = _present_etag(await blob.get_blob_properties(), source)
            if etag is None:
                raise ConflictError(f"{ascii(source.blob)[1:-1]} was overwritten meanwhile")
            await blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        except ResourceModifiedError as error:
            raise ConflictError(f"{ascii(source.blob)[1:-1]} was overwritten meanwhile") from error
        except ResourceNotFoundError:
            return


class _Ranges(io.RawIOBase):
    """One version of a blob, each read a request for the bytes that are asked for."""

    def __init__(self, blob: BlobClient, source: Source, etag: str, size: int) -> None:
        self._blob = blob
        self._source = source
        self._etag = etag
        self._size = size
        """In bytes; `source` has the size of the version that was seen."""
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._position)
        if length <= 0:
            return 0
        try:
            stream = self._blob.download_blob(
                offset=self._position,
                length=length,
                etag=self._etag,
                match_condition=MatchConditions.IfNotModified,
            )
            view[:length] = stream.readall()
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            _standing_for(self._blob, self._source)
            raise _erased_meanwhile() from error
        self._position += length
        return length


def _standing_for(blob: BlobClient, source: Source) -> tuple[str, int]:
    """ETag and size of what is there of the version that was seen, or in its place.

    Raises StopRunError where the blob was overwritten or deleted.
    """
    # A condition on a blob that is gone fails like one on a blob that changed; this look has none.
    try:
        now = blob.get_blob_properties()
    except ResourceNotFoundError as error:
        raise _gone(source) from error
    etag = _present_etag(now, source)
    if etag is None:
        raise _overwritten(source)
    return etag, now.size


def _record_name(version: str) -> str:
    return f"drops/{version}.json"


def _is_folder(blob: BlobProperties) -> bool:
    return (blob.metadata or {}).get(_IS_FOLDER) == "true"


def _source(blob: BlobProperties) -> Source:
    """A blob as the drop that it belongs to has it."""
    first = blob.metadata or {}
    if _ETAG in first:
        return Source(
            blob=blob.name,
            etag=first[_ETAG],
            size=int(first[_SIZE]),
            last_modified=datetime.fromisoformat(first[_LAST_MODIFIED]),
        )
    return Source(blob=blob.name, etag=blob.etag.strip('"'), size=blob.size, last_modified=blob.last_modified)


def _present_etag(blob: BlobProperties, source: Source) -> str | None:
    """The blob's own ETag, if it is the version that was seen or stands for it."""
    return f'"{blob.etag.strip(chr(34))}"' if _source(blob).etag == source.etag else None


def _headers(blob: BlobProperties) -> Any:
    """The headers that go with the content; its digest belongs to the bytes that were."""
    headers = blob.content_settings
    headers.content_md5 = None
    return headers


def _fill(spool: IO[bytes], blocks: Iterable[bytes]) -> int:
    """Write blocks into a file and go to its start; how many bytes they are."""
    for block in blocks:
        spool.write(block)
    size = spool.tell()
    spool.seek(0)
    return size


def _erased_meanwhile() -> RetryLaterError:
    return RetryLaterError("a drop from which a person was erased meanwhile")


def _gone(source: Source) -> StopRunError:
    return StopRunError(
        "source_gone",
        f"{ascii(source.blob)[1:-1]} was deleted before it was read; drop it again to send it",
    )


def _overwritten(source: Source) -> StopRunError:
    return StopRunError(
        "superseded",
        f"{ascii(source.blob)[1:-1]} was overwritten while it was read; nothing of this version "
        "was sent, the newer one has a run of its own",
    )
