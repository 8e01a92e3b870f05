"""A scenario, and what became of it."""

import random
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Final, Literal, cast
from unittest.mock import patch

from exporter.domain.budget import (
    DOCUMENTED_BULK_PER_MINUTE,
    DOCUMENTED_PER_SECOND,
    AccountBudget,
    Pace,
    pace_for,
)
from exporter.domain.chunk import MAX_CHUNK_BODIES
from exporter.steps import settle as settle_module
from exporter.steps.accounts import Account
from exporter.steps.ports import Ports
from tests.fakes.randomness import FakeRandomness
from tests.fakes.telemetry import FakeTelemetry
from tests.rate.exports import Export, Site, deliver, look_after
from tests.rate.loop import Loop, sleep
from tests.rate.surroundings import (
    FAST_ANSWER_SECONDS,
    LATE_SHARE,
    ActiveCampaign,
    Budgets,
    Storage,
    SwapCounts,
    Worker,
    WorkerClock,
    WorkQueue,
)

HANG_SECONDS: Final = 60.0
SWEEP_SECONDS: Final = 60.0
EVEN_SECONDS: Final = 60.0 / DOCUMENTED_BULK_PER_MINUTE
"""Between two bodies at the documented limit."""
DOCUMENTED: Final = pace_for(DOCUMENTED_BULK_PER_MINUTE, DOCUMENTED_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who exports what, with how many workers for each queue, and what goes wrong."""

    worker_count: int = 10
    bodies: tuple[int, ...] = (1000,)
    """Of each export."""
    answer_seconds: tuple[float, float] = FAST_ANSWER_SECONDS
    skew_seconds: float = 0.0
    """Every worker's clock is wrong by at most so much."""
    late_share: float = LATE_SHARE
    """Of the requests, that arrive up to a second later than they should."""
    hangs: Literal["", "sender", "settler", "storage"] = ""
    """What stands still for a minute at some moment of the first five."""
    pace: Pace = DOCUMENTED


@dataclass(frozen=True, slots=True)
class Course:
    """What a simulation counted."""

    body_count: int
    bulk_count: int
    question_count: int
    throttled_in_a_minute: int
    throttled_in_a_second: int
    coincidence_count: int
    """Of these, those where two late requests met."""
    last_arrival: float
    """Seconds from the first message to the last body."""
    settled_at: float
    """Seconds from the first message to the last batch's end."""
    call_seconds: float
    """Over all chunk calls."""
    reservation_count: int
    """How often slots were taken; a lot may take some several times."""
    swap_count: int
    """Writes of the budget in chunk calls."""
    lost_swap_count: int
    """Writes of the budget in chunk calls that came too late."""
    restart_count: int

    @property
    def pace(self) -> float:
        """The speed as a part of one body each 0.6 s."""
        return (self.body_count - 1) * EVEN_SECONDS / self.last_arrival


class _Simulation:
    """All that chance decides comes from the seed, so a course repeats itself."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._loop = Loop()
        self._chance = random.Random(seed)
        self._storage = Storage(self._loop, self._chance)
        self._budget = [AccountBudget()]
        self._accounts: dict[Worker, Account] = {}
        self._chunk_swaps, settle_swaps = SwapCounts(), SwapCounts()
        self._site = Site(
            self._loop,
            self._storage,
            ActiveCampaign(self._loop, self._chance, scenario.answer_seconds, scenario.late_share),
            self._queue(self._chunk_swaps),
            self._queue(settle_swaps),
            self._accounts.__getitem__,
        )
        self._exports = [
            Export(f"{number:032x}", _chunks_of(count)) for number, count in enumerate(scenario.bodies)
        ]

    def run(self) -> Course:
        """Put the first messages, and let time pass until all is settled."""
        for export in self._exports:
            export.last_moved_at = self._sweeper().now()
            self._loop.create_task(self._site.chunks.send(partial(deliver, self._site, export, 0, None)))
        self._loop.create_task(self._sweep())
        if self._scenario.hangs:
            self._loop.create_task(self._hang())
        with patch.object(settle_module, "asyncio", self._loop):
            self._loop.run()
        assert all(export.is_over for export in self._exports)
        server = self._site.activecampaign
        return Course(
            body_count=sum(self._scenario.bodies),
            bulk_count=len(server.bulk_arrivals),
            question_count=server.question_count,
            throttled_in_a_minute=server.minute.throttled_count,
            throttled_in_a_second=server.second.throttled_count,
            coincidence_count=server.second.coincidence_count,
            last_arrival=server.bulk_arrivals[-1],
            settled_at=self._site.settled_at,
            call_seconds=self._site.chunks.active_seconds,
            reservation_count=self._site.reservation_count,
            swap_count=self._chunk_swaps.written,
            lost_swap_count=self._chunk_swaps.lost,
            restart_count=sum(export.restart_count for export in self._exports),
        )

    def _queue(self, swaps: SwapCounts) -> WorkQueue:
        """A queue with workers of its own, as Flex Consumption gives each function."""
        workers = []
        for _ in range(self._scenario.worker_count):
            worker = Worker(idle_since=-self._chance.uniform(0, 60))
            workers.append(worker)
            skew = self._chance.uniform(-self._scenario.skew_seconds, self._scenario.skew_seconds)
            ports = cast(
                "Ports",
                SimpleNamespace(
                    clock=WorkerClock(self._loop, skew),
                    randomness=FakeRandomness(self._chance.getrandbits(32)),
                    budgets=Budgets(self._budget, self._storage, self._chance, swaps),
                    telemetry=FakeTelemetry(),
                ),
            )
            self._accounts[worker] = Account("acme", self._scenario.pace, ports)
        return WorkQueue(self._loop, self._storage, self._chance, workers)

    def _sweeper(self) -> Account:
        return self._accounts[self._site.chunks.workers[0]]

    async def _sweep(self) -> None:
        """The timer's function, each minute, as long as an export is under way."""
        await sleep(self._chance.uniform(0, SWEEP_SECONDS))
        while not all(export.is_over for export in self._exports):
            for export in self._exports:
                await look_after(self._site, export, self._sweeper())
            await sleep(SWEEP_SECONDS - self._loop.now % SWEEP_SECONDS)

    async def _hang(self) -> None:
        """Let something stand still for a while."""
        await sleep(self._chance.uniform(0, 300))
        until = self._loop.now + HANG_SECONDS
        if self._scenario.hangs == "storage":
            self._storage.hangs_until = until
            return
        queue = self._site.chunks if self._scenario.hangs == "sender" else self._site.settlements
        while not (busy := [worker for worker in queue.workers if worker.active]):
            await sleep(0.1)
        busy[0].hangs_until = self._loop.now + HANG_SECONDS


def _chunks_of(count: int) -> list[list[int]]:
    """The chunks of an export of so many bodies."""
    full, rest = divmod(count, MAX_CHUNK_BODIES)
    sizes = [MAX_CHUNK_BODIES] * full + [rest] * (rest > 0)
    return [list(range(size)) for size in sizes]


def simulate(scenario: Scenario, seed: int) -> Course:
    """Play a scenario to its end."""
    return _Simulation(scenario, seed).run()
