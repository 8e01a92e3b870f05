"""Plans in memory, in their stored form."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from exporter.domain.chunk import Chunk, decode_chunk, encode_chunk
from exporter.domain.reject import Reject
from exporter.domain.run import PlanRecord
from exporter.errors import StopRunError
from exporter.steps.ports import ChunkPlace, PlanParts
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
        await self._process.come_back()

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
        await self._process.come_back()
        for reject in self._rejects.get((run_id, epoch), []):
            yield reject

    async def parts(self) -> AsyncIterator[PlanParts]:
        names = [name.split("/")[1:] for name in await self._process.names("plans/")]
        runs = sorted({name[0] for name in names} | {run_id for run_id, _ in self._rejects})
        for run_id in runs:
            yield PlanParts(
                run_id,
                tuple(ChunkPlace(int(n[1]), int(n[2])) for n in names if n[0] == run_id and len(n) == 3),
                tuple(sorted(epoch for other, epoch in self._rejects if other == run_id)),
            )

    async def replace_chunk(self, run_id: str, epoch: int, chunk: Chunk) -> None:
        await self._process.operate_write()
        data = encode_chunk(chunk.number, chunk.bodies)
        self._process.storage.put(f"{_prefix(run_id, epoch)}{chunk.number:05d}", data)

    async def replace_rejects(self, run_id: str, epoch: int, rejects: Sequence[Reject]) -> None:
        await self._process.operate_write()
        self._rejects[run_id, epoch] = list(rejects)

    async def remove_chunks(self, run_id: str, places: Sequence[ChunkPlace]) -> None:
        names = [f"{_prefix(run_id, place.epoch)}{place.number:05d}" for place in places]
        await self._process.remove(*names)

    async def remove_rejects(self, run_id: str, epochs: Sequence[int]) -> None:
        for epoch in epochs:
            await self._process.operate_write()
            self._rejects.pop((run_id, epoch), None)

    async def remove(self, run_id: str) -> None:
        await self._process.remove(*await self._process.names(f"plans/{run_id}/"))
        await self.remove_rejects(run_id, [epoch for other, epoch in self._rejects if other == run_id])


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
