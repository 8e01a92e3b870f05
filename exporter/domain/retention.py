"""How long things are kept, in days; configuration, watermarks, budgets and suppression stay for good."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from exporter.domain.drop import EndMarker, SegmentFile, Source, recognise
from exporter.domain.progress import RunProgress
from exporter.domain.run import Run, RunState

CHUNK_DAYS: Final = 7
"""From a run's end; so long it can be redriven. What a redrive would not need goes sooner."""
REJECT_DAYS: Final = 30
"""From a run's end: plan rejects and the rejects file."""
RUN_DAYS: Final = 90
"""From a run's end: its document, facts, plan record and claims, none of which holds people."""
DROP_DAYS: Final = 30
"""From a drop's arrival, unless `EXPORTER_DROP_RETENTION_DAYS` says otherwise."""
CHUNK_GRACE: Final = timedelta(hours=1)
"""Right after a run's end somebody may still look at its contacts, as a first send does."""

_REDRIVABLE: Final = frozenset({RunState.CANCELLED, RunState.PARTLY_FAILED, RunState.FAILED})


def ended_before(run: Run, days: int, now: datetime) -> bool:
    """Whether a run has been over for so many days."""
    return run.completed_at is not None and run.state.final and now - run.completed_at >= timedelta(days=days)


def may_be_redriven(run: Run, now: datetime) -> bool:
    """Whether a run that is over may still need its chunks."""
    return run.state in _REDRIVABLE and run.plan_epoch is not None and not ended_before(run, CHUNK_DAYS, now)


def chunks_of_a_redrive(progress: RunProgress) -> frozenset[int]:
    """The chunks that a redrive sends from, or lists rejects from; `progress` has its tries counted anew."""
    open_still = bool(progress.chunks_to_send() or progress.open_batches())
    if not open_still or progress.refused_outright() is not None:
        return frozenset()
    return frozenset(
        number
        for number, bodies in enumerate(progress.bodies)
        if any(body.items or body.open_batches or body.refusals or body.undelivered for body in bodies)
    )


def expired_drops(
    files: Iterable[Source],
    *,
    wanted_segments: Collection[str],
    held_blobs: Collection[str],
    arrived_before: datetime,
) -> list[tuple[Source, ...]]:
    """The drops among the landed files that nobody needs any more, each with its end markers last.

    A drop goes once all its files arrived before a moment. What stays: the newest complete drop of each of
    `wanted_segments`, drops with a file in `held_blobs`, and all that is no complete drop by its name.
    """
    files = sorted(files, key=lambda file: file.blob)
    drops: dict[str, list[Source]] = {}
    completed_by: dict[str, list[tuple[datetime, str, str]]] = {}
    for file in files:
        meaning = recognise(file.blob)
        if isinstance(meaning, SegmentFile):
            name, members = file.blob, [file]
        elif isinstance(meaning, EndMarker):
            name = meaning.folder
            members = [other for other in files if other.blob.startswith(meaning.folder)]
        else:
            continue
        drops[name] = sorted(members, key=lambda member: isinstance(recognise(member.blob), EndMarker))
        completed_by.setdefault(meaning.segment, []).append((file.last_modified, file.blob, name))
    kept = {max(completed_by[segment])[2] for segment in wanted_segments if segment in completed_by}
    return [
        tuple(members)
        for name, members in drops.items()
        if name not in kept
        and all(member.last_modified < arrived_before for member in members)
        and not any(member.blob in held_blobs for member in members)
    ]
