"""The runs' own documents: `runs/<run id>.json`."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.run import Run
from exporter.errors import NewerVersionError, StopRunError


class BlobRunStore:
    """One small document a run, swapped by ETag; a mark beside it says that the run is not over.

    The mark is made first, so that a crash in between leaves no run that nobody looks after; the mark of a
    run that is over is cleared by the next look.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def create(self, run: Run) -> bool:
        """Write a new run; False when it exists already."""
        if not run.state.final:
            await self._documents.create(_mark(run.run_id), b"")
        return await self._documents.create(_name(run.run_id), _encode(run))

    async def load(self, run_id: str) -> Run | None:
        """The run as it is now."""
        document = await self._documents.read(_name(run_id))
        return _decode(document) if document.etag else None

    async def update(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Swap the run for its changed self; no write where nothing changes."""
        latest: Run | None = None

        def swap(document: DocumentBytes) -> bytes | None:
            nonlocal latest
            if document.etag is None:
                raise StopRunError("run_gone", f"run {run_id} is not kept any more")
            before = _decode(document)
            latest = change(before)
            return _encode(latest) if latest is not before else None

        await self._documents.swap(_name(run_id), swap)
        if latest is None:
            raise StopRunError("run_gone", f"run {run_id} is not kept any more")
        if latest.state.final:
            await self._clear_mark(run_id)
        return latest

    async def _clear_mark(self, run_id: str) -> None:
        """Clear the mark of a run that is over; one that was reopened in between keeps it."""
        await self._documents.clear(_mark(run_id))
        run = await self.load(run_id)
        if run is not None and not run.state.final:
            await self._documents.create(_mark(run_id), b"")

    async def reopen(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Swap the run for its changed self, and mark it as not over.

        The mark is made before, for a crash in between, and again, for a look that cleared it meanwhile.
        """
        await self._documents.create(_mark(run_id), b"")
        run = await self.update(run_id, change)
        if not run.state.final:
            await self._documents.create(_mark(run_id), b"")
        return run

    async def all(self) -> AsyncIterator[Run]:
        """Every run that is kept."""
        names = [name for name, _ in await self._documents.names("runs/")]
        async for _, document in self._documents.read_many(names):
            if document.etag:
                yield _decode(document)

    async def open(
        self, unreadable: Callable[[str, NewerVersionError | ValueError], None] | None = None
    ) -> AsyncIterator[Run]:
        """The runs that are not over."""
        for name, _ in await self._documents.names(_MARKS):
            run_id = name.removeprefix(_MARKS)
            try:
                run = await self.load(run_id)
            except (NewerVersionError, ValueError) as error:
                if unreadable is None:
                    raise
                unreadable(run_id, error)
                continue
            if run is None:  # it is just being ordered
                continue
            if run.state.final:
                await self._clear_mark(run_id)
            else:
                yield run

    async def untouched_since(self, moment: datetime) -> AsyncIterator[Run]:
        """The runs whose document was last written before a moment."""
        names = await self._documents.names_untouched_since("runs/", moment)
        async for _, document in self._documents.read_many(names):
            if document.etag:
                yield _decode(document)

    async def remove(self, run_id: str) -> None:
        """Delete a run's document."""
        await self._documents.clear(_name(run_id))


_MARKS = "open-runs/"


def _mark(run_id: str) -> str:
    return f"{_MARKS}{run_id}"


def _name(run_id: str) -> str:
    return f"runs/{run_id}.json"


def _encode(run: Run) -> bytes:
    return to_bytes(run)


def _decode(document: DocumentBytes) -> Run:
    return from_bytes(Run, document.data)
