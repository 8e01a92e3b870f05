"""Settling: accepted is not done. Each batch is followed to its final state, oldest first.

A chain of short turns per run: a turn asks as long as answers are final and time allows, writes what it
learnt, and puts the message of the next turn. A turn number, swapped in the run, makes a doubled message
end at once.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from exporter.domain.configuration import Connection
from exporter.domain.facts import BatchEnd, Fact, Mask, Outcome, Tally, mask_of, positions_of
from exporter.domain.pause import Pause
from exporter.domain.progress import OpenBatch, RunProgress
from exporter.domain.refusal import refusal
from exporter.domain.run import PlanRecord, Run
from exporter.domain.verdict import BatchState, BatchStatus, Verdict, VerdictKind
from exporter.errors import (
    ConfigurationError,
    RefusedConnectionError,
    RetryLaterError,
    SecretUnavailableError,
    StopRunError,
)
from exporter.steps.account_reader import AccountReader
from exporter.steps.accounts import Account, open_account
from exporter.steps.events import Event, Metric
from exporter.steps.messages import ChunkMessage, Queue, ReceiptsMessage, SettlementMessage
from exporter.steps.ports import Destination, Ports
from exporter.steps.preflight import list_name
from exporter.steps.refusals import LIST_CODES, note_unreadable, pause_refused, present_connection
from exporter.steps.run_progress import read_progress
from exporter.steps.stop import note_waiting, stop_run

TURN_SECONDS = 30.0
NEAR_SECONDS = 2.0
"""A question that is due within this time is waited for in the turn."""
FIRST_AHEAD = 2
MOST_AHEAD = 16
"""So many questions are reserved at once while answers keep being final, and as many may be unanswered."""
AHEAD_SECONDS = 6.0
"""No further ahead, so that a lot which asks for its next slots in time finds the place behind it free."""
PATIENCE_SECONDS = 60.0
"""A batch that is so much older than usual no longer holds up the next one."""
SHORTEST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 600.0
"""Between two turns while questions are refused: growing from the one to the other."""
UNANSWERED = 3
"""So many batches in a row of which nothing sensible is told are an outage."""
LOST_SECONDS = 15 * 60.0
UNSETTLED_SECONDS = 24 * 3600.0
SHORTEST_IDLE_SECONDS = 3.0
LONGEST_IDLE_SECONDS = 15.0
"""Between two turns while nothing is open that could be asked about."""
LONGEST_QUIET_SECONDS = 60.0
"""The same while the run stands still, as a paused one does."""

_ENDS = {
    BatchState.COMPLETED: BatchEnd.COMPLETED,
    BatchState.FAILED: BatchEnd.FAILED,
    BatchState.INTERRUPTED: BatchEnd.INTERRUPTED,
}


async def settle(message: SettlementMessage, ports: Ports) -> None:
    """Run one settlement turn of a run, if it is this message's time."""
    run = await _take_turn(message, ports)
    if run is None:
        return
    ports.telemetry.about(export_id=run.export_id)
    number = run.settle_turn - 1
    try:
        await _settle_in_turn(run, number, ports)
    except Exception:
        # The same message must find a turn when it comes back, or it would never count as a try.
        with suppress(Exception):
            await _note_failed_turn(message, number, ports)
        raise


async def _settle_in_turn(run: Run, number: int, ports: Ports) -> None:
    connection = await present_connection(run, ports)
    record = await ports.plans.record(run.run_id)
    if record is None or connection is None:
        return
    turn = _Turn(run, connection, record, await open_account(connection, ports), number, ports)
    progress = await read_progress(run, record, ports)
    list_id = run.export.list_id if run.export else None
    refused = (await ports.pauses.load()).refused(connection.id, list_id)
    if refused is not None:
        delay = turn.leave_alone(progress.open_batches(), refused)
    else:
        delay = await _ask(turn, progress.open_batches())
    await turn.write()
    progress = await read_progress(run, record, ports)
    await turn.go_on(progress, delay)


async def _ask(turn: "_Turn", batches: list[OpenBatch]) -> float:
    """Let a turn ask; returns the seconds until the next one makes sense."""
    try:
        async with turn.ports.destinations.open(turn.connection) as destination:
            delay = await turn.ask(batches, destination)
            refusal_met = await turn.check_connection(destination)
    except (ConfigurationError, SecretUnavailableError) as error:  # the key can't be read just now
        note_unreadable(turn.connection, error, turn.ports)
        turn.waiting_for = str(error)
        turn.give_up_old(batches)
        return PATIENCE_SECONDS
    if refusal_met is None:
        return delay
    if turn.run.stopped is not None and refusal_met.code in LIST_CODES:  # nobody else need wait for its list
        turn.give_up(batches)
    else:
        await pause_refused(turn.connection, refusal_met, turn.ports)
    return SHORTEST_IDLE_SECONDS


