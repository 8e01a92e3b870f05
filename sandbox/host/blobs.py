"""The blob trigger with Event Grid as its source: events travel through an internal queue (azure-facts 8.1).

The path has no receipts and compares no ETag: the function may be called twice, or see newer content than the
event's.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from azure.core.exceptions import ResourceNotFoundError
from azure.functions.blob import InputStream
from azure.storage.blob import BlobClient, BlobServiceClient, StorageStreamDownloader
from azurefunctions.extensions.base import SdkType

from sandbox.host.storage import Account

POISON_QUEUE = "webjobs-blobtrigger-poison"


def internal_queue(host_id: str) -> str:
    """Return the name of the queue that blob events of this host go through."""
    return f"azure-webjobs-blobtrigger-{host_id}"


@dataclass(frozen=True)
class BlobEvent:
    """The internal queue's message: a blob has been written."""

    FunctionId: str  # Host.Functions.<name>
    BlobType: str
    ContainerName: str
    BlobName: str
    ETag: str  # in quotes, as in HTTP

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a message."""
        document: Mapping[str, Any] = json.loads(text)
        return cls(**{name: str(document[name]) for name in cls.__dataclass_fields__})

    def to_json(self) -> str:
        """Return the message."""
        return json.dumps(asdict(self))


async def blob_argument(account: Account, container: str, name: str, annotation: object) -> Any:
    """Return what a blob function is given, or nothing if the blob is gone (silently skipped, 8.1)."""
    return await asyncio.to_thread(_read, account.sync_blobs, container, name, annotation)


def _read(service: BlobServiceClient, container: str, name: str, annotation: object) -> Any:
    client = service.get_blob_client(container, name)
    try:
        if is_sdk_type(annotation):
            client.get_blob_properties()
            return _sdk_value(service, client, annotation)
        download = client.download_blob()
        # The runtime loads the whole blob for an InputStream (8.1).
        data = download.readall()
    except ResourceNotFoundError:
        return None
    properties = download.properties
    return InputStream(
        data=data,
        name=f"{container}/{name}",
        uri=client.url,
        length=properties.size,
        blob_properties={
            "ETag": str(properties.etag),
            "ContentLength": properties.size,
            "LastModified": properties.last_modified.isoformat() if properties.last_modified else None,
            "ContentType": properties.content_settings.content_type,
        },
        metadata=dict(properties.metadata or {}),
    )


def is_sdk_type(annotation: object) -> bool:
    """Whether a parameter asks for a client rather than for the blob's content."""
    return isinstance(annotation, type) and issubclass(annotation, SdkType)


def _sdk_value(service: BlobServiceClient, client: BlobClient, annotation: object) -> Any:
    from azurefunctions.extensions.bindings import blob as types

    if annotation is types.StorageStreamDownloader:
        download: StorageStreamDownloader[bytes] = client.download_blob()
        return download
    if annotation is types.ContainerClient:
        return service.get_container_client(client.container_name)
    return client
