"""What `exporter doctor` looks at storage with, and what each refusal of the storage means.

The rights are those that Azure checks for each call
(learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory, "Permissions for blob
service operations" and "… queue service operations").
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.blob.aio import ContainerClient

from exporter.adapters.signs import heartbeat_age_seconds, note_date, trace_name
from exporter.adapters.storage import Storage
from exporter.domain.deployment import DEAD_LETTERS
from exporter.domain.testdrop import name_for
from exporter.settings import StorageAccount
from exporter.steps.doctor import Code, QueueLook, TroubleError
from exporter.steps.messages import Queue
from exporter.steps.ports import Randomness

_BLOB_ROLE: Final = "Storage Blob Data Contributor"
_QUEUE_ROLE: Final = "Storage Queue Data Contributor"
_BLOB_ACTION: Final = "Microsoft.Storage/storageAccounts/blobServices/containers"
_QUEUE_ACTION: Final = "Microsoft.Storage/storageAccounts/queueServices/queues"

_BAD_CREDENTIALS: Final = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo"})
_FIREWALL: Final = "AuthorizationFailure"
"""The account's network rules answer so; Azurite does for a wrong key."""


@dataclass(frozen=True, slots=True)
class Right:
    """What is being done, and what it takes."""

    doing: str
    action: str
    """The data action that an identity needs."""
    letter: str
    """The permission that a shared access signature needs."""
    role: str
    """The built-in role that holds the action."""


def _blob_right(doing: str, action: str, letter: str) -> Right:
    return Right(doing, f"{_BLOB_ACTION}/{action}", letter, _BLOB_ROLE)


def _queue_right(doing: str, action: str, letter: str) -> Right:
    return Right(doing, f"{_QUEUE_ACTION}/{action}", letter, _QUEUE_ROLE)


LIST_BLOBS: Final = _blob_right("list blobs", "blobs/read", "l")
CREATE_CONTAINER: Final = _blob_right("create containers", "write", "c")
WRITE_BLOB: Final = _blob_right("write blobs", "blobs/write", "cw")
READ_BLOB: Final = _blob_right("read blobs", "blobs/read", "r")
DELETE_BLOB: Final = _blob_right("delete blobs", "blobs/delete", "d")
CREATE_QUEUE: Final = _queue_right("create queues", "write", "cw")
READ_QUEUE: Final = _queue_right("read queues", "read", "r")
DELETE_QUEUE: Final = _queue_right("delete queues", "delete", "d")
PUT_MESSAGE: Final = _queue_right("put messages", "messages/add/action", "a")
PEEK_MESSAGE: Final = _queue_right("look at messages", "messages/read", "r")
TAKE_MESSAGE: Final = _queue_right("take messages", "messages/process/action", "p")


@dataclass(frozen=True, slots=True)
class Access:
    """How an account is reached."""

    setting: str
    """The setting that names it."""
    account: str
    is_local: bool
    kind: str
    """`key`, `signature` or `identity`."""


def access_to(account: StorageAccount, container: ContainerClient, setting: str) -> Access:
    """How a container's account is reached; holds nothing secret."""
    if account.connection_string is None:
        kind = "identity"
    else:
        signed = "sharedaccesssignature=" in account.connection_string.lower()
        kind = "signature" if signed else "key"
    host = str(container.primary_hostname)
    is_local = host.startswith(("127.", "localhost"))
    return Access(setting, str(container.account_name), is_local, kind)


def explain_refusal(error: AzureError, right: Right, access: Access, place: str) -> TroubleError:
    """What the storage's answer means, and what mends it; nothing of the answer's text is repeated."""
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _explain_answer(error, right, access, place)
    if isinstance(error, ClientAuthenticationError):
        return _bad_credentials(type(error).__name__, access)
    return TroubleError(
        Code.STORAGE_UNREACHABLE,
        f"the storage that {access.setting} names does not answer ({type(error).__name__})",
        "`exporter up` starts a storage on this machine"
        if access.is_local
        else f"`az storage account show --name {access.account} --query statusOfPrimary`, then look at the "
        "network between here and there",
    )


