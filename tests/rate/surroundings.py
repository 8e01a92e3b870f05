"""What lies outside the pipeline: ActiveCampaign's windows, blob storage, queues, and the workers' clocks.

The moments that count are those of arrival at ActiveCampaign; refused requests take a place in the windows,
too, and a window is a true sliding one: the strictest reading of the documented limits.
"""

import json
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from exporter.adapters.documents import MAX_SWAPS, next_pause
from exporter.domain.budget import (
    DOCUMENTED_BULK_PER_MINUTE,
    DOCUMENTED_PER_SECOND,
    AccountBudget,
    Change,
)
from exporter.domain.verdict import BatchState, BatchStatus
from tests.builders import NOON
from tests.rate.loop import Loop, Process, sleep

FAST_ANSWER_SECONDS: Final = (0.15, 0.6)
SLOW_ANSWER_SECONDS: Final = (1.0, 4.0)
WAY_SECONDS: Final = (0.01, 0.06)
LATE_SECONDS: Final = (0.2, 1.0)
LATE_SHARE: Final = 0.01
SETTLE_SECONDS: Final = (2.0, 8.0)
OPERATION_SECONDS: Final = (0.02, 0.05)

_HOST: Final = json.loads((Path(__file__).parents[2] / "host.json").read_text())["extensions"]["queues"]
BATCH_SIZE: Final[int] = _HOST["batchSize"]
NEW_BATCH_THRESHOLD: Final[int] = _HOST["newBatchThreshold"]
FIRST_POLL_SECONDS: Final = 0.1
LONGEST_POLL_SECONDS: Final = float(_HOST["maxPollingInterval"].rpartition(":")[2])


class Window:
    """At most `limit` requests in any `seconds`; those that are refused take a place, too."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._latest: deque[tuple[float, bool]] = deque(maxlen=limit)
        self.throttled_count = 0
        self.coincidence_count = 0
        """Of the throttled ones, those where at least two of the requests in the window were late."""

    def take(self, now: float, *, late: bool) -> None:
        """A request arrives, `late` if it was much longer on its way than others."""
        if len(self._latest) == self._limit and now - self._latest[0][0] < self._seconds:
            self.throttled_count += 1
            self.coincidence_count += late + sum(late for _, late in self._latest) >= 2
        self._latest.append((now, late))


class ActiveCampaign:
    """One account. A throttled request is counted and served all the same: a test that meets one fails."""

    def __init__(
        self, loop: Loop, chance: random.Random, answer_seconds: tuple[float, float], late_share: float
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._late_share = late_share
        self._answer_seconds = answer_seconds
        self._final_at: dict[str, float] = {}
        self.minute = Window(DOCUMENTED_BULK_PER_MINUTE, 60.0)
        self.second = Window(DOCUMENTED_PER_SECOND, 1.0)
        self.bulk_arrivals: list[float] = []
        self.question_count = 0

    async def send_bulk(self) -> str:
        """A body arrives and is queued; returns its batch's id."""
        late = await self._travel()
        now = self._loop.now
        self.minute.take(now, late=late)
        self.second.take(now, late=late)
        self.bulk_arrivals.append(now)
        batch_id = f"{len(self._final_at):06d}"
        self._final_at[batch_id] = now + self._chance.uniform(*SETTLE_SECONDS)
        await sleep(self._chance.uniform(*self._answer_seconds))
        return batch_id

    async def batch_status(self, batch_id: str) -> BatchStatus:
        """What became of a batch."""
        late = await self._travel()
        now = self._loop.now
        self.second.take(now, late=late)
        self.question_count += 1
        await sleep(self._chance.uniform(*self._answer_seconds))
        return BatchStatus(BatchState.COMPLETED if now >= self._final_at[batch_id] else BatchState.ACTIVE)

    async def get(self, _: str, __: dict[str, str] | None) -> dict[str, object]:
        """Whether the list is still there."""
        late = await self._travel()
        self.second.take(self._loop.now, late=late)
        await sleep(self._chance.uniform(*self._answer_seconds))
        return {"list": {"name": "Customers"}}

    async def _travel(self) -> bool:
        """The way there; returns whether it took much longer than usual."""
        started_at = self._loop.now
        late = self._chance.random() < self._late_share
        await sleep(self._chance.uniform(*WAY_SECONDS) + late * self._chance.uniform(*LATE_SECONDS))
        return self._loop.now - started_at > WAY_SECONDS[1]  # late, or sent by a process that hung just then


