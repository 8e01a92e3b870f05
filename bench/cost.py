"""Reckon what the exporter costs and how much one deployment carries; prints the tables of the documents.

    .venv/bin/python bench/cost.py

Nothing here is measured in Azure. Usage follows from the code's own constants, from `host.json`, and from
the figures named below, which lie on the high side; prices are assumed and named. Change a figure here, run
the script, and put its tables into docs/operations.md and docs/scale.md: a test compares them.
"""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `python bench/cost.py` puts bench/ there, not the checkout

from exporter.domain.chunk import MAX_BODY_CONTACTS, MAX_CHUNK_BODIES  # noqa: E402 - needs the path
from exporter.steps.deliver import LOT_BODIES  # noqa: E402 - as above
from exporter.steps.settle import SHORTEST_IDLE_SECONDS, TURN_SECONDS  # noqa: E402 - as above

HOST_JSON: Final[dict[str, Any]] = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
_QUEUES: Final = HOST_JSON["extensions"]["queues"]
MESSAGES_OF_AN_INSTANCE: Final[int] = _QUEUES["batchSize"]
"""The platform adds instances until each has so many of a queue's messages, those that wait included
(learn.microsoft.com/azure/azure-functions/functions-target-based-scaling)."""

DAY_SECONDS: Final = 86_400
MONTH_DAYS: Final = 30
WINDOW_SECONDS: Final = 61.2
"""Seconds in which at most a chunk's bodies leave to one account; tests hold it equal to the budget's."""
BODY_SECONDS: Final = 1_700 / 4_000
"""Seconds of work for each body sent: what tests/rate allows at most."""
SWEEP_EVERY_SECONDS: Final = 30
"""The timer's schedule in function_app.py."""
QUEUE_LISTENERS: Final = 10
"""Queue triggers of the app, and the blob trigger's own queue."""
POLL_SECONDS: Final = 2
"""`maxPollingInterval` of host.json."""

PLAN_SECONDS: Final = 60.0 / 1_000_000
"""Assumed: seconds of a contact's planning. 15 s a million were measured on a faster core."""
FOLD_SECONDS: Final = 2.0
"""Assumed: seconds of one fold of a run's facts."""
BLOB_OPERATIONS_PER_BODY: Final = 2.0
"""Assumed: storage requests for each body, all of plan, chunks, receipts, outcomes, claims and budgets."""
WRITES_AMONG_THEM: Final = 0.5
"""Assumed: the part of these that are billed as writes."""
CALL_LOGGED_BYTES: Final = 5_000
"""Assumed: spans, events and the host's own lines of one call of a function."""
REQUEST_LOGGED_BYTES: Final = 1_000
"""Assumed: the line that storage writes of one request, where the template has it logged."""
HOST_REQUESTS_PER_MINUTE: Final = 8
"""Assumed: leases that the Functions host renews in the state account."""
CONTACT_SENT_BYTES: Final = 255
"""Measured on made-up segments with four fields: 254.7 MB of JSON for a million contacts."""
CONTACT_STORED_BYTES: Final = 100
"""Assumed: a row as it lands."""
LISTING_SECONDS: Final = 0.03
"""Assumed: what a segment's files, some 120, take in the listing of the landing container."""
LOOK_SECONDS: Final = 0.1
"""Assumed: looking after one open run, some five requests."""

QUICK_ALERTS: Final = 4
"""Log search alerts of infra/alerts.bicep that look each five minutes; tests count these and the next two."""
SLOW_ALERTS: Final = 4
"""Those that look each quarter of an hour. An export that expects drops has one more, each hour."""
METRIC_ALERTS: Final = 2
"""Alerts of infra/event-alerts.bicep."""
ACCOUNTS: Final = (1, 100, 10_000)
CONTACTS_OF_AN_ACCOUNT: Final = 100_000
"""A day's contacts of each, where they are spread over the day."""
TIMEOUT_SECONDS: Final = 600
"""`functionTimeout` of host.json."""

FLEX_INSTANCES: Final = 1_000
FLEX_CORES: Final = 250
"""An app's instances at most, and a region's cores in one subscription, by default
(learn.microsoft.com/azure/azure-functions/flex-consumption-plan)."""
CORES_OF: Final = {512: 0.25, 2_048: 1.0, 4_096: 2.0}
"""Cores of an instance by its memory in MB (same page)."""
ACCOUNT_REQUESTS_PER_SECOND: Final = 20_000
"""What a storage account takes by default
(learn.microsoft.com/azure/storage/common/scalability-targets-standard-account)."""
QUEUE_MESSAGES_PER_SECOND: Final = 2_000
"""What one queue takes (learn.microsoft.com/azure/storage/queues/scalability-targets)."""
REQUESTS_PER_MESSAGE: Final = 3
"""Put, get and delete."""


