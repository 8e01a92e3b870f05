"""Every number and every switch of the simulated ActiveCampaign, with its default.

Where ActiveCampaign's documentation is silent or contradicts itself the behaviour is a switch, so that an
integration can be tested against each reading. `docs/sandbox.md` explains each field to a reader.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

READ_AT_START = frozenset(
    {"key", "start", "lists", "filler_fields", "request_log_size", "utc_offset_minutes"}
)
"""What a new account is made of; changing these later would do nothing."""


class SimulatorSettings(BaseModel):
    """A frozen set of settings; `changed` gives another one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # Account
    key: str = "sandbox-key"
    """The API key that the account starts with; it has an administrator's rights."""
    account: str = "sandbox"
    """The account name that `GET /settings/account` shows."""
    utc_offset_minutes: int = Field(default=-360, gt=-1440, lt=1440)
    """The account's time zone, used in the ISO timestamps of answers."""
    start: datetime | None = None
    """The simulated date at second zero, in UTC if it names no offset; none means the real date."""
    speed: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How many simulated seconds pass in a real one (not used when a clock is handed in)."""
    lists: tuple[str, ...] = ("Newsletter", "Customers", "Prospects", "Events", "VIP")
    """The names of lists 1, 2, 3, …"""
    filler_fields: int = Field(default=104, ge=0)
    """How many custom fields lie between the known ones, so that fields need more than one page."""

    # Answers to a bad key
    bad_key_answer: Literal["forbidden", "login_page", "unauthorized"] = "forbidden"
    """403 with a message, 200 with an HTML login page, or 401."""

    # Limits
    limits_enforced: bool = True
    """Whether any throttle applies and whether processing is held to a rate."""
    requests_per_second: int = Field(default=5, ge=1)
    """All requests of the account, whatever the key."""
    bulk_requests_per_minute: int = Field(default=100, ge=1)
    """Bulk posts of two contacts or more."""
    single_requests_per_minute: int = Field(default=20, ge=1)
    """Bulk posts of exactly one contact."""
    window: Literal["sliding", "fixed"] = "sliding"
    """Whether a limit holds in any window of its length or in windows that start on the clock."""
    bulk_uses_general_budget: bool = True
    """Whether bulk posts also take a place in the general window."""
    rejected_requests_count: bool = True
    """Whether bulk posts refused for their content take a place in the bulk window."""
    throttled_requests_count: bool = False
    """Whether throttled requests take a place too, so that a client that hammers never gets in."""
    general_throttle: Literal["429", "429_without_header", "503"] = "429"
    """How the general throttle answers; only the first form sends `Retry-After`."""
    retry_after_seconds: int = Field(default=1, ge=0)
    """The `Retry-After` of the general throttle (the documentation's example is 30)."""
    bulk_throttle: Literal["400", "429"] = "400"
    """The status of the bulk throttle; the body is the same."""

    # Bulk posts
    contacts_per_bulk_request: int = Field(default=250, ge=1)
    """The most contacts in one bulk post."""
    bytes_per_bulk_request: int = Field(default=400_000, ge=1)
    """A body of this size or more is refused."""
    oversize_answer: Literal["400", "413"] = "400"
    """How a bulk post with too many bytes or contacts is refused."""
    success_key: Literal["success", "Success"] = "success"
    """The spelling of the first key of an accepted post."""
    refusal_index: Literal["one_based", "zero_based", "wrong", "missing"] = "one_based"
    """What `contact` in a failure reason says about the place of the malformed contact."""
    refused_addresses: frozenset[str] = frozenset()
    """Addresses that the post refuses as malformed although they look right."""
    refuses: Callable[[str], bool] | None = Field(default=None, exclude=True, repr=False)
    """The same as a predicate on the lower-case address (in-process use only)."""
    non_ascii_addresses: Literal["failure", "refuse", "accept"] = "failure"
    """Whether an address outside ASCII fails in processing, at the post, or not at all."""

    # Processing
    processing: Literal["clock", "step"] = "clock"
    """Whether batches move with the clock or only when told to step."""
    processing_seconds: float = Field(default=6.0, ge=0)
    """The least time from acceptance to the final status."""
    contacts_per_minute: int = Field(default=30_000, ge=1)
    """How fast the account works through its backlog."""
    unlimited_processing_seconds: float = Field(default=0.05, ge=0)
    """The time from acceptance to the final status when limits are off; 0 completes at the post."""
    status_false_seconds: float = Field(default=1.0, ge=0)
    """How long the status of a new batch is `false`."""
    empty_clears: bool = True
    """Whether an empty string clears a value (otherwise it is ignored)."""
    unconfirmed_becomes_subscribed: bool = True
    """Whether bulk `subscribe` moves list status 0 to 1."""
    unsubscribed_fail: bool = False
    """Whether a contact that left a list which its row subscribes is listed in `failure` (its values are
    written and its status stays either way)."""
    exclusions_fail: bool = True
    """Whether excluded addresses are listed in `failure` (otherwise they are skipped silently)."""
    hard_bounced_fail: bool = True
    """Whether hard-bounced contacts are listed in `failure` (their values are written either way)."""
    dotless_domains_fail: bool = True
    """Whether an address whose domain has no dot ends in `failure`."""
    apostrophes_fail: bool = True
    """Whether an address with an apostrophe in the local part ends in `failure`."""
    failing_addresses: frozenset[str] = frozenset()
    """Addresses that pass the post and end in `failure`."""
    fails: Callable[[str], bool] | None = Field(default=None, exclude=True, repr=False)
    """The same as a predicate on the lower-case address (in-process use only)."""
    success_ids: Literal["created", "created_and_updated"] = "created"
    """Whose ids the `success` array of a batch holds."""
    unknown_fields_fail: bool = False
    """Whether an unknown field id fails the contact (otherwise it is ignored)."""
    unknown_lists_fail: bool = False
    """Whether an unknown list id fails the contact (otherwise it is ignored)."""
    duplicate_in_batch: Literal["last_wins", "first_wins"] = "last_wins"
    """Which of two rows with one address in one batch counts."""
    plan_limit: int | None = None
    """The contract's contact limit; none means 1,000,000,000."""
    over_plan_limit: Literal["failure", "allow", "402", "403"] = "failure"
    """What becomes of new contacts over the plan limit: `failure`, written, or the post refused."""
    watched_lists: frozenset[int] | None = None
    """Lists whose joining starts an automation; none means every list."""
    watched_tags: frozenset[str] | None = None
    """Tags whose adding starts an automation; none means every tag."""
    watched_fields: frozenset[int] | None = None
    """Fields whose change starts an automation; none means every field."""

    # Status, callbacks, webhooks
    unknown_batch_answer: Literal["false", "404"] = "false"
    """The answer to `import/info` for a batch id never given out."""
    progress_days: int = Field(default=7, ge=1)
    """How many days back `GET /import/bulk_import` counts completed batches."""
    callback_body: Literal["json", "form"] = "json"
    """The encoding of a POST callback (undocumented at ActiveCampaign)."""
    callbacks_lost: bool = False
    """Whether callbacks are lost on the way."""
    webhooks_for_bulk: bool = False
    """Whether bulk imports fire webhooks."""

    # Other routes
    default_page: int = Field(default=20, ge=1)
    """Items in a page when no `limit` is given."""
    largest_page: int = Field(default=100, ge=1)
    """A greater `limit` is clamped to this."""
    plural_sync: Literal["create", "404"] = "create"
    """What `POST /contacts/sync` (the wrong path) does."""
    sync_update_status: Literal[200, 201] = 200
    """The status of `POST /contact/sync` for an existing contact."""
    invalid_email_status: Literal[422, 400] = 422
    """The status of a malformed address on `contact/sync` and `contacts`."""
    duplicate_tag: Literal["existing", "refuse"] = "existing"
    """Whether `POST /tags` with a known name answers 200 with that tag, or 422."""

    # Audit
    request_log_size: int = Field(default=10_000, ge=1)
    """How many recent requests, automation runs and deliveries are kept."""

    @field_validator("start")
    @classmethod
    def _in_utc(cls, start: datetime | None) -> datetime | None:
        """A date without an offset is one in UTC, wherever the simulator runs."""
        return start.replace(tzinfo=UTC) if start is not None and start.tzinfo is None else start

    @field_validator("refused_addresses", "failing_addresses", "watched_tags")
    @classmethod
    def _lower(cls, words: frozenset[str] | None) -> frozenset[str] | None:
        """Addresses and tags are compared without regard to case."""
        return None if words is None else frozenset(word.strip().lower() for word in words)

    def changed(self, changes: Mapping[str, object]) -> "SimulatorSettings":
        """Return a validated copy with some fields changed; an unknown name is an error."""
        present = {name: getattr(self, name) for name in type(self).model_fields}
        return SimulatorSettings.model_validate(present | dict(changes))


def explain(problem: ValidationError) -> str:
    """Say in one line what is wrong with which value."""
    return "; ".join(
        f"{'.'.join(str(step) for step in error['loc'])}: "
        + ("unknown" if error["type"] == "extra_forbidden" else f"{error['msg']}, not {error['input']!r}")
        for error in problem.errors()
    )
