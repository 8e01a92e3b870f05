"""Which files of a drop a run gets: late parts join the run of the earlier ones until it is sealed.

What seals it is in `steps/seal.py`.
"""

from typing import Final

from exporter.domain.configuration import Export
from exporter.domain.drop import Source
from exporter.domain.layout import Drop
from exporter.domain.recipe import Completeness
from exporter.domain.run import Run, RunState
from exporter.steps.ports import Ports

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
            joined = await _join(run, drop, files, ports)
            if joined.sources == files:
                return joined
    return None


async def files_for(
    export: Export, drop: Drop, ports: Ports, *, run_id: str | None = None
) -> tuple[Source, ...]:
    """The files of a drop that a run of an export has to read: all, or of changes those that none has read.

    A snapshot stands for the whole segment with all its parts. Changes that were sent must not be sent again
    after newer ones, so a late part of them goes alone. `run_id` is the run that asks.
    """
    if export.content == "snapshot" or len(drop.files) == 1:
        return drop.files
    taken: set[tuple[str, str]] = set()
    async for run in ports.runs.all():
        is_another = (run.export_id, run.segment) == (export.id, drop.segment) and run.run_id != run_id
        if is_another and run.state not in _SENT_NOTHING:
            taken |= {(source.blob, source.etag) for source in run.sources}
    return tuple(file for file in drop.files if (file.blob, file.etag) not in taken)


def is_earlier_state(sources: tuple[Source, ...], drop: Drop) -> bool:
    """Whether all of a run's files are in the drop, each in the same version."""
    there = {(file.blob, file.etag) for file in drop.files}
    return all((source.blob, source.etag) in there for source in sources)


async def _join(run: Run, drop: Drop, files: tuple[Source, ...], ports: Ports) -> Run:
    """Put files of the drop into a run that is not sealed."""

    def change(current: Run) -> Run:
        if current.sealed or current.plan_epoch is not None or current.stopped is not None:
            return current
        if current.state.final or not is_earlier_state(current.sources, drop):
            return current
        return current.model_copy(update={"sources": files, "dialect": drop.dialect})

    return await ports.runs.update(run.run_id, change)
