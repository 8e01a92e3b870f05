"""A preview: what an export would make of a file, down to the bytes of a request; nothing is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from exporter.domain.chunk import Chunk, request_body
from exporter.domain.configuration import Connection, Export
from exporter.domain.planning import PlanSummary, plan_drop
from exporter.domain.read_as import read_as
from exporter.domain.reject import Reject
from exporter.domain.run import Counts, RunError
from exporter.domain.source_file import SourceFile
from exporter.errors import StopRunError
from exporter.steps.plan import judge_rejects
from exporter.steps.ports import Ports
from exporter.steps.preflight import resolve_mapping

MAX_REJECTS = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run of the file would begin with."""

    counts: Counts
    """As before the first request: what would be sent is `undelivered`."""
    reasons: dict[str, int]
    bulk_requests: int
    request: dict[str, Any]
    """The body of the first request, its contacts cut to those asked for."""
    rejects: list[Reject]
    """The first rows that would be rejected."""
    would_stop: RunError | None
    """Why a run would send nothing at all."""
    readings: tuple[str, ...]
    """How the files are read, a sentence for each way."""


@dataclass(slots=True)
class _Beginning:
    """Keeps the first of what a plan hands over."""

    first: int
    contacts: list[Any] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def take(self, chunk: Chunk) -> None:
        for body in chunk.bodies:
            if len(self.contacts) >= self.first:
                return
            self.contacts += orjson.loads(body.contacts)[: self.first - len(self.contacts)]

    def reject(self, reject: Reject) -> None:
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(reject)


async def preview(
    export: Export,
    connection: Connection,
    files: Sequence[SourceFile],
    ports: Ports,
    *,
    first: int,
) -> Preview:
    """Read, check and pack files as a run would, against the account's list and fields.

    Raises StopRunError where a run would fail,
    RetryLaterError when ActiveCampaign does not answer.
    """
    mapping = await resolve_mapping(export, connection, ports, holds_account=False)
    beginning = _Beginning(first)
    summary = plan_drop(
        files,
        mapping,
        content=export.content,
        on_chunk=beginning.take,
        on_reject=beginning.reject,
        suppressed=await ports.suppression.load(connection.id),
    )
    request = request_body(orjson.dumps(beginning.contacts), automations=export.automations)
    return Preview(
        counts=Counts(
            rows=summary.rows,
            rejected=summary.rejected,
            duplicates=summary.duplicates,
            suppressed=summary.suppressed,
            unchanged=summary.unchanged,
            undelivered=summary.contacts,
        ),
        reasons=summary.reasons,
        bulk_requests=sum(summary.bodies_per_chunk),
        request=orjson.loads(request),
        rejects=beginning.rejects,
        would_stop=_verdict(summary, export.tolerated_reject_percentage),
        readings=read_as(summary.readings),
    )


def _verdict(summary: PlanSummary, tolerated_percentage: float) -> RunError | None:
    """What planning would say to the share of rejects."""
    try:
        judge_rejects(summary.rows, summary.rejected, summary.reasons, tolerated_percentage)
    except StopRunError as error:
        return RunError(code=error.code, message=str(error))
    return None
