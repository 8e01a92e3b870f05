"""Messages that the platform gave up on, in memory."""

from tests.fakes.storage import Process


class FakePoisonStore:
    """A document for each message."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def keep(self, queue: str, text: bytes) -> None:
        await self._process.create(f"poison/{queue}/{text.hex()[:64]}.json", text)
