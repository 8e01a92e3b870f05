"""A run is sealed after its files were read and before its plan holds: from then on its files are final.

Sealing is a swap of the run's document. So a part of the drop that comes late either joins before it, and
everything is read anew, or comes after it and starts the next run.
"""

from exporter.domain.configuration import Export
from exporter.domain.layout import Drop
from exporter.domain.run import Run
from exporter.errors import RetryLaterError, StopRunError
from exporter.steps.join import is_earlier_state, join, run_that_has
from exporter.steps.landing import look
from exporter.steps.ports import Ports
from exporter.steps.receive import take_up


async def join_late_parts(run: Run, ports: Ports) -> Run:
    """The run with all files that its drop has by now, announced or not.

    Raises RetryLaterError while more files are expected, StopRunError("superseded") where another run has
    them.
    """
    if run.sealed or run.recipe is None or not run.sources:
        return run
    found = await look(run.sources[0].blob, ports)
    for drop in found.drops:
        # What lies around the file may make another drop of it, where a manifest above is out of sight.
        is_its_drop = (drop.recipe.id, drop.segment) == (run.recipe, run.segment)
        if not is_its_drop or not _has_more(drop, run):
            continue
        if not drop.complete:
            raise RetryLaterError(f"the rest of the drop: {drop.waits_for}")
        await take_up(drop, ports, announced=False)
        run = await ports.runs.load(run.run_id) or run
        if run.export is not None and run.content == "snapshot" and _has_more(drop, run):
            run = await _with_what_went_elsewhere(run, run.export, drop, ports)
    return run


def _has_more(drop: Drop, run: Run) -> bool:
    """Whether a run is at an earlier state of a drop."""
    return is_earlier_state(run.sources, drop) and len(drop.files) > len(run.sources)


async def _with_what_went_elsewhere(run: Run, export: Export, drop: Drop, ports: Ports) -> Run:
    """The run with the files of a drop that was taken up without it.

    Either by somebody who did not see the run yet, and made another one, or after an edit of the export,
    which then does not take the drop.
    """
    other = await run_that_has(export, drop, ports)
    if other is not None:
        raise StopRunError("superseded", f"run {other.short_id} has the drop with all its files")
    return await join(run, drop, drop.files, ports)


async def seal(run: Run, ports: Ports) -> None:
    """Make the files that were read the run's files for good.

    Raises RetryLaterError when a part joined since: everything is read anew then.
    """
    if run.sealed or run.recipe is None:
        return
    await join_late_parts(run, ports)
    sealed = await ports.runs.update(
        run.run_id,
        lambda current: (
            current if current.sources != run.sources else current.model_copy(update={"sealed": True})
        ),
    )
    if sealed.sources != run.sources:
        raise RetryLaterError("late parts of the drop, which are read now")