def _explain_answer(error: HttpResponseError, right: Right, access: Access, place: str) -> TroubleError:
    status = error.status_code
    code = getattr(error, "error_code", None)
    name = str(getattr(code, "value", code) or f"HTTP {status}")
    if isinstance(error, ClientAuthenticationError) or name in _BAD_CREDENTIALS or status == 401:
        return _bad_credentials(name, access)
    if status == 403:
        if name == _FIREWALL:
            return _bad_credentials(name, access) if access.is_local else _firewall(access)
        return _right_missing(name, right, access, place)
    if status == 404:
        is_queue = right.role == _QUEUE_ROLE
        return TroubleError(
            Code.QUEUE_MISSING if is_queue else Code.CONTAINER_MISSING,
            f"{place} is not there",
            "`exporter run list` creates it, as every command and the app itself do",
        )
    return TroubleError(
        Code.STORAGE_ERROR,
        f"the storage refuses to {right.doing} in {place} ({status} {name})",
        f"look {name} up at learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes",
    )


def _bad_credentials(name: str, access: Access) -> TroubleError:
    if access.kind == "identity":
        return TroubleError(
            Code.IDENTITY_MISSING,
            f"there is no identity that the account '{access.account}' accepts ({name})",
            "`az login`",
        )
    what = "account key" if access.kind == "key" else "shared access signature"
    remedy = (
        "set it as `exporter up` shows it"
        if access.is_local
        else f"put what `az storage account show-connection-string --name {access.account}` gives into it"
        if access.kind == "key"
        else "put a new shared access signature into it: this one has ended or was withdrawn"
    )
    return TroubleError(
        Code.STORAGE_KEY_REFUSED, f"the {what} in {access.setting} is refused ({name})", remedy
    )


def _firewall(access: Access) -> TroubleError:
    return TroubleError(
        Code.STORAGE_FIREWALL,
        f"the network rules of the account '{access.account}' keep this machine out",
        f"`az storage account network-rule add --account-name {access.account} --ip-address ADDRESS` "
        "with this machine's public address",
    )


def _right_missing(name: str, right: Right, access: Access, place: str) -> TroubleError:
    detail = f"may not {right.doing} in {place}: missing {right.action} ({name})"
    if access.kind == "identity":
        scope = f"$(az storage account show --name {access.account} --query id --output tsv)"
        who = "$(az ad signed-in-user show --query id --output tsv)"
        remedy = f'`az role assignment create --role "{right.role}" --assignee {who} --scope {scope}`'
    elif access.kind == "signature":
        remedy = (
            f"put a shared access signature into {access.setting} that has permission '{right.letter}', too"
        )
    else:
        remedy = f"`az storage account show --name {access.account}`: does it allow access by key?"
    return TroubleError(Code.RIGHT_MISSING, detail, remedy)


