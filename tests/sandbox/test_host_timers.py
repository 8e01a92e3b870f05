import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from azure.functions.timer import TimerRequest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from sandbox.host.functions import Function, TimerTrigger
from sandbox.host.ncrontab import Schedule
from sandbox.host.timers import NEVER, Status, TimerListener, status_at_start
from tests.sandbox.waiting import eventually_async, unique

SECONDLY = Schedule.parse("* * * * * *")
DAILY = Schedule.parse("0 0 0 * * *")
YEARLY = Schedule.parse("0 0 0 1 1 *")


class Clockwork:
    """Timers in one container, and what they did."""

    def __init__(self, container: ContainerClient) -> None:
        self.container = container
        self.host_id = unique("host")
        self.calls: list[TimerRequest] = []
        self.running = 0
        self.overlapped = False
        self.call_seconds = 0.0

    async def tick(self, request: TimerRequest) -> None:
        self.overlapped = self.overlapped or self.running > 0
        self.running += 1
        self.calls.append(request)
        await asyncio.sleep(self.call_seconds)
        self.running -= 1

    @asynccontextmanager
    async def running_timer(
        self,
        schedule: Schedule,
        *,
        run_on_startup: bool = False,
        use_monitor: bool | None = None,
        lease_id: str | None = None,
    ) -> AsyncIterator[TimerListener]:
        trigger = TimerTrigger("timer", schedule, run_on_startup, use_monitor)
        lease = lease_id or str(uuid.uuid4())
        listener = TimerListener(
            Function("tick", trigger), trigger, self.tick, self.container, self.host_id, lease
        )
        task = asyncio.create_task(listener.listen())
        try:
            yield listener
        finally:
            listener.stop()
            await task

    async def called(self, times: int = 1) -> None:
        async def enough() -> bool:
            return len(self.calls) >= times

        await eventually_async(enough, f"call {times}")

    async def write_status(self, status: Status) -> None:
        await self.container.upload_blob(self._status, status.to_json().encode(), overwrite=True)

    async def read_due(self) -> datetime | None:
        blob = self.container.get_blob_client(self._status)
        if not await blob.exists():
            return None
        return datetime.fromisoformat(json.loads(await (await blob.download_blob()).readall())["Next"])

    @property
    def _status(self) -> str:
        return f"timers/{self.host_id}/Host.Functions.tick/status"


@pytest.fixture
async def clockwork(azurite: str) -> AsyncIterator[Clockwork]:
    async with BlobServiceClient.from_connection_string(azurite) as blobs:
        container = blobs.get_container_client(unique("hosts"))
        await container.create_container()
        yield Clockwork(container)


async def test_a_timer_runs_by_its_schedule(clockwork: Clockwork) -> None:
    async with clockwork.running_timer(SECONDLY):
        await clockwork.called(2)
    assert not any(call.past_due for call in clockwork.calls)
    assert await clockwork.read_due() is None  # no monitor: the schedule's gaps are below a minute
    assert clockwork.calls[0].schedule_status == {}


async def test_calls_never_overlap(clockwork: Clockwork) -> None:
    clockwork.call_seconds = 1.2
    async with clockwork.running_timer(SECONDLY):
        await clockwork.called(2)
    assert not clockwork.overlapped


async def test_a_missed_run_is_made_up_for_once(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=900)
    kept = Status.after(long_ago, YEARLY, last=long_ago)
    await clockwork.write_status(kept)
    async with clockwork.running_timer(YEARLY, run_on_startup=True):
        await clockwork.called()

        async def due_again() -> bool:
            due = await clockwork.read_due()
            return due is not None and due > now

        await eventually_async(due_again, "the new status")
    assert [call.past_due for call in clockwork.calls] == [True]
    # The function is told what was known before the call.
    assert clockwork.calls[0].schedule_status == kept.as_request()


async def test_another_schedule_has_missed_nothing(clockwork: Clockwork) -> None:
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=900)
    await clockwork.write_status(Status.after(long_ago, DAILY, last=long_ago))
    async with clockwork.running_timer(YEARLY):

        async def due_again() -> bool:
            due = await clockwork.read_due()
            return due is not None and due > now

        await eventually_async(due_again, "the new status")
    assert clockwork.calls == []


def test_the_status_to_go_on_with() -> None:
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    yesterday = now - timedelta(days=1)
    first = status_at_start(None, DAILY, now)
    assert first == Status(NEVER, datetime(2026, 3, 11, tzinfo=UTC), now)
    # Unchanged, whether it has run or not: kept, and past due from midnight on.
    for last in (NEVER, yesterday):
        kept = Status.after(yesterday, DAILY, last=last)
        assert kept.next == datetime(2026, 3, 10, tzinfo=UTC)
        assert status_at_start(kept, DAILY, now) == kept
        assert status_at_start(Status.from_json(kept.to_json().encode()), DAILY, now) == kept
        # Changed: what the new schedule leads to, unless that is past.
        assert status_at_start(kept, YEARLY, now) == Status(
            NEVER, datetime(2027, 1, 1, tzinfo=UTC), yesterday
        )
        hourly = Schedule.parse("0 30 * * * *")
        assert status_at_start(kept, hourly, now) == Status(NEVER, now + timedelta(minutes=30), now)


def test_a_status_that_azure_wrote_is_read() -> None:
    stamps = {
        "Last": "0001-01-01T00:00:00",
        "Next": "2026-03-11T00:00:00+00:00",
        "LastUpdated": "2026-03-10T12:00:00.1234567Z",
    }
    following = datetime(2026, 3, 11, tzinfo=UTC)
    updated = datetime(2026, 3, 10, 12, 0, 0, 123456, tzinfo=UTC)
    assert Status.from_json(json.dumps(stamps).encode()) == Status(NEVER, following, updated)


async def test_the_first_start_is_no_missed_run(clockwork: Clockwork) -> None:
    async with clockwork.running_timer(YEARLY):
        due = await eventually_async(clockwork.read_due, "the status")
    assert due == YEARLY.after(datetime.now(UTC))
    assert clockwork.calls == []


async def test_a_timer_without_monitor_misses_what_it_missed(clockwork: Clockwork) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=900)
    await clockwork.write_status(Status.after(long_ago, YEARLY, last=long_ago))
    async with clockwork.running_timer(YEARLY, use_monitor=False, run_on_startup=True):
        await clockwork.called()
    assert [call.past_due for call in clockwork.calls] == [False]


async def test_one_host_at_a_time_runs_a_timer(clockwork: Clockwork) -> None:
    other = Clockwork(clockwork.container)
    other.host_id = clockwork.host_id
    async with clockwork.running_timer(SECONDLY):
        await clockwork.called()
        async with other.running_timer(SECONDLY):
            await clockwork.called(len(clockwork.calls) + 2)
            assert other.calls == []
    # The first host is gone and has given back the lock.
    async with other.running_timer(SECONDLY):
        await other.called()


async def test_a_worker_of_the_same_host_takes_over_the_lock(clockwork: Clockwork) -> None:
    lease_id = str(uuid.uuid4())
    async with clockwork.running_timer(SECONDLY, lease_id=lease_id):
        await clockwork.called()
        successor = Clockwork(clockwork.container)
        successor.host_id = clockwork.host_id
        async with successor.running_timer(SECONDLY, lease_id=lease_id):
            await successor.called()
