"""Watermarks in memory."""

from exporter.domain.watermark import Watermark
from tests.fakes.storage import Document, Process


class FakeWatermarkStore:
    """One document an export and segment, swapped by ETag."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def advance(self, export_id: str, segment: str, mark: Watermark) -> Watermark | None:
        before: list[Watermark | None] = [None]

        def swap(document: Document) -> bytes | None:
            before[0] = Watermark.model_validate_json(document.data) if document.etag else None
            if before[0] is not None and not mark.newer_than(before[0]):
                return None
            return mark.model_dump_json().encode()

        await self._process.swap(f"watermarks/{export_id}/{segment}.json", swap)
        return before[0]

    async def load(self, export_id: str, segment: str) -> Watermark | None:
        document = await self._process.read(f"watermarks/{export_id}/{segment}.json")
        return Watermark.model_validate_json(document.data) if document.etag else None
