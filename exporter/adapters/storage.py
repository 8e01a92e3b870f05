"""The storage accounts: clients by connection string or by identity, and what must exist in them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ResourceExistsError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient
from azure.storage.queue.aio import QueueServiceClient

from exporter.adapters.identity import Identities, is_without_token, open_identities
from exporter.settings import StorageAccount
from exporter.steps.messages import Queue

STATE_CONTAINER = "exporter"
LANDING_CONTAINER = "segments"
_FIRST_SERVER_ERROR: Final = 500

# The SDK's own pauses begin at 15 s: one request in a thousand that is turned away would end a lot. These
# grow from 1 to 3 s up to 31 to 33 s, and last a minute together, as the SDK's do.
_PATIENT: Final[Mapping[str, Any]] = MappingProxyType(
    {"retry_total": 5, "initial_backoff": 0, "increment_base": 2, "random_jitter_range": 1}
)

# Somebody waits for the answer: one more try after 2 to 4 s.
_IMPATIENT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "retry_total": 1,
        "initial_backoff": 1,
        "increment_base": 2,
        "random_jitter_range": 1,
        "connection_timeout": 5,
        "read_timeout": 20,
    }
)


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
    accounts: tuple[Account, ...] = ()
    """That of the state, and that of the drops where it is another one."""


def is_outage(error: BaseException) -> bool:
    """Whether an error, which the SDK's own tries did not outlast, says that storage does not serve just now.

    503 and 500 are storage's words for slow down and come back
    (learn.microsoft.com/rest/api/storageservices/blob-service-error-codes). Without a token nobody has asked
    it at all: the identity endpoint is down, or the app has no identity yet.
    """
    if is_without_token(error):
        return True
    if isinstance(error, HttpResponseError) and not isinstance(error, IncompleteReadError):
        status = error.status_code or 0
        return status in {408, 429} or status >= _FIRST_SERVER_ERROR
    return isinstance(error, ServiceRequestError | ServiceResponseError | IncompleteReadError | TimeoutError)


@asynccontextmanager
async def open_account(
    account: StorageAccount, *, identities: Identities | None = None, impatient: bool = False
) -> AsyncIterator[Account]:
    """Clients of an account, by its key or by one of the process's identities (by default its own).

    Impatient clients give an account that does not answer up after seconds rather than minutes.
    """
    options = _IMPATIENT if impatient else _PATIENT
    async with AsyncExitStack() as stack:
        if account.connection_string is not None:
            text = account.connection_string
            clients = Account(
                AsyncBlobServiceClient.from_connection_string(text, **options),
                BlobServiceClient.from_connection_string(text, **options),
                QueueServiceClient.from_connection_string(text, **options),
            )
        else:
            if identities is None:
                identities = await stack.enter_async_context(open_identities())
            identity = await identities.get(account.client_id)
            clients = Account(
                AsyncBlobServiceClient(account.blob_uri or "", identity.credential, **options),
                BlobServiceClient(account.blob_uri or "", identity.blocking, **options),
                QueueServiceClient(account.queue_uri or "", identity.credential, **options),
            )
        await stack.enter_async_context(clients.blobs)
        stack.enter_context(clients.blocking_blobs)
        await stack.enter_async_context(clients.queues)
        yield clients


@asynccontextmanager
async def open_storage(
    state: StorageAccount,
    landing: StorageAccount,
    *,
    identities: Identities | None = None,
    impatient: bool = False,
    creates: bool = True,
) -> AsyncIterator[Storage]:
    """The app's containers and queues; those that are missing are created if `creates` says so."""
    async with AsyncExitStack() as stack:
        if identities is None:
            identities = await stack.enter_async_context(open_identities())
        state_account = await stack.enter_async_context(
            open_account(state, identities=identities, impatient=impatient)
        )
        landing_account = (
            state_account
            if landing == state
            else await stack.enter_async_context(
                open_account(landing, identities=identities, impatient=impatient)
            )
        )
        storage = Storage(
            state=state_account.blobs.get_container_client(STATE_CONTAINER),
            blocking_state=state_account.blocking_blobs.get_container_client(STATE_CONTAINER),
            landing=landing_account.blobs.get_container_client(LANDING_CONTAINER),
            blocking_landing=landing_account.blocking_blobs.get_container_client(LANDING_CONTAINER),
            queues=state_account.queues,
            accounts=(state_account,) if landing == state else (state_account, landing_account),
        )
        if creates:
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
