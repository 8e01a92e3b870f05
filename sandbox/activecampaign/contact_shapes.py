"""How contacts and what hangs on them look in answers; ids are strings.

The keys are those of ActiveCampaign's OpenAPI file (`/contacts`, `/contacts/{id}`) and of its reference page
of `contactTags`. What an account in memory has no use for (IP addresses, hashes, ratings) is left out.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from .account import Account
from .contacts import Contact, Membership

_IDS_PER_CONTACT = 100_000_000
"""More than an account has tags; related ids of 10,000,000 contacts still fit a JSON number."""
_SUBRESOURCES = ("bounceLogs", "contactLists", "contactTags", "fieldValues")

Shape = dict[str, Any]


def related_id(contact: Contact, item_id: int) -> int:
    """Return the id of a contact's membership, tag or field value; made from both ids."""
    return contact.id * _IDS_PER_CONTACT + item_id


def split_related_id(related: int) -> tuple[int, int]:
    """Return the contact's id and the item's."""
    return divmod(related, _IDS_PER_CONTACT)


def contact_shape(account: Account, contact: Contact) -> Shape:
    """Return a contact as routes show it."""
    details = contact.details
    created, updated = account.date(contact.created_at), account.date(contact.updated_at)
    path = f"{account.url}/api/3/contacts/{contact.id}/"
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
        "organization": None,
        "bounced_hard": "1" if contact.bounced == "hard" else "0",
        "bounced_soft": "1" if contact.bounced == "soft" else "0",
        "bounced_date": updated.date().isoformat() if contact.bounced else "0000-00-00",
        "deleted": "0",
        "anonymized": "0",
        "scoreValues": [],
        "links": {name: path + name for name in _SUBRESOURCES},
    }


def membership_shape(account: Account, contact: Contact, membership: Membership) -> Shape:
    """Return a list membership as reading routes show it."""
    details = contact.details
    return {
        "id": str(related_id(contact, membership.list_id)),
        "contact": str(contact.id),
        "list": str(membership.list_id),
        "status": str(int(membership.status)),
        "sdate": _date(account, membership.subscribed_at),
        "udate": _date(account, membership.unsubscribed_at),
        "unsubreason": membership.reason or None,
        "sourceid": str(membership.source_id),
        "first_name": details.first_name,
        "last_name": details.last_name,
        "form": None,
        "seriesid": "0",
        "responder": "1",
        "sync": "0",
        "campaign": None,
        "message": None,
        "automation": None,
        "links": {},
    }


def field_values_shape(account: Account, contact: Contact) -> list[Shape]:
    """Return a contact's field values; their dates are the contact's."""
    created, updated = _date(account, contact.created_at), _date(account, contact.updated_at)
    return [
        {
            "id": str(related_id(contact, field_id)),
            "contact": str(contact.id),
            "owner": str(contact.id),
            "field": str(field_id),
            "value": value,
            "cdate": created,
            "udate": updated,
            "created_by": None,
            "updated_by": None,
            "links": {},
        }
        for field_id, value in contact.details.fields.items()
    ]


def contact_tag_shape(account: Account, contact: Contact, tag_id: int) -> Shape:
    """Return the association of a contact with a tag; its date is the contact's."""
    related = related_id(contact, tag_id)
    path = f"{account.url}/api/3/"
    return {
        "id": str(related),
        "contact": str(contact.id),
        "tag": str(tag_id),
        "cdate": _date(account, contact.created_at),
        "links": {"tag": f"{path}tags/{tag_id}", "contact": f"{path}contacts/{contact.id}"},
    }


def tag_shape(account: Account, tag_id: int) -> Shape:
    """Return a tag; its date is that of the account's start."""
    return {
        "id": str(tag_id),
        "tag": account.catalog.tags[tag_id],
        "tagType": "contact",
        "description": "",
        "cdate": _date(account, 0.0),
        "links": {},
    }


def side_loaded(
    account: Account, contacts: Collection[Contact], include: Collection[str]
) -> dict[str, list[Shape]]:
    """Return what stands beside the contacts for `include`: `contactLists`, `contactTags`, `fieldValues`.

    `contactTags.tag` asks for both steps of the way, associations and tags. Names that the simulator has
    nothing for are passed over.
    """
    body: dict[str, list[Shape]] = {}
    names = {name.partition(".")[0] for name in include}
    if "contactLists" in names:
        body["contactLists"] = [membership_shape(account, c, m) for c in contacts for m in c.memberships]
    if "contactTags" in names:
        body["contactTags"] = [contact_tag_shape(account, c, n) for c in contacts for n in c.tag_ids]
    if "contactTags.tag" in include:
        tag_ids = {tag_id for contact in contacts for tag_id in contact.tag_ids}
        body["tags"] = [tag_shape(account, tag_id) for tag_id in sorted(tag_ids)]
    if "fieldValues" in names:
        body["fieldValues"] = [
            value for contact in contacts for value in field_values_shape(account, contact)
        ]
    return body


def related_ids(contact: Contact, names: Collection[str]) -> dict[str, list[str]]:
    """Return the ids by which a contact's shape points to what is side-loaded under these names."""
    items = {
        "contactLists": [membership.list_id for membership in contact.memberships],
        "contactTags": contact.tag_ids,
        "fieldValues": contact.details.fields,
    }
    return {
        name: [str(related_id(contact, item_id)) for item_id in item_ids]
        for name, item_ids in items.items()
        if name in names
    }


def _date(account: Account, seconds: float | None) -> str | None:
    return None if seconds is None else account.date(seconds).isoformat(timespec="seconds")


def _utc(date: datetime) -> str:
    return date.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec="seconds")
