"""The timer trigger: one host at a time, one call at a time, one catch-up after a stop (azure-facts 8.7)."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.functions.timer import TimerRequest
from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

from sandbox.host.functions import Function, TimerTrigger

# The shortest lease there is: a host that was killed holds up the next one for so long at most.
LOCK_SECONDS = 15
_MONITORED_GAP = timedelta(minutes=1)

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

    last: datetime
    next: datetime

    def to_json(self) -> str:
        """Return it in the platform's words."""
        return json.dumps(self.as_request())

    def as_request(self) -> dict[str, str]:
        """Return it as the function sees it."""
        stamps = {"Last": self.last, "Next": self.next, "LastUpdated": self.last}
        return {name: stamp.isoformat() for name, stamp in stamps.items()}


class ScheduleMonitor:
    """Keeps the status of one timer in storage."""

    def __init__(self, container: ContainerClient, name: str) -> None:
        self._blob = container.get_blob_client(name)

    async def next(self) -> datetime | None:
        """Return when the timer was to run next, if it ever ran."""
        try:
            download = await self._blob.download_blob()
            return datetime.fromisoformat(json.loads(await download.readall())["Next"])
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
        due = await self._first_due(now)
        if due is not None and due < now:
            await self._fire(past_due=True)
        elif self._trigger.run_on_startup:
            await self._fire(past_due=False)
        started = now
        while not self._stopping.is_set():
            moment = self._trigger.schedule.after(started)
            if moment is None:
                await self._stopping.wait()
                return
            # A call that outlasted its interval is followed by one at once, not by all that were missed.
            wait = (moment - datetime.now(UTC)).total_seconds()
            if wait > 0 and await self._until(self._stopping.wait(), seconds=wait):
                return
            if not await self._until(self._locked.wait()):
                return
            started = max(moment, datetime.now(UTC))  # a sleep may end a moment early
            await self._fire(past_due=False)

    async def _first_due(self, now: datetime) -> datetime | None:
        if self._monitor is None:
            return None
        due = await self._monitor.next()
        following = self._trigger.schedule.after(now)
        if due is None and following is not None:
            await self._monitor.write(Status(now, following))
        return due

    async def _fire(self, *, past_due: bool) -> None:
        started = datetime.now(UTC)
        status = Status(started, self._trigger.schedule.after(started) or datetime.max.replace(tzinfo=UTC))
        await self._tick(TimerRequest(past_due=past_due, schedule_status=status.as_request(), schedule={}))
        if self._monitor is not None:
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
