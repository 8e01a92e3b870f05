"""The closed lists of what is told to the outside: events with their fields, spans and metrics.

Every log line of the pipeline has the name of an event. Fields are ids, numbers and reasons; never an
address, a name, a phone number or a key.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Event(StrEnum):
    """What happened."""

    DROP_IGNORED = "drop.ignored"
    """A blob arrived that starts nothing; `why` says so."""
    DROP_WAITING = "drop.waiting"
    """A file of a drop arrived that is not whole; `why` names what would show that it is."""
    DROP_RECORDED = "drop.recorded"
    """A drop was taken up; `run_count` runs exist for it. Not `announced`: found by looking, though
    an event should have said that it is whole."""
    DROP_REPEATED = "drop.repeated"
    """The same drop was announced again; nothing happened."""
    RUN_ORDERED = "run.ordered"
    """A run was created and queued."""
    RUN_SKIPPED = "run.skipped"
    """A drop starts nothing; `why` says so."""
    PLAN_STARTED = "plan.started"
    """A run's drop is being read."""
    PLAN_COMPLETED = "plan.completed"
    """The drop was read, checked and judged; chunks lie ready. `reading`: formats, in closed words."""
    CHUNK_DEFERRED = "chunk.deferred"
    """A chunk waits for its slots or for another owner."""
    CHUNK_STARTED = "chunk.started"
    """A chunk was claimed and is being sent."""
    CHUNK_SENT = "chunk.sent"
    """A call has sent what it could of a chunk."""
    BODY_REFUSED = "body.refused"
    """ActiveCampaign refused a body because of contacts in it."""
    BODY_MISCOUNTED = "body.miscounted"
    """ActiveCampaign queued another number of contacts than were sent; settling tells who is missing."""
    BODY_UNKNOWN = "body.unknown"
    """A body was sent and the answer was lost; it is sent again."""
    ACCOUNT_HELD = "account.held"
    """Nobody on the account sends until the time named: throttled, or ActiveCampaign is not there."""
    BATCH_RETRIED = "batch.retried"
    """An accepted batch ended without success; its contacts are sent again."""
    SETTLEMENT_TURNED = "settlement.turned"
    """One settlement turn is over."""
    RUN_STOPPED = "run.stopped"
    """Nothing more is sent for the run; `code` says why."""
    RUN_REDRIVEN = "run.redriven"
    """A run that had ended was put on its way again."""
    SENDING_PAUSED = "sending.paused"
    """A person paused a run, a connection or everything, or ActiveCampaign refuses a connection (`why`)."""
    SECRET_UNREADABLE = "secret.unreadable"  # noqa: S105 - the name of an event
    """The key of a connection can't be had (`why`); its runs wait, or end before they have begun."""
    SENDING_RESUMED = "sending.resumed"
    """It goes on: a person said so, or the refused key was replaced."""
    RUN_COMPLETED = "run.completed"
    """The run has its final state, counts and report."""
    RUN_RESTARTED = "run.restarted"
    """The sweep put anew what had made no progress."""
    MESSAGE_PUT_BACK = "message.put_back"
    """Storage did not answer, or the message is of a newer version: it is tried again in half a minute."""
    APP_ALIVE = "app.alive"
    """The sweep has looked after every open run; told at most once a minute."""
    LOOK_FAILED = "look.failed"
    """The sweep could not look after a run or a drop (`why`); it looks again next time."""
    RETENTION_ENDED = "retention.ended"
    """What its time had come for was deleted."""
    PERSON_ERASED = "person.erased"
    """Somebody was erased from storage; counts only."""
    MESSAGE_POISONED = "message.poisoned"
    """The platform gave a message up."""


_RUN: Final = ("run_id", "export_id")
_BODY: Final = (*_RUN, "chunk", "body", "contacts", "why")

