"""The queues. Messages are plain text (`messageEncoding: none` in host.json), so they carry no base64."""

import math
from typing import Final

from azure.storage.queue.aio import QueueServiceClient

from exporter.steps.messages import Message, Queue

MAX_DELAY_SECONDS: Final = 7 * 24 * 3600
"""A message can't hide longer (learn.microsoft.com/rest/api/storageservices/put-message)."""
KEEP_FOR_EVER: Final = -1


class StorageWorkQueue:
    """Sends messages with the SDK's client: an output binding can neither delay nor keep them for ever."""

    def __init__(self, queues: QueueServiceClient) -> None:
        self._clients = {queue: queues.get_queue_client(queue.value) for queue in Queue}

    async def send(self, queue: Queue, message: Message, *, delay_seconds: float = 0.0) -> None:
        """Put a message; a delay is rounded to whole seconds, towards the earlier one."""
        await self.put_back(queue, message.to_text(), delay_seconds=delay_seconds)

    async def put_back(self, queue: Queue, text: str, *, delay_seconds: float) -> None:
        """Put a text that came from a queue anew."""
        delay = min(MAX_DELAY_SECONDS, max(0, math.floor(delay_seconds)))
        await self._clients[queue].send_message(text, visibility_timeout=delay, time_to_live=KEEP_FOR_EVER)
