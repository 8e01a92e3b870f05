"""The storage accounts: clients by connection string or by identity, and what must exist in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from azure.core.exceptions import ResourceExistsError
from azure.identity import DefaultAzureCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient
from azure.storage.queue.aio import QueueServiceClient

from exporter.settings import StorageAccount
from exporter.steps.messages import Queue

STATE_CONTAINER = "exporter"
LANDING_CONTAINER = "segments"


@dataclass(frozen=True, slots=True)
class Account:
    """One storage account's clients; the blocking one serves the planning thread."""

    blobs: AsyncBlobServiceClient
    blocking_blobs: BlobServiceClient
    queues: QueueServiceClient


@dataclass(frozen=True, slots=True)
class Storage:
    """The containers and queues that the adapters use."""

    state: AsyncContainerClient
    blocking_state: ContainerClient
    landing: AsyncContainerClient
    blocking_landing: ContainerClient
    queues: QueueServiceClient


@asynccontextmanager
async def open_account(account: StorageAccount) -> AsyncIterator[Account]:
    """Clients of an account. With identity, DefaultAzureCredential finds the app's or the developer's."""
    async with AsyncExitStack() as stack:
        if account.connection_string is not None:
            text = account.connection_string
            clients = Account(
                AsyncBlobServiceClient.from_connection_string(text),
                BlobServiceClient.from_connection_string(text),
                QueueServiceClient.from_connection_string(text),
            )
        else:
            identity = {"managed_identity_client_id": account.client_id} if account.client_id else {}
            credential = await stack.enter_async_context(AsyncDefaultAzureCredential(**identity))
            blocking_credential = stack.enter_context(DefaultAzureCredential(**identity))
            clients = Account(
                AsyncBlobServiceClient(account.blob_uri or "", credential),
                BlobServiceClient(account.blob_uri or "", blocking_credential),
                QueueServiceClient(account.queue_uri or "", credential),
            )
        await stack.enter_async_context(clients.blobs)
        stack.enter_context(clients.blocking_blobs)
        await stack.enter_async_context(clients.queues)
        yield clients


@asynccontextmanager
async def open_storage(state: StorageAccount, landing: StorageAccount) -> AsyncIterator[Storage]:
    """The app's containers and queues; those that are missing are created."""
    async with AsyncExitStack() as stack:
        state_account = await stack.enter_async_context(open_account(state))
        landing_account = (
            state_account if landing == state else await stack.enter_async_context(open_account(landing))
        )
        storage = Storage(
            state=state_account.blobs.get_container_client(STATE_CONTAINER),
            blocking_state=state_account.blocking_blobs.get_container_client(STATE_CONTAINER),
            landing=landing_account.blobs.get_container_client(LANDING_CONTAINER),
            blocking_landing=landing_account.blocking_blobs.get_container_client(LANDING_CONTAINER),
            queues=state_account.queues,
        )
        await asyncio.gather(
            _create_container(storage.state),
            _create_container(storage.landing),
            *(_create_queue(storage.queues, queue) for queue in Queue),
        )
        yield storage


async def _create_container(container: AsyncContainerClient) -> None:
    try:
        await container.create_container()
    except ResourceExistsError:
        return


async def _create_queue(queues: QueueServiceClient, queue: Queue) -> None:
    try:
        await queues.create_queue(queue.value)
    except ResourceExistsError:
        return
