"""Messages that the platform gave up on, in memory."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from tests.fakes.storage import Process


class FakePoisonStore:
    """A document for each message."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def keep(self, queue: str, text: bytes) -> None:
        content = {
            "kept_at": self._process.storage.clock.now().isoformat(),
            "text": text.decode(errors="backslashreplace"),
        }
        await self._process.create(f"poison/{queue}/{text.hex()[:64]}.json", orjson.dumps(content))

    async def delete(self, unwanted: Callable[[str], bool]) -> int:
        return await self._delete(lambda content: unwanted(content["text"]))

    async def forget_before(self, moment: datetime) -> int:
        return await self._delete(lambda content: datetime.fromisoformat(content["kept_at"]) < moment)

    async def _delete(self, unwanted: Callable[[dict[str, Any]], bool]) -> int:
        names = await self._process.names("poison/")
        found = [name for name in names if unwanted(orjson.loads((await self._process.read(name)).data))]
        for name in found:
            await self._process.remove(name)
        return len(found)
