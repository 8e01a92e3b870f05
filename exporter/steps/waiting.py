"""What a run that does not move waits for, and since when: for whoever looks at it at night."""

from datetime import UTC, datetime, timedelta

from exporter.domain.progress import RunProgress
from exporter.domain.run import Run
from exporter.steps.accounts import open_account
from exporter.steps.ports import Ports

QUIET = timedelta(seconds=30)
"""A run that has moved since so long ago waits for nothing worth telling."""
LEFT_ALONE = timedelta(seconds=180)
"""By then the sweep has put anew whatever was lost, if the app runs."""


async def what_it_waits_for(run: Run, progress: RunProgress, ports: Ports) -> str | None:
    """What an open run waits for, and since when; None for one that moves, or is over."""
    if run.state.final:
        return None
    held_by = run.held_by(await ports.pauses.load())
    if held_by is not None:
        return held_by
    if run.waiting_for is not None:
        return f"{run.waiting_for} ({_since(run.waiting_since or run.ordered_at)})"
    moved_at = last_moved_at(run, progress)
    if ports.clock.now() - moved_at < QUIET:
        return None
    return await _outside(run, progress, moved_at, ports) or _nobody(moved_at, ports)


async def _outside(run: Run, progress: RunProgress, moved_at: datetime, ports: Ports) -> str | None:
    """What lies with others: the account, ActiveCampaign, or whoever plans."""
    if run.plan_epoch is None and run.stopped is None:
        if await ports.claims.free(f"{run.run_id}/plan"):
            return None
        return f"its drop, which is being read and checked ({_since(run.started_at or moved_at)})"
    batches = progress.open_batches()
    if run.connection is not None and run.sendable and progress.chunks_to_send():
        now = ports.clock.now().timestamp()
        budget = await (await open_account(run.connection, ports)).load()
        if budget.hold_until > now:
            return f"{budget.hold_reason}, until {_told(budget.hold_until)} ({_since(moved_at)})"
        next_try_at = min(item.not_before for body in progress for item in body.items)
        if next_try_at > now:
            return f"its next try, at {_told(next_try_at)} ({_since(moved_at)})"
        starts = [slots.start for slots in budget.bulk if slots.token.startswith(run.run_id)]
        if starts and max(starts) > now:
            return f"its turn on account {run.connection.host}, at {_told(max(starts))} ({_since(moved_at)})"
    is_asked = run.next_check_at is not None and ports.clock.now() - run.next_check_at < LEFT_ALONE
    if batches and is_asked:
        return (
            f"ActiveCampaign to finish {len(batches)} {'batch' if len(batches) == 1 else 'batches'}, the "
            f"oldest accepted {_told(batches[0].accepted_at)}"
        )
    return None


def _nobody(moved_at: datetime, ports: Ports) -> str | None:
    """What stands still with nobody at work is put anew by the sweep; where it is not, the app is down."""
    if ports.clock.now() - moved_at < LEFT_ALONE:
        return f"the next look of the app, which comes twice a minute ({_since(moved_at)})"
    return f"the app, which has not worked on it {_since(moved_at)}: `exporter doctor` says whether it runs"


def last_moved_at(run: Run, progress: RunProgress, *, sent_only: bool = False) -> datetime:
    """When a run last moved, as far as its document and its facts show.

    With `sent_only` what was settled does not count: that may go on for long while nothing is sent.
    """
    known = (run.ordered_at, run.started_at, run.planned_at, run.next_try_at, run.redriven_at)
    moments = [moment for moment in known if moment]
    last_at = progress.last_sent_at if sent_only else progress.last_fact_at
    return max([*moments, datetime.fromtimestamp(last_at, UTC)])


def _told(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


def _since(moment: datetime) -> str:
    return f"since {moment:%Y-%m-%d %H:%M:%SZ}"