@dataclass(frozen=True)
class Prices:
    """Assumed prices in US dollars, pay as you go. Look at the price pages before you rely on any."""

    gb_second: float = 0.000026
    """Flex Consumption on demand; the first hundred thousand of a month are free."""
    free_gb_seconds: int = 100_000
    million_executions: float = 0.40
    free_executions: int = 250_000
    ten_thousand_writes: float = 0.05
    """Blob storage, hot, locally redundant: writes and listings."""
    ten_thousand_reads: float = 0.004
    ten_thousand_queue_requests: float = 0.004
    gb_stored: float = 0.02
    """A month."""
    gb_logged: float = 2.30
    """Log Analytics, first month included."""
    gb_out: float = 0.087
    quick_alert: float = 1.50
    """A month of a log search alert that looks each five minutes."""
    slow_alert: float = 0.50
    """The same each quarter of an hour or less often."""
    metric_alert: float = 0.10


@dataclass(frozen=True)
class Usage:
    """What is used in some time. Adds up, and can be multiplied."""

    active_seconds: float = 0.0
    """Instances times seconds in which a function runs on them."""
    executions: float = 0.0
    blob_writes: float = 0.0
    blob_reads: float = 0.0
    queue_requests: float = 0.0
    logged_bytes: float = 0.0
    sent_bytes: float = 0.0
    stored_bytes: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def times(self, factor: float) -> "Usage":
        """So many times this."""
        return Usage(*(getattr(self, each.name) * factor for each in fields(self)))


@dataclass(frozen=True)
class Bill:
    """US dollars."""

    compute: float
    storage: float
    logs: float
    alerts: float
    network: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.storage + self.logs + self.alerts + self.network


def delivery(contacts: int) -> Usage:
    """What one run of so many contacts to one account uses, from the drop to the report."""
    bodies = math.ceil(contacts / MAX_BODY_CONTACTS)
    chunks = math.ceil(bodies / MAX_CHUNK_BODIES)
    sending_calls = math.ceil(bodies / LOT_BODIES)
    run_seconds = chunks * WINDOW_SECONDS
    settling_calls = math.ceil(run_seconds / TURN_SECONDS)
    folds = chunks + 1
    executions = 2 + sending_calls + settling_calls + folds
    operations = bodies * BLOB_OPERATIONS_PER_BODY
    return Usage(
        # Settling counts as if it ran all the time: it looks, pauses for some seconds, and looks again.
        active_seconds=contacts * PLAN_SECONDS + bodies * BODY_SECONDS + run_seconds + folds * FOLD_SECONDS,
        executions=executions,
        blob_writes=operations * WRITES_AMONG_THEM,
        blob_reads=operations * (1 - WRITES_AMONG_THEM),
        queue_requests=executions * REQUESTS_PER_MESSAGE,
        logged_bytes=operations * REQUEST_LOGGED_BYTES + executions * CALL_LOGGED_BYTES,
        sent_bytes=contacts * CONTACT_SENT_BYTES,
    )


def standing(days: int, segments: int) -> Usage:
    """What so many days use without any drop, with so many segments in the configuration."""
    sweeps = days * DAY_SECONDS // SWEEP_EVERY_SECONDS
    seconds = max(1.0, 0.5 + segments * LISTING_SECONDS)  # an active period is billed for a second at least
    # A sweep lists drops, configuration and open runs, writes a heartbeat each minute, reads little else.
    # Drops are reckoned as a listing a segment: more than one for 5,000 files, where segments keep few.
    writes = sweeps * (2.5 + segments) + days * DAY_SECONDS / 60 * HOST_REQUESTS_PER_MINUTE
    reads = sweeps * 3.0
    return Usage(
        active_seconds=sweeps * seconds,
        executions=sweeps,
        blob_writes=writes,
        blob_reads=reads,
        # As if each queue were asked all the time; instances that are not there ask nothing.
        queue_requests=QUEUE_LISTENERS * days * DAY_SECONDS / POLL_SECONDS,
        logged_bytes=sweeps * CALL_LOGGED_BYTES + (writes + reads) * REQUEST_LOGGED_BYTES,
    )


def stored(contacts_per_day: int, days: int) -> Usage:
    """Drops that lie in storage for so many days."""
    return Usage(stored_bytes=contacts_per_day * CONTACT_STORED_BYTES * days)


