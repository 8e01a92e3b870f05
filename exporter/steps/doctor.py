"""What `exporter doctor` finds out about the storage and the app, in which order, and what mends it.

Everything here asks; nothing changes what runs depend on. Each check leaves one line: well, wrong with one
remedy, or skipped because an earlier one went wrong.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

from exporter.domain.testdrop import name_for
from exporter.errors import ExporterError
from exporter.steps.messages import Queue
from exporter.steps.ports import Clock, Randomness

LOOK_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 180.0
"""A heartbeat is written each minute; after three missed ones the app counts as stopped."""
LATE_SECONDS: Final = 90.0
"""A timer that is so late may well have stopped; together with a test drop that nobody took up it has."""
NEXT_BEAT_SECONDS: Final = 75.0
"""An app that was just started fires its timer for the first time within a minute."""


class Code(StrEnum):
    """Why a check went wrong; the codes of `exporter connection test` come beside these."""

    CONFIGURATION = "configuration"
    """Settings or stored configuration can't be read as such."""
    STORAGE_UNREACHABLE = "storage_unreachable"
    STORAGE_KEY_REFUSED = "storage_key_refused"
    """The account key or the shared access signature is not valid."""
    STORAGE_FIREWALL = "storage_firewall"
    """The account's network rules keep this machine out."""
    IDENTITY_MISSING = "identity_missing"
    """The account is reached by identity, and there is none that it knows."""
    RIGHT_MISSING = "right_missing"
    """The key, signature or identity is known, and may not do this."""
    CONTAINER_MISSING = "container_missing"
    QUEUE_MISSING = "queue_missing"
    STORAGE_ERROR = "storage_error"
    """Any other refusal of the storage."""
    POISONED = "poisoned"
    """Messages that the platform gave up on lie in a poison queue."""
    NOT_ANNOUNCED = "not_announced"
    """The app runs, and is not told of new blobs."""
    APP_STOPPED = "app_stopped"
    """The timer has not fired for minutes."""
    TIMER_STOPPED = "timer_stopped"
    """The app is told of new blobs, and its timer does not fire."""
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - the name of a problem
    HOST_NOT_ALLOWED = "host_not_allowed"
    """The settings do not allow a connection's host."""
    PAUSED = "paused"
    """A person paused a connection, or everything."""
    AZURE_UNREACHABLE = "azure_unreachable"
    """Azure Resource Manager, or the app's own address, does not answer."""
    AZURE_ERROR = "azure_error"
    """Any other refusal of Azure Resource Manager, or an answer that makes no sense."""
    SUBSCRIPTION_UNCLEAR = "subscription_unclear"
    """Nobody said in which of several subscriptions, or of which of several environments."""
    NOT_DEPLOYED = "not_deployed"
    """A part of the templates is not there."""
    DOUBLED = "doubled"
    """Two resources say that they are the same part."""
    NOT_READY = "not_ready"
    """Azure did not come to an end with a resource."""
    DRIFTED = "drifted"
    """A resource is not as the templates make it."""
    ROLE_MISSING = "role_missing"
    """The app's identity lacks a role."""
    ROLE_TOO_WIDE = "role_too_wide"
    """The app's identity may do more than it needs."""
    CODE_MISSING = "code_missing"
    """The app does not have all functions."""
    OPEN_TO_ALL = "open_to_all"
    """The app answers without a sign-in where it should not."""
    DEAD_LETTERED = "dead_lettered"
    """Events could not be delivered."""
    UNEXPECTED = "unexpected"
    """A mistake in the exporter itself."""


WHOLE_ACCOUNT: Final = frozenset({Code.STORAGE_UNREACHABLE, Code.STORAGE_KEY_REFUSED, Code.IDENTITY_MISSING})
"""What is wrong with a storage account as a whole, so that its other parts need no look."""


