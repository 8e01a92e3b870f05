"""Asks an account how it behaves where the documentation leaves it open, within the account's budget.

The questions are in `exporter.steps.probe_questions`; those that write are asked by
`exporter.steps.probe_writes`. Nothing is asked twice for want of an answer, except what a batch has become.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.domain.configuration import Connection
from exporter.domain.verdict import VerdictKind
from exporter.errors import ConfigurationError, RetryLaterError
from exporter.steps.accounts import Account
from exporter.steps.ports import Ports
from exporter.steps.probe_questions import QUESTIONS, Finding
from exporter.steps.raw import RawDestination, Reply

MAX_WAIT_SECONDS: Final = 180.0
"""A moment that is further away is not waited for: the account is on hold, or runs have it to themselves."""
QUIET_SECONDS: Final = 1.25
"""After so long without a request the general window (1 s) has forgotten all earlier ones."""
HUGE_LIMIT: Final = 1000


@dataclass(slots=True)
class Prober:
    """One probe of one account: its requests, each at a reserved moment, and its findings."""

    connection: Connection
    account: Account
    destination: RawDestination
    ports: Ports
    say: Callable[[str], None] = lambda _: None
    """Hears what is being done."""
    findings: dict[str, Finding] = field(default_factory=dict)
    request_count: int = 0
    _last_at: float = 0.0

    async def get(self, path: str, parameters: dict[str, str] | None = None) -> Reply:
        """Read a resource at a moment of the general budget."""
        return await self.ask("GET", path, parameters=parameters)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        parameters: dict[str, str] | None = None,
        wrong_key: bool = False,
    ) -> Reply:
        """Make a request at a moment of the general budget. Raises RetryLaterError."""
        (moment,) = await self.account.reserve_general(1)
        if moment - self.account.now() > MAX_WAIT_SECONDS:
            await self.account.return_general((moment,))
            raise await self._busy()
        await self.account.wait_until(moment)
        return await self._take(
            await self.destination.ask(method, path, parameters=parameters, wrong_key=wrong_key)
        )

    async def post_bulk(self, body: bytes) -> Reply:
        """Post to the bulk importer at a slot of the account. Raises RetryLaterError."""
        token = f"probe:{self.ports.randomness.token()}"
        slots = await self.account.reserve_bulk(count=1, token=token, single=False)
        while slots is not None:
            if slots.start - self.account.now() > MAX_WAIT_SECONDS:
                await self.account.return_slots(slots)
                break
            await self.account.wait_until(slots.start)
            confirmed = await self.account.confirm(slots)
            if confirmed == slots:
                reply = await self.destination.ask("POST", "import/bulk_import", body=body)
                return await self._take(reply)
            slots = confirmed
        raise await self._busy()

    async def be_quiet(self) -> None:
        """Wait until the general window holds none of our requests; `time_scale` fits a faster stand-in."""
        await self.account.wait_until(self._last_at + QUIET_SECONDS * self.account.pace.time_scale)

    def note(self, name: str, answer: str | None, words: str = "") -> None:
        """Answer a question."""
        self.findings[name] = Finding(QUESTIONS[name], answer, words)

    async def _take(self, reply: Reply) -> Reply:
        """The reply, unless it says that nothing more should be asked."""
        self.request_count += 1
        self._last_at = self.account.now()
        if reply.stop is None:
            return reply
        if reply.stop.kind is VerdictKind.THROTTLED:
            await self.account.note_throttle(reply.stop)
        raise RetryLaterError(
            f"ActiveCampaign would answer no more ({reply.stop.detail}); the probe ended in the middle"
        )

    async def _busy(self) -> RetryLaterError:
        held = (await self.account.load()).hold_reason
        return RetryLaterError(
            f"the account has no moment for the probe within {MAX_WAIT_SECONDS:.0f} s"
            f"{f': {held}' if held else ''}; runs go first"
        )


async def probe_reading(prober: Prober) -> None:
    """Ask everything that can be known without writing. Raises ConfigurationError where the key fails."""
    await _ask_headers(prober)
    await _ask_pages(prober)
    for name, path in (("account", "settings/account"), ("progress", "import/bulk_import")):
        _note_form(prober, name, await prober.get(path))
    _note_form(prober, "info_without_id", await prober.get("import/info"))
    await _ask_unknown_batch(prober)
    _note_form(prober, "bad_key", await prober.ask("GET", "users/me", wrong_key=True))
    _note_form(prober, "unknown_path", await prober.get("exporter-probe-no-such-path"))


async def _ask_headers(prober: Prober) -> None:
    reply = await prober.get("users/me")
    if reply.status != 200 or not isinstance((reply.content or {}).get("user"), dict):
        name = prober.connection.id
        raise ConfigurationError(
            f"the key of connection '{name}' does not work ({reply.form}): "
            f"`exporter connection test {name}` says more"
        )
    prober.note("key", reply.form)
    prober.note("limit_header", reply.headers.get("ratelimit-limit", "no such header"))
    prober.note("remaining_header", "yes" if "ratelimit-remaining" in reply.headers else "no")


async def _ask_pages(prober: Prober) -> None:
    lists = await prober.get("lists", {"limit": "1"})
    total = as_object((lists.content or {}).get("meta")).get("total")
    kinds = {str: "text", int: "a number"}
    prober.note("lists", kinds.get(type(total), "missing"))
    for name, parameters in (("default_page", {}), ("largest_page", {"limit": str(HUGE_LIMIT)})):
        _note_page(prober, name, await prober.get("fields", parameters))


def _note_page(prober: Prober, name: str, reply: Reply) -> None:
    """How long a page is, if there is more than one."""
    content = reply.content or {}
    fields = content.get("fields")
    total = str(as_object(content.get("meta")).get("total"))
    if not isinstance(fields, list) or not total.isdecimal():
        prober.note(name, reply.form, reply.words)
    elif len(fields) >= int(total):
        prober.note(name, None, f"the account has only {total} fields")
    else:
        prober.note(name, str(len(fields)))


async def _ask_unknown_batch(prober: Prober) -> None:
    reply = await prober.get("import/info", {"batchId": str(uuid.uuid4())})
    if reply.status == 200 and reply.content is not None:
        status = reply.content.get("status")
        prober.note("unknown_batch", f"200, status {str(status).lower()}")
    else:
        _note_form(prober, "unknown_batch", reply)


def _note_form(prober: Prober, name: str, reply: Reply) -> None:
    prober.note(name, reply.form, reply.words)


def as_object(value: object) -> dict[str, Any]:
    """A part of an answer that should be an object."""
    return value if isinstance(value, dict) else {}
