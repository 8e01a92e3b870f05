"""When retention last went through everything: `control/retention.json`."""

from datetime import datetime
from typing import Final

import orjson

from exporter.adapters.documents import DocumentBytes, Documents

SCHEMA: Final = 1
_NAME: Final = "control/retention.json"


class BlobRetentionLog:
    """One small document."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def last_at(self) -> datetime | None:
        """When the last complete look began; None before the first one."""
        document = await self._documents.read(_NAME)
        return datetime.fromisoformat(orjson.loads(document.data)["at"]) if document.etag else None

    async def note(self, at: datetime) -> None:
        """Note the beginning of a look that came to its end."""

        def swap(_: DocumentBytes) -> bytes:
            return orjson.dumps({"schema": SCHEMA, "at": at.isoformat()})

        await self._documents.swap(_NAME, swap)
