"""One course: segments are dropped, faults happen and people interfere, all of it drawn from one seed."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from exporter.domain.configuration import Connection, Export
from exporter.domain.drop import Source
from exporter.domain.run import Run
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.world import World
from tests.simulation.faults import Trouble
from tests.simulation.history import History

SKEW_SECONDS: Final = 0.25
LONGEST_HOURS: Final = 60.0
"""A batch without a final state is given up after a day; twice that is for ever."""
MISSED_SECONDS: Final = 300.0
"""So long after a drop at the latest the sweep has found it."""


class Act(StrEnum):
    """What people do, beyond dropping segments."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    REDRIVE = "redrive"
    PAUSE_CONNECTION = "pause connection"
    RESUME_CONNECTION = "resume connection"
    PAUSE_ALL = "pause all"
    RESUME_ALL = "resume all"
    ORDER = "run on demand"
    FIRST_SEND = "first send"
    OVERWRITE = "overwrite the newest file"
    UNSUBSCRIBE = "a contact unsubscribes"
    REVOKE_KEY = "a key is revoked"
    REPLACE_KEY = "a key is replaced"


@dataclass(frozen=True, slots=True)
class Drop:
    """A file as it landed; its rows carry its number as their value."""

    number: int
    segment: str
    source: Source
    rows: tuple[str, ...]
    """The addresses as they stand, in order."""

    @property
    def value(self) -> str:
        """What each of its contacts carries."""
        return f"v{self.number}"

    def valid(self, first: int | None = None) -> dict[str, int]:
        """The addresses that become contacts, with their row numbers; only so many where asked for."""
        found: dict[str, int] = {}
        for number, address in enumerate(self.rows, start=1):
            if "@" in address and address not in found and (first is None or len(found) < first):
                found[address] = number
        return found


@dataclass(slots=True)
class Stop:
    """From when until when nothing of some runs may leave; `lifted_at` is open until somebody lifts it."""

    what: Act
    since: float
    run_id: str | None = None
    connection_id: str | None = None
    lifted_at: float | None = None


@dataclass
class Course:
    """A world under way, and what whoever checks it afterwards needs to know."""

    seed: int
    world: World
    trouble: Trouble
    lines: list[str]
    """What happened, each with its moment."""
    note: Callable[[str], None]
    """Adds a line."""
    history: History
    exports: list[Export] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    drops: dict[str, Drop] = field(default_factory=dict)
    """By the ETag of their file."""
    stops: list[Stop] = field(default_factory=list)
    opted_out: set[tuple[str, str, str]] = field(default_factory=set)
    """Connection, address and list of who has unsubscribed or bounced."""
    acts: Counter[Act] = field(default_factory=Counter)
    """What people did, where it was not refused."""

    @property
    def has_peace(self) -> bool:
        """Whether neither faults nor people interfered."""
        return not self.trouble.odds and not self.acts

    def account(self, connection_id: str | None) -> FakeActiveCampaign:
        """The account behind a connection."""
        (connection,) = [known for known in self.connections if known.id == connection_id]
        return self.world.accounts[connection.host]

    def drop_of(self, run: Run) -> Drop:
        """The drop that a run sends."""
        (source,) = run.sources
        return self.drops[source.etag]

    def digest(self) -> str:
        """Of all that happened and of all that is left in storage: the same seed gives the same digest."""
        digest = hashlib.sha256("\n".join(self.lines).encode())
        for name, document in sorted(self.world.storage.documents.items()):
            digest.update(f"{name}={len(document.data)}".encode() + document.data)
        return digest.hexdigest()
