"""How patient the clients of an account are."""

from typing import Any

import pytest

from exporter.adapters.storage import open_account, open_storage
from exporter.settings import StorageAccount

BY_KEY = StorageAccount(
    connection_string="DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=a2V5;"
    "BlobEndpoint=http://127.0.0.1:1/acme;QueueEndpoint=http://127.0.0.1:1/acme"
)
BY_IDENTITY = StorageAccount(
    blob_uri="https://acme.blob.core.windows.net", queue_uri="https://acme.queue.core.windows.net"
)


def patience(client: Any) -> tuple[int, float, float]:
    """A client's further tries, and the seconds that it waits for a connection and for data."""
    timeouts = client._config.transport.connection_config
    return client._config.retry_policy.total_retries, timeouts.timeout, timeouts.read_timeout


def pause(client: Any) -> float:
    """The seconds before a client's first further try."""
    return float(client._config.retry_policy.get_backoff_time({"count": 1}))


@pytest.mark.parametrize("account", [BY_KEY, BY_IDENTITY])
async def test_impatient_clients_give_up_after_seconds(account: StorageAccount) -> None:
    async with open_account(account, impatient=True) as clients:
        for client in (clients.blobs, clients.blocking_blobs, clients.queues):
            assert patience(client) == (1, 5, 20)
            assert 2 <= pause(client) <= 4


@pytest.mark.parametrize("account", [BY_KEY, BY_IDENTITY])
async def test_the_app_tries_again_soon_and_for_a_minute(account: StorageAccount) -> None:
    async with open_account(account) as clients:
        for client in (clients.blobs, clients.blocking_blobs, clients.queues):
            assert patience(client) == (5, 20, 60)
            assert 0 < pause(client) <= 3


async def test_impatience_reaches_containers_and_queues(azurite: str) -> None:
    account = StorageAccount(connection_string=azurite)
    other = StorageAccount(connection_string=azurite + ";")
    async with open_storage(account, other, impatient=True) as storage:
        for client in (
            storage.state,
            storage.blocking_state,
            storage.landing,
            storage.blocking_landing,
            storage.queues,
        ):
            assert patience(client) == (1, 5, 20)
