"""Pauses in memory, in their stored form."""

from collections.abc import Callable

from exporter.domain.pause import Pauses
from tests.fakes.storage import Document, Process

_NAME = "control/pauses.json"


class FakePauseStore:
    """One document, swapped by ETag."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def load(self) -> Pauses:
        return _decode(await self._process.read(_NAME))

    async def update(self, change: Callable[[Pauses], Pauses]) -> Pauses:
        latest: list[Pauses] = []

        def swap(document: Document) -> bytes | None:
            before = _decode(document)
            latest[:] = [change(before)]
            return latest[0].model_dump_json().encode() if latest[0] is not before else None

        await self._process.swap(_NAME, swap)
        return latest[0]


def _decode(document: Document) -> Pauses:
    return Pauses.model_validate_json(document.data) if document.etag else Pauses()
