"""Documents against the real emulator: created once, swapped by ETag, nothing lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.documents import DocumentBytes, Documents
from exporter.errors import ConflictError
from tests.storage.conftest import Ground


async def test_a_document_is_created_by_one_of_many(ground: Ground) -> None:
    won = await asyncio.gather(*(ground.documents.create("one", str(i).encode()) for i in range(16)))

    assert won.count(True) == 1
    assert (await ground.documents.read("one")).data == str(won.index(True)).encode()


async def test_writing_once_returns_what_was_there_first(ground: Ground) -> None:
    assert await ground.documents.write_once("fact", b"first") == b"first"
    assert await ground.documents.write_once("fact", b"second") == b"first"


async def test_a_missing_document_is_empty_and_tells_storages_time(ground: Ground) -> None:
    document = await ground.documents.read("nothing")

    assert (document.data, document.etag) == (b"", None)
    assert abs(document.read_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_stale_write_is_a_conflict(ground: Ground) -> None:
    first = await ground.documents.replace("doc", b"1", etag=None)
    await ground.documents.replace("doc", b"2", etag=first)

    with pytest.raises(ConflictError):
        await ground.documents.replace("doc", b"3", etag=first)
    assert (await ground.documents.read("doc")).data == b"2"


async def test_a_write_that_meets_itself_has_succeeded(ground: Ground) -> None:
    class SameMark(SystemRandomness):
        def token(self) -> str:
            return "the-same"

    documents = Documents(ground.storage.state, SystemClock(), SameMark())
    first = await ground.documents.replace("doc", b"1", etag=None)
    second = await documents.replace("doc", b"2", etag=first)

    # As the SDK does when the answer to the write above was lost on the way.
    assert await documents.replace("doc", b"2", etag=first) == second
    with pytest.raises(ConflictError):
        await ground.documents.replace("doc", b"2", etag=first)


async def test_no_swap_is_lost_when_many_swap_at_once(ground: Ground) -> None:
    def add_one(document: DocumentBytes) -> bytes:
        return orjson.dumps((orjson.loads(document.data) if document.etag else 0) + 1)

    async def writer() -> None:
        for _ in range(5):
            await ground.documents.swap("counter", add_one)

    await asyncio.gather(*(writer() for _ in range(10)))

    assert (await ground.documents.read("counter")).data == b"50"


async def test_a_swap_that_changes_nothing_writes_nothing(ground: Ground) -> None:
    etag = await ground.documents.replace("doc", b"same", etag=None)

    await ground.documents.swap("doc", lambda document: None)

    assert (await ground.documents.read("doc")).etag == etag


async def test_removing_needs_the_latest_version(ground: Ground) -> None:
    first = await ground.documents.replace("doc", b"1", etag=None)
    second = await ground.documents.replace("doc", b"2", etag=first)

    with pytest.raises(ConflictError):
        await ground.documents.remove("doc", etag=first)
    await ground.documents.remove("doc", etag=second)
    assert (await ground.documents.read("doc")).etag is None
