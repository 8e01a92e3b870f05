"""Which files of a drop a run gets: late parts join the run of the earlier ones until it is sealed.

What seals it is in `steps/seal.py`.
"""

from typing import Final

from exporter.domain.configuration import Export
from exporter.domain.drop import Source
from exporter.domain.layout import Drop
from exporter.domain.recipe import Completeness
from exporter.domain.run import Run, RunState
from exporter.domain.watermark import Watermark
from exporter.steps.ports import Ports

_LISTED: Final = frozenset({Completeness.MANIFEST, Completeness.COMMITTED})
_SENT_NOTHING: Final = frozenset({RunState.FAILED, RunState.CANCELLED, RunState.SKIPPED})


async def run_to_join(export: Export, drop: Drop, cause: str, ports: Ports) -> Run | None:
    """The run of an export that has an earlier state of a drop, with the drop's present files in it.

    None where there is none, or all are sealed.
    """
    if drop.by is Completeness.AT_ONCE:
        return None
    async for run in ports.runs.open():
        if run.export_id == export.id and run.cause == cause and is_earlier_state(run.sources, drop):
            files = await files_for(export, drop, ports, run_id=run.run_id)
            joined = await join(run, drop, files, ports)
            if joined.sources == files:
                return joined
    return None


async def run_that_has(export: Export, drop: Drop, ports: Ports) -> Run | None:
    """The run of an export that has all files of a drop: an open one, or the last one that began to send.

    So a crash in between does not start a drop twice, and what is left of a drop that was sent, since some of
    its files were deleted or overwritten, does not pass for a new one. Where something lists the files, fewer
    of them are a drop of its own.
    """
    if drop.by is Completeness.AT_ONCE:
        return None
    mark = await ports.watermarks.load(export.id, drop.segment)
    last = await ports.runs.load(mark.run_id) if mark is not None else None
    if last is not None and _has(last, export, drop):
        return last
    async for run in ports.runs.open():
        if _has(run, export, drop):
            return run
    return None


def _has(run: Run, export: Export, drop: Drop) -> bool:
    """Whether a run reads all files of a drop, all rows of them."""
    if (run.export_id, run.segment) != (export.id, drop.segment) or run.first is not None:
        return False
    of_run, of_drop = _versions(run.sources), _versions(drop.files)
    return of_run == of_drop if drop.by in _LISTED else of_run >= of_drop


async def files_for(
    export: Export, drop: Drop, ports: Ports, *, run_id: str | None = None
) -> tuple[Source, ...]:
    """The files of a drop that a run of an export has to read: all, or of changes those that none has read.

    A snapshot stands for the whole segment with all its parts. Changes that were sent must not be sent again
    after newer ones, so a late part of them goes alone; nor must those that failed, once a later drop has
    begun. `run_id` is the run that asks.
    """
    if export.content == "snapshot" or drop.by is Completeness.AT_ONCE:
        return drop.files
    mark = await ports.watermarks.load(export.id, drop.segment)
    taken: set[tuple[str, str]] = set()
    async for run in ports.runs.all():
        if (run.export_id, run.segment) != (export.id, drop.segment) or run.run_id == run_id:
            continue
        is_past = mark is not None and mark.newer_than(Watermark.of(run))
        if is_past or run.state not in _SENT_NOTHING:
            taken |= _versions(run.sources)
    return tuple(file for file in drop.files if (file.blob, file.etag) not in taken)


def is_earlier_state(sources: tuple[Source, ...], drop: Drop) -> bool:
    """Whether all of a run's files are in the drop, each in the same version."""
    return _versions(sources) <= _versions(drop.files)


def _versions(sources: tuple[Source, ...]) -> set[tuple[str, str]]:
    return {(source.blob, source.etag) for source in sources}


async def join(run: Run, drop: Drop, files: tuple[Source, ...], ports: Ports) -> Run:
    """Put files of the drop into a run that is not sealed; one of an earlier version never will be."""

    def change(current: Run) -> Run:
        if not current.takes_late_parts or not is_earlier_state(current.sources, drop):
            return current
        return current.model_copy(update={"sources": files, "dialect": drop.dialect})

    return await ports.runs.update(run.run_id, change)