class Storage:
    """Blobs and queues: each operation takes its time, and may have to outlast a hang."""

    def __init__(self, loop: Loop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance
        self.hangs_until = 0.0

    def now(self) -> float:
        """The present moment, in simulated seconds."""
        return self._loop.now

    async def operate(self, count: int = 1) -> None:
        """So many operations, one after the other; the effect comes at the end."""
        for _ in range(count):
            await sleep(self._chance.uniform(*OPERATION_SECONDS))
            if self._loop.now < self.hangs_until:
                await sleep(self.hangs_until - self._loop.now + self._chance.uniform(*OPERATION_SECONDS))


@dataclass(slots=True)
class SwapCounts:
    """How often the budget was written, and how often that was in vain."""

    written: int = 0
    lost: int = 0


class Budgets:
    """The account's budget document as one process swaps it: `BlobBudgetStore` with `Documents.swap`."""

    def __init__(
        self, document: list[AccountBudget], storage: Storage, chance: random.Random, counts: SwapCounts
    ) -> None:
        self._document = document
        """One place, shared by all processes; an unchanged object is an unchanged ETag."""
        self._storage = storage
        self._chance = chance
        self._counts = counts

    async def update(self, account: str, change: Change, *, rebuilt: AccountBudget) -> AccountBudget:
        """Read, change and write, until nobody interferes."""
        del account, rebuilt  # there is one account, and its budget is never lost
        await self._storage.operate()  # is there a document?
        pause = 0.0
        for _ in range(MAX_SWAPS):
            began_at = self._storage.now()
            before = await self._read()
            latest = change(before)
            if latest is before:
                return latest
            await self._storage.operate()
            if self._document[0] is before:
                self._document[0] = latest
                self._counts.written += 1
                return latest
            self._counts.lost += 1
            await self._storage.operate()  # was it our own write?
            pause = next_pause(pause, self._storage.now() - began_at)
            await sleep(self._chance.random() * pause)
        raise AssertionError("the budget is swapped by too many at once")

    async def load(self, account: str) -> AccountBudget:
        """The budget as it is now."""
        del account
        return await self._read()

    async def _read(self) -> AccountBudget:
        await self._storage.operate()
        return self._document[0]


class WorkerClock:
    """The clock of one worker, constantly wrong by `skew_seconds`."""

    def __init__(self, loop: Loop, skew_seconds: float) -> None:
        self._loop = loop
        self._started_at = NOON + timedelta(seconds=skew_seconds)

    def now(self) -> datetime:
        """The present moment as this worker sees it."""
        return self._started_at + timedelta(seconds=self._loop.now)

    def monotonic(self) -> float:
        """Seconds that no skew touches."""
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await sleep(seconds)


@dataclass(eq=False, slots=True)
class Worker(Process):
    """A process of the queue's function, which polls while it has room."""

    active: int = 0
    """Calls under way."""
    idle_since: float = 0.0
    first_pause: float = FIRST_POLL_SECONDS

    def next_poll(self, now: float) -> float:
        """When it looks into the queue next: at doubling pauses since it last had something to do."""
        poll, pause = self.idle_since + self.first_pause, self.first_pause
        while poll < now and pause < LONGEST_POLL_SECONDS:
            pause = min(LONGEST_POLL_SECONDS, 2 * pause)
            poll += pause
        missing = max(0.0, now - poll)
        return max(self.hangs_until, poll + LONGEST_POLL_SECONDS * math.ceil(missing / LONGEST_POLL_SECONDS))


@dataclass(slots=True)
class WorkQueue:
    """A queue with its workers; messages are coroutine functions that a worker calls with itself."""

    loop: Loop
    storage: Storage
    chance: random.Random
    workers: list[Worker]
    active_seconds: float = 0.0
    """Over all calls."""
    _visible: deque[Callable[[Worker], Coroutine[Any, Any, None]]] = field(default_factory=deque)

    async def send(
        self, message: Callable[[Worker], Coroutine[Any, Any, None]], delay_seconds: float = 0.0
    ) -> None:
        """Put a message; it hides for whole seconds, as `StorageWorkQueue` says."""
        await self.storage.operate()
        self.loop.call_at(self.loop.now + math.floor(max(0.0, delay_seconds)), lambda: self._show(message))

    def _show(self, message: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
        self._visible.append(message)
        self._look_out()

    def _look_out(self) -> None:
        """Let the worker that polls first take what is visible."""
        ready = [worker for worker in self.workers if worker.active <= NEW_BATCH_THRESHOLD]
        if self._visible and ready:
            now = self.loop.now
            first = min(ready, key=lambda worker: worker.next_poll(now))
            poll_at = max(first.next_poll(now), self.storage.hangs_until)
            self.loop.call_at(poll_at, lambda: self._poll(first))

    def _poll(self, worker: Worker) -> None:
        hangs_until = max(worker.hangs_until, self.storage.hangs_until)
        if worker.active <= NEW_BATCH_THRESHOLD and hangs_until <= self.loop.now:
            for _ in range(min(BATCH_SIZE, len(self._visible))):
                worker.active += 1
                self.loop.create_task(self._call(worker, self._visible.popleft()), worker)
            self._reset_pause(worker)
        self._look_out()

    async def _call(self, worker: Worker, message: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
        started_at = self.loop.now
        await message(worker)
        self.active_seconds += self.loop.now - started_at
        worker.active -= 1
        self._reset_pause(worker)
        self._look_out()

    def _reset_pause(self, worker: Worker) -> None:
        worker.idle_since = self.loop.now
        worker.first_pause = FIRST_POLL_SECONDS * self.chance.uniform(0.8, 1.2)
