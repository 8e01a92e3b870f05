"""Turns of an export's runs on one segment: a newer snapshot takes over, drops of changes go one by one.

A snapshot stands for all that came before it; changes stand for nothing but themselves. So a run waits for
older open runs if it or one of these has changes. The oldest never waits: nobody waits for ever.
"""

from exporter.domain.run import Run
from exporter.domain.watermark import Watermark
from exporter.errors import RetryLaterError, StopRunError
from exporter.steps.open_runs import open_runs_beside
from exporter.steps.ports import Ports
from exporter.steps.stop import give_way, stop_run


async def wait_for_turn(run: Run, ports: Ports) -> None:
    """Raise RetryLaterError while an older run of the same export and segment has to end first."""
    mark = Watermark.of(run)
    async for other in open_runs_beside(run, ports):
        if "delta" in {run.content, other.content} and mark.newer_than(Watermark.of(other)):
            raise RetryLaterError(
                f"run {other.short_id}, whose drop of the segment comes before this one's"
                f" (`exporter run show {other.short_id}`)"
            )


async def take_turn(run: Run, export_id: str, ports: Ports) -> bool:
    """Begin to send: nothing older of the segment may begin after this.

    An older snapshot gives way to a newer one; True if it was still going on. Raises RetryLaterError while
    an older run has to end first, StopRunError("superseded") or ("out_of_order") when it is this run that
    is older than one that has begun.
    """
    await wait_for_turn(run, ports)
    before = await give_way(run, export_id, ports)
    # An older run that put its mark in between is open, and goes on to its end. One that comes to it later
    # finds this mark.
    await wait_for_turn(run, ports)
    if before is None or before.run_id == run.run_id or "delta" in {run.content, before.content}:
        return False
    try:
        return await stop_run(
            before.run_id,
            StopRunError("superseded", f"a newer drop of the segment took over, as run {run.run_id}"),
            ports,
        )
    except StopRunError:  # the older run is not kept any more
        return False


def as_told(error: StopRunError, run: Run) -> StopRunError:
    """Why planning stopped. A file that was overwritten before it was read has taken its changes along."""
    if run.content == "delta" and error.code == "superseded":
        return StopRunError(
            "source_gone",
            f"{error}; its changes are gone with it. Let the source give each drop of changes a name of its "
            "own, and write these people anew",
        )
    return error
