"""ActiveCampaign in memory: limits, batches and moods; its answers go through the real table of verdicts."""

import asyncio
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson

from exporter.adapters.activecampaign.responses import (
    Answer,
    classify_bulk,
    classify_info,
    classify_resource,
)
from exporter.domain.configuration import Connection
from exporter.domain.verdict import BatchStatus, Verdict, VerdictKind
from exporter.errors import ConfigurationError, SecretUnavailableError
from exporter.steps.ports import Clock
from tests.fakes.storage import Process

Meaning = TypeVar("Meaning")

BULK_PER_MINUTE: Final = 100
SINGLE_PER_MINUTE: Final = 20
PER_SECOND: Final = 5
FIRST_KEY: Final = "first-key"


SENDING_RUN: ContextVar[str] = ContextVar("SENDING_RUN", default="")
"""The run that a handler works for: ActiveCampaign is not told, but who checks afterwards wants to know."""


@dataclass(frozen=True, slots=True)
class Request:
    """A bulk request as it arrived."""

    number: int
    """Counted from 0."""
    at: float
    contacts: tuple[dict[str, Any], ...]
    exclude_automations: bool
    run_id: str = ""
    late: bool = False
    """Whether it was on its way for longer than others, or its sender was held up just then."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who is in it, in its order."""
        return tuple(contact["email"] for contact in self.contacts)


