"""What lies around beside the exporter's own documents: poison queues, and what storage keeps by itself."""

import base64
import binascii
from collections.abc import Callable
from typing import Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from exporter.adapters.storage import Account

POISON: Final = "-poison"
"""Ends the names of the queues with what the platform gave up, `webjobs-blobtrigger-poison` among them."""
_HIDDEN_SECONDS: Final = 60
"""So long a message that was looked at is not seen again, by us or by whoever takes it."""
_AT_ONCE: Final = 32


class StorageRemains:
    """Looks at every account that the exporter uses."""

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        self._accounts = accounts

    async def delete_dead_messages(self, unwanted: Callable[[str], bool]) -> int:
        """Delete messages of poison queues by their text; all others come back within a minute."""
        count = 0
        for account in self._accounts:
            async for queue in account.queues.list_queues():
                if queue.name.endswith(POISON):
                    count += await _delete(account, queue.name, unwanted)
        return count

    async def soft_delete_days(self) -> int | None:
        """The longest time for which an account keeps deleted blobs; None where none tells of any."""
        days = [await _soft_delete_days(account) for account in self._accounts]
        return max((day for day in days if day is not None), default=None)


async def _delete(account: Account, name: str, unwanted: Callable[[str], bool]) -> int:
    count = 0
    queue = account.queues.get_queue_client(name)
    try:
        messages = queue.receive_messages(messages_per_page=_AT_ONCE, visibility_timeout=_HIDDEN_SECONDS)
        async for message in messages:
            if unwanted(message.content) or unwanted(_decoded(message.content)):
                await queue.delete_message(message)
                count += 1
    except ResourceNotFoundError:  # the queue or the message is gone: that is what was wanted
        return count
    return count


def _decoded(text: str) -> str:
    """The text that the platform wraps in base64, or nothing."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _soft_delete_days(account: Account) -> int | None:
    try:
        policy = (await account.blobs.get_service_properties())["delete_retention_policy"]
    except HttpResponseError:  # whoever reads and writes data need not be allowed to read this
        return None
    return policy.days if policy.enabled else None
