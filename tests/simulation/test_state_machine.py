"""A run under any order of messages, deaths, standstills and commands; Hypothesis looks for a bad one."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.domain.pause import Pause
from exporter.domain.run import RunState
from exporter.errors import ExporterError
from exporter.steps.control import cancel_run, pause_run, redrive_run, resume_run
from exporter.steps.ports import Ports
from exporter.steps.sweep import sweep
from tests.builders import a_connection, addresses, an_export
from tests.fakes.clock import SimulatedLoop
from tests.fakes.queue import Queued
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import World
from tests.simulation.director import small_bodies
from tests.simulation.history import History

CONTACTS = 14


class RunMachine(RuleBasedStateMachine):
    """One run in a world of two processes."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(small_bodies(random.Random(0)))
        self._runner = self._stack.enter_context(asyncio.Runner(loop_factory=SimulatedLoop))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self._runner.run(work)

    @initialize(seed=st.integers(0, 3))
    def start(self, seed: int) -> None:
        async def begin() -> None:
            self.world = World(seed=seed, worker_count=2)
            self.history = History(self.world.clock)
            self.world.storage.on_write.append(self.history.take)
            account = await self.world.connect(a_connection(), an_export(automations=True))
            account.answer_seconds = (0.5, 4.0)
            await self.world.drop(addresses(CONTACTS))

        self._do(begin())

    @rule(seconds=st.sampled_from([0.3, 1.0, 4.0, 20.0, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        async def wait() -> None:
            await self.world.until_quiet(until=self.world.clock.monotonic() + seconds)

        self._do(wait())

    @precondition(lambda self: self.world.queues.messages)
    @rule(data=st.data())
    def deliver_a_message_twice(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.world.queues.messages))
        self.world.queues.messages.append(Queued(message.queue, message.text, message.visible_at))

    @precondition(lambda self: self.world.queues.messages)
    @rule(data=st.data())
    def lose_a_message(self, data: st.DataObject) -> None:
        self.world.queues.messages.remove(data.draw(st.sampled_from(self.world.queues.messages)))

    @rule(worker=st.integers(0, 1), writes=st.integers(0, 12))
    def crash_before_a_write(self, worker: int, writes: int) -> None:
        process = self.world.workers[worker].process
        process.dies_before_write = process.write_count + writes

    @rule(worker=st.integers(0, 1), seconds=st.sampled_from([1.0, 80.0, 200.0]))
    def let_claims_expire(self, worker: int, seconds: float) -> None:
        async def stand_still() -> None:
            process, now = self.world.workers[worker].process, self.world.clock.monotonic()
            process.standstill.since, process.standstill.until = now, now + seconds

        self._do(stand_still())

    @rule()
    def sweep_now(self) -> None:
        self._command(sweep)

    @rule()
    def cancel(self) -> None:
        self._command(lambda ports: cancel_run(self.world.run().run_id, "ann", ports))

    @rule()
    def pause(self) -> None:
        pause = Pause(since=self.world.run().ordered_at, by="ann")
        self._command(lambda ports: pause_run(self.world.run().run_id, pause, ports))

    @rule()
    def resume(self) -> None:
        self._command(lambda ports: resume_run(self.world.run().run_id, ports))

    @rule()
    def redrive(self) -> None:
        self._command(lambda ports: redrive_run(self.world.run().run_id, ports))

    def _command(self, command: Callable[[Ports], Coroutine[Any, Any, object]]) -> None:
        """A person's command; it may be refused, or its machine may die."""

        async def run() -> None:
            try:
                await command(self.world.workers[0].ports)
            except (ExporterError, ProcessDiedError):
                return

        self._do(run())

    @invariant()
    def states_move_forward_and_claims_have_one_owner(self) -> None:
        assert self.history.faults == []

    @invariant()
    def a_run_is_completed_once_a_round(self) -> None:
        for run_id, count in self.history.completions.items():
            assert count <= self.history.rounds[run_id]

    def teardown(self) -> None:
        with self._stack:
            if hasattr(self, "world"):
                self._do(self._end())

    async def _end(self) -> None:
        """Everything that keeps the run from going on ends; then it ends, and nothing is lost."""
        run = self.world.run()
        if run.pause is not None and not run.state.final and run.stopped is None:
            for worker in self.world.workers:  # from now on nobody dies any more
                worker.process.dies_before_write = None
            await resume_run(run.run_id, self.world.workers[1].ports)
        await self.world.until_quiet()
        self.world.check_promises()
        report, account = self.world.report(), self.world.account
        assert report.counts.delivered + report.counts.undelivered in {0, CONTACTS}
        assert report.counts.delivered <= len(account.contacts)
        assert report.state in {RunState.SUCCEEDED, RunState.CANCELLED}
        assert max(account.automations_started.values(), default=0) <= 1
        assert self.history.faults == []


TestRun = RunMachine.TestCase
TestRun.settings = settings(max_examples=150, stateful_step_count=15, deadline=None)
