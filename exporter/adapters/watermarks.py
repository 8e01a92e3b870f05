"""Watermarks: `watermarks/<export id>/<digest of the segment's name>.json`."""

import hashlib

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.watermark import Watermark


class BlobWatermarkStore:
    """One small document an export and segment, swapped by ETag."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def advance(self, export_id: str, segment: str, mark: Watermark) -> Watermark | None:
        """Put the mark where it is the newest; what stood there before comes back."""
        before: Watermark | None = None

        def swap(document: DocumentBytes) -> bytes | None:
            nonlocal before
            before = from_bytes(Watermark, document.data) if document.etag else None
            if before is not None and not mark.newer_than(before):
                return None
            return to_bytes(mark)

        await self._documents.swap(_path(export_id, segment), swap)
        return before

    async def load(self, export_id: str, segment: str) -> Watermark | None:
        """The mark as it is now."""
        document = await self._documents.read(_path(export_id, segment))
        return from_bytes(Watermark, document.data) if document.etag else None


def _path(export_id: str, segment: str) -> str:
    """Segment names come from outside; a path is made of a digest instead."""
    digest = hashlib.sha256(segment.encode()).hexdigest()[:32]
    return f"watermarks/{export_id}/{digest}.json"
