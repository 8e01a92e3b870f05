"""How long things are kept, in days; configuration, watermarks, budgets and suppression stay for good."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from exporter.domain.drop import Source
from exporter.domain.layout import Drop
from exporter.domain.progress import RunProgress
from exporter.domain.recipe import Completeness
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
    drops: Sequence[Drop],
    files: Iterable[Source],
    *,
    wanted_segments: Collection[str],
    held_blobs: Collection[str],
    arrived_before: datetime,
) -> list[tuple[Source, ...]]:
    """The drops that nobody needs any more, each with all that lies in its folder, its signs last.

    A drop goes once all its files arrived before a moment. What stays: the newest whole drop of each of
    `wanted_segments`, drops with a file in `held_blobs`, all that is not whole, and manifests, which speak of
    other drops, too. `drops` are in the order of their time.
    """
    whole = [drop for drop in drops if drop.complete]
    newest = {drop.segment: drop for drop in whole if drop.segment in wanted_segments}
    folders = Counter(drop.folder for drop in drops)
    sorted_files = sorted(files, key=lambda file: file.blob)
    last_whole = {drop.segment: drop for drop in whole}
    expired = []
    for drop in drops:
        if newest.get(drop.segment) is drop or not (drop.complete or _is_past(drop, last_whole)):
            continue
        signs = {sign.blob for sign in drop.signs}
        members = {file.blob: file for file in drop.files}
        if drop.by in {Completeness.MARKER, Completeness.COMMITTED}:
            members |= {sign.blob: sign for sign in drop.signs}
            if folders[drop.folder] == 1 and drop.folder.count("/") > 1:
                members |= {file.blob: file for file in _below(drop.folder, sorted_files)}
        if all(member.last_modified < arrived_before for member in members.values()) and not any(
            blob in held_blobs for blob in members
        ):
            by_name = sorted(members.values(), key=lambda member: (member.blob in signs, member.blob))
            expired.append(tuple(by_name))
    return expired


def _is_past(drop: Drop, last_whole: Mapping[str, Drop]) -> bool:
    """Whether a manifest has gone on, as Customer Insights rewrites its own: to a newer drop, or without the
    table, which is no longer exported."""
    newer = last_whole.get(drop.segment)
    return drop.left_behind or (
        drop.by is Completeness.MANIFEST and newer is not None and newer.order > drop.order
    )


def _below(folder: str, files: Sequence[Source]) -> Sequence[Source]:
    """The files in a folder; `files` are sorted by name."""
    start = bisect_left(files, folder, key=lambda file: file.blob)
    end = bisect_left(files, f"{folder[:-1]}0", key=lambda file: file.blob)  # "0" follows the slash
    return files[start:end]