class StorageInstruments:
    """Looks at the app's storage; what it writes it removes."""

    def __init__(
        self, storage: Storage, state: StorageAccount, landing: StorageAccount, randomness: Randomness
    ) -> None:
        self._storage = storage
        self._shares_account = state == landing
        self._state = access_to(state, storage.state, "EXPORTER_STORAGE")
        self._landing = access_to(
            landing, storage.landing, "EXPORTER_STORAGE" if state == landing else "EXPORTER_LANDING"
        )
        self._randomness = randomness

    @property
    def is_local(self) -> bool:
        """Whether the state lies in a storage on this machine."""
        return self._state.is_local

    @property
    def shares_account(self) -> bool:
        """Whether drops land in the account that holds the state."""
        return self._shares_account

    @property
    def landing_account(self) -> str:
        """The name of the account that drops land in."""
        return self._landing.account

    async def try_state(self) -> None:
        """List the state container; create, read and delete a blob in it."""
        name = f"signs/doctor-{self._randomness.token()}"
        await _try_container(self._storage.state, self._state, name)

    async def try_landing(self) -> None:
        """The same with the landing container; a hidden blob beside the segments' folders starts nothing."""
        name = f".exporter-doctor-{self._randomness.token()}"
        await _try_container(self._storage.landing, self._landing, name)

    async def try_queues(self) -> None:
        """Create a queue of our own, put, take and delete a message, delete the queue."""
        queue = self._storage.queues.get_queue_client(f"exporter-doctor-{self._randomness.token()}")
        place = f"queue {queue.queue_name}"
        async with _doing(CREATE_QUEUE, self._state, place):
            await queue.create_queue()
        try:
            async with _doing(PUT_MESSAGE, self._state, place):
                await queue.send_message("{}")
            async with _doing(TAKE_MESSAGE, self._state, place):
                message = await queue.receive_message()
                if message is not None:
                    await queue.delete_message(message)
        finally:
            async with _doing(DELETE_QUEUE, self._state, place):
                await queue.delete_queue()

    async def look_at(self, queue: Queue) -> QueueLook:
        """How many messages wait, and for how long; none is taken."""
        client = self._storage.queues.get_queue_client(queue.value)
        place = f"queue {queue}"
        dates: list[datetime] = []
        async with _doing(READ_QUEUE, self._state, place):
            properties = await client.get_queue_properties()
        async with _doing(PEEK_MESSAGE, self._state, place):
            messages = await client.peek_messages(1, raw_response_hook=note_date(dates))
        count = properties.approximate_message_count or 0
        if not messages or messages[0].inserted_on is None:
            return QueueLook(count, None)
        return QueueLook(max(count, 1), max(0.0, (dates[-1] - messages[0].inserted_on).total_seconds()))

    async def has_dead_letters(self) -> bool:
        """Whether events that could not be delivered lie in the container for them, which may be absent."""
        container = self._storage.accounts[0].blobs.get_container_client(DEAD_LETTERS)
        async with _doing(LIST_BLOBS, self._state, _place(container)):
            try:
                async for _ in container.list_blobs(results_per_page=1):
                    return True
            except ResourceNotFoundError:
                return False
        return False

    async def count_poisoned(self, queue: Queue) -> int:
        """How many messages lie in a queue's poison queue, which the platform creates when it needs it."""
        client = self._storage.queues.get_queue_client(f"{queue}-poison")
        async with _doing(READ_QUEUE, self._state, f"queue {queue}-poison"):
            try:
                properties = await client.get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return properties.approximate_message_count or 0

    async def put_test_drop(self, token: str) -> None:
        """Write a test drop into the landing container."""
        async with _doing(WRITE_BLOB, self._landing, _place(self._storage.landing)):
            await self._storage.landing.upload_blob(name_for(token), b"", overwrite=True)

    async def test_drop_arrived(self, token: str) -> bool:
        """Whether the app has said that a test drop was announced."""
        async with _doing(READ_BLOB, self._state, _place(self._storage.state)):
            return await self._storage.state.get_blob_client(trace_name(token)).exists()

    async def remove_test_drop(self, token: str) -> None:
        """Remove a test drop, so that nobody acknowledges it any more; then what was said about it."""
        await _remove(self._storage.landing, self._landing, name_for(token))
        await _remove(self._storage.state, self._state, trace_name(token))

    async def heartbeat_age_seconds(self) -> float | None:
        """How long ago the app's timer last fired, by storage's clock; None where it never did."""
        async with _doing(READ_BLOB, self._state, _place(self._storage.state)):
            return await heartbeat_age_seconds(self._storage.state)


async def _try_container(container: ContainerClient, access: Access, name: str) -> None:
    place = _place(container)
    async with _doing(LIST_BLOBS, access, place):
        async for _ in container.list_blobs(name_starts_with=name):
            break
    async with _doing(CREATE_CONTAINER, access, place):
        # It is there, so this creates nothing; but the app asks for it at each start.
        with suppress(ResourceExistsError):
            await container.create_container()
    async with _doing(WRITE_BLOB, access, place):
        await container.upload_blob(name, b"{}", overwrite=True)
    try:
        async with _doing(READ_BLOB, access, place):
            await (await container.download_blob(name)).readall()
    finally:
        await _remove(container, access, name)


async def _remove(container: ContainerClient, access: Access, name: str) -> None:
    async with _doing(DELETE_BLOB, access, _place(container)):
        try:
            await container.delete_blob(name)
        except ResourceNotFoundError:
            return


@asynccontextmanager
async def _doing(right: Right, access: Access, place: str) -> AsyncIterator[None]:
    """Do something with storage. Raises TroubleError for whatever storage says against it."""
    try:
        yield
    except AzureError as error:
        raise explain_refusal(error, right, access, place) from error


def _place(container: ContainerClient) -> str:
    return f"container {container.container_name}"
