"""Many writers at one document: none of their writes is lost, and few are in vain."""

import asyncio
from typing import Final

import orjson

from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.documents import DocumentBytes, Documents
from tests.storage.conftest import Ground

WRITERS: Final = 50
INCREMENTS_EACH: Final = 10
MOST_TRIES_PER_SUCCESS: Final = 4.0


class CountingDocuments(Documents):
    """Documents that count how often they try to write."""

    try_count = 0

    async def replace(self, name: str, data: bytes, *, etag: str | None) -> str:
        self.try_count += 1
        return await super().replace(name, data, etag=etag)


def add_one(document: DocumentBytes) -> bytes:
    return orjson.dumps((orjson.loads(document.data) if document.etag else 0) + 1)


async def test_fifty_writers_lose_no_increment_and_need_few_tries(ground: Ground) -> None:
    documents = CountingDocuments(ground.storage.state, SystemClock(), SystemRandomness())

    async def writer() -> None:
        for _ in range(INCREMENTS_EACH):
            await documents.swap("counter", add_one)

    await asyncio.gather(*(writer() for _ in range(WRITERS)))

    increments = WRITERS * INCREMENTS_EACH
    assert orjson.loads((await documents.read("counter")).data) == increments
    assert documents.try_count <= MOST_TRIES_PER_SUCCESS * increments
