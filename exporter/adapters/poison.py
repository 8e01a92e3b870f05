"""Messages that the platform gave up on: `poison/<queue>/<digest>.json`."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

import orjson

from exporter.adapters.documents import Documents
from exporter.steps.ports import Clock

SCHEMA: Final = 1
FOLDER: Final = "poison/"


class BlobPoisonStore:
    """A document for each message, written once."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def keep(self, queue: str, text: bytes) -> None:
        """Keep a message; the same one again is fine."""
        content = {
            "schema_number": SCHEMA,
            "queue": queue,
            "kept_at": self._clock.now().isoformat(),
            "text": text.decode(errors="backslashreplace"),
        }
        digest = hashlib.sha256(text).hexdigest()[:32]
        await self._documents.create(f"{FOLDER}{queue}/{digest}.json", orjson.dumps(content))

    async def delete(self, unwanted: Callable[[str], bool]) -> int:
        """Delete kept messages by their text; how many there were."""
        names = [name for name, _ in await self._documents.names(FOLDER)]
        found = [
            name
            async for name, document in self._documents.read_many(names)
            if document.etag and unwanted(orjson.loads(document.data)["text"])
        ]
        await self._documents.clear_all(found)
        return len(found)

    async def forget_before(self, moment: datetime) -> int:
        """Delete the messages that were kept before a moment; how many there were."""
        names = await self._documents.names_untouched_since(FOLDER, moment)
        await self._documents.clear_all(names)
        return len(names)
