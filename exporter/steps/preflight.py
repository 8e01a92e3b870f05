"""Before anything is sent: does the key work, does the list exist, which fields are meant?"""

import asyncio
from dataclasses import dataclass

from exporter.domain.configuration import Connection, Export
from exporter.domain.contact import ContactMapping, FieldTarget
from exporter.domain.fields import resolve_fields
from exporter.domain.refusal import list_denied, list_missing, refusal
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import ConfigurationError, RetryLaterError, SecretUnavailableError, StopRunError
from exporter.steps.account_reader import AccountReader, object_of, read_fields
from exporter.steps.accounts import open_account
from exporter.steps.ports import Ports
from exporter.steps.refusals import note_unreadable

CHECK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What a look at the account found: who the key belongs to, and the list's name."""

    user: str
    list_name: str | None


async def check_account(connection: Connection, list_id: str | None, ports: Ports) -> AccountCheck:
    """Look whether a connection works and, with `list_id`, whether that list may be used.

    Raises StopRunError with what to mend, RetryLaterError when ActiveCampaign does not answer, and
    ConfigurationError when the key can't be read.
    """
    account = await open_account(connection, ports)
    async with ports.destinations.open(connection) as destination:
        reader = AccountReader(destination, account, connection, holds_account=False)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                user = await _user(reader)
                return AccountCheck(user, await list_name(reader, list_id) if list_id else None)
        except TimeoutError:
            raise RetryLaterError(
                f"{connection.host} did not answer within {CHECK_SECONDS:.0f} s: check the host of "
                f"connection '{connection.id}' and that this machine may reach it"
            ) from None


async def resolve_mapping(
    export: Export, connection: Connection, ports: Ports, *, holds_account: bool = True
) -> ContactMapping:
    """Check key and list, and resolve the export's custom fields against the account.

    With `holds_account` an outage that is met makes everybody on the account pause: right for the app, wrong
    for a person's machine, which may just be offline. Raises like `check_account`.
    """
    account = await open_account(connection, ports)
    try:
        async with ports.destinations.open(connection) as destination:
            reader = AccountReader(destination, account, connection, holds_account)
            await _user(reader)
            await list_name(reader, export.list_id)
            fields = await read_fields(reader) if export.mapping.fields else []
    except ConfigurationError as error:
        note_unreadable(connection, error, ports)
        raise StopRunError("key_unreadable", str(error)) from error
    except SecretUnavailableError as error:  # the plan comes back
        note_unreadable(connection, error, ports)
        raise
    targets, problems = resolve_fields(export.mapping.fields, fields)
    if problems:
        raise StopRunError(
            "field_missing",
            f"the mapping of export '{export.id}' does not fit account {connection.host}: "
            f"{'; '.join(problems)}. Correct the mapping, or add the field in ActiveCampaign",
        )
    return contact_mapping(export, targets)


def contact_mapping(export: Export, fields: tuple[tuple[str, FieldTarget], ...]) -> ContactMapping:
    """An export's mapping with its custom fields as they are in the account: pairs of column and field."""
    return ContactMapping(
        email=export.mapping.email,
        list_id=export.list_id,
        first_name=export.mapping.first_name,
        last_name=export.mapping.last_name,
        phone=export.mapping.phone,
        fields=fields,
        tags=tuple(tag for tag in export.tags if isinstance(tag, str)),
        tag_columns=tuple(tag.column for tag in export.tags if not isinstance(tag, str)),
        clear_empty=export.empty == "clear",
        operation=export.mapping.operation,
    )


async def _user(reader: AccountReader) -> str:
    """The ActiveCampaign user behind the key."""
    user = (await reader.need("users/me")).get("user")
    if not isinstance(user, dict):
        raise refusal(reader.connection, Verdict(VerdictKind.MISSING, "no user behind the key"))
    return str(user.get("username") or user.get("id") or "")


async def list_name(reader: AccountReader, list_id: str) -> str:
    """The list's name.

    Raises RefusedConnectionError where the list is gone or may not be used, RetryLaterError where nobody
    can tell. The importer takes contacts for a list that is not there, and leaves them without it.
    """
    answer = await reader.read(f"lists/{list_id}")
    if isinstance(answer, dict):
        return str(object_of(answer.get("list")).get("name") or "")
    if answer.kind is VerdictKind.MISSING:
        raise list_missing(reader.connection, list_id)
    if answer.kind is VerdictKind.DENIED:
        await _user(reader)  # a key that is refused altogether is no matter of the list
        raise list_denied(reader.connection, list_id, answer.key_mark)
    raise refusal(reader.connection, answer)