FIELDS: Final[Mapping[Event, frozenset[str]]] = MappingProxyType(
    {
        event: frozenset(names)
        for event, names in {
            Event.DROP_IGNORED: ("why",),
            Event.DROP_WAITING: ("why", "files"),
            Event.DROP_RECORDED: ("drop", "run_count", "recipe", "files", "announced"),
            Event.DROP_REPEATED: ("drop", "run_count"),
            Event.RUN_ORDERED: (*_RUN, "drop"),
            Event.RUN_SKIPPED: ("run_id", "drop"),
            Event.PLAN_STARTED: (*_RUN, "epoch"),
            Event.PLAN_COMPLETED: (*_RUN, "rows", "rejected", "unchanged", "contacts", "chunks", "reading"),
            Event.CHUNK_DEFERRED: ("run_id", "chunk", "seconds", "why"),
            Event.CHUNK_STARTED: (*_RUN, "chunk", "epoch", "bodies"),
            Event.CHUNK_SENT: (*_RUN, "chunk", "epoch", "accepted", "contacts", "requests"),
            Event.BODY_REFUSED: _BODY,
            Event.BODY_MISCOUNTED: _BODY,
            Event.BODY_UNKNOWN: _BODY,
            Event.ACCOUNT_HELD: ("account", "seconds", "why", "rate"),
            Event.BATCH_RETRIED: (*_RUN, "chunk", "body", "why"),
            Event.SETTLEMENT_TURNED: (*_RUN, "turn", "asked", "final"),
            Event.RUN_STOPPED: ("run_id", "code"),
            Event.RUN_REDRIVEN: _RUN,
            Event.SECRET_UNREADABLE: ("connection", "why"),
            Event.SENDING_PAUSED: ("run_id", "connection", "why"),
            Event.SENDING_RESUMED: ("run_id", "connection", "why"),
            Event.RUN_COMPLETED: (
                *_RUN,
                "state",
                "code",
                "seconds",
                "rows",
                "rejected",
                "duplicates",
                "suppressed",
                "unchanged",
                "delivered",
                "refused",
                "undelivered",
            ),
            Event.RUN_RESTARTED: (*_RUN, "queue"),
            Event.MESSAGE_PUT_BACK: ("queue", "run_id", "why"),
            Event.APP_ALIVE: ("open_runs",),
            Event.LOOK_FAILED: ("run_id", "why"),
            Event.RETENTION_ENDED: ("deleted",),
            Event.PERSON_ERASED: ("files", "rows", "contacts", "rejects", "messages", "activecampaign"),
            Event.MESSAGE_POISONED: ("queue", "run_id", "why"),
        }.items()
    }
)
"""The fields that an event may have; one that has no value is left out."""


class SpanName(StrEnum):
    """What takes time, in the order of the flow. A run has one or more of each kind, all in one trace."""

    DROP = "drop"
    """A drop is taken up: its runs are ordered."""
    ORDER = "order"
    """Somebody runs an export on demand."""
    PLAN = "plan"
    CHUNK = "chunk"
    """A call that sends; it may go on with a second chunk."""
    SETTLE = "settle"
    """A settlement turn."""
    REPORT = "report"
    """The facts are folded; the last one completes the run."""
    SWEEP = "sweep"
    """A look at everything, in a trace of its own."""


class MetricKind(StrEnum):
    """How the values of a metric come together."""

    COUNTER = "counter"
    """They are added up."""
    GAUGE = "gauge"
    """The last one counts."""
    HISTOGRAM = "histogram"
    """Their number, sum, least and greatest are kept."""


class Metric(StrEnum):
    """What is measured, by account and where it can be told by export."""

    CONTACTS_DELIVERED = "exporter.contacts.delivered"
    """Contacts that arrived, counted once, when their run is completed."""
    CONTACTS_REJECTED = "exporter.contacts.rejected"
    """Rows that were rejected before sending, counted likewise."""
    BUDGET_USED = "exporter.budget.used"
    """The share of the account's bulk requests of a minute that is reserved, from 0 to 1."""
    SLOT_WAIT = "exporter.slot.wait"
    """Seconds from the reservation of slots to their first moment."""
    SETTLE_TIME = "exporter.settle.time"
    """Seconds from the acceptance of a batch until its final state was seen."""


METRIC_KINDS: Final[Mapping[Metric, MetricKind]] = MappingProxyType(
    {
        Metric.CONTACTS_DELIVERED: MetricKind.COUNTER,
        Metric.CONTACTS_REJECTED: MetricKind.COUNTER,
        Metric.BUDGET_USED: MetricKind.GAUGE,
        Metric.SLOT_WAIT: MetricKind.HISTOGRAM,
        Metric.SETTLE_TIME: MetricKind.HISTOGRAM,
    }
)
