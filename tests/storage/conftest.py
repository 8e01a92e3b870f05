"""Each test has containers and queues of its own in the session's emulator."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.documents import Documents
from exporter.adapters.storage import Storage


@dataclass(frozen=True, slots=True)
class Ground:
    """A storage with empty containers, and documents in it."""

    storage: Storage
    documents: Documents


@pytest.fixture
async def ground(azurite: str) -> AsyncIterator[Ground]:
    """Empty containers with names of their own."""
    name = uuid.uuid4().hex
    async with (
        AsyncBlobServiceClient.from_connection_string(azurite) as blobs,
        QueueServiceClient.from_connection_string(azurite) as queues,
    ):
        with BlobServiceClient.from_connection_string(azurite) as blocking:
            state = await blobs.create_container(f"state-{name}")
            landing = await blobs.create_container(f"landing-{name}")
            storage = Storage(
                state=state,
                blocking_state=blocking.get_container_client(f"state-{name}"),
                landing=landing,
                blocking_landing=blocking.get_container_client(f"landing-{name}"),
                queues=queues,
            )
            yield Ground(storage, Documents(state, SystemClock(), SystemRandomness()))
            await state.delete_container()
            await landing.delete_container()
