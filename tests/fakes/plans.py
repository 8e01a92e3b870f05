"""Plans in memory, in their stored form."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.domain.chunk import Chunk, decode_chunk, encode_chunk
from exporter.domain.reject import Reject
from exporter.domain.run import PlanRecord
from exporter.errors import StopRunError
from tests.fakes.storage import Process


class FakePlanStore:
    """Chunks and rejects lie under the epoch of their planner; one record says whose plan holds."""

    def __init__(self, process: Process, rejects: dict[tuple[str, int], list[Reject]]) -> None:
        self._process = process
        self._rejects = rejects

    @asynccontextmanager
    async def writer(self, run_id: str, epoch: int) -> AsyncIterator["FakePlanWriter"]:
        writer = FakePlanWriter(self._process, _prefix(run_id, epoch))
        yield writer
        await self._process.operate_write()
        self._rejects[run_id, epoch] = writer.rejects

    async def finish(self, run_id: str, record: PlanRecord) -> PlanRecord:
        await self._process.create(f"plans/{run_id}/plan.json", record.model_dump_json().encode())
        found = await self._process.read(f"plans/{run_id}/plan.json")
        return PlanRecord.model_validate_json(found.data)

    async def record(self, run_id: str) -> PlanRecord | None:
        found = await self._process.read(f"plans/{run_id}/plan.json")
        return PlanRecord.model_validate_json(found.data) if found.etag else None

    async def chunk(self, run_id: str, epoch: int, number: int) -> Chunk:
        document = await self._process.read(f"{_prefix(run_id, epoch)}{number:05d}")
        if document.etag is None:
            raise StopRunError("state_lost", f"chunk {number} of the plan is gone")
        return decode_chunk(document.data)

    async def rejects(self, run_id: str, epoch: int) -> AsyncIterator[Reject]:
        await self._process.operate()
        for reject in self._rejects.get((run_id, epoch), []):
            yield reject


class FakePlanWriter:
    """Takes chunks and rejects at once; the planning thread does not wait."""

    def __init__(self, process: Process, prefix: str) -> None:
        self._process = process
        self._prefix = prefix
        self.rejects: list[Reject] = []

    def chunk(self, chunk: Chunk) -> None:
        self._process.storage.put(
            f"{self._prefix}{chunk.number:05d}", encode_chunk(chunk.number, chunk.bodies)
        )

    def reject(self, reject: Reject) -> None:
        self.rejects.append(reject)


def _prefix(run_id: str, epoch: int) -> str:
    return f"plans/{run_id}/{epoch:04d}/"
