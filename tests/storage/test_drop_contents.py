"""Small blobs such as manifests are read whole, in the version that was seen, against the real emulator."""

import pytest
from azure.storage.blob.aio import BlobClient

from exporter.adapters.drops import BlobDropStore
from tests.storage.conftest import Ground

MODEL = "lake/model.json"
LIMIT_BYTES = 1000
MOST_BYTES = b"x" * LIMIT_BYTES


@pytest.fixture
def drops(ground: Ground) -> BlobDropStore:
    return BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blobs that were downloaded, one entry for each time."""
    names: list[str] = []
    download_blob = BlobClient.download_blob

    async def noting(blob: BlobClient, **options: object) -> object:
        names.append(blob.blob_name)
        return await download_blob(blob, **options)  # type: ignore[call-overload] # as it was called

    monkeypatch.setattr(BlobClient, "download_blob", noting)
    return names


@pytest.mark.parametrize("content", [b"{}", b"", MOST_BYTES], ids=["some", "none", "most"])
async def test_all_of_it_is_read(drops: BlobDropStore, content: bytes) -> None:
    seen = await drops.put(MODEL, [content])

    assert await drops.content(seen, LIMIT_BYTES) == content


async def test_what_is_too_large_is_not_fetched(drops: BlobDropStore, fetched: list[str]) -> None:
    seen = await drops.put(MODEL, [MOST_BYTES, b"x"])

    assert await drops.content(seen, LIMIT_BYTES) is None
    assert fetched == []


async def test_another_version_than_the_one_that_was_seen_is_not_read(drops: BlobDropStore) -> None:
    seen = await drops.put(MODEL, [b"old"])
    present = await drops.put(MODEL, [b"new"])

    assert await drops.content(seen, LIMIT_BYTES) is None
    assert await drops.content(present, LIMIT_BYTES) == b"new"


async def test_what_is_gone_is_not_read(ground: Ground, drops: BlobDropStore) -> None:
    seen = await drops.put(MODEL, [b"{}"])
    await ground.storage.landing.delete_blob(MODEL)

    assert await drops.content(seen, LIMIT_BYTES) is None


async def test_the_same_version_is_fetched_once_and_the_next_one_anew(
    drops: BlobDropStore, fetched: list[str]
) -> None:
    seen = await drops.put(MODEL, [b"old"])
    assert [await drops.content(seen, LIMIT_BYTES) for _ in range(3)] == [b"old"] * 3
    assert fetched == [MODEL]

    present = await drops.put(MODEL, [b"new"])
    assert [await drops.content(present, LIMIT_BYTES) for _ in range(3)] == [b"new"] * 3
    assert fetched == [MODEL, MODEL]
