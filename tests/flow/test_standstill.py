"""A process may stand still at any moment, for longer than its claims last, and then go on."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from exporter.adapters.activecampaign.responses import Answer
from exporter.domain.run import Run, RunState
from exporter.steps.messages import ChunkMessage, Queue
from exporter.steps.ports import RunStore
from exporter.steps.sweep import sweep
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import LostAnswerError, Request
from tests.fakes.runs import FakeRunStore
from tests.fakes.storage import Process
from tests.fakes.world import World

LONGER_THAN_A_CLAIM_SECONDS = 200.0


@dataclass
class StandsStillOnce:
    """A nemesis that lets a process stand still once, after so many things that it waited for."""

    moments_left: int
    seconds: float = LONGER_THAN_A_CLAIM_SECONDS

    async def before(self, process: Process) -> None:
        pass

    async def after(self, process: Process) -> None:
        pass

    def meets_own_write(self, process: Process) -> bool:
        return False

    async def between(self, process: Process) -> None:
        self.moments_left -= 1
        if self.moments_left == 0:
            now = process.clock.monotonic()
            process.standstill.since, process.standstill.until = now, now + self.seconds
            await asyncio.sleep(1e-6)


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("moment", range(1, 60, 2))
async def test_a_run_ends_well_whenever_a_process_stands_still(moment: int) -> None:
    world = World(worker_count=2)
    account = await world.connect(a_connection(), an_export(automations=True))
    world.storage.nemesis = StandsStillOnce(moment)
    await world.drop(addresses(12))

    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == 12
    assert max(account.automations_started.values(), default=0) <= 1
    world.check_promises()


@pytest.mark.parametrize("seed", [1, 3, 6])  # in these another process takes over
async def test_a_planner_that_stood_still_leaves_a_run_alone_that_another_has_planned(seed: int) -> None:
    world = World(seed=seed, worker_count=3)
    await world.connect(a_connection(), an_export())
    states: list[RunState] = []
    nemesis = StandsStillOnce(moments_left=0)
    world.storage.nemesis = nemesis
    await world.drop(addresses(12))
    claim = f"claims/{world.run().run_id}/plan.json"
    while claim not in world.storage.documents:
        await world.until_quiet(until=world.clock.monotonic() + 0.01)
    nemesis.moments_left = 1

    world.busy_until = 2 * LONGER_THAN_A_CLAIM_SECONDS
    while world.clock.monotonic() < world.busy_until:
        await world.until_quiet(until=world.clock.monotonic() + 1)
        states.append(world.run().state)
    await world.until_quiet()

    order = [RunState.QUEUED, RunState.PLANNING, RunState.DELIVERING, RunState.SETTLING, RunState.SUCCEEDED]
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)
    assert world.report().counts.delivered == 12
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
@pytest.mark.parametrize("moment", range(1, 16))
async def test_who_comes_to_a_chunk_late_knows_which_answers_got_lost_meanwhile(moment: int) -> None:
    world = World(worker_count=8)
    account = await world.connect(a_connection(), an_export(automations=True))

    def lose_the_first_answer(request: Request) -> Answer | None:
        if request.number == 0:
            raise LostAnswerError(taken=True, seconds=20.0)
        return None

    account.mood = lose_the_first_answer
    await world.drop(addresses(6))
    while len(account.requests) < 3:
        await world.until_quiet(until=world.clock.monotonic() + 0.1)
    copy = ChunkMessage(run_id=world.run().run_id, chunk=0)
    world.queues.put(Queue.CHUNKS, copy.to_text(), 15.0)
    await world.until_quiet(until=world.clock.monotonic() + 15.0)
    world.storage.nemesis = StandsStillOnce(moment, seconds=10.0)

    await world.until_quiet()

    assert world.report().counts.delivered == 6
    assert set(account.automations_started.values()) == {1}
    world.check_promises()


class _SeesOldRuns(FakeRunStore):
    """A store whose list of open runs was read long before it is used."""

    def __init__(self, process: Process, seen: Run) -> None:
        super().__init__(process)
        self._seen = seen

    async def open(self, unreadable=None):  # type: ignore[no-untyped-def] # as in the class that it replaces
        yield self._seen


async def test_a_sweep_with_an_old_look_does_not_set_settlement_turns_back() -> None:
    world = World(worker_count=1)
    account = await world.connect(a_connection(), an_export())
    account.settle_seconds = 600.0
    await world.drop(addresses(12))
    await world.until_quiet(until=300.0)
    present = world.run()
    assert present.settle_turn > 2
    ports = world.workers[0].ports
    old_look = present.model_copy(update={"settle_turn": 1, "next_check_at": None})
    store: RunStore = _SeesOldRuns(world.workers[0].process, old_look)

    await sweep(replace(ports, runs=store))

    assert world.run().settle_turn >= present.settle_turn
    await world.until_quiet()
    assert world.report().counts.delivered == 12
    assert world.errors == []
