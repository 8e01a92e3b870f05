"""Accepted bulk posts on their way to a final status; where one stands follows from the clock."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from .settings import SimulatorSettings

BatchEnd = Literal["completed", "failed", "interrupted", "stuck"]
BatchStatus = Literal[False, "waiting", "claimed", "active", "completed", "failed", "interrupted", "stuck"]

PHASES: tuple[BatchStatus, ...] = (False, "waiting", "claimed", "active")
"""The statuses before the final one, in order."""


@dataclass(slots=True)
class Batch:
    """One accepted bulk post."""

    accepted_at: float
    contact_count: int
    body: bytes
    """The post's body until the batch is final, then empty."""
    exclude_automations: bool
    callback: dict[str, Any] | None
    list_ids: frozenset[int] | None
    """The lists that the key may see; none means all."""
    end: BatchEnd
    """The final status; a `stuck` batch waits for ever."""
    id: str
    ends_at: float = 0.0
    phase: int = 0
    """The index into `PHASES`, moved by steps only."""
    finished_at: float | None = None
    success: tuple[int, ...] = ()
    failure: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the batch has no final status yet."""
        return self.finished_at is None


def new_batch_id() -> str:
    """Return a fresh UUID."""
    return str(uuid4())


class BatchQueue:
    """All batches of the account; it processes one after the other at the account's rate."""

    def __init__(self) -> None:
        self.by_id: dict[str, Batch] = {}
        self._open: list[tuple[float, int, Batch]] = []
        self._busy_until = 0.0

    @property
    def open_batches(self) -> list[Batch]:
        """The batches that can still end, in the order of their ends."""
        return [batch for _, _, batch in sorted(self._open)]

    def accept(self, batch: Batch, settings: SimulatorSettings) -> None:
        """Queue a batch; its end is fixed here, since nothing overtakes."""
        batch.ends_at = self._end(batch, settings)
        self.by_id[batch.id] = batch
        if batch.end != "stuck":
            heapq.heappush(self._open, (batch.ends_at, len(self.by_id), batch))

    def _end(self, batch: Batch, settings: SimulatorSettings) -> float:
        now = batch.accepted_at
        if not settings.limits_enforced:
            return now + settings.unlimited_processing_seconds
        work = batch.contact_count * 60.0 / settings.contacts_per_minute
        self._busy_until = max(self._busy_until, now) + work
        return max(now + settings.processing_seconds, self._busy_until)

    def due(self, now: float) -> Iterator[Batch]:
        """Take out the batches whose end has come, oldest end first."""
        while self._open and self._open[0][0] <= now:
            yield heapq.heappop(self._open)[2]

    def step(self, phases: int, batch_id: str | None) -> list[Batch]:
        """Move open batches some phases on; return those that have come to their end."""
        ended: list[Batch] = []
        for batch in self.by_id.values():
            if not batch.open or batch_id not in {None, batch.id}:
                continue
            batch.phase += phases
            if batch.end == "stuck":
                batch.phase = min(batch.phase, PHASES.index("waiting"))
            elif batch.phase >= len(PHASES):
                ended.append(batch)
        self._open = [entry for entry in self._open if entry[2].phase < len(PHASES)]
        heapq.heapify(self._open)
        return ended

    def status(self, batch: Batch, now: float, settings: SimulatorSettings) -> BatchStatus:
        """Return what `import/info` says of a batch.

        The last two seconds before the end are `active`, the one before `claimed`; a batch that takes less
        than six seconds goes through its phases in proportion.
        """
        if not batch.open:
            return batch.end
        if settings.processing == "step":
            return PHASES[batch.phase]
        total = batch.ends_at - batch.accepted_at
        unit = min(1.0, total / 6.0)
        if now < batch.accepted_at + settings.status_false_seconds * unit:
            return False
        if batch.end == "stuck" or now < batch.ends_at - 3 * unit:
            return "waiting"
        return "claimed" if now < batch.ends_at - 2 * unit else "active"
