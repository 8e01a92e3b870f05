"""Claims in memory, with the real ones' allowance for clocks that differ."""

from datetime import datetime, timedelta
from typing import Any

import orjson

from exporter.adapters.claims import SKEW
from exporter.errors import ConflictError
from exporter.steps.ports import Claim
from tests.fakes.storage import Document, Process


class FakeClaimStore:
    """Whoever swaps the document owns the work until the moment in it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def acquire(self, name: str, owner: str, seconds: float) -> Claim | datetime:
        document = await self._process.read(_path(name))
        if document.etag is None:
            return await self._write(name, 1, seconds, None, clean=True)
        content = orjson.loads(document.data)
        if self._held(document):
            return datetime.fromisoformat(content["until"])
        return await self._write(name, content["epoch"] + 1, seconds, document.etag, clean=content["clean"])

    async def free(self, name: str) -> bool:
        document = await self._process.read(_path(name))
        return document.etag is None or not self._held(document)

    async def renew(self, claim: Claim, owner: str, seconds: float) -> Claim | None:
        renewed = await self._write(claim.name, claim.epoch, seconds, claim.etag, clean=claim.clean)
        return renewed if isinstance(renewed, Claim) else None

    async def release(self, claim: Claim, *, clean: bool = True) -> bool:
        content = _content(claim.epoch, self._now(), returned=True, clean=clean)
        try:
            await self._process.replace(_path(claim.name), content, etag=claim.etag)
        except ConflictError:
            return False
        return True

    async def remove(self, run_id: str) -> None:
        await self._process.remove(*await self._process.names(f"claims/{run_id}/"))

    async def _write(
        self, name: str, epoch: int, seconds: float, etag: str | None, *, clean: bool
    ) -> Claim | datetime:
        until = self._now() + timedelta(seconds=seconds)
        try:
            written = await self._process.replace(
                _path(name), _content(epoch, until, returned=False), etag=etag
            )
        except ConflictError:
            return until
        return Claim(name, epoch, until, written, clean)

    def _held(self, document: Document) -> bool:
        content: dict[str, Any] = orjson.loads(document.data)
        return not content["returned"] and datetime.fromisoformat(content["until"]) + SKEW > self._now()

    def _now(self) -> datetime:
        return self._process.now()


def _content(epoch: int, until: datetime, *, returned: bool, clean: bool = False) -> bytes:
    return orjson.dumps({"epoch": epoch, "until": until.isoformat(), "returned": returned, "clean": clean})


def _path(name: str) -> str:
    return f"claims/{name}.json"
