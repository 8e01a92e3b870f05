"""Blob storage in memory, as one process sees it: latency, ETags, and a process that may die at any write."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from exporter.errors import ConflictError
from exporter.steps.ports import Clock

_MAX_SWAPS: Final = 20


class ProcessDiedError(BaseException):
    """A process is gone: nothing of it runs any further, least of all its error handling."""


class StorageDownError(Exception):
    """Storage did not serve, and the SDK's own tries are used up."""


@dataclass(frozen=True, slots=True)
class Document:
    """What lies under a name; `etag` is None where there is nothing."""

    data: bytes
    etag: str | None


@dataclass(slots=True)
class FakeStorage:
    """What all processes share."""

    clock: Clock
    chance: random.Random
    slowest_seconds: float = 0.04
    documents: dict[str, Document] = field(default_factory=dict)
    conflict_count: int = 0
    _version: int = 0

    def put(self, name: str, data: bytes) -> str:
        """Write without any condition."""
        self._version += 1
        etag = f'"{self._version}"'
        self.documents[name] = Document(data, etag)
        return etag

    async def take_time(self) -> None:
        """As long as one operation lasts."""
        await self.clock.sleep(self.chance.uniform(0.1, 1) * self.slowest_seconds)


@dataclass(slots=True)
class Process:
    """One process's way to storage and queues; with `dies_before_write`, it ends before that write."""

    storage: FakeStorage
    owner: str
    clock_off_seconds: float = 0.0
    """By how much the process's clock differs from storage's."""
    frozen_until: float = 0.0
    """On the monotonic clock: until then the process stands still, and nobody can tell it from a dead one."""
    dies_before_write: int | None = None
    """Counted from 0 over documents and messages alike."""
    write_count: int = 0
    is_dead: bool = False
    on_death: list[Callable[[], None]] = field(default_factory=list)

    async def operate(self) -> None:
        """Take the time of an operation, unless the process is dead."""
        self._check()
        await self.storage.take_time()
        await self.thaw()

    async def operate_write(self) -> None:
        """Take the time of a write, or die before it."""
        self._check()
        if self.write_count == self.dies_before_write:
            self.die()
            raise ProcessDiedError(self.owner)
        self.write_count += 1
        await self.operate()

    async def thaw(self) -> None:
        """Stand still for as long as the process is frozen."""
        while (missing := self.frozen_until - self.storage.clock.monotonic()) > 0:
            await self.storage.clock.sleep(missing)
        self._check()

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
        return self.storage.documents.get(name, Document(b"", None))

    async def replace(self, name: str, data: bytes, *, etag: str | None) -> str:
        """Write over the version `etag`, None for the first. Raises ConflictError for another version."""
        await self.operate_write()
        known = self.storage.documents.get(name)
        if (known.etag if known else None) != etag:
            self.storage.conflict_count += 1
            raise ConflictError(f"{name} changed meanwhile")
        return self.storage.put(name, data)

    async def create(self, name: str, data: bytes) -> bool:
        """Write what must not exist; False when it does."""
        try:
            await self.replace(name, data, etag=None)
        except ConflictError:
            return False
        return True

    async def remove(self, *names: str) -> None:
        """Delete documents; those that are gone are fine."""
        for name in names:
            await self.operate_write()
            self.storage.documents.pop(name, None)

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
        raise ConflictError(f"{name} is swapped by too many at once")

    async def names(self, prefix: str) -> list[str]:
        """The names below a prefix, sorted."""
        await self.operate()
        return sorted(self.matching(prefix))

    def matching(self, prefix: str) -> Iterator[str]:
        """The names below a prefix."""
        return (name for name in self.storage.documents if name.startswith(prefix))
