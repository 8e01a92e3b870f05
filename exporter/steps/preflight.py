"""Before anything is sent: does the key work, does the list exist, which fields are meant?"""

import asyncio
from dataclasses import dataclass
from typing import Any

from exporter.domain.configuration import Connection, Export
from exporter.domain.contact import ContactMapping
from exporter.domain.fields import AccountField, account_field, resolve_fields
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import ConfigurationError, RetryLaterError, StopRunError
from exporter.steps.accounts import Account, open_account
from exporter.steps.ports import Destination, Ports

PAGE_SIZE = 100
"""`limit` above 100 is clamped (developers.activecampaign.com/reference/pagination)."""
MAX_PAGES = 100
TRIES = 3
NEAR_SECONDS = 5.0
"""A moment that is further away is not waited for here."""
CHECK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What a look at the account found: who the key belongs to, and the list's name."""

    user: str
    list_name: str | None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads resources within the account's general budget, trying again where that makes sense."""

    destination: Destination
    account: Account
    connection: Connection
    holds_account: bool = True
    """Whether an outage that is met makes everybody on the account pause."""

    async def read(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        """The resource; a Verdict for what a person has to mend. Raises RetryLaterError for the rest."""
        last: Verdict | None = None
        for _ in range(TRIES):
            (moment,) = await self.account.reserve_general(1)
            if moment - self.account.now() > NEAR_SECONDS:
                await self.account.return_general((moment,))
                break
            await self.account.wait_until(moment)
            answer = await self.destination.get(path, parameters)
            if isinstance(answer, dict):
                await self.account.note_service()
                return answer
            if answer.kind is VerdictKind.THROTTLED:
                await self.account.note_throttle(answer)
            elif answer.kind in {VerdictKind.UNAVAILABLE, VerdictKind.UNKNOWN}:
                if self.holds_account:
                    await self.account.note_outage(answer)
                last = answer
                break
            elif answer.kind is not VerdictKind.REKEYED and (
                answer.kind is not VerdictKind.DENIED or last is not None
            ):
                return answer
            last = answer  # a good key was seen refused now and then: it gets a second look
        held = (await self.account.load()).hold_reason
        said = f" ({last.detail})" if last else f": {held}" if held else ""
        raise RetryLaterError(
            f"{self.connection.host} does not answer as ActiveCampaign should{said}; if this lasts, check "
            f"the host of connection '{self.connection.id}' and that this app may reach it"
        )

    def refuse(self, verdict: Verdict) -> StopRunError:
        """The error for an answer that a person has to mend."""
        name = self.connection.id
        match verdict.kind:
            case VerdictKind.DENIED:
                return StopRunError(
                    "key_refused",
                    f"ActiveCampaign refuses the key of connection '{name}' ({verdict.detail}): check that "
                    f"secret '{self.connection.secret}' holds the key of {self.connection.host} "
                    "(Settings > Developer) and that its user may see the list",
                )
            case VerdictKind.UNPAID:
                return StopRunError(
                    "account_unpaid",
                    f"ActiveCampaign refuses account {self.connection.host} for its payment or contract: "
                    "settle that there, then drop the segment again",
                )
            case VerdictKind.MISSING:
                return StopRunError(
                    "host_wrong",
                    f"{self.connection.host} answers, but not as ActiveCampaign does: check the host of "
                    f"connection '{name}' (Settings > Developer > API URL)",
                )
        return StopRunError("refused", f"ActiveCampaign refuses the request: {verdict.detail}")


async def check_account(connection: Connection, list_id: str | None, ports: Ports) -> AccountCheck:
    """Look whether a connection works and, with `list_id`, whether that list may be used.

    Raises StopRunError with what to mend, RetryLaterError when ActiveCampaign does not answer, and
    ConfigurationError when the key can't be read.
    """
    account = await open_account(connection, ports)
    async with ports.destinations.open(connection) as destination:
        reader = _Reader(destination, account, connection, holds_account=False)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                user = await _user(reader)
                return AccountCheck(user, await _list_name(reader, list_id) if list_id else None)
        except TimeoutError:
            raise RetryLaterError(
                f"{connection.host} did not answer within {CHECK_SECONDS:.0f} s: check the host of "
                f"connection '{connection.id}' and that this machine may reach it"
            ) from None


async def resolve_mapping(export: Export, connection: Connection, ports: Ports) -> ContactMapping:
    """Check key and list, and resolve the export's custom fields against the account.

    Raises like `check_account`.
    """
    account = await open_account(connection, ports)
    try:
        async with ports.destinations.open(connection) as destination:
            reader = _Reader(destination, account, connection)
            await _user(reader)
            await _list_name(reader, export.list_id)
            fields = await _fields(reader) if export.mapping.fields else []
    except ConfigurationError as error:
        raise StopRunError("key_unreadable", str(error)) from error
    targets, problems = resolve_fields(export.mapping.fields, fields)
    if problems:
        raise StopRunError(
            "field_missing",
            f"the mapping of export '{export.id}' does not fit account {connection.host}: "
            f"{'; '.join(problems)}. Correct the mapping, or add the field in ActiveCampaign",
        )
    return ContactMapping(
        email=export.mapping.email,
        list_id=export.list_id,
        first_name=export.mapping.first_name,
        last_name=export.mapping.last_name,
        phone=export.mapping.phone,
        fields=targets,
        tags=tuple(tag for tag in export.tags if isinstance(tag, str)),
        tag_columns=tuple(tag.column for tag in export.tags if not isinstance(tag, str)),
        clear_empty=export.empty == "clear",
    )


async def _user(reader: _Reader) -> str:
    """The ActiveCampaign user behind the key."""
    answer = await reader.read("users/me")
    if isinstance(answer, Verdict):
        raise reader.refuse(answer)
    user = answer.get("user")
    if not isinstance(user, dict):
        raise reader.refuse(Verdict(VerdictKind.MISSING))
    return str(user.get("username") or user.get("id") or "")


async def _list_name(reader: _Reader, list_id: str) -> str:
    """The list's name."""
    answer = await reader.read(f"lists/{list_id}")
    if isinstance(answer, dict):
        return str(_object(answer.get("list")).get("name") or "")
    if answer.kind is VerdictKind.MISSING:
        raise StopRunError(
            "list_missing",
            f"list {list_id} does not exist in account {reader.connection.host}: correct list_id "
            "(the number in the list's address in ActiveCampaign)",
        )
    if answer.kind is VerdictKind.DENIED:
        raise StopRunError(
            "list_denied",
            f"the key of connection '{reader.connection.id}' may not use list {list_id}: let its user's "
            "group manage that list in ActiveCampaign (Settings > Users and Groups)",
        )
    raise reader.refuse(answer)


async def _fields(reader: _Reader) -> list[AccountField]:
    """The account's custom fields, all pages."""
    fields: list[AccountField] = []
    for page in range(MAX_PAGES):
        answer = await reader.read("fields", {"limit": str(PAGE_SIZE), "offset": str(page * PAGE_SIZE)})
        if isinstance(answer, Verdict):
            raise reader.refuse(answer)
        entries = answer.get("fields")
        entries = entries if isinstance(entries, list) else []
        fields += [field for entry in entries if (field := account_field(_object(entry))) is not None]
        # A short page is the last one; the total that the answer gives is not needed, and may be missing.
        if len(entries) < PAGE_SIZE:
            break
    return fields


def _object(value: object) -> dict[str, Any]:
    """A part of an answer that should be an object."""
    return value if isinstance(value, dict) else {}
