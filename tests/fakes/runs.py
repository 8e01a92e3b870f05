"""The runs' documents in memory."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from exporter.domain.run import Run
from exporter.errors import StopRunError
from tests.fakes.storage import Document, Process


class FakeRunStore:
    """One document a run, swapped by ETag."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def create(self, run: Run) -> bool:
        return await self._process.create(_name(run.run_id), run.model_dump_json().encode())

    async def load(self, run_id: str) -> Run | None:
        document = await self._process.read(_name(run_id))
        return Run.model_validate_json(document.data) if document.etag else None

    async def update(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        latest: list[Run] = []

        def swap(document: Document) -> bytes | None:
            if document.etag is None:
                raise StopRunError("run_gone", f"run {run_id} is not kept any more")
            before = Run.model_validate_json(document.data)
            latest[:] = [change(before)]
            return latest[0].model_dump_json().encode() if latest[0] is not before else None

        await self._process.swap(_name(run_id), swap)
        return latest[0]

    async def reopen(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        return await self.update(run_id, change)

    async def all(self) -> AsyncIterator[Run]:
        for name in await self._process.names("runs/"):
            yield Run.model_validate_json((await self._process.read(name)).data)

    async def open(self) -> AsyncIterator[Run]:
        async for run in self.all():
            if not run.state.final:
                yield run

    async def untouched_since(self, moment: datetime) -> AsyncIterator[Run]:
        async for run in self.all():
            if run.completed_at is not None and run.completed_at < moment:
                yield run

    async def remove(self, run_id: str) -> None:
        await self._process.remove(_name(run_id))


def _name(run_id: str) -> str:
    return f"runs/{run_id}.json"
