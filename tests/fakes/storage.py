"""Blob storage in memory, as one process sees it: latency, ETags, and a process that may die at any write."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from exporter.errors import ConflictError, RetryLaterError
from exporter.steps.ports import Clock
from tests.fakes.clock import FakeClock, Standstill

_MAX_SWAPS: Final = 20
JUST_NOW_SECONDS: Final = 1.0


class ProcessDiedError(BaseException):
    """A process is gone: nothing of it runs any further, least of all its error handling."""


@dataclass(frozen=True, slots=True)
class Document:
    """What lies under a name; `etag` is None where there is nothing."""

    data: bytes
    etag: str | None


class Nemesis(Protocol):
    """Whatever goes wrong with storage and processes; either method may raise, wait, freeze or kill."""

    async def before(self, process: "Process") -> None:
        """An operation of storage or queues is about to take effect."""

    async def after(self, process: "Process") -> None:
        """It has taken effect, and the answer is on its way."""

    async def between(self, process: "Process") -> None:
        """An operation, a request or a wait is over, and the process is about to go on."""

    def meets_own_write(self, process: "Process") -> bool:
        """Whether the answer to a write got lost, so that its repetition finds it done."""


class _Peace:
    """Nothing goes wrong."""

    async def before(self, process: "Process") -> None:
        pass

    async def after(self, process: "Process") -> None:
        pass

    async def between(self, process: "Process") -> None:
        pass

    def meets_own_write(self, process: "Process") -> bool:
        return False


@dataclass(slots=True)
class FakeStorage:
    """What all processes share."""

    clock: Clock
    chance: random.Random
    slowest_seconds: float = 0.04
    documents: dict[str, Document] = field(default_factory=dict)
    conflict_count: int = 0
    nemesis: Nemesis = field(default_factory=_Peace)
    on_write: list[Callable[[str, bytes], None]] = field(default_factory=list)
    """Told each document's name and what it holds from now on."""
    _version: int = 0

    def put(self, name: str, data: bytes) -> str:
        """Write without any condition."""
        self._version += 1
        etag = f'"{self._version}"'
        self.documents[name] = Document(data, etag)
        for tell in self.on_write:
            tell(name, data)
        return etag

    async def take_time(self) -> None:
        """As long as one operation lasts."""
        await self.clock.sleep(self.chance.uniform(0.1, 1) * self.slowest_seconds)


@dataclass(slots=True)
class Process:
    """One process's way to storage and queues; with `dies_before_write`, it ends before that write."""

    storage: FakeStorage
    owner: str
    dies_before_write: int | None = None
    """Counted from 0 over documents and messages alike."""
    write_count: int = 0
    is_dead: bool = False
    on_death: list[Callable[[], None]] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    """Its own, which may be a little wrong."""
    standstill: Standstill = field(default_factory=Standstill)
    held_up_until: float = -math.inf
    """When a fault last kept it from going on."""

    @property
    def was_held_up(self) -> bool:
        """Whether it was kept from going on until a moment ago, so that what it sends now may be late."""
        return self.clock.monotonic() - self.held_up_until < JUST_NOW_SECONDS

    def now(self) -> datetime:
        """The present moment by the process's own clock."""
        return self.clock.now()

    def stand_still(self, seconds: float) -> None:
        """Let nothing of the process run for a while, as on an instance that the platform has frozen."""
        self.standstill.since = self.clock.monotonic()
        self.standstill.until = self.standstill.since + seconds

    async def operate(self) -> None:
        """Take the time of an operation, unless the process is dead."""
        self._check()
        await self.storage.take_time()
        await self.storage.nemesis.before(self)
        self._check()

    async def come_back(self) -> None:
        """Learn how an operation went, unless the process is dead by then."""
        await self.storage.nemesis.after(self)
        await self.go_on()

    async def go_on(self) -> None:
        """Go on after something that was waited for, unless the process is dead by then."""
        await self.storage.nemesis.between(self)
        self._check()

    async def operate_write(self) -> None:
        """Take the time of a write, or die before it."""
        self._check()
        if self.write_count == self.dies_before_write:
            self.die()
            raise ProcessDiedError(self.owner)
        self.write_count += 1
        await self.operate()

    def die(self) -> None:
        """End here and now."""
        self.is_dead = True
        for end in self.on_death:
            end()

    def _check(self) -> None:
        if self.is_dead:
            raise ProcessDiedError(self.owner)

    async def read(self, name: str) -> Document:
        """The document as it is now."""
        await self.operate()
        document = self.storage.documents.get(name, Document(b"", None))
        await self.come_back()
        return document

    async def replace(self, name: str, data: bytes, *, etag: str | None) -> str:
        """Write over the version `etag`, None for the first. Raises ConflictError for another version."""
        await self.operate_write()
        known = self.storage.documents.get(name)
        if (known.etag if known else None) != etag:
            self.storage.conflict_count += 1
            raise ConflictError(f"{name} changed meanwhile")
        written = self.storage.put(name, data)
        await self.come_back()
        return written

    async def create(self, name: str, data: bytes) -> bool:
        """Write what must not exist; False when it does."""
        try:
            await self.replace(name, data, etag=None)
        except ConflictError:
            return False
        return not self.storage.nemesis.meets_own_write(self)

    async def clear(self, name: str) -> None:
        """Delete a document; nothing happens when there is none."""
        await self.operate_write()
        self.storage.documents.pop(name, None)
        await self.come_back()

    async def remove(self, *names: str) -> None:
        """Delete documents; those that are gone are fine."""
        for name in names:
            await self.clear(name)

    async def swap(self, name: str, change: Callable[[Document], bytes | None]) -> None:
        """Change a document again and again until nobody interferes."""
        for _ in range(_MAX_SWAPS):
            document = await self.read(name)
            changed = change(document)
            if changed is None:
                return
            try:
                await self.replace(name, changed, etag=document.etag)
            except ConflictError:
                await self.storage.take_time()
            else:
                return
        raise RetryLaterError(f"{name} is swapped by too many at once")

    async def names(self, prefix: str) -> list[str]:
        """The names below a prefix, sorted."""
        await self.operate()
        names = sorted(self.matching(prefix))
        await self.come_back()
        return names

    def matching(self, prefix: str) -> Iterator[str]:
        """The names below a prefix."""
        return (name for name in self.storage.documents if name.startswith(prefix))


class ProcessClock(FakeClock):
    """A process's clock, which waits as long as the process exists and is not held up."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    def now(self) -> datetime:
        return self._process.now()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self._process.go_on()