def bill(
    usage: Usage, prices: Prices, *, memory_mb: int, alerts: float = 0.0, free_grant: bool = True
) -> Bill:
    """What a month's usage costs, with so many dollars for alerts; without the free grant, as a second app of
    the subscription pays."""
    gb_seconds = usage.active_seconds * memory_mb / 1024
    executions = usage.executions
    if free_grant:
        gb_seconds = max(0.0, gb_seconds - prices.free_gb_seconds)
        executions = max(0.0, executions - prices.free_executions)
    gigabyte = 1e9
    return Bill(
        compute=gb_seconds * prices.gb_second + executions / 1e6 * prices.million_executions,
        storage=usage.blob_writes / 1e4 * prices.ten_thousand_writes
        + usage.blob_reads / 1e4 * prices.ten_thousand_reads
        + usage.queue_requests / 1e4 * prices.ten_thousand_queue_requests
        + usage.stored_bytes / gigabyte * prices.gb_stored,
        logs=usage.logged_bytes / gigabyte * prices.gb_logged,
        alerts=alerts,
        network=usage.sent_bytes / gigabyte * prices.gb_out,
    )


def alerts_month(prices: Prices, expected_exports: int) -> float:
    """US dollars that all alerts cost in a month, with so many exports that expect drops."""
    slow = SLOW_ALERTS + expected_exports
    return QUICK_ALERTS * prices.quick_alert + slow * prices.slow_alert + METRIC_ALERTS * prices.metric_alert


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def million_table(prices: Prices) -> str:
    """What a million contacts cost by the size of an instance, without the free grant."""
    rows = []
    for memory in (512, 2_048):
        usage = delivery(1_000_000)
        paid = bill(usage, prices, memory_mb=memory, free_grant=False)
        rows.append(
            [f"{memory:,} MB", f"{usage.active_seconds:,.0f}", f"{usage.executions:,.0f}"]
            + [
                f"${amount:.2f}"
                for amount in (paid.compute, paid.storage, paid.logs, paid.network, paid.total)
            ]
        )
    heads = ["instance", "active seconds", "executions", "compute", "storage", "logs", "data out", "sum"]
    return table(heads, rows)


def month_table(prices: Prices) -> str:
    """What a month costs: idle, and with a million contacts a day; ten segments, all of them expected."""
    rows = []
    for name, contacts in (("nothing is dropped", 0), ("1,000,000 contacts a day", 1_000_000)):
        for memory in (512, 2_048):
            usage = standing(MONTH_DAYS, segments=10) + stored(contacts, MONTH_DAYS)
            if contacts:
                usage += delivery(contacts).times(MONTH_DAYS)
            paid = bill(usage, prices, memory_mb=memory, alerts=alerts_month(prices, 10))
            amounts = (paid.compute, paid.storage, paid.logs, paid.alerts, paid.network, paid.total)
            rows.append([name, f"{memory:,} MB", *(f"${amount:.2f}" for amount in amounts)])
    return table(
        ["a month in which", "instance", "compute", "storage", "logs", "alerts", "data out", "sum"], rows
    )


def contacts_per_day() -> int:
    """What one account takes in a day at ActiveCampaign's documented limit."""
    return math.floor(MAX_CHUNK_BODIES * MAX_BODY_CONTACTS * DAY_SECONDS / WINDOW_SECONDS)


def contacts_per_minute() -> int:
    """What one account takes in a minute at its best."""
    return math.floor(MAX_CHUNK_BODIES * MAX_BODY_CONTACTS * 60 / WINDOW_SECONDS)


@dataclass(frozen=True)
class Limit:
    """One thing that ends, and how many accounts that send at the same moment it carries."""

    name: str
    there: float
    taken: float
    """By one account that is being sent to without a pause."""

    @property
    def accounts(self) -> int:
        """So many at once."""
        return math.floor(self.there / self.taken)


BUSY_QUEUES: Final = 2
"""While an account is sent to it has one message on `chunks` and one on `settlements`, due or waiting."""


def instances(accounts: float) -> int:
    """How many work while so many accounts are sent to: Flex Consumption gives each function its own
    (learn.microsoft.com/azure/azure-functions/flex-consumption-plan)."""
    return BUSY_QUEUES * math.ceil(accounts / MESSAGES_OF_AN_INSTANCE)


def sweep_seconds(segments: float, open_runs: float) -> float:
    """How long one sweep takes."""
    return segments * LISTING_SECONDS + open_runs * LOOK_SECONDS


