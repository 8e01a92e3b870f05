"""The aggregator: fold the facts; when nothing is open any more, complete the run, exactly once.

It decides from recorded facts alone, so it may run at any time, twice, or again after a crash: rejects and
report come out the same, and only one swap moves the run to its final state.
"""

from collections import Counter
from collections.abc import AsyncIterator

import orjson

from exporter.domain.chunk import Chunk
from exporter.domain.facts import positions_of, whole
from exporter.domain.hosts import account_key
from exporter.domain.progress import BodyProgress, Refusal, RunProgress, fold
from exporter.domain.reject import Reject, RejectReason
from exporter.domain.run import (
    Counts,
    PlanRecord,
    RequestCounts,
    Run,
    RunError,
    RunReport,
    RunState,
    final_state,
)
from exporter.errors import StopRunError
from exporter.steps.deliver import chunk_claim
from exporter.steps.events import Event, Metric
from exporter.steps.messages import Queue, ReceiptsMessage
from exporter.steps.ports import Ports
from exporter.steps.run_progress import read_progress
from exporter.steps.waiting import what_it_waits_for

BEING_SENT_SECONDS = 5.0


async def aggregate(message: ReceiptsMessage, ports: Ports) -> None:
    """Complete the run if all of it is settled; otherwise do nothing."""
    run = await ports.runs.load(message.run_id)
    if run is None or run.state.final:
        return
    ports.telemetry.about(export_id=run.export_id)
    record = await ports.plans.record(run.run_id)
    if record is None:
        if run.plan_epoch is not None and run.stopped is None:
            run = await _stop(run, _PLAN_LOST, ports)
        if run.stopped is not None:
            await _complete(run, None, NOTHING_PLANNED, ports)
        return
    progress = await read_progress(run, record, ports)
    if _still_open(run, progress) or (progress.chunks_to_send() and run.stopped is None):
        return
    if await _is_being_sent(run, progress, ports):  # its receipts are still to come
        await ports.queue.send(Queue.RECEIPTS, message, delay_seconds=BEING_SENT_SECONDS)
        return
    # Whoever sent until a moment ago wrote receipts before it gave its claim back.
    progress = await read_progress(run, record, ports)
    if _still_open(run, progress):
        return
    try:
        await ports.reports.write_rejects(run.run_id, _rejects(run, record, progress, ports))
    except StopRunError as error:  # a chunk is gone: its rows can't be listed, which nobody may overlook
        run = await _stop(run, error, ports)
        await ports.reports.write_rejects(run.run_id, ports.plans.rejects(run.run_id, record.epoch))
    await _complete(run, record, progress, ports)


async def end_unfolded(run_id: str, ports: Ports) -> None:
    """Complete a stopped run without its facts, which can't be folded: it ends failed, and counts nothing."""
    run = await ports.runs.load(run_id)
    if run is not None and run.stopped is not None:
        await _complete(run, None, NOTHING_PLANNED, ports)


def _still_open(run: Run, progress: RunProgress) -> bool:
    """Whether batches have to be followed to their end before the run is over."""
    return bool(progress.open_batches()) and not run.abandoned


_PLAN_LOST = StopRunError(
    "state_lost",
    "the run's plan is gone from storage, so nobody can tell what was sent; drop the segment again",
)


async def _stop(run: Run, error: StopRunError, ports: Ports) -> Run:
    """Write down why the run can't end well; the first reason stays."""
    reason = RunError(code=error.code, message=str(error))
    return await ports.runs.update(
        run.run_id, lambda current: current.model_copy(update={"stopped": current.stopped or reason})
    )


async def _is_being_sent(run: Run, progress: RunProgress, ports: Ports) -> bool:
    """Whether somebody still has a claim on a chunk of a stopped run."""
    for chunk in progress.chunks_to_send():
        if not await ports.claims.free(chunk_claim(run.run_id, chunk)):
            return True
    return False


NOTHING_PLANNED = fold((), ())
"""A run without a plan has nothing to fold."""


async def _complete(run: Run, record: PlanRecord | None, progress: RunProgress, ports: Ports) -> None:
    """Swap the run to its final state with its report."""
    completed_at = ports.clock.now()
    won = False

    def change(current: Run) -> Run:
        nonlocal won
        won = not current.state.final
        if not won:
            return current
        ended = current.model_copy(update={"completed_at": completed_at})
        state = final_state(current, _counts(record, progress))
        finished = report(ended, record, progress, state)
        return current.model_copy(
            update={
                "state": finished.state,
                "completed_at": completed_at,
                "waiting_for": None,
                "waiting_since": None,
                "report": finished,
            }
        )

    run = await ports.runs.update(run.run_id, change)
    if won and run.report is not None:
        _tell(run, run.report, (completed_at - run.ordered_at).total_seconds(), ports)