class TroubleError(ExporterError):
    """Something is wrong: its text says what, `remedy` is the one thing to do about it."""

    def __init__(self, code: str, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.code = code
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and how it is; holds neither secrets nor people."""

    check: str
    ok: bool | None
    """None: not looked at."""
    code: str | None
    """Why it is wrong, for programs."""
    detail: str
    remedy: str | None
    """The one command or action that mends it."""


@dataclass(frozen=True, slots=True)
class QueueLook:
    """A queue as it stands."""

    message_count: int
    """Hidden ones included; storage counts approximately."""
    oldest_seconds: float | None
    """How long ago the first visible message was put; None where none is visible."""


class Instruments(Protocol):
    """What the doctor looks at storage with; every method raises TroubleError."""

    @property
    def is_local(self) -> bool:
        """Whether the state lies in a storage on this machine."""

    @property
    def shares_account(self) -> bool:
        """Whether drops land in the account that holds the state."""

    @property
    def landing_account(self) -> str:
        """The name of the account that drops land in."""

    async def try_state(self) -> None:
        """List the state container; create, read and delete a blob in it."""

    async def try_landing(self) -> None:
        """The same with the landing container; the blob is none that starts anything."""

    async def try_queues(self) -> None:
        """Create a queue, put, take and delete a message, delete the queue."""

    async def look_at(self, queue: Queue) -> QueueLook:
        """How many messages wait, and for how long; none is taken."""

    async def has_dead_letters(self) -> bool:
        """Whether events that could not be delivered lie in the container for them."""

    async def count_poisoned(self, queue: Queue) -> int:
        """How many messages lie in a queue's poison queue."""

    async def put_test_drop(self, token: str) -> None:
        """Write a test drop into the landing container."""

    async def test_drop_arrived(self, token: str) -> bool:
        """Whether the app has said that a test drop was announced."""

    async def remove_test_drop(self, token: str) -> None:
        """Remove a test drop, and what the app said about it."""

    async def heartbeat_age_seconds(self) -> float | None:
        """How long ago the app's timer last fired, by storage's clock; None where it never did."""


@dataclass(slots=True)
class Examination:
    """Checks one after the other; `on_check` hears of each as soon as it is made.

    `on_surprise` hears of an error that no check should meet, whose text may hold anything.
    """

    on_check: Callable[[Check], None] = lambda _: None
    on_surprise: Callable[[Exception], None] = lambda _: None
    checks: list[Check] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.ok is not False for check in self.checks)

    async def look(
        self, name: str, look: Callable[[], Awaitable[str]], *, needs: Iterable[str | None] = ()
    ) -> Check:
        """Make a check; `look` says how well it is or raises. Skipped unless all that it needs is well."""
        missing = [need for need in needs if need is not None and not self._is_well(need)]
        if missing:
            return self.skip(name, f"needs: {', '.join(missing)}")
        try:
            return self.note(Check(name, True, None, await look(), None))
        except TroubleError as error:
            return self.note(Check(name, False, error.code, str(error), error.remedy))
        except Exception as error:  # the doctor goes on, whatever it meets
            self.on_surprise(error)
            detail = f"this check met something that it did not expect ({type(error).__name__})"
            remedy = "run it with EXPORTER_DEBUG=1 and report what it shows"
            return self.note(Check(name, False, Code.UNEXPECTED, detail, remedy))

    def skip(self, name: str, why: str) -> Check:
        """Leave a check out, and say why."""
        return self.note(Check(name, None, None, why, None))

    def note(self, check: Check) -> Check:
        """Take in a check that was made elsewhere."""
        self.checks.append(check)
        self.on_check(check)
        return check

    def _is_well(self, name: str) -> bool:
        return any(check.check == name and check.ok is True for check in self.checks)


@dataclass(frozen=True, slots=True)
class DeployedApp:
    """The commands for an app that is deployed, with its real names."""

    start: str
    restart: str
    announce: str
    """Lets the app be told of new blobs."""
    empty_dead_letters: str


