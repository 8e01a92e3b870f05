"""The moments at which a process is killed: before and after each kind of write that the flow makes.

One table. Each point is a request that passes a proxy: the whole local host dies just before it takes effect,
or just after, when its answer is still on the way. `goes_on` is what has to be seen next, by itself: a
request that the server did, told as a regular expression over "METHOD /path".
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from sandbox.activecampaign import SimulatorSettings
from tests.proxy import Do, Fault
from tests.runs.course import Venue
from tests.runs.site import KEY

BULK: Final = "^POST /api/3/import/bulk_import"
ASKED: Final = "^GET /api/3/import/info"
RUN: Final = "^PUT .*/exporter/runs/"
PLAN_CLAIM: Final = "^PUT .*/exporter/claims/.*/plan.json"
PLANNED: Final = "^PUT .*/exporter/plans/[^/]+/plan.json"
CHUNKS_PUT: Final = "^POST .*/chunks/messages"
CHUNK_CLAIM: Final = "^PUT .*/exporter/claims/.*/chunk-"
RECEIPTS: Final = "^PUT .*/exporter/facts/.*/receipts-"
OUTCOME: Final = "^PUT .*/exporter/facts/.*/outcomes-"
REPORTED: Final = "^PUT .*/exporter/reports/.*blocklist"
CLOSED: Final = "^DELETE .*/exporter/open-runs/"

SMALL: Final = 700
"""Rows that make three bodies."""
LARGE: Final = 8_000
"""Rows that make more bodies than may be without a receipt."""


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Where the host dies, and what has to follow."""

    name: str
    when: Literal["before", "after"]
    call: str
    """A regular expression over "METHOD /path?query" of a request to storage or to ActiveCampaign."""
    goes_on: str
    nth: int = 1
    body: str = ""
    """A regular expression over the request's body."""
    rows: int = SMALL
    throttled_call: int | None = None
    """The bulk request of this number is throttled, so that the chain waits on the queue."""


def after(name: str, call: str, goes_on: str, **details: Any) -> CrashPoint:
    """The host dies when a write has taken effect, before it hears of it."""
    return CrashPoint(f"{name}-after", "after", call, goes_on, **details)


def before(name: str, call: str, goes_on: str, **details: Any) -> CrashPoint:
    """The host dies just before a write."""
    return CrashPoint(f"{name}-before", "before", call, goes_on, **details)


CRASH_POINTS: Final = (
    # A drop becomes a run. What lies between two writes in a row is tried once, after the first of them.
    before("run-created", RUN, PLANNED),
    after("run-created", RUN, PLANNED),
    after("run-marked-open", "^PUT .*/exporter/open-runs/", PLANNED),
    after("plans-message-put", "^POST .*/plans/messages", PLANNED),
    # The plan.
    after("plan-claimed", PLAN_CLAIM, PLANNED),
    after("run-planning", RUN, PLANNED, body='"state":"planning"'),
    after("chunk-stored", "^PUT .*/exporter/plans/.*/00000.gz", PLANNED),
    after("plan-rejects-stored", "^PUT .*/exporter/plans/.*/rejects.jsonl.*blocklist", PLANNED),
    after("plan-recorded", PLANNED, BULK),
    after("watermark-advanced", "^PUT .*/exporter/watermarks/", BULK),
    after("run-delivering", RUN, BULK, body='"state":"delivering"'),
    after("chunks-message-put", CHUNKS_PUT, BULK),
    # Sending.
    after("budget-reserved", "^PUT .*/exporter/budgets/.*json", BULK, nth=2),
    after("chunk-claimed", CHUNK_CLAIM, BULK),
    before("body-sent", BULK, BULK, nth=5, rows=LARGE),
    after("body-accepted", BULK, BULK, nth=5, rows=LARGE),
    before("receipts-written", RECEIPTS, BULK, rows=LARGE),
    after("receipts-written", RECEIPTS, BULK, rows=LARGE),
    before("settlements-message-put", "^POST .*/settlements/messages", ASKED),
    after("chain-message-put", CHUNKS_PUT, BULK, nth=2, rows=LARGE, throttled_call=7),
    before("chain-message-returned", "^DELETE .*/chunks/messages/", BULK, rows=LARGE, throttled_call=7),
    before("chunk-claim-released", CHUNK_CLAIM, OUTCOME, body='"returned":true'),
    after("chunk-claim-released", CHUNK_CLAIM, OUTCOME, body='"returned":true'),
    after("run-settling", RUN, OUTCOME, body='"state":"settling"'),
    # Settling.
    after("settle-turn-taken", RUN, OUTCOME, body='"settle_turn":2'),
    before("outcomes-written", OUTCOME, OUTCOME),
    after("outcomes-written", OUTCOME, REPORTED),
    before("receipts-message-put", "^POST .*/receipts/messages", REPORTED, nth=2),
    # Completing.
    before("rejects-file-written", REPORTED, REPORTED),
    after("rejects-file-written", REPORTED, CLOSED),
    after("run-completed", RUN, CLOSED, body='"state":"succeeded"'),
)
"""Every kind of claim and every write of the flow, in its order."""


async def crash(point: CrashPoint, venue: Venue) -> None:
    """Let a host die at the point, and follow what its successor does."""
    settings = SimulatorSettings(
        key=KEY, limits_enforced=False, unlimited_processing_seconds=1.0, retry_after_seconds=30
    )
    async with venue.course(point.name, settings) as course:
        if point.throttled_call:
            course.simulator.install_fault("bulk", "throttle_429", calls=[point.throttled_call])
        for proxy in course.proxies:
            dying = Do(course.kill_and_restart)
            proxy.faults.append(Fault(point.when, point.call, dying, nth=point.nth, body=point.body))
        await course.drop(point.rows)
        await course.until_over()
