"""Late parts of a drop join the run that has the earlier ones, until that run is sealed (`steps/seal.py`)."""

from exporter.domain.drop import Source
from exporter.domain.layout import Drop
from exporter.domain.recipe import Completeness
from exporter.domain.run import Run
from exporter.steps.ports import Ports


async def run_to_join(export_id: str, drop: Drop, cause: str, ports: Ports) -> Run | None:
    """The run of an export that has an earlier state of a drop, with the drop's present files in it.

    None where there is none, or all are sealed.
    """
    if drop.by is Completeness.AT_ONCE:
        return None
    async for run in ports.runs.open():
        if run.export_id == export_id and run.cause == cause and is_earlier_state(run.sources, drop):
            joined = await _join(run, drop, ports)
            if joined.sources == drop.files:
                return joined
    return None


def is_earlier_state(sources: tuple[Source, ...], drop: Drop) -> bool:
    """Whether all of a run's files are in the drop, each in the same version."""
    there = {(file.blob, file.etag) for file in drop.files}
    return all((source.blob, source.etag) in there for source in sources)


async def _join(run: Run, drop: Drop, ports: Ports) -> Run:
    """Put the drop's files into a run that is not sealed."""

    def change(current: Run) -> Run:
        if current.sealed or current.plan_epoch is not None or current.stopped is not None:
            return current
        if current.state.final or not is_earlier_state(current.sources, drop):
            return current
        return current.model_copy(update={"sources": drop.files, "dialect": drop.dialect})

    return await ports.runs.update(run.run_id, change)
