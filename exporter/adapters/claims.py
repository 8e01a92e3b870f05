"""Claims: `claims/<name>.json`; whoever swaps the document owns the work until the moment written in it."""

from datetime import datetime, timedelta

import orjson

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.errors import ConflictError
from exporter.steps.ports import Claim, Clock

SCHEMA = 1
SKEW = timedelta(seconds=2)
"""Clocks of two instances may differ so much; a claim is honoured that much longer by others."""


class BlobClaimStore:
    """Claims as small documents swapped by ETag."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def acquire(self, name: str, owner: str, seconds: float) -> Claim | datetime:
        """Claim something; the moment when the present claim ends, if somebody has it."""
        document = await self._documents.read(_path(name))
        epoch, clean = 1, True
        if document.etag is not None:
            content = orjson.loads(document.data)
            if self._held(document):
                return datetime.fromisoformat(content["until"])
            epoch, clean = content["epoch"] + 1, content["clean"]
        return await self._write(name, owner, epoch, seconds, document.etag, clean=clean)

    async def free(self, name: str) -> bool:
        """Whether nobody has a claim on something."""
        document = await self._documents.read(_path(name))
        return document.etag is None or not self._held(document)

    async def renew(self, claim: Claim, owner: str, seconds: float) -> Claim | None:
        """Prolong a claim; None when it was lost."""
        renewed = await self._write(claim.name, owner, claim.epoch, seconds, claim.etag, clean=claim.clean)
        return renewed if isinstance(renewed, Claim) else None

    async def release(self, claim: Claim, *, clean: bool = True) -> bool:
        """Give a claim back; False where somebody else has claimed it since."""
        content = {
            "schema": SCHEMA,
            "owner": "",
            "epoch": claim.epoch,
            "until": self._clock.now().isoformat(),
            "returned": True,
            "clean": clean,
        }
        try:
            await self._documents.replace(_path(claim.name), orjson.dumps(content), etag=claim.etag)
        except ConflictError:
            return False
        return True

    async def remove(self, run_id: str) -> None:
        """Delete all claims of a run."""
        names = await self._documents.names(f"claims/{run_id}/")
        await self._documents.clear_all([name for name, _ in names])

    async def _write(
        self, name: str, owner: str, epoch: int, seconds: float, etag: str | None, *, clean: bool
    ) -> Claim | datetime:
        until = self._clock.now() + timedelta(seconds=seconds)
        content = {
            "schema": SCHEMA,
            "owner": owner,
            "epoch": epoch,
            "until": until.isoformat(),
            "returned": False,
            "clean": False,
        }
        try:
            written = await self._documents.replace(_path(name), orjson.dumps(content), etag=etag)
        except ConflictError:
            return until
        return Claim(name, epoch, until, written, clean)

    def _held(self, document: DocumentBytes) -> bool:
        content = orjson.loads(document.data)
        until = datetime.fromisoformat(content["until"])
        return not content["returned"] and until + SKEW > self._clock.now()


def _path(name: str) -> str:
    return f"claims/{name}.json"
