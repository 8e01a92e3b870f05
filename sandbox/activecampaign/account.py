"""The simulated account: everything that the routes and the control API read and change."""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from .batches import Batch, BatchQueue
from .catalog import Catalog
from .clock import Clock, ScaledClock
from .contact_index import ContactIndex
from .contacts import Contact, ContactStore, ListStatus, Membership
from .counters import Counters
from .faults import Faults
from .keys import KeyRing
from .limits import Limits
from .outbound import Delivery, callback_of, webhook_delivery
from .processing import process
from .settings import READ_AT_START, SimulatorSettings
from .webhooks import Webhooks


class Account:
    """One ActiveCampaign account in memory; `reset` empties it."""

    def __init__(self, settings: SimulatorSettings, clock: Clock, routes: Collection[str] = ()) -> None:
        """Take what fault rules may call a route; without any, every name will do."""
        self._initial = settings
        self._routes = routes
        self.clock = clock
        self.send: Callable[[Delivery], None] = lambda _: None
        """Where callbacks and webhooks go; the server sets it."""
        self.url = ""
        """The server's base URL, which the links in answers begin with; the server sets it."""
        self.reset()

    def reset(self) -> None:
        """Go back to the settings and contents of the start; the clock goes on."""
        settings = self._initial
        self.settings = settings
        self.epoch = (settings.start or datetime.now(UTC)) - timedelta(seconds=self.clock.now())
        self.zone = timezone(timedelta(minutes=settings.utc_offset_minutes))
        started = self.date(0.0)
        self.midnight = (started.replace(hour=0, minute=0, second=0, microsecond=0) - started).total_seconds()
        """The midnight before second zero, in simulated seconds; without summer time all days are as long."""
        self.contacts = ContactStore()
        self.catalog = Catalog(settings)
        self.keys = KeyRing(settings.key)
        self.limits = Limits()
        self.batches = BatchQueue()
        self.counters = Counters(settings.request_log_size)
        self.faults = Faults(self._routes)
        self.webhooks = Webhooks()
        self.index = ContactIndex(self.contacts)
        self.contacts.changed = self.index.note

    def change_settings(self, changes: dict[str, object]) -> None:
        """Change switches at run time; raises ValueError for what is read at the start only."""
        changed = self.settings.changed(changes)
        for name in sorted(READ_AT_START):
            if getattr(changed, name) != getattr(self.settings, name):
                raise ValueError(f"{name} is read at the start only")
        self.settings = changed
        if "speed" in changes and isinstance(self.clock, ScaledClock):
            self.clock.set_speed(self.settings.speed)

    def date(self, seconds: float) -> datetime:
        """Return a simulated moment as a date in the account's time zone."""
        return (self.epoch + timedelta(seconds=seconds)).astimezone(self.zone)

    def catch_up(self) -> None:
        """Finish every batch whose end has come by the clock."""
        if self.settings.processing == "step":
            return
        for batch in self.batches.due(self.clock.now()):
            self._finish(batch, batch.ends_at)

    def step(self, phases: int = 1, batch_id: str | None = None) -> None:
        """Move open batches (or one) some phases on; four phases precede the final status."""
        for batch in self.batches.step(phases, batch_id):
            self._finish(batch, self.clock.now())

    def _finish(self, batch: Batch, now: float) -> None:
        process(self, batch, now)
        if batch.callback is not None:
            delivery = callback_of(batch, self.settings)
            if delivery is not None:
                self.send(delivery)

    def start_automations(
        self,
        contact: Contact,
        joined: Collection[int],
        tag_ids: Collection[int],
        field_ids: Collection[int],
        cause: str,
    ) -> None:
        """Record one automation run if a watched list, tag or field of the contact changed."""
        settings = self.settings
        triggers = [f"list {n}" for n in joined if _watched(n, settings.watched_lists)]
        names = (self.catalog.tags[n] for n in tag_ids)
        triggers += [f"tag {name}" for name in names if _watched(name.lower(), settings.watched_tags)]
        triggers += [f"field {n}" for n in field_ids if _watched(n, settings.watched_fields)]
        if triggers:
            self.counters.automation_runs += 1
            self.counters.automations.append({"email": contact.email, "triggers": triggers, "cause": cause})

    def audit_lists(
        self, contact: Contact, old: Iterable[Membership], new: Iterable[Membership], cause: str
    ) -> None:
        """Record every move to "subscribed" of somebody who had left or bounced."""
        before = {membership.list_id: membership.status for membership in old}
        for membership in new:
            status = before.get(membership.list_id)
            if membership.status == ListStatus.SUBSCRIBED and status in {2, 3}:
                self.counters.resubscriptions.append(
                    {
                        "seconds": self.clock.now(),
                        "email": contact.email,
                        "list": membership.list_id,
                        "from": int(status),
                        "to": 1,
                        "cause": cause,
                    }
                )

    def announce(
        self, kind: str, source: str, contact: Contact, list_id: int = 0, extra: dict[str, str] | None = None
    ) -> None:
        """Send an event to the webhooks that listen for it."""
        for hook in self.webhooks.listening(kind, source, list_id):
            self.send(webhook_delivery(self, hook, kind, source, contact, list_id, extra or {}))

    def announce_changes(
        self,
        contact: Contact,
        source: str,
        *,
        created: bool = False,
        joined: Collection[int] = (),
        added: Collection[int] = (),
    ) -> None:
        """Send the events of a write: `update` for an existing contact, `subscribe`, `contact_tag_added`."""
        if not self.webhooks.by_id:
            return
        if not created:
            self.announce("update", source, contact)
        for list_id in joined:
            self.announce("subscribe", source, contact, list_id)
        for tag_id in added:
            self.announce("contact_tag_added", source, contact, extra={"tag": self.catalog.tags[tag_id]})

    def view(self, contact: Contact) -> dict[str, Any]:
        """Return a contact as the control API shows it."""
        details = contact.details
        return {
            "id": contact.id,
            "email": contact.email,
            "first_name": details.first_name,
            "last_name": details.last_name,
            "phone": details.phone,
            "fields": {str(field_id): value for field_id, value in details.fields.items()},
            "tags": [self.catalog.tags[tag_id] for tag_id in contact.tag_ids],
            "lists": {str(m.list_id): int(m.status) for m in contact.memberships},
            "bounced": contact.bounced,
        }


def _watched(item: object, watched: Collection[object] | None) -> bool:
    return watched is None or item in watched
