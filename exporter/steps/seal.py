"""A run is sealed after its files were read and before its plan holds: from then on its files are final.

Sealing is a swap of the run's document. So a part of the drop that comes late either joins before it, and
everything is read anew, or comes after it and starts the next run.
"""

from exporter.domain.run import Run
from exporter.errors import RetryLaterError
from exporter.steps.join import is_earlier_state
from exporter.steps.landing import look
from exporter.steps.ports import Ports
from exporter.steps.receive import take_up


async def join_late_parts(run: Run, ports: Ports) -> Run:
    """The run with all files that its drop has by now, announced or not.

    Raises RetryLaterError while more files are expected.
    """
    if run.sealed or run.recipe is None or not run.sources:
        return run
    found = await look(run.sources[0].blob, ports)
    for drop in found.drops:
        if not is_earlier_state(run.sources, drop) or len(drop.files) == len(run.sources):
            continue
        if not drop.complete:
            raise RetryLaterError(f"the rest of the drop: {drop.waits_for}")
        await take_up(drop, ports, announced=False)
        run = await ports.runs.load(run.run_id) or run
    return run


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
