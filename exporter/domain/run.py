"""A run: one execution of one export for one drop and one cause."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from exporter.domain.configuration import Connection, Content, Export
from exporter.domain.dialect import UNDECLARED, Dialect
from exporter.domain.drop import Source, drop_version
from exporter.domain.pause import Pause, Pauses
from exporter.domain.trace import Traceparent

SCHEMA: Final = 4
"""2: a run may be abandoned. 3: it may name its trace. 4: it knows its drop's recipe, dialect and seal."""
SHORT_ID_DIGITS: Final = 12


class RunState(StrEnum):
    """Where a run is; states only move forward."""

    QUEUED = "queued"
    PLANNING = "planning"
    DELIVERING = "delivering"
    SETTLING = "settling"
    PAUSED = "paused"
    """Only in reports: the run stands in one of the states above, and waits for a person to resume it."""
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        """Whether the run is over."""
        return self not in _OPEN_STATES


_OPEN_STATES: Final = frozenset(
    {RunState.QUEUED, RunState.PLANNING, RunState.DELIVERING, RunState.SETTLING, RunState.PAUSED}
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunError(_Document):
    """Why a run stopped: a stable code for programs, and a sentence that says what to do."""

    code: str
    message: str


class Counts(_Document):
    """What became of the rows; the right side adds up to the left one, always:

    rows = rejected + duplicates + suppressed + unchanged + delivered + refused + undelivered
    """

    rows: int = 0
    rejected: int = 0
    duplicates: int = 0
    suppressed: int = 0
    unchanged: int = 0
    delivered: int = 0
    refused: int = 0
    undelivered: int = 0

    @property
    def add_up(self) -> bool:
        """Whether every row is in exactly one place."""
        return self.rows == (
            self.rejected
            + self.duplicates
            + self.suppressed
            + self.unchanged
            + self.delivered
            + self.refused
            + self.undelivered
        )


class RequestCounts(_Document):
    """Requests that the run made: bulk imports, status questions, and those that were throttled."""

    bulk: int = 0
    status: int = 0
    throttled: int = 0


class RunReport(_Document):
    """A run told to people and programs; the shape is a contract."""

    run_id: str
    export_id: str | None
    segment: str
    source: tuple[str, ...]
    cause: str
    state: RunState
    retrying: bool
    waiting_for: str | None
    counts: Counts
    reasons: dict[str, int]
    requests: RequestCounts
    automations_withheld: int
    started_at: datetime | None
    completed_at: datetime | None
    error: RunError | None


class Run(_Document):
    """The run's own document: small, swapped by ETag."""

    schema_number: int = SCHEMA
    run_id: str
    segment: str
    sources: tuple[Source, ...]
    cause: str
    export: Export | None
    """As it was when the run was ordered; later edits do not touch the run."""
    connection: Connection | None
    ordered_at: datetime
    first: int | None = None
    """Send only so many contacts, the first valid ones of the drop, to look at them; None sends all."""
    recipe: str | None = None
    """By which recipe its drop was recognised; None for a run that an earlier version has ordered."""
    dialect: Dialect = UNDECLARED
    """What is declared of the drop's files, by the recipe or by what came with the files."""
    sealed: bool = False
    """Whether `sources` are final: until then late parts of the same drop join the run."""
    trace: Traceparent | None = None
    """Under this place stands all that is done for the run, also what is put anew after an interruption.

    None for a run that an earlier version of the app has ordered.
    """

    state: RunState = RunState.QUEUED
    started_at: datetime | None = None
    completed_at: datetime | None = None
    plan_epoch: int | None = None
    """Which plan holds; chunks and rejects lie under it."""
    planned_at: datetime | None = None
    stopped: RunError | None = None
    """Nothing more is sent; what was accepted is still settled. The first reason stays."""
    abandoned: bool = False
    """What was accepted can't be followed to its end: it counts as undelivered."""
    pause: Pause | None = None
    """Nothing is sent until somebody resumes the run; what was accepted is settled meanwhile."""
    redriven_at: datetime | None = None
    """When a run that had ended was put on its way again: tries are counted anew from here."""
    counted: Counts | None = None
    """What the metrics took from the run when it ended before that."""
    waiting_for: str | None = None
    waiting_since: datetime | None = None
    next_try_at: datetime | None = None
    """When a plan or chunk that was put back is due; the sweep leaves it alone until then."""
    settle_turn: int = 0
    """The settlement turn that may run next; 0 until the first receipt."""
    failed_turn: int | None = None
    """The turn of the message whose settling failed: when it comes back it may have the next one."""
    next_check_at: datetime | None = None
    """When that turn is due; the sweep restarts a chain that is overdue. None while there is no chain."""
    late_asked_at: datetime | None = None
    """When batches that take far longer than usual were last asked about, and were not final."""
    late_asked_through: datetime | None = None
    """The latest acceptance among these."""
    report: RunReport | None = None
    """Set with the final state."""

    @property
    def export_id(self) -> str | None:
        """The export's id, or None for a drop that no export takes."""
        return self.export.id if self.export else None

    @property
    def content(self) -> Content:
        """Whether its drop holds everybody in the segment, or changes."""
        return self.export.content if self.export else "snapshot"

    @property
    def short_id(self) -> str:
        """As much of the id as people need; commands take it."""
        return self.run_id[:SHORT_ID_DIGITS]

    @property
    def sendable(self) -> bool:
        """Whether bodies may leave."""
        return self.state in {RunState.DELIVERING, RunState.SETTLING} and self.stopped is None

    @property
    def takes_late_parts(self) -> bool:
        """Whether more files of its drop may join the run; never one that an earlier version has ordered."""
        may_grow = self.recipe is not None and not self.sealed
        return may_grow and self.plan_epoch is None and self.stopped is None and not self.state.final

    @property
    def tries_since(self) -> float:
        """Seconds since the epoch from which on tries are counted."""
        return self.redriven_at.timestamp() if self.redriven_at else 0.0

    def held_by(self, pauses: Pauses) -> str | None:
        """Why a person keeps the run from sending, and what ends that; None where nobody does."""
        if self.state.final or self.stopped is not None:
            return None
        if self.pause is not None:
            return f"the run is paused {self.pause.told()} (`exporter run resume {self.short_id}` ends that)"
        return pauses.over(self.connection.id) if self.connection else None


def run_id_for(export_id: str | None, drop: str, cause: str) -> str:
    """The id of a run: the same export, drop version and cause are the same run. 32 hex digits."""
    return hashlib.sha256(f"{export_id or ''}\n{drop}\n{cause}".encode()).hexdigest()[:32]


def new_run(
    export: Export,
    connection: Connection,
    segment: str,
    sources: tuple[Source, ...],
    cause: str,
    ordered_at: datetime,
    *,
    first: int | None = None,
    recipe: str | None = None,
    dialect: Dialect = UNDECLARED,
    sealed: bool = False,
    trace: str | None = None,
) -> Run:
    """A run of a drop, with the configuration as it is now."""
    return Run(
        run_id=run_id_for(export.id, drop_version(sources), cause),
        segment=segment,
        sources=sources,
        cause=cause,
        export=export,
        connection=connection,
        ordered_at=ordered_at,
        first=first,
        recipe=recipe,
        dialect=dialect,
        sealed=sealed,
        trace=trace,
    )


def final_state(run: Run, counts: Counts) -> RunState:
    """How a planned run ended, by its counts."""
    if run.stopped is not None and run.stopped.code in {RunState.CANCELLED, RunState.SUPERSEDED}:
        return RunState(run.stopped.code)
    tolerated = run.export.tolerated_reject_percentage if run.export else 0
    # Where only the first contacts are sent, the plan has judged the rejected rows of the whole drop.
    bad = counts.refused + (counts.rejected if run.first is None else 0)
    within_tolerance = 100 * bad <= tolerated * counts.rows
    if run.stopped is None and counts.undelivered == 0 and within_tolerance:
        return RunState.SUCCEEDED
    return RunState.PARTLY_FAILED if counts.delivered else RunState.FAILED


class PlanRecord(_Document):
    """A finished plan, written once: what the fold counts against.

    `bodies[chunk][body]` is a number of contacts.
    """

    schema_number: int = 2
    """2: it counts unchanged rows, and says how the files were read."""
    epoch: int
    rows: int
    rejected: int
    duplicates: int
    suppressed: int = 0
    unchanged: int = 0
    reasons: dict[str, int]
    bodies: tuple[tuple[int, ...], ...]
    readings: tuple[str, ...] = ()
    """How the files were read, a sentence for each way."""

    @property
    def contacts(self) -> int:
        """Contacts to send."""
        return sum(sum(chunk) for chunk in self.bodies)
