"""What is paused beyond single runs: `control/pauses.json`."""

from collections.abc import Callable
from typing import Final

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.pause import Pauses

_NAME: Final = "control/pauses.json"


class BlobPauseStore:
    """One small document, swapped by ETag."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def load(self) -> Pauses:
        """The pauses as they are now."""
        return _decode(await self._documents.read(_NAME))

    async def update(self, change: Callable[[Pauses], Pauses]) -> Pauses:
        """Swap them for their changed selves; no write where nothing changes."""
        latest = Pauses()

        def swap(document: DocumentBytes) -> bytes | None:
            nonlocal latest
            before = _decode(document)
            latest = change(before)
            return to_bytes(latest) if latest is not before else None

        await self._documents.swap(_NAME, swap)
        return latest


def _decode(document: DocumentBytes) -> Pauses:
    return from_bytes(Pauses, document.data) if document.etag else Pauses()
