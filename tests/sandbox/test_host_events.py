import json
from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from sandbox.host import events as events_module
from sandbox.host.events import BlobEvents, ContainerWatcher, Journal, read_event, validation_code
from sandbox.host.functions import BlobTrigger, Function
from tests.sandbox.waiting import unique


class Watch:
    """A container, what watches it, and the queue that events arrive on. Each `watcher()` is a new host."""

    def __init__(self, blobs: BlobServiceClient, queues: QueueServiceClient) -> None:
        self._state = blobs.get_container_client(unique("state"))
        self.container = blobs.get_container_client(unique("drops"))
        self._queue = queues.get_queue_client(unique("events"))
        self.woken: list[str] = []

    async def watcher(self, *patterns: str) -> ContainerWatcher:
        if not await self._state.exists():
            await self._state.create_container()
        functions = [
            Function(f"on_{number}", BlobTrigger("blob", self.container.container_name, pattern, "S"))
            for number, pattern in enumerate(patterns or ("{name}",))
        ]
        journal = Journal(self._state.get_blob_client("journal"))
        told = BlobEvents(self._queue, "none", self.woken.append)
        watcher = ContainerWatcher(self.container, journal, functions, told, 1.0)
        await watcher.set_up()
        return watcher

    async def told(self) -> list[tuple[str, str]]:
        found = []
        async for message in self._queue.receive_messages():
            event = json.loads(message.content)
            assert set(event) == {"FunctionId", "BlobType", "ContainerName", "BlobName", "ETag"}
            assert event["ContainerName"] == self.container.container_name
            found.append((event["FunctionId"], event["BlobName"]))
            await self._queue.delete_message(message)
        return sorted(found)


@pytest.fixture
async def watch(azurite: str) -> AsyncIterator[Watch]:
    async with (
        BlobServiceClient.from_connection_string(azurite) as blobs,
        QueueServiceClient.from_connection_string(azurite) as queues,
    ):
        yield Watch(blobs, queues)


async def test_each_version_of_a_blob_is_told_once(watch: Watch) -> None:
    watcher = await watch.watcher()
    await watch.container.upload_blob("a", b"1")
    await watcher.look()
    await watcher.look()
    assert await watch.told() == [("Host.Functions.on_0", "a")]
    assert watch.woken == [watch._queue.queue_name]
    await watch.container.upload_blob("a", b"2", overwrite=True)
    await watcher.look()
    assert await watch.told() == [("Host.Functions.on_0", "a")]


async def test_a_new_host_tells_only_what_the_last_one_did_not(watch: Watch) -> None:
    first = await watch.watcher()
    await watch.container.upload_blob("a", b"1")
    await first.look()
    await watch.told()
    await watch.container.upload_blob("b", b"1")
    second = await watch.watcher()
    await second.look()
    assert await watch.told() == [("Host.Functions.on_0", "b")]


async def test_functions_hear_only_of_blobs_that_fit(watch: Watch) -> None:
    watcher = await watch.watcher("in/{name}", "{name}.csv")
    for name in ("in/a.csv", "in/b", "c.csv", "d"):
        await watch.container.upload_blob(name, b"")
    await watcher.look()
    assert await watch.told() == [
        ("Host.Functions.on_0", "in/a.csv"),
        ("Host.Functions.on_0", "in/b"),
        ("Host.Functions.on_1", "c.csv"),
        ("Host.Functions.on_1", "in/a.csv"),
    ]


async def test_the_journal_is_written_anew_without_what_is_gone(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_LONGEST_JOURNAL_BLOCKS", 3)
    watcher = await watch.watcher()
    for name in ("a", "b"):
        await watch.container.upload_blob(name, b"")
        await watcher.look()
    await watch.container.delete_blob("a")
    await watch.container.upload_blob("c", b"")
    await watcher.look()
    journal = Journal(watcher._journal._blob)
    await journal.load()
    assert set(journal._delivered) == {"b", "c"}
    assert journal._blocks == 1
    await watch.told()
    await (await watch.watcher()).look()
    assert await watch.told() == []


def test_of_an_event_the_address_the_etag_and_the_type_are_read() -> None:
    data = {
        "api": "PutBlob",
        "url": "https://acme.blob.core.windows.net/segments/vip/%C3%A5%20b.csv",
        "eTag": "0x8D1",
        "blobType": "BlockBlob",
    }
    container, blob = read_event({"eventType": "Microsoft.Storage.BlobCreated", "data": data})
    assert (container, blob.name, blob.etag, blob.kind) == ("segments", "vip/å b.csv", "0x8D1", "BlockBlob")


def test_the_handshake_is_recognised() -> None:
    hello = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "42"}}
    assert validation_code([hello]) == "42"
    assert validation_code([{"eventType": "Microsoft.Storage.BlobCreated", "data": {}}]) is None
