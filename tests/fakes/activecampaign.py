"""ActiveCampaign in memory: limits, batches and moods; its answers go through the real table of verdicts."""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from exporter.adapters.activecampaign.responses import (
    Answer,
    classify_bulk,
    classify_info,
    classify_resource,
)
from exporter.domain.configuration import Connection
from exporter.domain.verdict import BatchStatus, Verdict, VerdictKind
from exporter.errors import ConfigurationError
from exporter.steps.ports import Clock
from tests.fakes.storage import Process

BULK_PER_MINUTE: Final = 100
SINGLE_PER_MINUTE: Final = 20
PER_SECOND: Final = 5
FIRST_KEY: Final = "first-key"


@dataclass(frozen=True, slots=True)
class Request:
    """A bulk request as it arrived."""

    number: int
    """Counted from 0."""
    at: float
    contacts: tuple[dict[str, Any], ...]
    exclude_automations: bool

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who is in it, in its order."""
        return tuple(contact["email"] for contact in self.contacts)


class LostAnswerError(Exception):
    """The request was taken, or not, and its answer never arrives."""

    def __init__(self, *, taken: bool) -> None:
        super().__init__("the answer gets lost")
        self.taken = taken


Mood = Callable[[Request], Answer | None]
"""What a bulk request meets beyond limits and checks; None where it is served as usual."""


def answer(status: int, content: object = None, **headers: str) -> Answer:
    """An answer with a JSON body."""
    body = content if isinstance(content, bytes) else orjson.dumps(content if content is not None else {})
    return Answer(status, headers, body)


def throttle(retry_after: int | None = None) -> Answer:
    """The throttle as the bulk importer shows it."""
    content = {
        "success": 0,
        "message": "Rate limit exceeded.",
        "failureReasons": ["only 100 imports per minute"],
    }
    return answer(400, content, **({"Retry-After": str(retry_after)} if retry_after else {}))


@dataclass(slots=True)
class Batch:
    """An accepted request."""

    request: Request
    ends: str
    """completed, failed, interrupted; lost (not known there); stuck (active for ever)."""
    final_at: float


@dataclass(slots=True)
class FakeActiveCampaign:
    """One account. The attributes without a leading underscore are for tests to set and to read."""

    clock: Clock
    chance: random.Random
    enforces_limits: bool = True
    answer_seconds: tuple[float, float] = (0.15, 0.6)
    late_share: float = 0.0
    """The share of the requests that arrive up to a second later than they should."""
    settle_seconds: float = 5.0
    refused: frozenset[str] = frozenset()
    """Addresses for whose sake a whole request is refused."""
    naming: str = "all"
    """Whom a refusal names: all, first (of the refused), nobody, or neighbours (the wrong ones)."""
    failing: frozenset[str] = frozenset()
    """Addresses that a completed batch lists as failures."""
    mood: Mood = lambda request: None
    end_of: Callable[[int], str] = lambda number: "completed"
    """How the batch with this number (counted from 0) ends."""
    question: Callable[[str], Answer | None] = lambda batch_id: None
    """An answer to a status question other than the usual one."""
    key_refused: bool = False
    refused_keys: set[str] = field(default_factory=set)
    """Keys that were revoked; `key_refused` refuses whatever key comes."""
    lists: dict[str, str] = field(default_factory=lambda: {"5": "Customers"})
    fields: list[dict[str, str]] = field(default_factory=list)

    others_at: list[float] = field(default_factory=list)
    """When somebody else's bulk requests arrive, ascending; they count in the minute's window."""

    requests: list[Request] = field(default_factory=list)
    accepted: list[Request] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    """Of requests of any kind."""
    questions: list[tuple[float, str]] = field(default_factory=list)
    throttled_count: int = 0
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    automations_started: Counter[str] = field(default_factory=Counter)
    _batches: dict[str, Batch] = field(default_factory=dict)

    @property
    def accepted_bodies(self) -> Counter[tuple[str, ...]]:
        """How often each set of addresses was accepted in one request."""
        return Counter(request.addresses for request in self.accepted)

    @property
    def repeated_count(self) -> int:
        """Accepted requests beyond the first of each body."""
        return sum(count - 1 for count in self.accepted_bodies.values())

    async def take_bulk(self, contacts: bytes, *, automations: bool, key: str = "") -> Answer:
        """A request arrives, is judged, and its answer travels back. Raises LostAnswerError."""
        await self._travel()
        request = Request(
            number=len(self.requests),
            at=self.clock.monotonic(),
            contacts=tuple(orjson.loads(contacts)),
            exclude_automations=not automations,
        )
        over_limit = self._over_limit(request)
        self.requests.append(request)
        self.arrivals.append(request.at)
        if over_limit:
            self.throttled_count += 1
            reply = throttle()
        else:
            reply = self._serve(request, key)
        await self.clock.sleep(self.chance.uniform(*self.answer_seconds))
        return reply

    def _serve(self, request: Request, key: str) -> Answer:
        if self._denies(key):
            return answer(403, {"message": "You do not have permission."})
        try:
            mood = self.mood(request)
        except LostAnswerError as error:
            if error.taken:
                self.take(request)
            raise
        if mood is not None:
            return mood
        bad = [i for i, address in enumerate(request.addresses, start=1) if address in self.refused]
        if bad:
            return self._refuse(bad, len(request.contacts))
        batch_id = self.take(request)
        return answer(200, {"success": 1, "queued_contacts": len(request.contacts), "batchId": batch_id})

    def _denies(self, key: str) -> bool:
        return self.key_refused or key in self.refused_keys

    def _refuse(self, bad: list[int], count: int) -> Answer:
        match self.naming:
            case "all":
                named = bad
            case "first":
                named = bad[:1]
            case "neighbours":
                named = [index % count + 1 for index in bad]
            case _:
                named = []
        return answer(
            400,
            {
                "success": 0,
                "message": "JSON payload did not pass validation.",
                "failureReasons": [
                    {"contact": index, "failureReason": "Field 'email' incorrect format"} for index in named
                ],
            },
        )

    def take(self, request: Request) -> str:
        """Queue the request's contacts, whatever its sender will hear; returns the batch's id."""
        number = len(self.accepted)
        self.accepted.append(request)
        batch_id = f"batch-{number:06d}"
        ends = self.end_of(number)
        self._batches[batch_id] = Batch(request, ends, request.at + self.settle_seconds)
        if ends == "completed":
            self._write(request)
        return batch_id

    def _write(self, request: Request) -> None:
        """Contacts are written at once: a test looks only when all is quiet."""
        for contact in request.contacts:
            if contact["email"] in self.failing:
                continue
            self.contacts[contact["email"]] = contact
            if not request.exclude_automations:
                self.automations_started[contact["email"]] += 1

    def _over_limit(self, request: Request) -> bool:
        if not self.enforces_limits:
            return False
        minute = [earlier for earlier in self.requests[-BULK_PER_MINUTE:] if earlier.at > request.at - 60]
        by_others = bisect_right(self.others_at, request.at) - bisect_right(self.others_at, request.at - 60)
        singles = [earlier for earlier in self.requests if len(earlier.contacts) == 1]
        recent_singles = [earlier for earlier in singles if earlier.at > request.at - 60]
        second = [at for at in self.arrivals[-PER_SECOND:] if at > request.at - 1]
        return (
            len(minute) + by_others >= BULK_PER_MINUTE
            or len(second) >= PER_SECOND
            or (len(request.contacts) == 1 and len(recent_singles) >= SINGLE_PER_MINUTE)
        )

    async def tell(self, batch_id: str, key: str = "") -> Answer:
        """The state of a batch."""
        await self._arrive()
        self.questions.append((self.clock.monotonic(), batch_id))
        special = self.question(batch_id)
        if special is not None:
            return special
        if self._denies(key):
            return answer(403, {"message": "You do not have permission."})
        batch = self._batches.get(batch_id)
        if batch is None or batch.ends == "lost":
            return answer(404, {"message": "No Result found"})
        if self.clock.monotonic() < batch.final_at or batch.ends == "stuck":
            return answer(200, {"status": "active", "success": [], "failure": []})
        failures = [address.upper() for address in batch.request.addresses if address in self.failing]
        return answer(200, {"status": batch.ends, "success": [], "failure": failures})

    async def show(self, path: str, parameters: dict[str, str] | None, key: str = "") -> Answer:
        """Another resource."""
        await self._arrive()
        if self._denies(key):
            return answer(403, {"message": "You do not have permission."})
        if path == "users/me":
            return answer(200, {"user": {"id": "1", "username": "ann"}})
        kind, _, name = path.partition("/")
        if kind == "lists" and name in self.lists:
            return answer(200, {"list": {"id": name, "name": self.lists[name]}})
        if path == "fields":
            start, size = int((parameters or {})["offset"]), int((parameters or {})["limit"])
            page = self.fields[start : start + size]
            return answer(200, {"fields": page, "meta": {"total": str(len(self.fields))}})
        return answer(404, {"message": "No Result found"})

    async def _arrive(self) -> None:
        await self._travel()
        self.arrivals.append(self.clock.monotonic())
        await self.clock.sleep(self.chance.uniform(*self.answer_seconds))

    async def _travel(self) -> None:
        """The way there."""
        late = self.chance.uniform(0.2, 1.0) if self.chance.random() < self.late_share else 0.0
        await self.clock.sleep(self.chance.uniform(0.01, 0.06) + late)


@dataclass(slots=True)
class FakeDestination:
    """One account through one connection, as one process sees it."""

    account: FakeActiveCampaign
    process: Process
    read_key: Callable[[], str]
    key_mark: str = ""
    """The key stands for its own mark."""

    def __post_init__(self) -> None:
        self.key_mark = self.read_key()

    async def send_bulk(self, contacts: bytes, *, automations: bool) -> Verdict:
        try:
            reply = await self.account.take_bulk(contacts, automations=automations, key=self.key_mark)
        except LostAnswerError:
            await self.account.clock.sleep(2.0)
            return Verdict(VerdictKind.UNKNOWN, "the answer got lost (TimeoutError)")
        return self._rekeyed(reply) or classify_bulk(reply, self.account.clock.now())

    async def batch_status(self, batch_id: str) -> BatchStatus | Verdict:
        reply = await self.account.tell(batch_id, self.key_mark)
        return self._rekeyed(reply) or classify_info(reply, self.account.clock.now())

    async def get(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        reply = await self.account.show(path, parameters, self.key_mark)
        return self._rekeyed(reply) or classify_resource(reply, self.account.clock.now())

    def _rekeyed(self, reply: Answer) -> Verdict | None:
        """Whether the secret holds another key by now than the one that was refused."""
        known, self.key_mark = self.key_mark, self.read_key() if reply.status == 403 else self.key_mark
        return Verdict(VerdictKind.REKEYED) if self.key_mark != known else None

    async def delete(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        return await self.get(path, parameters)


@dataclass(slots=True)
class FakeDestinations:
    """Opens accounts by their host."""

    process: Process
    accounts: dict[str, FakeActiveCampaign]
    unreadable_secrets: set[str]
    """Names of secrets that can't be read just now; shared by all processes."""
    keys: dict[str, str]
    """What secrets hold, by name, other than the first key; shared by all processes."""

    @asynccontextmanager
    async def open(self, connection: Connection) -> AsyncIterator[FakeDestination]:
        self._read_key(connection)
        yield FakeDestination(
            self.accounts[connection.host], self.process, lambda: self._read_key(connection)
        )

    async def key_mark(self, connection: Connection) -> str:
        return self._read_key(connection)

    def _read_key(self, connection: Connection) -> str:
        if connection.secret in self.unreadable_secrets:
            raise ConfigurationError(f"secret '{connection.secret}' can't be read")
        return self.keys.get(connection.secret, FIRST_KEY)
