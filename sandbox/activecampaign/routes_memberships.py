"""What hangs on a contact: list memberships, tags, field values."""

from aiohttp import web

from . import answers
from .account import Account
from .contact_shapes import (
    contact_shape,
    contact_tag_shape,
    field_values_shape,
    membership_shape,
    related_id,
    split_related_id,
)
from .contacts import Contact, ListStatus, Membership
from .gate import PREFIX, RIGHTS, account_of
from .processing import integer, merge_fields, text
from .reading import wrapped
from .routes_contacts import find_contact, no_contact

routes = web.RouteTableDef()


@routes.post(PREFIX + "contactLists")
async def post_membership(request: web.Request) -> web.Response:
    """Set a contact's status on a list, whatever it was: status 1 re-subscribes who had left.

    Every such move goes to the audit trail that a well-behaved integration leaves empty.
    """
    account = account_of(request)
    wanted = await wrapped(request, "contactList")
    status = _status(wanted.get("status"))
    if status is None:
        return answers.coded_error("field_invalid", "Invalid status.", "/data/attributes/status")
    list_id = integer(wanted.get("list"))
    if not request[RIGHTS].sees(list_id):
        return answers.error(403, "Forbidden", "You do not have permission to change this list")
    contact = account.contacts.get(integer(wanted.get("contact")))
    if contact is None:
        return answers.not_found("Subscriber", wanted.get("contact"))
    if list_id not in account.catalog.lists:
        return answers.not_found("_List", wanted.get("list"))
    membership = set_status(account, contact, list_id, status, integer(wanted.get("sourceid")))
    shape = membership_shape(account, contact, membership) | {
        "id": related_id(contact, list_id),
        "contact": contact.id,
        "list": list_id,
        "status": int(status),
        "sourceid": membership.source_id,
    }
    return answers.json_answer({"contacts": [contact_shape(account, contact)], "contactList": shape})


def _status(value: object) -> ListStatus | None:
    number = integer(value) if str(value).isdecimal() else -1
    return ListStatus(number) if number in set(ListStatus) else None


def set_status(
    account: Account, contact: Contact, list_id: int, status: ListStatus, source_id: int
) -> Membership:
    """Set a list status as the API does, with audit, automations and webhooks."""
    now = account.clock.now()
    old = contact.membership(list_id)
    subscribed_at, unsubscribed_at = (old.subscribed_at, old.unsubscribed_at) if old else (None, None)
    joins = status == ListStatus.SUBSCRIBED and (old is None or old.status != status)
    leaves = status == ListStatus.UNSUBSCRIBED and (old is None or old.status != status)
    membership = Membership(
        list_id,
        status,
        now if joins else subscribed_at,
        now if leaves else unsubscribed_at,
        source_id,
    )
    account.audit_lists(contact, (old,) if old else (), (membership,), "contactLists")
    account.contacts.set_membership(contact, membership)
    account.contacts.touch(contact, now)
    if joins:
        account.start_automations(contact, [list_id], (), (), "contactLists")
        account.announce("subscribe", "api", contact, list_id)
    if leaves:
        account.announce("unsubscribe", "api", contact, list_id)
    return membership


@routes.get(PREFIX + "contacts/{id}/contactLists")
async def get_memberships(request: web.Request) -> web.Response:
    """Return a contact's standing on every list it has ever been on."""
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    account = account_of(request)
    shapes = [membership_shape(account, contact, m) for m in contact.memberships]
    return answers.json_answer({"contactLists": shapes})


@routes.get(PREFIX + "contacts/{id}/bounceLogs")
async def get_bounce_logs(request: web.Request) -> web.Response:
    """Return one entry for a contact that bounced."""
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    logs = [{"contact": str(contact.id), "type": contact.bounced}] if contact.bounced else []
    return answers.json_answer({"bounceLogs": logs, "meta": {"total": str(len(logs))}})


@routes.get(PREFIX + "contacts/{id}/fieldValues")
async def get_field_values(request: web.Request) -> web.Response:
    """Return a contact's field values."""
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    return answers.json_answer({"fieldValues": field_values_shape(account_of(request), contact)})


@routes.post(PREFIX + "fieldValues")
async def post_field_value(request: web.Request) -> web.Response:
    """Write one field value in place; only a numeric field id will do."""
    account = account_of(request)
    wanted = await wrapped(request, "fieldValue")
    contact = account.contacts.get(integer(wanted.get("contact")))
    field_id = integer(wanted.get("field"))
    if contact is None:
        return answers.not_found("Subscriber", wanted.get("contact"))
    if field_id not in account.catalog.fields:
        return answers.coded_error("field_invalid", "The field id is not valid.", "/data/attributes/field")
    old = contact.details
    value = text(wanted.get("value")) or ""
    values, changed = merge_fields(old.fields, [(field_id, value)], account.settings.empty_clears)
    contact.packed = old._replace(fields=values).pack()
    account.contacts.touch(contact, account.clock.now())
    account.start_automations(contact, (), (), changed, "fieldValues")
    account.announce_changes(contact, "api")
    shape = {
        "id": str(related_id(contact, field_id)),
        "contact": str(contact.id),
        "field": str(field_id),
        "value": values.get(field_id, ""),
    }
    return answers.json_answer({"contacts": [contact_shape(account, contact)], "fieldValue": shape})


@routes.get(PREFIX + "contacts/{id}/contactTags")
async def get_contact_tags(request: web.Request) -> web.Response:
    """Return a contact's tags as associations."""
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    return answers.json_answer(
        {"contactTags": [contact_tag_shape(account_of(request), contact, n) for n in contact.tag_ids]}
    )


@routes.post(PREFIX + "contactTags")
async def post_contact_tag(request: web.Request) -> web.Response:
    """Tag a contact by numeric tag id; doing it again is harmless."""
    account = account_of(request)
    wanted = await wrapped(request, "contactTag")
    contact = account.contacts.get(integer(wanted.get("contact")))
    tag_id = integer(wanted.get("tag"))
    if contact is None:
        return answers.not_found("Subscriber", wanted.get("contact"))
    if not tag_id:
        return answers.coded_error("field_invalid", "No tag id provided", "/data/attributes/tag")
    if tag_id not in account.catalog.tags:
        return answers.not_found("Tag", tag_id)
    new = tag_id not in contact.tag_ids
    if new:
        account.contacts.set_tags(contact, (*contact.tag_ids, tag_id))
        account.contacts.touch(contact, account.clock.now())
        account.start_automations(contact, (), [tag_id], (), "contactTags")
        account.announce_changes(contact, "api", created=True, added=[tag_id])
    body = {
        "contacts": [contact_shape(account, contact)],
        "contactTag": contact_tag_shape(account, contact, tag_id),
    }
    return answers.json_answer(body, 201 if new else 200)


@routes.delete(PREFIX + "contactTags/{id}")
async def delete_contact_tag(request: web.Request) -> web.Response:
    """Remove a tag from a contact; the path takes the association's id, not the tag's."""
    account = account_of(request)
    contact_id, tag_id = split_related_id(integer(request.match_info["id"]))
    contact = account.contacts.get(contact_id)
    if contact is None or tag_id not in contact.tag_ids:
        return answers.not_found("ContactTag", request.match_info["id"])
    account.contacts.set_tags(contact, tuple(n for n in contact.tag_ids if n != tag_id))
    account.contacts.touch(contact, account.clock.now())
    account.announce("contact_tag_removed", "api", contact, extra={"tag": account.catalog.tags[tag_id]})
    return answers.json_answer({})
