"""Messages that the platform gave up on: `poison/<queue>/<digest>.json`."""

import hashlib
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
