"""The timer trigger: one host at a time, one call at a time, one catch-up after a stop (azure-facts 8.7)."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.functions.timer import TimerRequest
from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

from sandbox.host.functions import Function, TimerTrigger
from sandbox.host.ncrontab import Schedule

# The shortest lease there is: a host that was killed holds up the next one for so long at most.
LOCK_SECONDS = 15
_MONITORED_GAP = timedelta(minutes=1)
NEVER = datetime.min.replace(tzinfo=UTC)
_AFTER_ALL_TIME = datetime.max.replace(tzinfo=UTC)

_log = logging.getLogger(__name__)

Tick = Callable[[TimerRequest], Awaitable[None]]


class SingletonLock:
    """A blob lease that one host holds; a worker started again by that host has the same id and goes on."""

    def __init__(self, container: ContainerClient, name: str, lease_id: str) -> None:
        self._blob = container.get_blob_client(name)
        self._lease_id = lease_id
        self._lease: BlobLeaseClient | None = None

    async def acquire(self) -> bool:
        """Take the lock, or keep it; False if another host has it."""
        try:
            if self._lease is not None:
                await self._lease.renew()
                return True
            with contextlib.suppress(ResourceExistsError):
                await self._blob.upload_blob(b"", overwrite=False)
            self._lease = await self._blob.acquire_lease(LOCK_SECONDS, lease_id=self._lease_id)
        except HttpResponseError:
            self._lease = None
            return False
        return True

    async def release(self) -> None:
        """Let another host have it at once."""
        if self._lease is not None:
            with contextlib.suppress(AzureError):
                await self._lease.release()
            self._lease = None


@dataclass(frozen=True)
class Status:
    """When a timer last ran and is to run next, kept so that a missed run is noticed."""

    last: datetime  # NEVER if it has not run, or not by this schedule
    next: datetime
    updated: datetime  # the moment that `next` was reckoned from

    @classmethod
    def after(cls, moment: datetime, schedule: Schedule, *, last: datetime) -> Self:
        """Reckon from a moment."""
        return cls(last, schedule.after(moment) or _AFTER_ALL_TIME, moment)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what was kept."""
        document = json.loads(text)
        return cls(*(_moment(document[name]) for name in ("Last", "Next", "LastUpdated")))

    def to_json(self) -> str:
        """Return it in the platform's words."""
        return json.dumps(self.as_request())

    def as_request(self) -> dict[str, str]:
        """Return it as the function sees it."""
        stamps = {"Last": self.last, "Next": self.next, "LastUpdated": self.updated}
        return {name: stamp.isoformat() for name, stamp in stamps.items()}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def status_at_start(kept: Status | None, schedule: Schedule, now: datetime) -> Status:
    """Return the status to go on with; a run was missed if its `next` is past.

    A kept `next` that the schedule does not lead to belongs to an earlier schedule: nothing has been missed
    then, and the new schedule counts from now unless it leads to a later moment (source:
    ScheduleMonitor.CheckPastDueAsync).
    """
    if kept is None:
        return Status.after(now, schedule, last=NEVER)
    expected = Status.after(kept.last if kept.last > NEVER else kept.updated, schedule, last=NEVER)
    if expected.next == kept.next:
        return kept
    return expected if expected.next >= now else Status.after(now, schedule, last=NEVER)


class ScheduleMonitor:
    """Keeps the status of one timer in storage."""

    def __init__(self, container: ContainerClient, name: str) -> None:
        self._blob = container.get_blob_client(name)

    async def read(self) -> Status | None:
        """Return what was kept, if anything was."""
        try:
            return Status.from_json(await (await self._blob.download_blob()).readall())
        except ResourceNotFoundError:
            return None

    async def write(self, status: Status) -> None:
        """Remember a status."""
        await self._blob.upload_blob(status.to_json().encode(), overwrite=True)


class TimerListener:
    """Runs one timer function by its schedule."""

    def __init__(
        self,
        function: Function,
        trigger: TimerTrigger,
        tick: Tick,
        container: ContainerClient,
        host_id: str,
        lease_id: str,
    ) -> None:
        self._trigger = trigger
        self._tick = tick
        self._name = function.name
        self._lock = SingletonLock(container, f"locks/{host_id}/{function.id}.Listener", lease_id)
        gap = trigger.schedule.shortest_gap(datetime.now(UTC))
        monitored = trigger.use_monitor is not False and (gap is None or gap >= _MONITORED_GAP)
        path = f"timers/{host_id}/{function.id}/status"
        self._monitor = ScheduleMonitor(container, path) if monitored else None
        self._stopping = asyncio.Event()
        self._locked = asyncio.Event()

    def stop(self) -> None:
        """Start no more calls."""
        self._stopping.set()

    async def listen(self) -> None:
        """Run the timer, while this host holds its lock, until stopped."""
        keeper = asyncio.create_task(self._keep_lock())
        try:
            if await self._until(self._locked.wait()):
                await self._run()
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await self._lock.release()

    async def _keep_lock(self) -> None:
        while True:
            held = False
            with contextlib.suppress(AzureError):
                held = await self._lock.acquire()
            if held:
                self._locked.set()
            else:
                self._locked.clear()
            await asyncio.sleep(LOCK_SECONDS / 3 if held else 1.0)

    async def _run(self) -> None:
        now = datetime.now(UTC)
        status = await self._begin(now)
        past_due = status.next < now
        if past_due or self._trigger.run_on_startup:
            status = await self._fire(status, due=now, past_due=past_due)
        while not self._stopping.is_set():
            # A call that outlasted its interval is followed by one at once, not by all that were missed.
            wait = (status.next - datetime.now(UTC)).total_seconds()
            if wait > 0 and await self._until(self._stopping.wait(), seconds=wait):
                return
            if not await self._until(self._locked.wait()):
                return
            status = await self._fire(status, due=status.next)

    async def _begin(self, now: datetime) -> Status:
        kept = await self._monitor.read() if self._monitor else None
        status = status_at_start(kept, self._trigger.schedule, now)
        if status != kept:
            await self._keep(status)
        return status

    async def _fire(self, status: Status, *, due: datetime, past_due: bool = False) -> Status:
        moment = max(due, datetime.now(UTC))  # a sleep may end a moment early
        known = status.as_request() if self._monitor else None
        await self._tick(
            TimerRequest(past_due=past_due, schedule_status=known, schedule={"AdjustForDST": True})
        )
        status = Status.after(moment, self._trigger.schedule, last=moment)
        await self._keep(status)
        return status

    async def _keep(self, status: Status) -> None:
        if self._monitor is None:
            return
        try:
            await self._monitor.write(status)
        except AzureError as error:
            _log.warning("the status of timer %s was not kept: %s", self._name, type(error).__name__)

    async def _until(self, event: Awaitable[object], seconds: float | None = None) -> bool:
        """Wait for an event; False if the time is over or the timer is stopped first."""
        waiting = asyncio.ensure_future(event)
        stopping = asyncio.create_task(self._stopping.wait())
        done, pending = await asyncio.wait(
            [waiting, stopping], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        return waiting in done
