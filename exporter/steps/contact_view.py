"""A contact as ActiveCampaign has it: what a person wants to see after a first send."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from exporter.domain.run import Run
from exporter.steps.account_reader import AccountReader, entries_of, object_of, read_fields
from exporter.steps.accounts import open_account
from exporter.steps.ports import Ports

_STATUSES = {"0": "unconfirmed", "1": "subscribed", "2": "unsubscribed", "3": "bounced"}


@dataclass(frozen=True, slots=True)
class ContactView:
    """One contact; `found` is False where ActiveCampaign has none with this address."""

    email: str
    found: bool
    contact_id: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    list_status: str = ""
    """On the export's list: subscribed, unsubscribed, bounced, unconfirmed, or not on the list."""
    fields: dict[str, str] = field(default_factory=dict)
    """Custom fields with a value, by title."""
    tags: tuple[str, ...] = ()


async def view_contacts(run: Run, ports: Ports) -> AsyncIterator[ContactView]:
    """Every contact of a run's plan, in its order, as ActiveCampaign has it now.

    Raises StopRunError, RetryLaterError and ConfigurationError like the preflight.
    """
    record = await ports.plans.record(run.run_id)
    if record is None or run.connection is None or run.export is None:
        return
    account = await open_account(run.connection, ports)
    async with ports.destinations.open(run.connection) as destination:
        reader = AccountReader(destination, account, run.connection, holds_account=False)
        viewer = _Viewer(reader, run.export.list_id)
        for number in range(len(record.bodies)):
            chunk = await ports.plans.chunk(run.run_id, record.epoch, number)
            for body in chunk.bodies:
                for contact in orjson.loads(body.contacts):
                    if contact["email"]:  # a person who was erased meanwhile leaves a blank
                        yield await viewer.view(contact["email"])


@dataclass(slots=True)
class _Viewer:
    """Looks contacts up one by one, within the account's general budget; remembers what ids are called."""

    reader: AccountReader
    list_id: str
    _titles: dict[str, str] | None = None
    _tags: dict[str, str] = field(default_factory=dict)

    async def view(self, email: str) -> ContactView:
        found = entries_of(await self.reader.need("contacts", {"email": email, "limit": "1"}), "contacts")
        if not found:
            return ContactView(email, found=False)
        contact_id = str(found[0].get("id"))
        whole = await self.reader.need(f"contacts/{contact_id}")
        contact = object_of(whole.get("contact")) or found[0]
        return ContactView(
            email=email,
            found=True,
            contact_id=contact_id,
            first_name=_text(contact, "firstName"),
            last_name=_text(contact, "lastName"),
            phone=_text(contact, "phone"),
            list_status=self._list_status(entries_of(whole, "contactLists")),
            fields=await self._fields(entries_of(whole, "fieldValues")),
            tags=await self._tags_of(contact_id),
        )

    def _list_status(self, memberships: list[dict[str, Any]]) -> str:
        for membership in memberships:
            if str(membership.get("list")) == self.list_id:
                status = str(membership.get("status"))
                return _STATUSES.get(status, f"status {status}")
        return "not on the list"

    async def _fields(self, values: list[dict[str, Any]]) -> dict[str, str]:
        filled = {str(value.get("field")): str(value["value"]) for value in values if value.get("value")}
        if filled and self._titles is None:
            self._titles = {str(known.id): known.title for known in await read_fields(self.reader)}
        return {(self._titles or {}).get(name, f"field {name}"): text for name, text in filled.items()}

    async def _tags_of(self, contact_id: str) -> tuple[str, ...]:
        links = entries_of(await self.reader.need(f"contacts/{contact_id}/contactTags"), "contactTags")
        names = []
        for tag_id in (str(link.get("tag")) for link in links):
            if tag_id not in self._tags:
                tag = object_of((await self.reader.need(f"tags/{tag_id}")).get("tag"))
                self._tags[tag_id] = _text(tag, "tag") or f"tag {tag_id}"
            names.append(self._tags[tag_id])
        return tuple(sorted(names))


def _text(contact: dict[str, Any], key: str) -> str:
    value = contact.get(key)
    return "" if value is None else str(value)