def _seconds(moment: datetime | None) -> float:
    """A moment as seconds since the epoch; 0 for none."""
    return moment.timestamp() if moment else 0.0


def _is_final(answer: BatchStatus | Verdict) -> bool:
    """Whether an answer tells a batch's end."""
    return isinstance(answer, BatchStatus) and answer.state.final


async def _take_turn(message: SettlementMessage, ports: Ports) -> Run | None:
    """Swap the turn number; None when another message had this turn, or there is no such run any more.

    Turns only move forward: a message whose turn failed gets the next one.
    """
    taken = False
    taken_at = ports.clock.now()

    def change(run: Run) -> Run:
        nonlocal taken
        taken = message.turn in {run.settle_turn, run.failed_turn} and not run.state.final
        if not taken:
            return run
        return run.model_copy(
            update={"settle_turn": run.settle_turn + 1, "failed_turn": None, "next_check_at": taken_at}
        )

    try:
        run = await ports.runs.update(message.run_id, change)
    except StopRunError:  # the run is gone: nobody is left to settle for
        return None
    return run if taken else None


async def _note_failed_turn(message: SettlementMessage, number: int, ports: Ports) -> None:
    """Let the message have another turn when it comes back, unless somebody else goes on."""
    await ports.runs.update(
        message.run_id,
        lambda run: (
            run.model_copy(update={"failed_turn": message.turn})
            if run.settle_turn == number + 1 and not run.state.final
            else run
        ),
    )


