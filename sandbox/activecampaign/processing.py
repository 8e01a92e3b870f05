"""What a batch does to the contacts when it reaches its end, row by row and in ActiveCampaign's order.

Exclusions and other failures, plan limit, upsert by address, values, tags, `unsubscribe`, `subscribe`.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import orjson

from .batches import Batch
from .contacts import EMPTY, Contact, Details, ListStatus, Membership
from .settings import SimulatorSettings

if TYPE_CHECKING:
    from .account import Account

_LONGEST_ID = 18
_BLANK = Details("", "", "", {})


def process(account: "Account", batch: Batch, now: float) -> None:
    """Bring a batch to its end: all rows written, or none (`failed`), or half of them (`interrupted`)."""
    rows = orjson.loads(batch.body)["contacts"]
    if batch.end == "failed":
        rows = []
    elif batch.end == "interrupted":
        rows = rows[: len(rows) // 2]
    work = _Import(account, batch, now)
    for row in rows:
        work.take(row)
    batch.success = tuple(work.success)
    batch.failure = tuple(work.failure)
    batch.body = b""
    batch.finished_at = now


def integer(value: object) -> int:
    """Read an id given as a number or a string; 0 is no id."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_ID and value.strip().isdecimal():
        return int(value)
    return 0


def text(value: object) -> str | None:
    """Read a value as text; none means that the key was left out."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "||" + "||".join(str(item) for item in value) + "||"
    return str(value)


def merged(old: str, new: str | None, empty_clears: bool) -> str:
    """Return the value after a write: a key left out keeps it, an empty string clears it by switch."""
    if new is None or (new == "" and not empty_clears):
        return old
    return new


def merge_fields(
    old: dict[int, str], new: Iterable[tuple[int, str]], empty_clears: bool
) -> tuple[dict[int, str], set[int]]:
    """Return the field values after a write, and which of them changed."""
    values = dict(old)
    changed: set[int] = set()
    for field_id, value in new:
        before = values.get(field_id, "")
        after = merged(before, value, empty_clears)
        if after == before:
            continue
        changed.add(field_id)
        if after:
            values[field_id] = after
        else:
            del values[field_id]
    return values, changed


def memberships_after(
    old: tuple[Membership, ...],
    unsubscribe: tuple[int, ...],
    subscribe: tuple[int, ...],
    now: float,
    settings: SimulatorSettings,
) -> tuple[Membership, ...]:
    """Return the memberships after a bulk row.

    `subscribe` joins who is not on the list, keeps 1, leaves 2 and 3 as they are, silently, and moves 0 by
    switch. `unsubscribe` comes first, so that it wins when both name a list.
    """
    standing = {membership.list_id: membership for membership in old}
    for list_id in unsubscribe:
        present = standing.get(list_id)
        if present is None:
            standing[list_id] = Membership(list_id, ListStatus.UNSUBSCRIBED, None, now)
        elif present.status != ListStatus.UNSUBSCRIBED:
            standing[list_id] = present._replace(status=ListStatus.UNSUBSCRIBED, unsubscribed_at=now)
    for list_id in subscribe:
        present = standing.get(list_id)
        if present is None:
            standing[list_id] = Membership(list_id, ListStatus.SUBSCRIBED, now, None)
        elif present.status == ListStatus.UNCONFIRMED and settings.unconfirmed_becomes_subscribed:
            standing[list_id] = present._replace(status=ListStatus.SUBSCRIBED, subscribed_at=now)
    return tuple(standing.values())


def _has_left(contact: Contact, list_ids: Collection[int]) -> bool:
    """Say whether the contact has unsubscribed from any of these lists."""
    return any(m.status == ListStatus.UNSUBSCRIBED and m.list_id in list_ids for m in contact.memberships)


class _Import:
    """The writing of one batch."""

    def __init__(self, account: "Account", batch: Batch, now: float) -> None:
        self._account = account
        self._settings = account.settings
        self._store = account.contacts
        self._catalog = account.catalog
        self._batch = batch
        self._now = now
        self._seen: set[str] = set()
        self._memberships: dict[object, tuple[Membership, ...]] = {}
        self.success: list[int] = []
        self.failure: list[str] = []

    def take(self, row: dict[str, Any]) -> None:
        """Write one row, or note its failure."""
        sent = row["email"].strip()
        email = sent.lower()
        if self._settings.duplicate_in_batch == "first_wins":
            if email in self._seen:
                return
            self._seen.add(email)
        subscribe, lists_known = self._lists(row.get("subscribe"))
        contact = self._store.by_email.get(email)
        fields, fields_known = self._fields(row.get("fields"))
        if self._catalog.exclusions.excludes(email, subscribe):
            if self._settings.exclusions_fail:
                self._fail(sent)
            return
        if (
            not (lists_known and fields_known)
            or self._fails(email)
            or (contact is None and self._over_plan_limit())
        ):
            self._fail(sent)
            return
        self._write(sent, email, contact, row, fields, subscribe)

    def _write(
        self,
        sent: str,
        email: str,
        contact: Contact | None,
        row: dict[str, Any],
        fields: list[tuple[int, str]],
        subscribe: tuple[int, ...],
    ) -> None:
        created = contact is None
        if contact is None:
            contact = self._store.create(email, self._now)
        changed = self._write_values(contact, row, fields)
        added = self._write_tags(contact, row.get("tags"))
        unsubscribe, _ = self._lists(row.get("unsubscribe"))
        hard_bounced = contact.bounced == "hard"
        opted_out = _has_left(contact, subscribe)
        joined = self._write_lists(contact, unsubscribe, () if hard_bounced else subscribe)
        self._store.touch(contact, self._now)
        if company := row.get("customer_acct_name"):
            self._catalog.accounts.add(str(company))
        if not self._batch.exclude_automations:
            self._account.start_automations(contact, joined, added, changed, f"batch {self._batch.id}")
        if self._settings.webhooks_for_bulk:
            self._account.announce_changes(contact, "api", created=created, joined=joined, added=added)
        if (hard_bounced and self._settings.hard_bounced_fail) or (
            opted_out and self._settings.unsubscribed_fail
        ):
            self._fail(sent)
        else:
            self._succeed(contact.id, created)

    def _fail(self, sent: str) -> None:
        self.failure.append(sent)
        self._account.counters.contacts_failed += 1

    def _succeed(self, contact_id: int, created: bool) -> None:
        if created or self._settings.success_ids == "created_and_updated":
            self.success.append(contact_id)
        if created:
            self._account.counters.contacts_created += 1
        else:
            self._account.counters.contacts_updated += 1

    def _fails(self, email: str) -> bool:
        settings = self._settings
        local, _, domain = email.rpartition("@")
        return (
            (settings.dotless_domains_fail and "." not in domain)
            or (settings.apostrophes_fail and "'" in local)
            or (settings.non_ascii_addresses == "failure" and not email.isascii())
            or email in settings.failing_addresses
            or (settings.fails is not None and settings.fails(email))
        )

    def _over_plan_limit(self) -> bool:
        limit = self._settings.plan_limit
        return limit is not None and self._settings.over_plan_limit == "failure" and len(self._store) >= limit

    def _lists(self, value: object) -> tuple[tuple[int, ...], bool]:
        """Return the known lists that a row names, and whether unknown ones matter."""
        if not value or not isinstance(value, list):
            return (), True
        named = [integer(item.get("listid")) for item in value if isinstance(item, dict)]
        allowed = self._batch.list_ids
        known = tuple(
            list_id
            for list_id in named
            if list_id in self._catalog.lists and (allowed is None or list_id in allowed)
        )
        return known, len(known) == len(named) or not self._settings.unknown_lists_fail

    def _fields(self, value: object) -> tuple[list[tuple[int, str]], bool]:
        """Return the known fields that a row gives, and whether unknown ones matter."""
        if not value or not isinstance(value, list):
            return [], True
        pairs = [
            (integer(item.get("id")), text(item.get("value"))) for item in value if isinstance(item, dict)
        ]
        known = self._catalog.fields
        found = [
            (field_id, content) for field_id, content in pairs if field_id in known and content is not None
        ]
        unknown = any(field_id not in known for field_id, _ in pairs)
        return found, not (unknown and self._settings.unknown_fields_fail)

    def _write_values(self, contact: Contact, row: dict[str, Any], fields: list[tuple[int, str]]) -> set[int]:
        old = _BLANK if contact.packed is EMPTY else contact.details
        clears = self._settings.empty_clears
        values, changed = merge_fields(old.fields, fields, clears)
        contact.packed = Details(
            merged(old.first_name, text(row.get("first_name")), clears),
            merged(old.last_name, text(row.get("last_name")), clears),
            merged(old.phone, text(row.get("phone")), clears),
            values,
        ).pack()
        return changed

    def _write_tags(self, contact: Contact, names: object) -> list[int]:
        if not names or not isinstance(names, list):
            return []
        tag_ids = dict.fromkeys(self._catalog.tag(name) for name in names if isinstance(name, str) and name)
        added = [tag_id for tag_id in tag_ids if tag_id not in contact.tag_ids]
        if added:
            self._store.set_tags(contact, (*contact.tag_ids, *added))
        return added

    def _write_lists(
        self, contact: Contact, unsubscribe: tuple[int, ...], subscribe: tuple[int, ...]
    ) -> list[int]:
        old = contact.memberships
        key = (old, unsubscribe, subscribe)
        new = self._memberships.get(key)
        if new is None:
            new = memberships_after(old, unsubscribe, subscribe, self._now, self._settings)
            self._memberships[key] = new
        if new == old:
            return []
        self._account.audit_lists(contact, old, new, f"batch {self._batch.id}")
        self._store.set_memberships(contact, new)
        was_subscribed = {m.list_id for m in old if m.status == ListStatus.SUBSCRIBED}
        return [
            m.list_id for m in new if m.status == ListStatus.SUBSCRIBED and m.list_id not in was_subscribed
        ]
