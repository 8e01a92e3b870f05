"""How contacts and what hangs on them look in answers; ids are strings."""

from datetime import UTC, datetime
from typing import Any

from .account import Account
from .contacts import Contact, Membership

_IDS_PER_CONTACT = 100_000


def related_id(contact: Contact, item_id: int) -> int:
    """Return the id of a contact's membership, tag or field value; made from both ids."""
    return contact.id * _IDS_PER_CONTACT + item_id


def split_related_id(related: int) -> tuple[int, int]:
    """Return the contact's id and the item's."""
    return divmod(related, _IDS_PER_CONTACT)


def contact_shape(account: Account, contact: Contact) -> dict[str, Any]:
    """Return a contact as routes show it."""
    details = contact.details
    created, updated = account.date(contact.created_at), account.date(contact.updated_at)
    return {
        "id": str(contact.id),
        "email": contact.email,
        "firstName": details.first_name,
        "lastName": details.last_name,
        "phone": details.phone,
        "cdate": created.isoformat(timespec="seconds"),
        "udate": updated.isoformat(timespec="seconds"),
        "created_utc_timestamp": _utc(created),
        "updated_utc_timestamp": _utc(updated),
        "orgid": "0",
        "bounced_hard": "1" if contact.bounced == "hard" else "0",
        "bounced_soft": "1" if contact.bounced == "soft" else "0",
        "bounced_date": "0000-00-00" if not contact.bounced else f"{updated:%Y-%m-%d}",
        "deleted": "0",
        "anonymized": "0",
        "links": {},
    }


def membership_shape(account: Account, contact: Contact, membership: Membership) -> dict[str, Any]:
    """Return a list membership as reading routes show it."""
    return {
        "id": str(related_id(contact, membership.list_id)),
        "contact": str(contact.id),
        "list": str(membership.list_id),
        "status": str(int(membership.status)),
        "sdate": _date(account, membership.subscribed_at),
        "udate": _date(account, membership.unsubscribed_at),
        "unsubreason": membership.reason or None,
        "sourceid": str(membership.source_id),
        "links": {},
    }


def field_values_shape(account: Account, contact: Contact) -> list[dict[str, Any]]:
    """Return a contact's field values."""
    updated = account.date(contact.updated_at).isoformat(timespec="seconds")
    return [
        {
            "id": str(related_id(contact, field_id)),
            "contact": str(contact.id),
            "field": str(field_id),
            "value": value,
            "udate": updated,
        }
        for field_id, value in contact.details.fields.items()
    ]


def contact_tag_shape(contact: Contact, tag_id: int) -> dict[str, str]:
    """Return the association of a contact with a tag."""
    return {
        "id": str(related_id(contact, tag_id)),
        "contact": str(contact.id),
        "tag": str(tag_id),
    }


def _date(account: Account, seconds: float | None) -> str | None:
    return None if seconds is None else account.date(seconds).isoformat(timespec="seconds")


def _utc(date: datetime) -> str:
    return f"{date.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
