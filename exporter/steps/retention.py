"""Retention: what is over and no longer needed is deleted, people first.

Called by each sweep; once an hour it goes through everything, some seconds at a time. Whoever is killed in
the middle has deleted what is deleted, and the next sweep goes on: what has to go is always found by looking.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from exporter.domain.drop import Source
from exporter.domain.retention import (
    CHUNK_GRACE,
    REJECT_DAYS,
    RUN_DAYS,
    chunks_of_a_redrive,
    ended_before,
    expired_drops,
    may_be_redriven,
)
from exporter.domain.run import Run
from exporter.errors import ConflictError
from exporter.steps.events import Event
from exporter.steps.landing import survey
from exporter.steps.ports import ChunkPlace, PlanParts, Ports
from exporter.steps.run_progress import read_progress
from exporter.steps.stop import POISONED

EVERY = timedelta(hours=1)
SECONDS_A_SWEEP = 20.0
"""A look that takes longer is ended, and taken up again by the next sweep."""


async def tidy_up(ports: Ports) -> None:
    """Delete what its time has come for, if the last complete look was an hour ago."""
    now = ports.clock.now()
    last_at = await ports.retention.last_at()
    if last_at is not None and now - last_at < EVERY:
        return
    ends_at = ports.clock.monotonic() + SECONDS_A_SWEEP
    deleted = 0
    async for count in _deletions(ports, now):
        deleted += count
        if ports.clock.monotonic() > ends_at:
            break
    else:
        await ports.retention.note(now)
    if deleted:
        ports.telemetry.event(Event.RETENTION_ENDED, deleted=deleted)


async def _deletions(ports: Ports, now: datetime) -> AsyncIterator[int]:
    """Look at one thing after the other; yields after each what was deleted of it.

    A look that is cut short begins somewhere else the next time, so that nothing is for ever behind the rest.
    """
    looks = [_plans, _reports, _runs, _poison, _drops]
    first = int(ports.randomness.random() * len(looks))
    for look in looks[first:] + looks[:first]:
        async for count in look(ports, now):
            yield count


async def _plans(ports: Ports, now: datetime) -> AsyncIterator[int]:
    found = [parts async for parts in ports.plans.parts() if parts.chunks or parts.rejects]
    first = int(ports.randomness.random() * len(found))
    for parts in found[first:] + found[:first]:
        yield await _tidy_plan(parts, ports, now)


async def _reports(ports: Ports, now: datetime) -> AsyncIterator[int]:
    async for run_id in ports.reports.run_ids():
        run = await ports.runs.load(run_id)
        if run is None or ended_before(run, REJECT_DAYS, now):
            await ports.reports.remove(run_id)
            yield 1


async def _runs(ports: Ports, now: datetime) -> AsyncIterator[int]:
    async for run in ports.runs.untouched_since(now - timedelta(days=RUN_DAYS)):
        if ended_before(run, RUN_DAYS, now):
            await _remove(run, ports)
            yield 1


async def _poison(ports: Ports, now: datetime) -> AsyncIterator[int]:
    yield await ports.poison.forget_before(now - timedelta(days=REJECT_DAYS))


async def _tidy_plan(parts: PlanParts, ports: Ports, now: datetime) -> int:
    """Delete what is not needed of the chunks and rejects of one run."""
    run = await ports.runs.load(parts.run_id)
    chunks = await _useless_chunks(parts, run, ports, now)
    await ports.plans.remove_chunks(parts.run_id, chunks)
    if run is not None and not ended_before(run, REJECT_DAYS, now):
        return len(chunks)
    await ports.plans.remove_rejects(parts.run_id, parts.rejects)
    return len(chunks) + len(parts.rejects)


async def _useless_chunks(
    parts: PlanParts, run: Run | None, ports: Ports, now: datetime
) -> tuple[ChunkPlace, ...]:
    """The chunks that nobody will read again."""
    if run is None:
        return parts.chunks
    if not run.state.final:
        # Without a plan that holds, any planner may still be the one whose plan will.
        planned = run.plan_epoch is not None
        return tuple(place for place in parts.chunks if planned and place.epoch != run.plan_epoch)
    if run.completed_at is None or now - run.completed_at < CHUNK_GRACE:
        return ()
    needed: frozenset[int] = frozenset()
    record = await ports.plans.record(run.run_id) if may_be_redriven(run, now) else None
    if record is not None:
        if run.stopped is not None and run.stopped.code == POISONED:  # nobody could count what became of it
            return tuple(place for place in parts.chunks if place.epoch != run.plan_epoch)
        tried_anew = run.model_copy(update={"redriven_at": now})
        needed = chunks_of_a_redrive(await read_progress(tried_anew, record, ports))
    return tuple(
        place for place in parts.chunks if place.epoch != run.plan_epoch or place.number not in needed
    )


async def _remove(run: Run, ports: Ports) -> None:
    """Delete all that is kept of a run, its document last: by that the rest is found.

    A watermark may go on naming the run. Whoever looks for it there takes its absence for "another run
    has sent newer values", which errs on the safe side (`steps/control.py`).
    """
    await ports.facts.remove(run.run_id)
    await ports.claims.remove(run.run_id)
    await ports.plans.remove(run.run_id)
    await ports.reports.remove(run.run_id)
    await ports.runs.remove(run.run_id)


async def _drops(ports: Ports, now: datetime) -> AsyncIterator[int]:
    """Delete old drops, then the records of drops that are gone."""
    if ports.drop_retention is not None:
        exports = await ports.registry.exports()
        held = {source.blob async for run in ports.runs.open() for source in run.sources}
        for drop in expired_drops(
            await survey(ports),
            await ports.drops.folder(""),
            wanted_segments={segment for stored in exports.values() for segment in stored.value.segments},
            held_blobs=held,
            arrived_before=now - ports.drop_retention,
        ):
            yield await _remove_drop(drop, ports)
    there = {(file.blob, file.etag) for file in await ports.drops.folder("")}
    async for record in ports.drops.records_untouched_since(now - timedelta(days=RUN_DAYS)):
        # A drop that lies there stays known, or it would be taken up again if it were announced.
        if not any((source.blob, source.etag) in there for source in record.sources):
            await ports.drops.forget(record.version)
            yield 1


async def _remove_drop(drop: tuple[Source, ...], ports: Ports) -> int:
    """Delete a drop's files; none any more once one of them turns out to have been overwritten."""
    count = 0
    for source in drop:
        try:
            await ports.drops.remove(source)
        except ConflictError:
            break
        count += 1
    return count