def limits() -> list[Limit]:
    """What ends first in one deployment whose accounts are all being sent to without a pause.

    Each account has an open run and a segment of its own. Over the last limit nothing ends: a sweep takes
    longer than the pause between two, and what stalled is put anew later than promised.
    """
    instances = [
        Limit(
            f"instances of {memory:,} MB",
            min(FLEX_INSTANCES, FLEX_CORES / cores),
            BUSY_QUEUES / MESSAGES_OF_AN_INSTANCE,
        )
        for memory, cores in CORES_OF.items()
    ]
    bodies = MAX_CHUNK_BODIES / WINDOW_SECONDS
    return [
        *instances,
        Limit(
            "requests a second to the state account",
            ACCOUNT_REQUESTS_PER_SECOND,
            bodies * BLOB_OPERATIONS_PER_BODY,
        ),
        Limit(
            "messages a second on the queue `settlements`",
            QUEUE_MESSAGES_PER_SECOND,
            REQUESTS_PER_MESSAGE / SHORTEST_IDLE_SECONDS,
        ),
        Limit("seconds of a sweep before the platform ends it", TIMEOUT_SECONDS, sweep_seconds(1, 1)),
        Limit("seconds from one sweep to the next", SWEEP_EVERY_SECONDS, sweep_seconds(1, 1)),
    ]


def accounts_at_once(memory_mb: int) -> int:
    """How many accounts one deployment can be sending to at the same moment, the last limit aside."""
    others = {f"instances of {memory:,} MB" for memory in CORES_OF if memory != memory_mb}
    return min(each.accounts for each in limits()[:-1] if each.name not in others)


def limits_table() -> str:
    """Each limit with the accounts that it carries."""
    return table(
        ["what ends", "there is", "one account takes", "accounts at once"],
        ([each.name, f"{each.there:,.0f}", f"{each.taken:.2f}", f"{each.accounts:,}"] for each in limits()),
    )


def together_table() -> str:
    """What 1, 100 and 10,000 accounts ask for, if all of them are sent to at the same moment."""
    rows = []
    for accounts in ACCOUNTS:
        requests = accounts * MAX_CHUNK_BODIES / WINDOW_SECONDS * BLOB_OPERATIONS_PER_BODY
        deployments = [math.ceil(accounts / accounts_at_once(memory)) for memory in (512, 2_048)]
        rows.append(
            [
                f"{accounts:,}",
                f"{accounts * contacts_per_day():,}",
                f"{instances(accounts):,}",
                f"{requests:,.0f}",
                f"{sweep_seconds(accounts, accounts):,.1f} s",
                *(f"{count:,}" for count in deployments),
            ]
        )
    heads = ["accounts", "contacts a day at most", "instances", "blob requests a second", "a sweep"]
    return table([*heads, "deployments, 512 MB", "deployments, 2,048 MB"], rows)


def spread_table() -> str:
    """The same accounts, each with some contacts a day, spread over the day."""
    rows = []
    for accounts in ACCOUNTS:
        busy = accounts * CONTACTS_OF_AN_ACCOUNT / contacts_per_day()
        rows.append(
            [
                f"{accounts:,}",
                f"{accounts * CONTACTS_OF_AN_ACCOUNT:,}",
                f"{busy:,.1f}",
                f"{instances(busy):,}",
                f"{sweep_seconds(accounts, busy):,.1f} s",
                f"{math.ceil(accounts / segments_in_time()):,}",
            ]
        )
    heads = ["accounts", "contacts a day", "accounts at once", "instances", "a sweep", "deployments"]
    return table(heads, rows)


def segments_in_time() -> int:
    """How many segments a sweep looks at before the next one is due."""
    return math.floor(SWEEP_EVERY_SECONDS / LISTING_SECONDS)


def segment_month(prices: Prices) -> float:
    """US dollars that looking for one segment's drops costs in a month."""
    more = standing(MONTH_DAYS, segments=1).blob_writes - standing(MONTH_DAYS, segments=0).blob_writes
    return more / 1e4 * prices.ten_thousand_writes


def main() -> None:
    """Print the tables, and the figures that stand in sentences."""
    prices = Prices()
    tables = (million_table(prices), month_table(prices), limits_table(), together_table(), spread_table())
    print(*tables, sep="\n\n")
    print(f"\none account: {contacts_per_day():,} contacts a day, {contacts_per_minute():,} a minute")
    print(f"segments that a sweep looks at in time: {segments_in_time():,}")
    print(f"looking for a segment's drops: ${segment_month(prices):.2f} a month")


if __name__ == "__main__":
    main()
