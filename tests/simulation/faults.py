"""What may go wrong in a course, and how often it did."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from exporter.adapters.activecampaign.responses import Answer
from tests.fakes.activecampaign import FakeActiveCampaign, LostAnswerError, Request, answer, throttle
from tests.fakes.storage import Process, ProcessDiedError


class Fault(StrEnum):
    """Each kind of fault; the value is what a course shows."""

    KILLED = "a process is killed"
    FROZEN = "a process stands still"
    STORAGE_SLOW = "storage is slow"
    STORAGE_FAILED = "storage fails before the effect"
    STORAGE_ANSWER_LOST = "storage fails after the effect"
    STORAGE_OWN_WRITE = "a repeated write meets itself"
    STORAGE_OUTAGE = "storage is down"
    MESSAGE_LOST = "a message is lost"
    MESSAGE_DOUBLED = "a message comes twice at once"
    MESSAGE_DOUBLED_LATER = "a message comes again later"
    MESSAGE_LATE = "a message is late"
    EVENT_LOST = "an event is lost"
    EVENT_DOUBLED = "an event comes twice"
    EVENT_LATE = "an event is late"
    THROTTLED = "a throttle with Retry-After"
    THROTTLED_SILENTLY = "a throttle without Retry-After"
    BULK_503 = "503 for a bulk request"
    BULK_500 = "500 for a bulk request"
    NO_CONNECTION = "no connection"
    RESET_BEFORE = "a reset before the request was taken"
    RESET_AFTER = "a reset after the request was taken"
    HANGING = "no answer for a minute"
    TRUNCATED = "an answer that is cut off"
    STATUS_FALSE = "a status that is false"
    STATUS_UNKNOWN = "a batch that is not known yet"
    STATUS_FAILED = "a status question that fails"
    RESOURCE_FAILED = "another question that fails"
    BATCH_FAILED = "a batch that fails"
    BATCH_INTERRUPTED = "a batch that is interrupted"
    BATCH_LATE = "a batch that takes minutes"
    BATCH_NEVER_KNOWN = "a batch that is never known"
    BATCH_STUCK = "a batch that never ends"


USUAL_ODDS: Final = {
    Fault.KILLED: 0.002,
    Fault.FROZEN: 0.003,
    Fault.STORAGE_SLOW: 0.01,
    Fault.STORAGE_FAILED: 0.005,
    Fault.STORAGE_ANSWER_LOST: 0.005,
    Fault.STORAGE_OWN_WRITE: 0.2,
    Fault.MESSAGE_LOST: 0.1,
    Fault.MESSAGE_DOUBLED: 0.2,
    Fault.MESSAGE_DOUBLED_LATER: 0.2,
    Fault.MESSAGE_LATE: 0.1,
    Fault.EVENT_LOST: 0.4,
    Fault.EVENT_DOUBLED: 0.4,
    Fault.EVENT_LATE: 0.4,
    Fault.THROTTLED: 0.03,
    Fault.THROTTLED_SILENTLY: 0.03,
    Fault.BULK_503: 0.05,
    Fault.BULK_500: 0.05,
    Fault.NO_CONNECTION: 0.05,
    Fault.RESET_BEFORE: 0.05,
    Fault.RESET_AFTER: 0.05,
    Fault.HANGING: 0.05,
    Fault.TRUNCATED: 0.05,
    Fault.STATUS_FALSE: 0.1,
    Fault.STATUS_UNKNOWN: 0.1,
    Fault.STATUS_FAILED: 0.1,
    Fault.RESOURCE_FAILED: 0.1,
    Fault.BATCH_FAILED: 0.1,
    Fault.BATCH_INTERRUPTED: 0.1,
    Fault.BATCH_LATE: 0.1,
    Fault.BATCH_NEVER_KNOWN: 0.03,
}
"""For each occasion: an operation, a message, an event, a request, a question, a batch."""

DEAR_ODDS: Final = 0.006
"""For a course to have batches that never end: a day of questions takes as long as fifty other courses."""

STORAGE_FAULTS: Final = frozenset(
    {Fault.STORAGE_FAILED, Fault.STORAGE_ANSWER_LOST, Fault.STORAGE_OUTAGE, Fault.STORAGE_SLOW}
)
"""Those that may make a handler fail again and again, or outlast what it may wait for."""


@dataclass
class Trouble:
    """Draws the faults of one course from its own source of chance, and counts them.

    A course has some kinds of faults only, each more or less often: rare ones would otherwise drown in
    frequent ones.
    """

    chance: random.Random
    note: Callable[[str], None]
    odds: dict[Fault, float] = field(default_factory=dict)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When all of storage is down: from, to."""
    counts: Counter[Fault] = field(default_factory=Counter)
    calm: bool = False
    """From when on nothing goes wrong any more."""

    def draw_odds(self, most: int) -> None:
        """Choose up to so many kinds of faults."""
        chosen = self.chance.sample(sorted(USUAL_ODDS), self.chance.randint(1, most))
        self.odds = {fault: USUAL_ODDS[fault] * self.chance.choice([0.5, 1.0, 2.0]) for fault in chosen}
        if self.chance.random() < DEAR_ODDS:
            self.odds[Fault.BATCH_STUCK] = 0.3

    def strikes(self, fault: Fault) -> bool:
        """Whether a fault happens now."""
        odds = self.odds.get(fault, 0.0)
        if self.calm or not odds or self.chance.random() >= odds:
            return False
        self.count(fault)
        return True

    def count(self, fault: Fault) -> None:
        """A fault happened."""
        self.counts[fault] += 1
        self.note(f"** {fault.value}")

    # Storage and processes

    async def before(self, process: Process) -> None:
        """Storage may be slow, or fail."""
        now = process.clock.monotonic()
        if not self.calm and any(start <= now < end for start, end in self.outages):
            self.count(Fault.STORAGE_OUTAGE)
            await self._hold_up(process, self.chance.uniform(0, 20))
            raise ServiceRequestError("storage is down")
        if self.strikes(Fault.STORAGE_SLOW):
            await self._hold_up(process, self.chance.choice([0.5, 2.0, 8.0, 40.0, 100.0]))
        if self.strikes(Fault.STORAGE_FAILED):
            await self._hold_up(process, self.chance.uniform(0, 60))
            raise ServiceRequestError("storage could not be reached")

    async def after(self, process: Process) -> None:
        """The answer of storage may get lost."""
        if self.strikes(Fault.STORAGE_ANSWER_LOST):
            await self._hold_up(process, self.chance.uniform(0, 60))
            raise ServiceResponseError("storage did not answer")

    async def between(self, process: Process) -> None:
        """The process may die, or stand still."""
        if process.is_dead:
            return
        if self.strikes(Fault.KILLED):
            process.die()
            raise ProcessDiedError(process.owner)
        now = process.clock.monotonic()
        if process.standstill.until <= now and self.strikes(Fault.FROZEN):
            seconds = self.chance.choice([0.3, 1.0, 6.0, 15.0, 70.0, 100.0, 300.0])
            process.standstill.since, process.standstill.until = now, now + seconds
            process.held_up_until = now + seconds
            await asyncio.sleep(1e-6)  # this is where it stands still

    def meets_own_write(self, process: Process) -> bool:
        """The SDK repeats a write whose answer got lost."""
        return self.strikes(Fault.STORAGE_OWN_WRITE)

    async def _hold_up(self, process: Process, seconds: float) -> None:
        await asyncio.sleep(seconds)
        process.held_up_until = process.clock.monotonic()

    # Messages and events

    def fate_of_a_message(self) -> tuple[float, ...]:
        """When the copies of a message become visible, counted from when it should."""
        if self.strikes(Fault.MESSAGE_LOST):
            return ()
        first = self.chance.uniform(1, 120) if self.strikes(Fault.MESSAGE_LATE) else 0.0
        again = [first] if self.strikes(Fault.MESSAGE_DOUBLED) else []
        if self.strikes(Fault.MESSAGE_DOUBLED_LATER):
            again.append(first + self.chance.uniform(1, 120))
        return (first, *again)

    def fate_of_an_event(self) -> tuple[float, ...]:
        """The same for a blob's event."""
        if self.strikes(Fault.EVENT_LOST):
            return ()
        first = self.chance.uniform(5, 200) if self.strikes(Fault.EVENT_LATE) else self.chance.uniform(0, 2)
        again = [self.chance.uniform(0, 100)] if self.strikes(Fault.EVENT_DOUBLED) else []
        return (first, *again)

    # ActiveCampaign

    def settle_on(self, account: FakeActiveCampaign) -> None:
        """Let an account have its share of the faults."""
        account.mood = self._mood
        account.question = self._question
        account.resource = self._resource
        account.end_of = self._end_of
        usual = account.settle_seconds

        def settles_after(number: int) -> float:
            return self.chance.uniform(60, 1200) if self.strikes(Fault.BATCH_LATE) else usual

        account.settles_after = settles_after

    def _mood(self, request: Request) -> Answer | None:
        self.note(
            f"request {request.number} of {request.run_id[:6]} with {len(request.contacts)} contacts, "
            f"automations {'off' if request.exclude_automations else 'on'}"
        )
        if self.strikes(Fault.THROTTLED):
            return throttle(self.chance.choice([1, 5, 60]))
        if self.strikes(Fault.THROTTLED_SILENTLY):
            return throttle()
        if self.strikes(Fault.BULK_503):
            return answer(503, b"<html>Service Unavailable</html>")
        if self.strikes(Fault.BULK_500):
            if self.chance.random() < 0.5:
                raise LostAnswerError(taken=True, instead=answer(500))
            return answer(500)
        if self.strikes(Fault.NO_CONNECTION):
            raise LostAnswerError(taken=False, connected=False)
        if self.strikes(Fault.RESET_BEFORE):
            raise LostAnswerError(taken=False)
        if self.strikes(Fault.RESET_AFTER):
            raise LostAnswerError(taken=True)
        if self.strikes(Fault.HANGING):
            raise LostAnswerError(taken=self.chance.random() < 0.5, seconds=60.0)
        if self.strikes(Fault.TRUNCATED):
            raise LostAnswerError(taken=True, instead=answer(200, b'{"success":1,"batchI'))
        return None

    def _question(self, batch_id: str) -> Answer | None:
        if self.strikes(Fault.STATUS_FALSE):
            return answer(200, {"status": False})
        if self.strikes(Fault.STATUS_UNKNOWN):
            return answer(404, {"message": "No Result found"})
        return self._failure() if self.strikes(Fault.STATUS_FAILED) else None

    def _resource(self, path: str) -> Answer | None:
        return self._failure() if self.strikes(Fault.RESOURCE_FAILED) else None

    def _failure(self) -> Answer:
        kind = self.chance.choice(["lost", "500", "503", "429"])
        if kind == "lost":
            raise LostAnswerError(taken=False)
        return answer(int(kind))

    def _end_of(self, number: int) -> str:
        for fault, end in _ENDS.items():
            if self.strikes(fault):
                return end
        return "completed"


_ENDS: Final = {
    Fault.BATCH_FAILED: "failed",
    Fault.BATCH_INTERRUPTED: "interrupted",
    Fault.BATCH_NEVER_KNOWN: "lost",
    Fault.BATCH_STUCK: "stuck",
}
