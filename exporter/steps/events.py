"""The closed list of events: every log line of the pipeline has one of these names.

Fields are ids, numbers and reasons; never an address, a name, a phone number or a key.
"""

from enum import StrEnum


class Event(StrEnum):
    """What happened."""

    DROP_IGNORED = "drop.ignored"
    """A blob arrived that starts nothing; `why` says so."""
    DROP_RECORDED = "drop.recorded"
    """A drop was taken up; `run_count` runs exist for it."""
    DROP_REPEATED = "drop.repeated"
    """The same drop was announced again; nothing happened."""
    RUN_ORDERED = "run.ordered"
    """A run was created and queued."""
    RUN_SKIPPED = "run.skipped"
    """A drop starts nothing; `why` says so."""
    PLAN_STARTED = "plan.started"
    """A run's drop is being read."""
    PLAN_COMPLETED = "plan.completed"
    """The drop was read, checked and judged; chunks lie ready."""
    CHUNK_DEFERRED = "chunk.deferred"
    """A chunk waits for its slots or for another owner."""
    CHUNK_STARTED = "chunk.started"
    """A chunk was claimed and is being sent."""
    CHUNK_SENT = "chunk.sent"
    """A call has sent what it could of a chunk."""
    BODY_REFUSED = "body.refused"
    """ActiveCampaign refused a body because of contacts in it."""
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
    RUN_COMPLETED = "run.completed"
    """The run has its final state, counts and report."""
    RUN_RESTARTED = "run.restarted"
    """The sweep put anew what had made no progress."""
    MESSAGE_POISONED = "message.poisoned"
    """The platform gave a message up."""
