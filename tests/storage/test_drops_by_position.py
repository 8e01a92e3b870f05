"""Files of a drop are read by position in the version that was seen, against the real emulator."""

import asyncio
from io import SEEK_END

import pytest
from azure.storage.blob import BlobClient

from exporter.adapters.drops import RANGE_BYTES, BlobDropStore
from exporter.errors import RetryLaterError, StopRunError
from tests.storage.conftest import Ground

BLOB = "vip/monday.parquet"
DATA = bytes(number % 251 for number in range(3 * RANGE_BYTES))


@pytest.fixture
def drops(ground: Ground) -> BlobDropStore:
    return BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)


async def test_any_part_of_a_file_can_be_read(drops: BlobDropStore) -> None:
    seen = await drops.put(BLOB, [DATA])

    def parts() -> list[bytes]:
        with drops.open(seen) as file:
            assert file.seek(0, SEEK_END) == len(DATA)
            assert file.read() == b""
            file.seek(-8, SEEK_END)
            end = file.read(100)
            file.seek(10)
            beginning = file.read(5)
            return [end, beginning, file.read(2 * RANGE_BYTES), file.read()]

    assert await asyncio.to_thread(parts) == [
        DATA[-8:],
        DATA[10:15],
        DATA[15 : 15 + 2 * RANGE_BYTES],
        DATA[15 + 2 * RANGE_BYTES :],
    ]


async def test_only_what_is_wanted_is_fetched(
    ground: Ground, drops: BlobDropStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = await drops.put(BLOB, [DATA])
    fetched: list[tuple[int, int]] = []
    download_blob = BlobClient.download_blob

    def noting(blob: BlobClient, offset: int, length: int, **options: object) -> object:
        fetched.append((offset, length))
        return download_blob(blob, offset, length, **options)  # type: ignore[call-overload] # as it was called

    monkeypatch.setattr(BlobClient, "download_blob", noting)
    with drops.open(seen) as file:
        file.seek(-8, SEEK_END)
        file.read(8)

    assert fetched == [(len(DATA) - 8, 8)]


async def test_an_empty_file_has_no_bytes_anywhere(drops: BlobDropStore) -> None:
    seen = await drops.put(BLOB, [])

    with drops.open(seen) as file:
        assert file.read() == b""
        file.seek(100)
        assert file.read(1) == b""


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(("is_overwritten", "code"), [(True, "superseded"), (False, "source_gone")])
async def test_only_the_version_that_was_seen_is_read(
    ground: Ground, drops: BlobDropStore, is_overwritten: bool, code: str, is_open: bool
) -> None:
    seen = await drops.put(BLOB, [DATA])
    opened = drops.open(seen)
    opened.read(1)
    if is_overwritten:
        await drops.put(BLOB, [DATA])
    else:
        await ground.storage.landing.delete_blob(BLOB)

    opened.seek(-1, SEEK_END)
    with pytest.raises(StopRunError) as caught:
        opened.read(1) if is_open else drops.open(seen)

    assert caught.value.code == code


async def test_what_stands_for_the_version_that_was_seen_is_read(drops: BlobDropStore) -> None:
    seen = await drops.put(BLOB, [DATA])
    assert await drops.rewrite(seen, [b"rewritten"])

    with drops.open(seen) as file:
        assert file.seek(0, SEEK_END) == len(b"rewritten")
        file.seek(2)
        assert file.read() == b"written"


async def test_a_file_that_is_rewritten_while_it_is_open_is_read_again_later(drops: BlobDropStore) -> None:
    seen = await drops.put(BLOB, [DATA])
    with drops.open(seen) as file:
        file.read(1)
        assert await drops.rewrite(seen, [b"rewritten"])

        file.seek(RANGE_BYTES + 1)
        with pytest.raises(RetryLaterError, match="erased"):
            file.read(1)
