"""The doctor's instruments on a real storage: what they find, and that they leave nothing behind."""

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.diagnosis import StorageInstruments
from exporter.adapters.signs import HEARTBEAT, BlobSignsOfLife
from exporter.adapters.storage import open_account, open_storage
from exporter.domain.layout import Junk, classify
from exporter.domain.recipes import BUILT_IN
from exporter.settings import StorageAccount
from exporter.steps.doctor import Code, TroubleError
from exporter.steps.messages import PlanMessage, Queue
from tests.storage.conftest import Ground

TOKEN = "0123456789ab"


@pytest.fixture
def instruments(ground: Ground, azurite: str) -> StorageInstruments:
    account = StorageAccount(connection_string=azurite)
    return StorageInstruments(ground.storage, account, account, SystemRandomness())


async def names(container: ContainerClient) -> list[str]:
    return [name async for name in container.list_blob_names()]


async def test_trying_leaves_nothing_behind(ground: Ground, instruments: StorageInstruments) -> None:
    queues_before = {queue.name async for queue in ground.storage.queues.list_queues()}

    await instruments.try_state()
    await instruments.try_landing()
    await instruments.try_queues()

    assert await names(ground.storage.state) == []
    assert await names(ground.storage.landing) == []
    assert {queue.name async for queue in ground.storage.queues.list_queues()} == queues_before


async def test_what_is_tried_in_the_landing_container_starts_nothing(
    ground: Ground, instruments: StorageInstruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = ContainerClient.upload_blob

    async def note(self: ContainerClient, name: str, *arguments: object, **options: object) -> object:
        written.append(name)
        return await real(self, name, *arguments, **options)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(ContainerClient, "upload_blob", note)
    await instruments.try_landing()
    await instruments.put_test_drop(TOKEN)

    assert len(written) == 2
    assert all(isinstance(classify(name, BUILT_IN), Junk) for name in written)


async def test_a_test_drop_is_acknowledged_and_removed(
    ground: Ground, instruments: StorageInstruments
) -> None:
    await instruments.put_test_drop(TOKEN)
    assert await names(ground.storage.landing) == [f".exporter-test-{TOKEN}"]
    assert not await instruments.test_drop_arrived(TOKEN)

    await BlobSignsOfLife(ground.storage.state, SystemClock()).acknowledge(TOKEN)
    assert await instruments.test_drop_arrived(TOKEN)

    await instruments.remove_test_drop(TOKEN)
    await instruments.remove_test_drop(TOKEN)
    assert await names(ground.storage.landing) == []
    assert await names(ground.storage.state) == []


async def test_the_heartbeat_is_dated_by_storage(ground: Ground, instruments: StorageInstruments) -> None:
    assert await instruments.heartbeat_age_seconds() is None

    await BlobSignsOfLife(ground.storage.state, SystemClock()).beat()

    age = await instruments.heartbeat_age_seconds()
    assert age is not None
    assert age >= 0


class StandingClock(SystemClock):
    """Shows what it is set to."""

    seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


async def test_the_heart_beats_once_in_a_minute(ground: Ground) -> None:
    clock = StandingClock()
    signs = BlobSignsOfLife(ground.storage.state, clock)
    blob = ground.storage.state.get_blob_client(HEARTBEAT)
    etags = []
    for clock.seconds in (60.0, 61.0, 119.9, 120.0, 239.9):
        await signs.beat()
        etags.append((await blob.get_blob_properties()).etag)

    assert [etags.index(etag) for etag in etags] == [0, 0, 0, 3, 4]


class OwnQueues:
    """The emulator's queues under names of our own: others use the pipeline's names there."""

    def __init__(self, queues: QueueServiceClient) -> None:
        self._queues = queues
        self._prefix = uuid.uuid4().hex[:8]

    def get_queue_client(self, name: str) -> QueueClient:
        return self._queues.get_queue_client(f"{self._prefix}-{name}")


async def test_queues_are_counted_and_no_message_is_taken(ground: Ground, azurite: str) -> None:
    account = StorageAccount(connection_string=azurite)
    queues = cast("QueueServiceClient", OwnQueues(ground.storage.queues))
    storage = replace(ground.storage, queues=queues)
    instruments = StorageInstruments(storage, account, account, SystemRandomness())
    text = PlanMessage(run_id="0" * 32).to_text()

    with pytest.raises(TroubleError) as missing:
        await instruments.look_at(Queue.CHUNKS)
    assert missing.value.code == Code.QUEUE_MISSING
    assert await instruments.count_poisoned(Queue.CHUNKS) == 0

    async with queues.get_queue_client("chunks") as queue, queues.get_queue_client("chunks-poison") as poison:
        await queue.create_queue()
        assert (await instruments.look_at(Queue.CHUNKS)).message_count == 0
        await queue.send_message(text, visibility_timeout=600)
        assert (await instruments.look_at(Queue.CHUNKS)).oldest_seconds is None
        await queue.send_message(text)
        look = await instruments.look_at(Queue.CHUNKS)
        again = await instruments.look_at(Queue.CHUNKS)
        assert look.message_count == again.message_count == 2
        assert look.oldest_seconds is not None

        await poison.create_queue()
        await poison.send_message(text)
        assert await instruments.count_poisoned(Queue.CHUNKS) == 1


async def test_dead_letters_are_seen_and_their_container_may_be_absent(
    ground: Ground, azurite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"dead-letters-{uuid.uuid4().hex}"
    monkeypatch.setattr("exporter.adapters.diagnosis.DEAD_LETTERS", name)
    account = StorageAccount(connection_string=azurite)
    async with open_account(account, impatient=True) as clients:
        storage = replace(ground.storage, accounts=(clients,))
        instruments = StorageInstruments(storage, account, account, SystemRandomness())
        assert not await instruments.has_dead_letters()

        async with await clients.blobs.create_container(name) as container:
            assert not await instruments.has_dead_letters()
            await container.upload_blob("exporter-events/event.json", b"{}")
            assert await instruments.has_dead_letters()
            await container.delete_container()


async def test_a_missing_container_is_named_and_not_created(ground: Ground, azurite: str) -> None:
    account = StorageAccount(connection_string=azurite)
    name = f"missing-{uuid.uuid4().hex}"
    async with BlobServiceClient.from_connection_string(azurite) as blobs:
        storage = replace(ground.storage, state=blobs.get_container_client(name))
        instruments = StorageInstruments(storage, account, account, SystemRandomness())

        with pytest.raises(TroubleError, match=name) as trouble:
            await instruments.try_state()

        assert trouble.value.code == Code.CONTAINER_MISSING
        assert not await storage.state.exists()


async def test_a_wrong_key_is_told_from_a_missing_right(azurite: str) -> None:
    account = StorageAccount(connection_string=re.sub("AccountKey=[^;]*", "AccountKey=Y2FuYXJ5", azurite))
    async with open_storage(account, account, impatient=True, creates=False) as storage:
        instruments = StorageInstruments(storage, account, account, SystemRandomness())
        for attempt in (instruments.try_state, instruments.try_queues):
            with pytest.raises(TroubleError) as trouble:
                await attempt()
            assert trouble.value.code == Code.STORAGE_KEY_REFUSED
            assert "Y2FuYXJ5" not in str(trouble.value) + trouble.value.remedy