def _tell(run: Run, report: RunReport, seconds: float, ports: Ports) -> None:
    """Tell how a run has ended, and count its contacts; those counted before a redrive only once."""
    ports.telemetry.event(
        Event.RUN_COMPLETED,
        run_id=run.run_id,
        export_id=run.export_id,
        state=report.state.value,
        code=report.error.code if report.error else None,
        seconds=round(seconds, 1),
        **report.counts.model_dump(),
    )
    if run.connection is None:
        return
    counts, counted = report.counts, run.counted or Counts()
    for metric, count in (
        (Metric.CONTACTS_DELIVERED, counts.delivered - counted.delivered),
        (Metric.CONTACTS_REJECTED, counts.rejected - counted.rejected),
    ):
        ports.telemetry.measure(
            metric, max(0, count), account=account_key(run.connection.host), export_id=run.export_id
        )


def report(run: Run, record: PlanRecord | None, progress: RunProgress, state: RunState) -> RunReport:
    """The run as its facts tell it.

    Contacts that are not settled count as undelivered, so that the counts add up at any time.
    """
    return RunReport(
        run_id=run.run_id,
        export_id=run.export_id,
        segment=run.segment,
        source=tuple(source.blob for source in run.sources),
        cause=run.cause,
        state=state,
        retrying=not state.final and any(item.resend for body in progress for item in body.items),
        waiting_for=None if state.final else run.waiting_for,
        counts=_counts(record, progress),
        reasons=_reasons(run, record, progress),
        requests=RequestCounts(
            bulk=progress.requests.bulk,
            status=progress.requests.status,
            throttled=progress.requests.throttled,
        ),
        automations_withheld=progress.withheld if run.export and run.export.automations else 0,
        started_at=run.started_at,
        completed_at=run.completed_at,
        error=run.stopped,
    )


async def present_report(run: Run, ports: Ports) -> RunReport:
    """The report of a run at any time: final when it is over, what is known so far before that."""
    if run.report is not None:
        return run.report
    record = await ports.plans.record(run.run_id)
    progress = await read_progress(run, record, ports) if record else NOTHING_PLANNED
    paused = run.held_by(await ports.pauses.load()) is not None
    waiting = run.model_copy(update={"waiting_for": await what_it_waits_for(run, progress, ports)})
    return report(waiting, record, progress, RunState.PAUSED if paused else run.state)


def _counts(record: PlanRecord | None, progress: RunProgress) -> Counts:
    if record is None:
        return Counts()
    return Counts(
        rows=record.rows,
        rejected=record.rejected,
        duplicates=record.duplicates,
        suppressed=record.suppressed + progress.erased,
        unchanged=record.unchanged,
        delivered=progress.delivered,
        refused=progress.refused,
        undelivered=progress.contacts - progress.delivered - progress.refused - progress.erased,
    )


def _reasons(run: Run, record: PlanRecord | None, progress: RunProgress) -> dict[str, int]:
    """How many rows each reason has."""
    reasons = Counter(record.reasons if record else {})
    for body in progress:
        reasons.update(refusal.reason.value for refusal in _listed(body, run))
    return dict(sorted(reasons.items()))


def _listed(body: BodyProgress, run: Run) -> list[Refusal]:
    """The contacts of a body that the rejects list: refused, given up, or never sent because of a stop."""
    listed = [*body.refusals, *body.undelivered]
    if run.stopped is not None:
        followed = 0 if run.abandoned else body.in_flight
        told = body.delivered | followed | body.erased
        told |= sum(1 << refusal.position for refusal in listed)
        listed += [
            Refusal(position, RejectReason.UNDELIVERED, run.stopped.code)
            for position in positions_of(whole(body.contact_count) & ~told)
        ]
    return sorted(listed, key=lambda refusal: refusal.position)


async def _rejects(
    run: Run, record: PlanRecord, progress: RunProgress, ports: Ports
) -> AsyncIterator[Reject]:
    """All rows that did not arrive: those that planning rejected, then the rest by chunk."""
    async for reject in ports.plans.rejects(run.run_id, record.epoch):
        yield reject
    for number, bodies in enumerate(progress.bodies):
        if not any(_listed(body, run) for body in bodies):
            continue
        chunk = await ports.plans.chunk(run.run_id, record.epoch, number)
        for reject in _chunk_rejects(run, chunk, bodies):
            yield reject


def _chunk_rejects(run: Run, chunk: Chunk, bodies: tuple[BodyProgress, ...]) -> list[Reject]:
    """The rows of one chunk that did not arrive."""
    rejects = []
    for planned, body in zip(chunk.bodies, bodies, strict=True):
        listed = _listed(body, run)
        if not listed:
            continue
        contacts = orjson.loads(planned.contacts)
        places = list(planned.places())
        for refusal in listed:
            place = places[refusal.position]
            rejects.append(
                Reject(
                    source=run.sources[place.source].blob,
                    row=place.row,
                    reason=refusal.reason,
                    detail=refusal.detail,
                    email=contacts[refusal.position]["email"],
                )
            )
    return rejects
