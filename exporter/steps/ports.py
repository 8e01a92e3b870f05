"""What the steps need from outside; `exporter.adapters` holds what is real, tests what is pretended."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Generic, NamedTuple, Protocol, TypeVar

from exporter.domain.budget import AccountBudget
from exporter.domain.chunk import Chunk
from exporter.domain.configuration import Connection, Export
from exporter.domain.drop import DropRecord, Source
from exporter.domain.facts import Fact
from exporter.domain.pause import Pauses
from exporter.domain.recipe import QUIET_SECONDS, Recipe
from exporter.domain.reject import Reject
from exporter.domain.retention import DROP_DAYS
from exporter.domain.run import PlanRecord, Run
from exporter.domain.suppression import Suppressed
from exporter.domain.verdict import BatchStatus, Verdict
from exporter.domain.watermark import Watermark
from exporter.errors import NewerVersionError
from exporter.steps.events import Event, Metric, SpanName
from exporter.steps.messages import Message, Queue

Document = TypeVar("Document")


@dataclass(frozen=True, slots=True)
class Stored(Generic[Document]):
    """A document as it lies in storage; `etag` guards the next write of it."""

    value: Document
    etag: str


@dataclass(frozen=True, slots=True)
class StoredExport(Stored[Export]):
    """An export and since when it may take drops up by itself (storage's own clock)."""

    active_since: datetime


class Clock(Protocol):
    """Time, and waiting."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; for measuring one's own waiting."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Randomness(Protocol):
    """Jitter and names that nobody else has."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def token(self) -> str:
        """A name that no other process makes: 12 hex digits."""

    def secret(self) -> bytes:
        """32 bytes that nobody can guess."""


class Telemetry(Protocol):
    """Where events, spans and metrics go."""

    def event(self, event: Event, **fields: str | float | None) -> None:
        """Record that something happened; fields are ids, numbers and reasons, never people."""

    def span(
        self, name: SpanName, parent: str | None = None, **ids: str | int | None
    ) -> AbstractContextManager[str]:
        """Record how long something takes, and whether it fails; gives its place as a traceparent.

        `parent` is the traceparent that it belongs under; without one it opens a trace. Of an exception that
        leaves it the type is kept, never the text.
        """

    def about(self, **ids: str | int | None) -> None:
        """Add ids to the span that is open, if there is one."""

    def measure(self, metric: Metric, value: float, *, account: str, export_id: str | None = None) -> None:
        """Add a value to a metric."""


class Registry(Protocol):
    """Connections, exports and recipes, one small document each, swapped by ETag."""

    async def connections(self) -> dict[str, Stored[Connection]]:
        """All connections by id."""

    async def exports(self) -> dict[str, StoredExport]:
        """All exports by id."""

    async def recipes(self) -> dict[str, Stored[Recipe]]:
        """The user's own recipes by id; the built-in ones are not stored."""

    async def put_connection(self, connection: Connection, *, etag: str | None) -> None:
        """Write a connection; `etag` None creates it. Raises ConflictError when someone else was quicker."""

    async def put_export(self, export: Export, *, etag: str | None) -> None:
        """Write an export and set its `active_since` to now. Raises ConflictError likewise."""

    async def put_recipe(self, recipe: Recipe, *, etag: str | None) -> None:
        """Write a recipe; `etag` None creates it. Raises ConflictError when someone else was quicker."""

    async def remove_connection(self, connection_id: str, *, etag: str) -> None:
        """Remove a connection. Raises ConflictError when it changed meanwhile."""

    async def remove_export(self, export_id: str, *, etag: str) -> None:
        """Remove an export. Raises ConflictError when it changed meanwhile."""

    async def remove_recipe(self, recipe_id: str, *, etag: str) -> None:
        """Remove a recipe. Raises ConflictError when it changed meanwhile."""


class DropStore(Protocol):
    """The landing container, and what is recorded about the drops in it."""

    async def source(self, blob: str) -> Source | None:
        """The blob as it is now, or None when it is gone."""

    async def folder(self, prefix: str) -> list[Source]:
        """The blobs below a prefix that ends in a slash, sorted by name."""

    def read(self, source: Source) -> Iterator[bytes]:
        """The blob's bytes in blocks; blocking, for a thread of its own.

        Raises StopRunError("superseded") when it was overwritten since, ("source_gone") when deleted.
        """

    def open(self, source: Source) -> BinaryIO:
        """The blob's bytes by position, for a thread of its own; reading raises as `read` does."""

    async def content(self, source: Source, max_bytes: int) -> bytes | None:
        """All bytes of a small blob; None for one that is larger, gone, or another version by now."""

    async def record(self, record: DropRecord) -> bool:
        """Write a drop's record once; False when there is one already."""

    async def recorded(self, version: str) -> DropRecord | None:
        """What became of a drop."""

    async def put(self, blob: str, blocks: Iterable[bytes]) -> Source:
        """Write a blob into the landing container, as an upstream system would."""

    async def rewrite(self, source: Source, blocks: Iterable[bytes]) -> bool:
        """Put other bytes in a file's place, in the same drop: the file keeps its ETag and time for us.

        False, and nothing happens, where it was overwritten or deleted meanwhile.
        """

    async def remove(self, source: Source) -> None:
        """Delete a file. Raises ConflictError when it was overwritten meanwhile."""

    def records_untouched_since(self, moment: datetime) -> AsyncIterator[DropRecord]:
        """The records of drops that were written before a moment."""

    async def forget(self, version: str) -> None:
        """Delete a drop's record."""


class RunStore(Protocol):
    """The runs' own documents."""

    async def create(self, run: Run) -> bool:
        """Write a new run; False when it exists already."""

    async def load(self, run_id: str) -> Run | None:
        """The run as it is now."""

    async def update(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Swap the run for its changed self, again until nobody interferes; no write without a change.

        Raises StopRunError("run_gone") when there is no such run.
        """

    async def reopen(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Like `update`, for a change that takes a run out of its final state. Safe to repeat."""

    def all(self) -> AsyncIterator[Run]:
        """Every run that is kept, in no order."""

    def open(
        self, unreadable: Callable[[str, NewerVersionError | ValueError], None] | None = None
    ) -> AsyncIterator[Run]:
        """The runs that are not over, in no order; costs nothing for those that are.

        `unreadable` is told of a run that this version can't read; without it that is raised.
        """

    def untouched_since(self, moment: datetime) -> AsyncIterator[Run]:
        """The runs whose document was last written before a moment."""

    async def remove(self, run_id: str) -> None:
        """Delete a run's document."""


class PauseStore(Protocol):
    """What is paused beyond single runs."""

    async def load(self) -> Pauses:
        """The pauses as they are now."""

    async def update(self, change: Callable[[Pauses], Pauses]) -> Pauses:
        """Swap them for their changed selves, again until nobody interferes; no write without a change."""


class SuppressionStore(Protocol):
    """Whom connections must not send, as keyed digests."""

    async def load(self, connection_id: str) -> Suppressed:
        """Whom a plan must leave out now."""

    async def add(self, connection_id: str, address: str, since: datetime) -> datetime:
        """Put a person on the list for good; since when they are on it. Safe to repeat."""


class PlanWriter(Protocol):
    """Takes a plan's parts as they come; blocking, for the planning thread."""

    def chunk(self, chunk: Chunk) -> None:
        """Store a chunk."""

    def reject(self, reject: Reject) -> None:
        """Store a rejected row."""


class ChunkPlace(NamedTuple):
    """Where a chunk lies: under the epoch of its planner."""

    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class PlanParts:
    """What planners left of one run: those whose plan holds, and those who did not come to an end."""

    run_id: str
    chunks: tuple[ChunkPlace, ...]
    rejects: tuple[int, ...]
    """The epochs whose rejected rows are kept."""


class PlanStore(Protocol):
    """Plans: chunks, rejected rows, and the record that makes them hold."""

    def writer(self, run_id: str, epoch: int) -> AbstractAsyncContextManager[PlanWriter]:
        """A writer for one attempt at a plan; leaving it without an error makes the rejects readable."""

    async def finish(self, run_id: str, record: PlanRecord) -> PlanRecord:
        """Write the record once; the one that holds comes back (another planner may have been quicker)."""

    async def record(self, run_id: str) -> PlanRecord | None:
        """The plan that holds, or None while there is none."""

    async def chunk(self, run_id: str, epoch: int, number: int) -> Chunk:
        """A stored chunk. Raises StopRunError("state_lost") when it is gone."""

    def rejects(self, run_id: str, epoch: int) -> AsyncIterator[Reject]:
        """The rows rejected while planning, in the order of the files."""

    def parts(self) -> AsyncIterator[PlanParts]:
        """What is stored of every run's plans."""

    async def replace_chunk(self, run_id: str, epoch: int, chunk: Chunk) -> None:
        """Put another chunk of the same shape in the place of a stored one."""

    async def replace_rejects(self, run_id: str, epoch: int, rejects: Sequence[Reject]) -> None:
        """Put other rows in the place of the stored ones."""

    async def remove_chunks(self, run_id: str, places: Sequence[ChunkPlace]) -> None:
        """Delete chunks; those that are gone already are fine."""

    async def remove_rejects(self, run_id: str, epochs: Sequence[int]) -> None:
        """Delete rejected rows; those that are gone already are fine."""

    async def remove(self, run_id: str) -> None:
        """Delete all plans of a run."""


class FactStore(Protocol):
    """The facts of the runs: documents that are written once."""

    async def write(self, run_id: str, name: str, facts: Sequence[Fact]) -> None:
        """Write one document of facts; `name` is unique in the run. The same again is fine."""

    async def read(self, run_id: str) -> list[Fact]:
        """All facts of a run, in no order."""

    async def remove(self, run_id: str) -> None:
        """Delete all facts of a run."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on something until a moment; whoever claims next gets a higher epoch."""

    name: str
    epoch: int
    until: datetime
    etag: str
    clean: bool = True
    """Whether nobody had it before, or the last owner gave it back in order, rather than vanished."""


class ClaimStore(Protocol):
    """Claims, one small document each."""

    async def acquire(self, name: str, owner: str, seconds: float) -> Claim | datetime:
        """Claim something; the moment when the present claim ends, if somebody has it."""

    async def free(self, name: str) -> bool:
        """Whether nobody has a claim on something."""

    async def renew(self, claim: Claim, owner: str, seconds: float) -> Claim | None:
        """Prolong a claim; None when it was lost."""

    async def release(self, claim: Claim, *, clean: bool = True) -> bool:
        """Give a claim back; False, and nothing happens, where somebody else has claimed it since.

        With `clean` False the next owner learns that something may have been left without a trace.
        """

    async def remove(self, run_id: str) -> None:
        """Delete all claims of a run."""


class BudgetStore(Protocol):
    """The accounts' budgets."""

    async def update(
        self, account: str, change: Callable[[AccountBudget], AccountBudget], *, rebuilt: AccountBudget
    ) -> AccountBudget:
        """Swap an account's budget for its changed self, again until nobody interferes.

        A new account starts empty; a document that was lost starts as `rebuilt`.
        """

    async def load(self, account: str) -> AccountBudget:
        """The budget as it is now, empty when there is none."""


class WatermarkStore(Protocol):
    """The newest planned snapshot of each export and segment."""

    async def advance(self, export_id: str, segment: str, mark: Watermark) -> Watermark | None:
        """Put the mark where it is the newest; what stood there before comes back."""

    async def load(self, export_id: str, segment: str) -> Watermark | None:
        """The mark as it is now."""


class WorkQueue(Protocol):
    """The queues."""

    async def send(self, queue: Queue, message: Message, *, delay_seconds: float = 0.0) -> None:
        """Put a message; it becomes visible after the delay (at most 7 days)."""

    async def put_back(self, queue: Queue, text: str, *, delay_seconds: float) -> None:
        """Put a message that came from this queue anew, as it is."""


class PoisonStore(Protocol):
    """Messages that the platform gave up on, kept for whoever looks into it."""

    async def keep(self, queue: str, text: bytes) -> None:
        """Keep a message; the same one again is fine."""

    async def delete(self, unwanted: Callable[[str], bool]) -> int:
        """Delete kept messages by their text; how many there were."""

    async def forget_before(self, moment: datetime) -> int:
        """Delete the messages that were kept before a moment; how many there were."""


class ReportStore(Protocol):
    """What is left of a run for people."""

    async def write_rejects(self, run_id: str, rejects: AsyncIterator[Reject]) -> None:
        """Write the run's rejects file; an earlier one is replaced."""

    def read_rejects(self, run_id: str) -> AsyncIterator[bytes]:
        """The rejects file in blocks; raises ConfigurationError when there is none."""

    def run_ids(self) -> AsyncIterator[str]:
        """The runs that have a rejects file."""

    async def remove(self, run_id: str) -> None:
        """Delete a run's rejects file; that there is none is fine."""


class RetentionLog(Protocol):
    """When retention last went through everything."""

    async def last_at(self) -> datetime | None:
        """When the last complete look began; None before the first one."""

    async def note(self, at: datetime) -> None:
        """Note the beginning of a look that came to its end."""


class SignsOfLife(Protocol):
    """What the running app leaves behind, so that it, and `exporter doctor`, can tell that it runs."""

    async def beat(self) -> bool:
        """Say that the timer fires; written at most once a minute. True where it was written."""

    async def acknowledge(self, token: str) -> None:
        """Say that the test drop with this token was announced."""

    async def heartbeat_age_seconds(self) -> float | None:
        """How long ago somebody last said that the timer fires; None where nobody ever did."""


class Remains(Protocol):
    """What lies around beside the exporter's own documents."""

    async def delete_dead_messages(self, unwanted: Callable[[str], bool]) -> int:
        """Delete messages of poison queues by their text; how many there were."""

    async def soft_delete_days(self) -> int | None:
        """How long storage keeps what was deleted or overwritten; None where it does not, or won't tell."""


class Destination(Protocol):
    """One ActiveCampaign account, seen through one connection. Nothing here paces itself or tries again."""

    async def send_bulk(self, contacts: bytes, *, automations: bool) -> Verdict:
        """Post one body; `contacts` is the JSON array."""

    async def batch_status(self, batch_id: str) -> BatchStatus | Verdict:
        """Ask what became of a batch; a Verdict when the question itself failed."""

    async def get(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        """Read a resource below /api/3; a Verdict when that failed."""

    async def delete(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        """Delete a resource below /api/3; a Verdict when that failed."""


class Destinations(Protocol):
    """Opens destinations; holds their sessions and keys."""

    def open(self, connection: Connection) -> AbstractAsyncContextManager[Destination]:
        """The destination of a connection.

        Raises ConfigurationError when its key can't be read, SecretUnavailableError while the vault is away.
        """

    async def key_mark(self, connection: Connection) -> str:
        """The mark of the key that the connection's secret holds now, read anew.

        Raises ConfigurationError when it can't be read, SecretUnavailableError while the vault is away.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that a step may touch. `owner` names this process in claims."""

    owner: str
    clock: Clock
    randomness: Randomness
    telemetry: Telemetry
    registry: Registry
    drops: DropStore
    runs: RunStore
    pauses: PauseStore
    suppression: SuppressionStore
    plans: PlanStore
    facts: FactStore
    claims: ClaimStore
    budgets: BudgetStore
    watermarks: WatermarkStore
    queue: WorkQueue
    poison: PoisonStore
    reports: ReportStore
    signs: SignsOfLife
    retention: RetentionLog
    remains: Remains
    destinations: Destinations
    is_outage: Callable[[BaseException], bool]
    """Whether an error says that storage does not serve just now."""
    quiet: timedelta = timedelta(seconds=QUIET_SECONDS)
    """How long nothing may have been written of a drop that nothing else shows to be whole."""
    drop_retention: timedelta | None = timedelta(days=DROP_DAYS)
    """How long drops that are no longer needed stay; None: until somebody else deletes them."""