@dataclass(frozen=True, slots=True)
class Doctor:
    """The examination of storage, events and timers."""

    instruments: Instruments
    clock: Clock
    randomness: Randomness
    wait_seconds: float = 60.0
    """How long a test drop may take to be announced."""
    deployed: DeployedApp | None = None
    """Known where the deployment was looked at."""

    async def examine_storage(self, examination: Examination) -> None:
        """State, landing container and queues."""
        state = await examination.look("state", self._state, needs=["settings"])
        account_need = None if state.code not in WHOLE_ACCOUNT else "state"
        landing_needs = [account_need] if self.instruments.shares_account else []
        await examination.look("landing", self._landing, needs=["settings", *landing_needs])
        await examination.look("queues", self._queues, needs=["settings", account_need])
        for queue in Queue:
            await examination.look(f"queue {queue}", partial(self._queue, queue), needs=["queues"])
        await examination.look("poison queues", self._poison_queues, needs=["queues"])
        if self.deployed is not None:
            mend = self.deployed.empty_dead_letters
            await examination.look("dead letters", partial(self._dead_letters, mend), needs=["state"])

    async def examine_app(self, examination: Examination) -> None:
        """Whether the running app is told of new blobs, and whether its timer fires."""
        events = await examination.look("events", self._events, needs=["state", "landing"])
        await examination.look("timers", partial(self._timers, runs=events.ok is True), needs=["state"])

    async def _state(self) -> str:
        await self.instruments.try_state()
        return "blobs are listed, written, read and deleted"

    async def _landing(self) -> str:
        await self.instruments.try_landing()
        return "blobs are listed, written, read and deleted"

    async def _queues(self) -> str:
        await self.instruments.try_queues()
        return "messages are put, taken and deleted"

    async def _queue(self, queue: Queue) -> str:
        found = await self.instruments.look_at(queue)
        if not found.message_count:
            return "nothing waits"
        waiting = "1 message" if found.message_count == 1 else f"{found.message_count} messages"
        if found.oldest_seconds is None:
            return f"{waiting}, none due yet"
        return f"{waiting}; the oldest that is due was put {found.oldest_seconds:.0f} s ago"

    async def _poison_queues(self) -> str:
        counts = {queue: await self.instruments.count_poisoned(queue) for queue in Queue}
        found = ", ".join(f"{count} in {queue}-poison" for queue, count in counts.items() if count)
        if found:
            raise TroubleError(
                Code.POISONED,
                f"messages lie in poison queues: {found}; either the app does not run, or the function that "
                "empties the queue fails as well",
                "mend what the app's log says beside message.poisoned; the app then empties the queue itself",
            )
        return "empty"

    async def _dead_letters(self, mend: str) -> str:
        if await self.instruments.has_dead_letters():
            raise TroubleError(
                Code.DEAD_LETTERED,
                "events lie there that could not be delivered within a day; the sweep has found their drops",
                mend,
            )
        return "none"

    async def _events(self) -> str:
        token = self.randomness.token()
        try:
            await self.instruments.put_test_drop(token)
            seconds = await self._wait_for(token)
        finally:
            await self.instruments.remove_test_drop(token)
        if seconds is not None:
            return f"the app was told of a test drop within {seconds:.0f} s"
        said = f"the app was not told of the test drop {name_for(token)} within {self.wait_seconds:.0f} s"
        age = await self.instruments.heartbeat_age_seconds()
        if age is None or age > LATE_SECONDS:
            raise TroubleError(Code.APP_STOPPED, f"{said}; its timer stands still, too", self._start_app())
        raise TroubleError(
            Code.NOT_ANNOUNCED, f"{said}, though its timer fired {age:.0f} s ago", self._announce()
        )

    async def _wait_for(self, token: str) -> float | None:
        """Seconds until the app acknowledged the test drop, to within a look; None when it did not."""
        started = self.clock.monotonic()
        while True:
            if await self.instruments.test_drop_arrived(token):
                return self.clock.monotonic() - started
            if self.clock.monotonic() - started >= self.wait_seconds:
                return None
            await self.clock.sleep(LOOK_SECONDS)

    async def _timers(self, *, runs: bool) -> str:
        """`runs`: the app is known to run, so that a timer that stands still may just have been started."""
        started = self.clock.monotonic()
        age = await self.instruments.heartbeat_age_seconds()
        while (age is None or age > QUIET_SECONDS) and runs:
            if self.clock.monotonic() - started >= NEXT_BEAT_SECONDS:
                break
            await self.clock.sleep(LOOK_SECONDS)
            age = await self.instruments.heartbeat_age_seconds()
        if age is not None and age <= QUIET_SECONDS:
            return f"the app's timer fired {age:.0f} s ago"
        last = "has never fired on this storage" if age is None else f"last fired {age:.0f} s ago"
        if runs:
            problem = f"the app is told of blobs, but its timer {last}"
            raise TroubleError(Code.TIMER_STOPPED, problem, self._restart_app())
        problem = f"the app is not running: its timer {last}"
        raise TroubleError(Code.APP_STOPPED, problem, self._start_app())

    def _restart_app(self) -> str:
        if self.instruments.is_local:
            return "end the app and run `exporter up` again"
        if self.deployed is not None:
            return self.deployed.restart
        return "`az functionapp restart --name APP --resource-group GROUP`, or Restart in the portal"

    def _start_app(self) -> str:
        if self.instruments.is_local:
            return "`exporter up`"
        if self.deployed is not None:
            return self.deployed.start
        return "`az functionapp start --name APP --resource-group GROUP`, or Start in the portal"

    def _announce(self) -> str:
        if self.instruments.is_local:
            return "end the app and run `exporter up`: its host announces blobs, too"
        if self.deployed is not None:
            return self.deployed.announce
        account = self.instruments.landing_account
        scope = f"$(az storage account show --name {account} --query id --output tsv)"
        return (
            f"`az eventgrid event-subscription list --source-resource-id {scope}` should show a subscription "
            "of BlobCreated to on_segment_dropped: create it if it is not there"
        )
