"""Plans: `plans/<run id>/<epoch>/…` is what one planner wrote, `…/plan.json` says whose holds."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import orjson
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, ContainerClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient

from exporter.adapters.documents import Documents
from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.chunk import Chunk, decode_chunk, encode_chunk
from exporter.domain.reject import Reject, RejectReason
from exporter.domain.run import PlanRecord
from exporter.errors import StopRunError
from exporter.steps.ports import ChunkPlace, PlanParts

# The fastest level: a chunk shrinks to a sixth all the same.
_GZIP_LEVEL: Final = 1
_BLOCK_BYTES: Final = 4_000_000
_UPLOADS_AT_ONCE: Final = 2


class BlobPlanStore:
    """Chunks are gzip blobs; rejected rows are JSON lines. A planner writes under its own epoch,
    so that one who lost its claim can't spoil what another wrote."""

    def __init__(
        self, state: AsyncContainerClient, blocking_state: ContainerClient, documents: Documents
    ) -> None:
        self._state = state
        self._blocking_state = blocking_state
        self._documents = documents
        self._last_chunk: tuple[str, Chunk] | None = None
        self._records: dict[str, PlanRecord] = {}

    @asynccontextmanager
    async def writer(self, run_id: str, epoch: int) -> AsyncIterator["BlobPlanWriter"]:
        """A writer for one attempt at a plan."""
        writer = BlobPlanWriter(self._blocking_state, run_id, epoch)
        try:
            yield writer
            await asyncio.to_thread(writer.finish)
        finally:
            writer.close()

    async def finish(self, run_id: str, record: PlanRecord) -> PlanRecord:
        """Write the record once; the one that holds comes back."""
        data = await self._documents.write_once(f"plans/{run_id}/plan.json", to_bytes(record))
        return from_bytes(PlanRecord, data)

    async def record(self, run_id: str) -> PlanRecord | None:
        """The plan that holds; it never changes, so it is read once."""
        if run_id not in self._records:
            document = await self._documents.read(f"plans/{run_id}/plan.json")
            if document.etag is None:
                return None
            self._records = {run_id: from_bytes(PlanRecord, document.data)}
        return self._records[run_id]

    async def chunk(self, run_id: str, epoch: int, number: int) -> Chunk:
        """A stored chunk; the last one is kept at hand."""
        name = _chunk_name(run_id, epoch, number)
        if self._last_chunk is None or self._last_chunk[0] != name:
            document = await self._documents.read(name)
            if document.etag is None:
                raise StopRunError(
                    "state_lost", f"chunk {number} of the plan is gone from storage; drop the segment again"
                )
            self._last_chunk = name, decode_chunk(gzip.decompress(document.data))
        return self._last_chunk[1]

    async def parts(self) -> AsyncIterator[PlanParts]:
        """What is stored of every run's plans, by the names of the blobs."""
        run_id, chunks, rejects = "", list[ChunkPlace](), list[int]()
        async for blob in self._state.list_blobs(name_starts_with="plans/"):
            match = _PART.fullmatch(blob.name)
            if match is None:
                continue
            if match["run"] != run_id:
                if run_id:
                    yield PlanParts(run_id, tuple(chunks), tuple(rejects))
                run_id, chunks, rejects = match["run"], [], []
            if match["chunk"]:
                chunks.append(ChunkPlace(int(match["epoch"]), int(match["chunk"])))
            elif match["epoch"]:
                rejects.append(int(match["epoch"]))
        if run_id:
            yield PlanParts(run_id, tuple(chunks), tuple(rejects))

    async def replace_chunk(self, run_id: str, epoch: int, chunk: Chunk) -> None:
        """Put another chunk of the same shape in the place of a stored one."""
        self._last_chunk = None
        await self._state.upload_blob(
            _chunk_name(run_id, epoch, chunk.number), _zipped(chunk), overwrite=True
        )

    async def replace_rejects(self, run_id: str, epoch: int, rejects: Sequence[Reject]) -> None:
        """Put other rows in the place of the stored ones."""
        lines = b"".join(_line(reject) for reject in rejects)
        await self._state.upload_blob(_rejects_name(run_id, epoch), lines, overwrite=True)

    async def remove_chunks(self, run_id: str, places: Sequence[ChunkPlace]) -> None:
        """Delete chunks; those that are gone already are fine."""
        await self._documents.clear_all([_chunk_name(run_id, *place) for place in places])

    async def remove_rejects(self, run_id: str, epochs: Sequence[int]) -> None:
        """Delete rejected rows; those that are gone already are fine."""
        await self._documents.clear_all([_rejects_name(run_id, epoch) for epoch in epochs])

    async def remove(self, run_id: str) -> None:
        """Delete all plans of a run."""
        names = await self._documents.names(f"plans/{run_id}/")
        await self._documents.clear_all([name for name, _ in names])

    async def rejects(self, run_id: str, epoch: int) -> AsyncIterator[Reject]:
        """The rows rejected while planning."""
        try:
            stream = await self._state.download_blob(_rejects_name(run_id, epoch))
        except ResourceNotFoundError:
            return
        rest = b""
        async for block in stream.chunks():
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                source, row, reason, detail, email = orjson.loads(line)
                yield Reject(source, row, RejectReason(reason), detail, email)


