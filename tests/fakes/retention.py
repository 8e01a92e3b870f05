"""When retention last went through everything, in memory."""

from datetime import datetime

from tests.fakes.storage import Process

_NAME = "control/retention.json"


class FakeRetentionLog:
    """One document that holds a moment."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def last_at(self) -> datetime | None:
        document = await self._process.read(_NAME)
        return datetime.fromisoformat(document.data.decode()) if document.etag else None

    async def note(self, at: datetime) -> None:
        await self._process.swap(_NAME, lambda _: at.isoformat().encode())
