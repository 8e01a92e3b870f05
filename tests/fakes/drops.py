"""The landing container in memory."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from io import BytesIO
from typing import BinaryIO, Final

from exporter.domain.drop import DropRecord, Source
from exporter.errors import StopRunError
from tests.fakes.storage import FakeStorage, Process

BLOCK_BYTES: Final = 4096


class FakeDropStore:
    """Blobs with ETags and times; `landed` is shared by all processes."""

    def __init__(self, process: Process, landed: dict[str, tuple[Source, bytes]]) -> None:
        self._process = process
        self._landed = landed

    async def source(self, blob: str) -> Source | None:
        await self._process.operate()
        found = self._landed.get(blob)
        await self._process.come_back()
        return found[0] if found else None

    async def folder(self, prefix: str) -> list[Source]:
        await self._process.operate()
        found = [source for blob, (source, _) in sorted(self._landed.items()) if blob.startswith(prefix)]
        await self._process.come_back()
        return found

    def read(self, source: Source) -> Iterator[bytes]:
        """The file in blocks, each asked for under the condition that nobody overwrote it."""
        for start in range(0, max(1, source.size), BLOCK_BYTES):
            found = self._landed.get(source.blob)
            if found is None:
                raise StopRunError("source_gone", "the file was deleted before it was read")
            if found[0].etag != source.etag:
                raise StopRunError("superseded", "the file was overwritten while it was read")
            yield found[1][start : start + BLOCK_BYTES]

    async def content(self, source: Source, max_bytes: int) -> bytes | None:
        await self._process.operate()
        found = self._landed.get(source.blob)
        await self._process.come_back()
        return found[1] if found and found[0].etag == source.etag and source.size <= max_bytes else None

    def open(self, source: Source) -> BinaryIO:
        return BytesIO(b"".join(self.read(source)))

    async def record(self, record: DropRecord) -> bool:
        return await self._process.create(f"drops/{record.version}.json", record.model_dump_json().encode())

    async def recorded(self, version: str) -> DropRecord | None:
        document = await self._process.read(f"drops/{version}.json")
        return DropRecord.model_validate_json(document.data) if document.etag else None

    async def records_untouched_since(self, moment: datetime) -> AsyncIterator[DropRecord]:
        for name in await self._process.names("drops/"):
            record = DropRecord.model_validate_json((await self._process.read(name)).data)
            if record.recorded_at < moment:
                yield record

    async def forget(self, version: str) -> None:
        await self._process.remove(f"drops/{version}.json")

    async def rewrite(self, source: Source, blocks: Iterable[bytes]) -> bool:
        await self._process.operate_write()
        found = self._landed.get(source.blob)
        if found is None or found[0].etag != source.etag:
            return False
        self._landed[source.blob] = found[0], b"".join(blocks)
        return True

    async def remove(self, source: Source) -> None:
        await self._process.operate_write()
        self._landed.pop(source.blob, None)
        self._process.storage.documents.pop(f"landing/{source.blob}", None)

    async def put(self, blob: str, blocks: Iterable[bytes]) -> Source:
        return self.land(self._process.storage, self._landed, blob, b"".join(blocks))

    @staticmethod
    def land(storage: FakeStorage, landed: dict[str, tuple[Source, bytes]], blob: str, data: bytes) -> Source:
        """Somebody puts a file, at once."""
        etag = storage.put(f"landing/{blob}", b"").strip('"')
        now = storage.clock.now().replace(microsecond=0)
        source = Source(blob=blob, etag=etag, size=len(data), last_modified=now)
        landed[blob] = source, data
        return source