@dataclass(slots=True)
class _Turn:
    """One settlement turn and what it learns."""

    run: Run
    connection: Connection
    record: PlanRecord
    account: Account
    number: int
    ports: Ports
    waiting_for: str | None = None
    _outcomes: list[Outcome] = field(default_factory=list)
    _samples: list[float] = field(default_factory=list)
    _took_seconds: dict[str, float] = field(default_factory=dict)
    """From the acceptance of a batch to its end, by the batch's id."""
    _asked: int = 0
    _throttled: int = 0
    _left_out_late: bool = False
    _late_through: float = 0.0
    _last_moment: float | None = None
    """The last moment that was reserved for a question."""
    _unanswered: set[str] = field(default_factory=set)
    _ask_again_at: dict[str, float] = field(default_factory=dict)
    _oldest_at: float = 0.0
    """When the oldest open batch was accepted."""
    _denied: bool = False
    """Whether a question was answered as for a refused key or account."""

    async def ask(self, batches: list[OpenBatch], destination: Destination) -> float:
        """Ask for final states, oldest batch first; returns the seconds until the next turn makes sense."""
        self._oldest_at = batches[0].accepted_at if batches else 0.0
        usual = await self.account.usual_settle_seconds()
        ends_at = self.ports.clock.monotonic() + TURN_SECONDS
        waiting = self._worth_asking(batches, usual)
        if batches and not waiting:
            until_lost = batches[0].accepted_at + LOST_SECONDS - self.account.now()
            return min(PATIENCE_SECONDS, until_lost) if until_lost > 0 else PATIENCE_SECONDS
        while waiting:
            due = self._due_at(waiting[0], usual)
            wait = max(0.0, due - self.account.now())
            if wait > NEAR_SECONDS or self.ports.clock.monotonic() + wait > ends_at:
                return wait
            await self.account.wait_until(due)
            ready = [batch for batch in waiting if self._due_at(batch, usual) <= self.account.now()]
            far_seconds = await self._ask_in_order(ready, usual, ends_at, destination)
            if self.waiting_for:
                self.give_up_old(batches)
                age = self.account.now() - waiting[0].accepted_at
                held = (await self.account.load()).hold_until - self.account.now()
                return max(held, min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, age / 8)))
            if far_seconds is not None:
                return far_seconds
            settled = {outcome.batch_id for outcome in self._outcomes}
            waiting = [
                batch
                for batch in waiting
                if batch.batch_id not in settled and not self._set_aside(batch, usual)
            ]
        return min(LONGEST_IDLE_SECONDS, max(usual, SHORTEST_IDLE_SECONDS))

    def leave_alone(self, batches: list[OpenBatch], refused: Pause) -> float:
        """Ask nothing while ActiveCampaign refuses the connection; what is too old for an answer is given up.

        Who was accepted may have missed a list that is gone, and is sent again once the connection goes on.
        Returns the seconds until the next turn makes sense.
        """
        self.waiting_for = f"connection '{self.connection.id}' is paused {refused.told()}"
        if refused.refused in LIST_CODES:
            self.give_up(batches)
        else:
            self.give_up_old(batches)
        return PATIENCE_SECONDS

    def give_up(self, batches: list[OpenBatch]) -> None:
        """End what is open as failed: who is in it may have missed the list."""
        known = {outcome.batch_id for outcome in self._outcomes}
        for batch in batches:
            if batch.batch_id not in known:
                self._end(batch, BatchEnd.FAILED)

    def give_up_old(self, batches: list[OpenBatch]) -> None:
        """End what is without an answer for a day, where nobody answers."""
        known = {outcome.batch_id for outcome in self._outcomes}
        for batch in batches:
            if batch.batch_id not in known and self.account.now() - batch.accepted_at > UNSETTLED_SECONDS:
                self._end(batch, BatchEnd.UNSETTLED)

    async def check_connection(self, destination: Destination) -> RefusedConnectionError | None:
        """After the questions: whether the key is refused, and whether the list is still there.

        The importer completes batches for a list that is gone, and nobody joins it. So a completed batch
        counts only once the list was seen after it; one that can't be told yet is asked about again.
        """
        reader = AccountReader(destination, self.account, self.connection)
        try:
            if self._denied and isinstance(answer := await reader.read("users/me"), Verdict):
                raise refusal(self.connection, answer)
            if any(outcome.end is BatchEnd.COMPLETED for outcome in self._outcomes) and self.run.export:
                await list_name(reader, self.run.export.list_id)
        except RefusedConnectionError as error:
            self._withdraw_completed()
            self.waiting_for = str(error)
            return error
        except (RetryLaterError, StopRunError) as error:
            if self.account.now() - self._oldest_at < UNSETTLED_SECONDS:  # nobody waits longer than a day
                self._withdraw_completed()
                self.waiting_for = str(error)
        return None

    def _withdraw_completed(self) -> None:
        """Leave completed batches open for a later turn."""
        self._outcomes = [outcome for outcome in self._outcomes if outcome.end is not BatchEnd.COMPLETED]

    def _worth_asking(self, batches: list[OpenBatch], usual: float) -> list[OpenBatch]:
        """The batches without those that an earlier turn found late and not final, unless it is time again.

        These are asked about at distances that grow with their age, over all turns.
        """
        through = _seconds(self.run.late_asked_through)
        known = {
            batch.batch_id for batch in batches if batch.accepted_at <= through and self._late(batch, usual)
        }
        if not known:
            return list(batches)
        oldest, now, last = batches[0].accepted_at, self.account.now(), _seconds(self.run.late_asked_at)
        distance = min(LONGEST_PAUSE_SECONDS, (now - oldest) / 8)
        just_lost = last < oldest + LOST_SECONDS <= now
        if just_lost or now - last >= distance:
            return list(batches)
        self._left_out_late = True
        return [batch for batch in batches if batch.batch_id not in known]

    async def _ask_in_order(
        self, batches: list[OpenBatch], usual: float, ends_at: float, destination: Destination
    ) -> float | None:
        """Ask about the batches, each at a moment of its own, and no further once one is not final.

        A question leaves at its moment whether those before have been answered or not. Returns the seconds
        until the next moment that was to be had, where that is too far away to be waited for.
        """
        asking: list[tuple[OpenBatch, asyncio.Task[BatchStatus | Verdict]]] = []
        moments: deque[float] = deque()
        far_seconds = None
        for batch in batches:
            if self._should_listen(asking) or self.ports.clock.monotonic() > ends_at:
                break
            if not moments:
                moments.extend(await self._reserve(len(asking), len(batches) - len(asking)))
            wait = moments[0] - self.account.now() if moments else 2 * NEAR_SECONDS
            if wait > NEAR_SECONDS:
                far_seconds = max(0.0, wait - NEAR_SECONDS)
                break
            await self.account.wait_until(moments[0])
            held_up = self.account.now() - moments[0] > self.account.pace.late_seconds / 4
            if (asking and held_up) or self._should_listen(asking):
                break  # what is left must not leave in one burst
            moments.popleft()
            self._asked += 1
            asking.append((batch, asyncio.create_task(destination.batch_status(batch.batch_id))))
        answers = await asyncio.gather(*(task for _, task in asking))
        await self.account.return_general(tuple(moments))
        for (batch, _), answer in zip(asking, answers, strict=True):
            if isinstance(answer, BatchStatus):
                self._unanswered.clear()
                await self._take(batch, answer, usual)
            else:
                await self._note_failed_question(batch, answer)
        return far_seconds

    async def _reserve(self, asked: int, left: int) -> tuple[float, ...]:
        """Moments for some of the questions that are left, the more the more have gone well.

        None while the budget is fought over: what has been asked must not be lost for that.
        """
        try:
            moments = await self.account.reserve_general(
                min(left, MOST_AHEAD, max(FIRST_AHEAD, 2 * asked)),
                within_seconds=AHEAD_SECONDS * self.account.pace.time_scale,
                own=self._last_moment,
            )
        except RetryLaterError:
            return ()
        self._last_moment = moments[-1]
        return moments

    def _should_listen(self, asking: list[tuple[OpenBatch, asyncio.Task[BatchStatus | Verdict]]]) -> bool:
        """Whether to ask nothing more for now: one was not final, or too many answers are missing."""
        answered = [task for _, task in asking if task.done()]
        return len(asking) - len(answered) >= MOST_AHEAD or not all(
            _is_final(task.result()) for task in answered
        )

    async def _take(self, batch: OpenBatch, status: BatchStatus, usual: float) -> None:
        """Keep what is known about a batch."""
        now = self.account.now()
        age = now - batch.accepted_at
        if status.state.final:
            self._note_sample(batch, age, usual)
            try:
                failed = await self._failed_positions(batch, status) if status.failures else 0
            except StopRunError as error:  # the chunk is gone: whom the answer names can't be told
                await stop_run(self.run.run_id, error, self.ports)
                self._end(batch, BatchEnd.UNSETTLED)
                return
            self._end(batch, _ENDS[status.state], failed)
            return
        if status.state is BatchState.NOT_YET and age > LOST_SECONDS:
            self._end(batch, BatchEnd.LOST)
            return
        if age > UNSETTLED_SECONDS:
            self._end(batch, BatchEnd.UNSETTLED)
            return
        self._put_off(batch, usual)

    def _put_off(self, batch: OpenBatch, usual: float) -> None:
        """Ask about a batch again later, the later the older it is."""
        if self._late(batch, usual):
            self._late_through = max(self._late_through, batch.accepted_at)
        age = self.account.now() - batch.accepted_at
        self._ask_again_at[batch.batch_id] = self.account.now() + min(
            PATIENCE_SECONDS, max(usual / 4, age / 8)
        )

    def _due_at(self, batch: OpenBatch, usual: float) -> float:
        """When to ask about a batch: at the usual settle time, then at growing distances."""
        return self._ask_again_at.get(batch.batch_id, batch.accepted_at + usual)

    def _set_aside(self, batch: OpenBatch, usual: float) -> bool:
        """Whether a batch is so late that the next one need not wait for it in this turn."""
        return self._late(batch, usual) and batch.batch_id in self._ask_again_at

    def _late(self, batch: OpenBatch, usual: float) -> bool:
        """Whether a batch takes far longer than usual."""
        return self.account.now() - batch.accepted_at > usual + PATIENCE_SECONDS

    def _note_sample(self, batch: OpenBatch, age: float, usual: float) -> None:
        """Learn the usual settle time.

        A batch that is final at its first question took no longer than it was left alone, so the usual
        time shrinks a little; one that was not final the first time tells its time as it is.
        """
        was_asked_late = batch.accepted_at <= _seconds(self.run.late_asked_through)
        if batch.batch_id in self._ask_again_at or was_asked_late:
            self._samples.append(age)
        elif age < 2 * usual:
            self._samples.append(0.9 * min(age, usual))

    def _end(self, batch: OpenBatch, end: BatchEnd, failed: Mask = 0) -> None:
        self._took_seconds[batch.batch_id] = max(0.0, self.account.now() - batch.accepted_at)
        self._outcomes.append(
            Outcome(batch.chunk, batch.body, batch.batch_id, end, self.account.now(), failed)
        )
        if end is not BatchEnd.COMPLETED:
            self.ports.telemetry.event(
                Event.BATCH_RETRIED,
                run_id=self.run.run_id,
                export_id=self.run.export_id,
                chunk=batch.chunk,
                body=batch.body,
                why=end.value,
            )

    async def _failed_positions(self, batch: OpenBatch, status: BatchStatus) -> Mask:
        """Which contacts of the batch the listed addresses are; compared trimmed and without case."""
        chunk = await self.ports.plans.chunk(self.run.run_id, self.record.epoch, batch.chunk)
        contacts = orjson.loads(chunk.bodies[batch.body].contacts)
        failures = {address.strip().lower() for address in status.failures}
        return mask_of(
            [p for p in positions_of(batch.part) if contacts[p]["email"].strip().lower() in failures]
        )

    async def _note_failed_question(self, batch: OpenBatch, verdict: Verdict) -> None:
        """A question that was not answered holds the account or waits for a person.

        The batch stays open until then, or until a day has passed.
        """
        if self.account.now() - batch.accepted_at > UNSETTLED_SECONDS:
            self._end(batch, BatchEnd.UNSETTLED)
        self._throttled += verdict.kind is VerdictKind.THROTTLED
        if self.waiting_for:  # others under way met the same
            return
        if verdict.kind is VerdictKind.THROTTLED:
            await self.account.note_throttle(verdict)
            self.waiting_for = "ActiveCampaign throttles the account"
        elif verdict.kind is VerdictKind.REKEYED:
            return
        elif verdict.kind is VerdictKind.UNKNOWN and len(self._unanswered | {batch.batch_id}) < UNANSWERED:
            # One batch that nothing sensible is told of is not an outage.
            self._unanswered.add(batch.batch_id)
            self._put_off(batch, await self.account.usual_settle_seconds())
        elif verdict.kind in {VerdictKind.UNAVAILABLE, VerdictKind.UNKNOWN}:
            await self.account.note_outage(verdict)
            self.waiting_for = f"ActiveCampaign does not answer as it should: {verdict.detail}"
        else:
            self._denied = verdict.kind in {VerdictKind.DENIED, VerdictKind.UNPAID}
            self.waiting_for = f"ActiveCampaign refuses to tell what became of the batches: {verdict.detail}"

    async def write(self) -> None:
        """Write what the turn learnt."""
        if self._asked or self._outcomes:
            name = f"outcomes-{self.number:06d}"
            tally = Tally(name, status=self._asked, throttled=self._throttled)
            facts: list[Fact] = [*self._outcomes, tally]
            await self.ports.facts.write(self.run.run_id, name, facts)
        if self._outcomes:
            await self.account.note_service(tuple(self._samples))
            self._measure()
        self.ports.telemetry.event(
            Event.SETTLEMENT_TURNED,
            run_id=self.run.run_id,
            export_id=self.run.export_id,
            turn=self.number,
            asked=self._asked,
            final=len(self._outcomes),
        )

    def _measure(self) -> None:
        """Measure the batches that came to an end in ActiveCampaign; others were only given up."""
        for outcome in self._outcomes:
            if outcome.end in _ENDS.values():
                self.ports.telemetry.measure(
                    Metric.SETTLE_TIME,
                    self._took_seconds[outcome.batch_id],
                    account=self.account.name,
                    export_id=self.run.export_id,
                )

    async def go_on(self, progress: RunProgress, delay_seconds: float) -> None:
        """Send again what failed there, and put the message that must follow."""
        run_id = self.run.run_id
        run = await note_waiting(run_id, self.waiting_for, self.ports)
        if run.sendable:
            again = {outcome.chunk for outcome in self._outcomes if outcome.end is not BatchEnd.COMPLETED}
            for chunk in sorted(again & set(progress.chunks_to_send())):
                message = ChunkMessage(run_id=run_id, trace=run.trace, chunk=chunk)
                await self.ports.queue.send(Queue.CHUNKS, message)
        if not progress.open_batches() and (run.stopped or not progress.chunks_to_send()):
            await self.ports.queue.send(Queue.RECEIPTS, ReceiptsMessage(run_id=run_id, trace=run.trace))
            return
        if not progress.open_batches():
            quiet_seconds = self.account.now() - progress.last_fact_at
            delay_seconds = max(delay_seconds, min(LONGEST_QUIET_SECONDS, quiet_seconds / 8))
        now = self.ports.clock.now()
        update: dict[str, object] = {"next_check_at": now + timedelta(seconds=delay_seconds)}
        if self._late_through:
            through = max(self._late_through, _seconds(self.run.late_asked_through))
            update["late_asked_through"] = datetime.fromtimestamp(through, UTC)
            if not self._left_out_late:
                update["late_asked_at"] = now
        await self.ports.runs.update(
            run_id,
            lambda current: (
                current.model_copy(update=update) if current.settle_turn == self.number + 1 else current
            ),
        )
        await self.ports.queue.send(
            Queue.SETTLEMENTS,
            SettlementMessage(run_id=run_id, trace=run.trace, turn=self.number + 1),
            delay_seconds=max(0.0, delay_seconds),
        )