class LostAnswerError(Exception):
    """The request was taken, or not, and its answer never arrives, or something else instead."""

    def __init__(
        self, *, taken: bool, seconds: float = 2.0, connected: bool = True, instead: Answer | None = None
    ) -> None:
        super().__init__("the answer gets lost")
        self.taken = taken
        self.seconds = seconds
        """So long the sender waits for it."""
        self.connected = connected
        self.instead = instead


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
    bulk_per_minute: int = BULK_PER_MINUTE
    single_per_minute: int = SINGLE_PER_MINUTE
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
    settles_after: Callable[[int], float] | None = None
    """How many seconds that batch takes; None for `settle_seconds`."""
    question: Callable[[str], Answer | None] = lambda batch_id: None
    """An answer to a status question other than the usual one. May raise LostAnswerError."""
    resource: Callable[[str], Answer | None] = lambda path: None
    """The same for the other resources, by their paths."""
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
    late_arrivals: set[float] = field(default_factory=set)
    """Those of requests that were late."""
    questions: list[tuple[float, str]] = field(default_factory=list)
    throttled_count: int = 0
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is known of each address; a later request changes only what it carries."""
    members: dict[tuple[str, str], str] = field(default_factory=dict)
    """How each address stands to each list: subscribed, unsubscribed or bounced."""
    automations_started: Counter[str] = field(default_factory=Counter)
    _batches: dict[str, Batch] = field(default_factory=dict)

    @property
    def batches(self) -> list[Batch]:
        """The accepted requests with what becomes of them."""
        return list(self._batches.values())

    @property
    def accepted_bodies(self) -> Counter[tuple[str, ...]]:
        """How often each set of addresses was accepted in one request."""
        return Counter(request.addresses for request in self.accepted)

    @property
    def repeated_count(self) -> int:
        """Accepted requests beyond the first of each body."""
        return sum(count - 1 for count in self.accepted_bodies.values())

    async def take_bulk(
        self, contacts: bytes, *, automations: bool, key: str = "", run_id: str = "", late: bool = False
    ) -> Answer:
        """A request arrives, is judged, and its answer travels back. Raises LostAnswerError."""
        late |= await self._travel()
        request = Request(
            number=len(self.requests),
            at=self.clock.monotonic(),
            contacts=tuple(orjson.loads(contacts)),
            exclude_automations=not automations,
            run_id=run_id,
            late=late,
        )
        over_limit = self._over_limit(request)
        self.requests.append(request)
        self._note_arrival(request.at, late=late)
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
            if error.taken and self.refused.isdisjoint(request.addresses):
                self.take(request)
            if error.instead is not None:
                return error.instead
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
        settle_seconds = self.settles_after(number) if self.settles_after else self.settle_seconds
        self._batches[batch_id] = Batch(request, ends, request.at + settle_seconds)
        if ends in {"completed", "stuck"}:
            self._write(request, len(request.contacts))
        elif ends == "interrupted":
            self._write(request, len(request.contacts) // 2)
        return batch_id

    def _write(self, request: Request, count: int) -> None:
        """The first contacts are written, at once: a test looks only when all is quiet."""
        for contact in request.contacts[:count]:
            address = contact["email"]
            if address in self.failing:
                continue
            self.contacts[address] = {**self.contacts.get(address, {}), **contact}
            for entry in contact.get("subscribe", ()):  # leaves alone who has opted out or bounced
                self.members.setdefault((address, str(entry["listid"])), "subscribed")
            if not request.exclude_automations:
                self.automations_started[address] += 1

    def _note_arrival(self, at: float, *, late: bool) -> None:
        self.arrivals.append(at)
        if late:
            self.late_arrivals.add(at)

    def _over_limit(self, request: Request) -> bool:
        if not self.enforces_limits:
            return False
        latest = self.requests[-self.bulk_per_minute :]
        minute = [earlier for earlier in latest if earlier.at > request.at - 60]
        by_others = bisect_right(self.others_at, request.at) - bisect_right(self.others_at, request.at - 60)
        singles = [earlier for earlier in self.requests if len(earlier.contacts) == 1]
        recent_singles = [earlier for earlier in singles if earlier.at > request.at - 60]
        second = [at for at in self.arrivals[-PER_SECOND:] if at > request.at - 1]
        return (
            len(minute) + by_others >= self.bulk_per_minute
            or len(second) >= PER_SECOND
            or (len(request.contacts) == 1 and len(recent_singles) >= self.single_per_minute)
        )

    async def tell(self, batch_id: str, key: str = "", *, late: bool = False) -> Answer:
        """The state of a batch. Raises LostAnswerError."""
        await self._arrive(late=late)
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

    async def show(
        self, path: str, parameters: dict[str, str] | None, key: str = "", *, late: bool = False
    ) -> Answer:
        """Another resource. Raises LostAnswerError."""
        await self._arrive(late=late)
        special = self.resource(path)
        if special is not None:
            return special
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

    async def _arrive(self, *, late: bool) -> None:
        late |= await self._travel()
        self._note_arrival(self.clock.monotonic(), late=late)
        await self.clock.sleep(self.chance.uniform(*self.answer_seconds))

    async def _travel(self) -> bool:
        """The way there; whether it took longer than usual."""
        late = self.chance.random() < self.late_share
        late_seconds = self.chance.uniform(0.2, 1.0) if late else 0.0
        await self.clock.sleep(self.chance.uniform(0.01, 0.06) + late_seconds)
        return late


@dataclass(slots=True)
class FakeDestination:
    """One account through one connection, as one process sees it."""

    account: FakeActiveCampaign
    process: Process
    read_key: Callable[[], str]
    key: str = ""
    """Stands for its own mark, too."""

    def __post_init__(self) -> None:
        self.key = self.read_key()

    async def send_bulk(self, contacts: bytes, *, automations: bool) -> Verdict:
        request = self.account.take_bulk(
            contacts,
            automations=automations,
            key=self.key,
            run_id=SENDING_RUN.get(),
            late=self.process.was_held_up,
        )
        return await self._exchange(request, classify_bulk)

    async def batch_status(self, batch_id: str) -> BatchStatus | Verdict:
        request = self.account.tell(batch_id, self.key, late=self.process.was_held_up)
        return await self._exchange(request, classify_info)

    async def get(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        request = self.account.show(path, parameters, self.key, late=self.process.was_held_up)
        return await self._exchange(request, classify_resource)

    async def delete(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        return await self.get(path, parameters)

    async def _exchange(
        self, request: Coroutine[Any, Any, Answer], classify: Callable[[Answer, datetime], Meaning]
    ) -> Meaning | Verdict:
        """The answer to a request, which goes its way whatever becomes of the process that made it."""
        key = self.key
        exchange = asyncio.get_running_loop().create_task(_served(request), context=Context())
        reply = await asyncio.shield(exchange)
        await self.process.go_on()
        if isinstance(reply, Verdict):
            return reply
        if reply.status in {401, 403}:
            self.key = self.read_key()
            if self.key != key:
                return Verdict(VerdictKind.REKEYED)
        meaning = classify(reply, self.process.now())
        if isinstance(meaning, Verdict) and meaning.kind in {VerdictKind.DENIED, VerdictKind.UNPAID}:
            return replace(meaning, key_mark=key)
        return meaning


async def _served(request: Coroutine[Any, Any, Answer]) -> Answer | Verdict:
    """What the client makes of a request that is, or is not, answered."""
    try:
        return await request
    except LostAnswerError as error:
        await asyncio.sleep(error.seconds)
        if not error.connected:
            return Verdict(VerdictKind.UNAVAILABLE, "no connection (ClientConnectorError)")
        return Verdict(VerdictKind.UNKNOWN, "the answer got lost (TimeoutError)")


@dataclass(slots=True)
class FakeDestinations:
    """Opens accounts by their host."""

    process: Process
    accounts: dict[str, FakeActiveCampaign]
    unreadable_secrets: set[str]
    """Names of secrets that can't be read until somebody does something; shared by all processes."""
    keys: dict[str, str]
    """What secrets hold, by name, other than the first key; shared by all processes."""
    unavailable_secrets: set[str] = field(default_factory=set)
    """Names of secrets whose vault does not answer just now; shared by all processes."""

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
        if connection.secret in self.unavailable_secrets:
            raise SecretUnavailableError("the vault can't be reached")
        return self.keys.get(connection.secret, FIRST_KEY)
