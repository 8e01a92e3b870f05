"""The runs' documents in memory."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import lru_cache

from exporter.domain.run import Run
from exporter.errors import NewerVersionError, StopRunError
from tests.fakes.storage import Document, Process


class FakeRunStore:
    """One document a run, swapped by ETag, and a mark beside it as long as the run is not over."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def create(self, run: Run) -> bool:
        if not run.state.final:
            await self._process.create(f"{MARKS}{run.run_id}", b"")
        return await self._process.create(_name(run.run_id), run.model_dump_json().encode())

    async def load(self, run_id: str) -> Run | None:
        document = await self._process.read(_name(run_id))
        return decode_run(document.data) if document.etag else None

    async def update(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        latest: list[Run] = []

        def swap(document: Document) -> bytes | None:
            if document.etag is None:
                raise StopRunError("run_gone", f"run {run_id} is not kept any more")
            before = decode_run(document.data)
            latest[:] = [change(before)]
            return latest[0].model_dump_json().encode() if latest[0] is not before else None

        await self._process.swap(_name(run_id), swap)
        if latest[0].state.final:
            await self._clear_mark(run_id)
        return latest[0]

    async def _clear_mark(self, run_id: str) -> None:
        await self._process.clear(f"{MARKS}{run_id}")
        run = await self.load(run_id)
        if run is not None and not run.state.final:
            await self._process.create(f"{MARKS}{run_id}", b"")

    async def reopen(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        await self._process.create(f"{MARKS}{run_id}", b"")
        run = await self.update(run_id, change)
        if not run.state.final:
            await self._process.create(f"{MARKS}{run_id}", b"")
        return run

    async def all(self) -> AsyncIterator[Run]:
        for name in await self._process.names("runs/"):
            yield decode_run((await self._process.read(name)).data)

    async def open(
        self, unreadable: Callable[[str, NewerVersionError | ValueError], None] | None = None
    ) -> AsyncIterator[Run]:
        for mark in await self._process.names(MARKS):
            run_id = mark.removeprefix(MARKS)
            try:
                run = await self.load(run_id)
            except (NewerVersionError, ValueError) as error:
                if unreadable is None:
                    raise
                unreadable(run_id, error)
                continue
            if run is None:
                continue
            if run.state.final:
                await self._clear_mark(run_id)
            else:
                yield run

    async def untouched_since(self, moment: datetime) -> AsyncIterator[Run]:
        async for run in self.all():
            if run.completed_at is not None and run.completed_at < moment:
                yield run

    async def remove(self, run_id: str) -> None:
        await self._process.remove(_name(run_id))


MARKS = "open-runs/"


@lru_cache(maxsize=256)
def decode_run(data: bytes) -> Run:
    """The run in a document; the same bytes are the same run, and never change."""
    return Run.model_validate_json(data)


def _name(run_id: str) -> str:
    return f"runs/{run_id}.json"
