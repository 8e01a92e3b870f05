"""Storage clients for a connection name: connection string, or URIs and identity (azure-facts 8.8)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from azure.storage.queue.aio import QueueServiceClient as AsyncQueueServiceClient

from sandbox.azurite import default_connection_string
from sandbox.host.settings import identity_options, service_uri

# A local host would rather fail and try again than wait a minute for storage that was stopped.
_RETRIES: dict[str, Any] = {"retry_total": 3, "initial_backoff": 0.5, "increment_base": 2}
_DEVELOPMENT = default_connection_string(
    {"Blob": "http://127.0.0.1:10000", "Queue": "http://127.0.0.1:10001", "Table": "http://127.0.0.1:10002"}
)


class Account:
    """The storage account behind one connection name."""

    def __init__(self, connection: str, settings: Mapping[str, str]) -> None:
        self.connection = connection
        self._settings = settings
        self._identity = identity_options(connection, settings)

    @cached_property
    def blobs(self) -> AsyncBlobServiceClient:
        """The blob service, for the host's own use."""
        if text := self._connection_string:
            return AsyncBlobServiceClient.from_connection_string(text, **_RETRIES)
        return AsyncBlobServiceClient(self._uri("blob"), credential=self._credential, **_RETRIES)

    @cached_property
    def queues(self) -> AsyncQueueServiceClient:
        """The queue service, for the host's own use."""
        if text := self._connection_string:
            return AsyncQueueServiceClient.from_connection_string(text, **_RETRIES)
        return AsyncQueueServiceClient(self._uri("queue"), credential=self._credential, **_RETRIES)

    @cached_property
    def sync_blobs(self) -> BlobServiceClient:
        """The blob service as functions are given it: SDK bindings are synchronous (azure-facts 2)."""
        if text := self._connection_string:
            return BlobServiceClient.from_connection_string(text)
        return BlobServiceClient(self._uri("blob"), credential=self._sync_credential)

    @cached_property
    def _credential(self) -> Any:
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential(**self._identity)

    @cached_property
    def _sync_credential(self) -> Any:
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential(**self._identity)

    @property
    def _connection_string(self) -> str | None:
        text = self._settings.get(self.connection)
        return _DEVELOPMENT if text and text.lower().startswith("usedevelopmentstorage=true") else text

    def _uri(self, service: str) -> str:
        uri = service_uri(self.connection, service, self._settings)
        if uri is None:
            raise LookupError(f"{self.connection}__{service}ServiceUri")
        return uri

    async def close(self) -> None:
        """Close the clients that were used, and what they identified themselves with."""
        for name in ("blobs", "queues", "_credential"):
            if used := self.__dict__.get(name):
                await used.close()
        for name in ("sync_blobs", "_sync_credential"):
            if used := self.__dict__.get(name):
                used.close()


class Accounts:
    """The accounts of all connections, each built once."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._accounts: dict[str, Account] = {}

    def __getitem__(self, connection: str) -> Account:
        """Return the account behind a connection name."""
        if connection not in self._accounts:
            self._accounts[connection] = Account(connection, self._settings)
        return self._accounts[connection]

    async def close(self) -> None:
        """Close all clients."""
        for account in self._accounts.values():
            await account.close()
