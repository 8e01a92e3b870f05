"""Facts in memory, in their stored form."""

from collections.abc import Sequence
from functools import lru_cache

from exporter.domain.facts import Fact, decode_facts, encode_facts
from exporter.errors import ConflictError
from tests.fakes.storage import Process


class FakeFactStore:
    """Documents that are written once."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def write(self, run_id: str, name: str, facts: Sequence[Fact]) -> None:
        path, data = f"facts/{run_id}/{name}.json", encode_facts(name, facts)
        if await self._process.create(path, data):
            return
        if (await self._process.read(path)).data != data:
            raise ConflictError(f"facts {name} exist with other content")

    async def read(self, run_id: str) -> list[Fact]:
        names = await self._process.names(f"facts/{run_id}/")
        return [fact for name in names for fact in _decode(self._process.storage.documents[name].data)]

    async def remove(self, run_id: str) -> None:
        await self._process.remove(*await self._process.names(f"facts/{run_id}/"))


@lru_cache(maxsize=4096)
def _decode(data: bytes) -> tuple[Fact, ...]:
    """Facts never change, so each is decoded once."""
    return tuple(decode_facts(data))