class BlobPlanWriter:
    """Compresses and uploads in threads of its own, so that reading goes on meanwhile."""

    def __init__(self, state: ContainerClient, run_id: str, epoch: int) -> None:
        self._state = state
        self._run_id = run_id
        self._epoch = epoch
        self._uploads = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="plan-upload")
        self._under_way: list[Future[None]] = []
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._blocks: list[BlobBlock] = []

    def chunk(self, chunk: Chunk) -> None:
        """Store a chunk; waits while as many as may are under way."""
        while len(self._under_way) >= _UPLOADS_AT_ONCE:
            self._under_way.pop(0).result()
        self._under_way.append(self._uploads.submit(self._upload, chunk))

    def reject(self, reject: Reject) -> None:
        """Store a rejected row."""
        line = _line(reject)
        self._lines.append(line)
        self._lines_bytes += len(line)
        if self._lines_bytes > _BLOCK_BYTES:
            self._stage_lines()

    def finish(self) -> None:
        """Wait for the uploads and make the rejects readable."""
        for upload in self._under_way:
            upload.result()
        self._stage_lines()
        if self._blocks:
            self._rejects_blob.commit_block_list(self._blocks)

    def close(self) -> None:
        """End the threads."""
        self._uploads.shutdown(wait=True, cancel_futures=True)

    def _upload(self, chunk: Chunk) -> None:
        self._state.upload_blob(
            _chunk_name(self._run_id, self._epoch, chunk.number), _zipped(chunk), overwrite=True
        )

    def _stage_lines(self) -> None:
        if not self._lines:
            return
        block = BlobBlock(block_id=f"{len(self._blocks):06d}")
        self._rejects_blob.stage_block(block.id, b"".join(self._lines))
        self._blocks.append(block)
        self._lines, self._lines_bytes = [], 0

    @property
    def _rejects_blob(self) -> BlobClient:
        return self._state.get_blob_client(_rejects_name(self._run_id, self._epoch))


_PART: Final = re.compile(
    r"plans/(?P<run>[0-9a-f]{32})/(?:plan\.json|(?P<epoch>\d+)/(?:(?P<chunk>\d+)\.gz|rejects\.jsonl))"
)


def _chunk_name(run_id: str, epoch: int, number: int) -> str:
    return f"plans/{run_id}/{epoch:04d}/{number:05d}.gz"


def _rejects_name(run_id: str, epoch: int) -> str:
    return f"plans/{run_id}/{epoch:04d}/rejects.jsonl"


def _zipped(chunk: Chunk) -> bytes:
    return gzip.compress(encode_chunk(chunk.number, chunk.bodies), _GZIP_LEVEL, mtime=0)


def _line(reject: Reject) -> bytes:
    return orjson.dumps([reject.source, reject.row, reject.reason, reject.detail, reject.email]) + b"\n"
