"""What an answer of ActiveCampaign means."""

from dataclasses import dataclass
from enum import StrEnum


class VerdictKind(StrEnum):
    """Each kind has its own ending; see `steps/deliver.py`."""

    ACCEPTED = "accepted"
    """Queued there under a batch id; not yet done."""
    THROTTLED = "throttled"
    """A limit was met: nothing was taken; everybody on the account pauses."""
    UNAVAILABLE = "unavailable"
    """Nothing was taken: no connection, or 503."""
    UNKNOWN = "unknown"
    """Whether it was taken can't be told: reset, timeout, 5xx, an answer that makes no sense."""
    INVALID = "invalid"
    """The request was refused whole because of some of its contacts."""
    TOO_LARGE = "too_large"
    """The request was refused whole because of its size."""
    REKEYED = "rekeyed"
    """The key was refused, and the secret holds another one by now: nothing was taken, send again."""
    DENIED = "denied"
    """The key is refused, or has not the rights."""
    UNPAID = "unpaid"
    """The account may not: payment or contract."""
    MISSING = "missing"
    """There is no such thing at this address."""


@dataclass(frozen=True, slots=True)
class NamedContact:
    """A contact that ActiveCampaign named in a refusal: its 1-based index, and the words."""

    index: int
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer, understood.

    `detail` is our own words and safe to log. `words` are ActiveCampaign's, cleaned as well as can be;
    they belong in the rejects, for there they explain, and nowhere else, for they may name people.
    """

    kind: VerdictKind
    detail: str = ""
    words: str = ""
    batch_id: str = ""
    queued: int | None = None
    """How many contacts ActiveCampaign says it queued."""
    retry_after_seconds: float | None = None
    named: tuple[NamedContact, ...] = ()
    key_mark: str = ""
    """Of a refusal: tells the key that was refused from any other."""


class BatchState(StrEnum):
    """What `GET /import/info` says of a batch
    (developers.activecampaign.com/reference/bulk-import-status-info)."""

    NOT_YET = "not_yet"
    """`false`, or 404: asked too early, or not known."""
    WAITING = "waiting"
    CLAIMED = "claimed"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether the state will not change any more."""
        return self in {BatchState.COMPLETED, BatchState.FAILED, BatchState.INTERRUPTED}


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch's state and the addresses that ActiveCampaign could not write (personal data)."""

    state: BatchState
    failures: tuple[str, ...] = ()
