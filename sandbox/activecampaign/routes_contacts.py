"""Contacts one by one: sync, create, read, find, change, delete."""

from typing import Any

from aiohttp import web

from . import answers
from .account import Account
from .contact_index import Window
from .contact_query import ContactQuery, QueryError, read_integer, read_query
from .contact_shapes import Shape, contact_shape, field_values_shape, related_ids, side_loaded
from .contacts import Contact, Details
from .gate import PREFIX, account_of
from .processing import integer, merge_fields, merged, text
from .reading import bracketed, page_bounds, wrapped
from .validation import is_address

routes = web.RouteTableDef()

_EMAIL_POINTER = "/data/attributes/email"
_WITH_ONE = ("contactLists", "contactTags", "fieldValues")
"""What comes with a single contact unasked, besides what the simulator has none of."""
_NONE_OF = ("accountContacts", "contactAutomations", "deals", "geoAddresses", "geoIps")


@routes.post(PREFIX + "contact/sync")
async def post_sync(request: web.Request) -> web.Response:
    """Create or update by address: keys left out are kept, empty values clear, unknown fields are ignored."""
    account = account_of(request)
    wanted = await wrapped(request, "contact")
    email = str(wanted.get("email") or "").strip().lower()
    if not email:
        return answers.error(400, "Bad Request", "Contact email must be provided for sync")
    if not is_address(email):
        return _email_invalid(account)
    contact = account.contacts.find(email)
    created = contact is None
    if contact is None:
        contact = account.contacts.create(email, account.clock.now())
    body = write_contact(account, contact, wanted, created=created, cause="contact/sync")
    return answers.json_answer(body, 201 if created else account.settings.sync_update_status)


@routes.post(PREFIX + "contacts/sync")
async def post_plural_sync(request: web.Request) -> web.Response:
    """Behave as a plain create, or not be there: it is the wrong path."""
    if account_of(request).settings.plural_sync == "404":
        return answers.error(404, "Not Found", "No such route")
    return await create_contact(request)


@routes.post(PREFIX + "contacts")
async def post_contact(request: web.Request) -> web.Response:
    """Create a contact; an address that is there already is refused."""
    return await create_contact(request)


async def create_contact(request: web.Request) -> web.Response:
    """Create a contact from the request's body."""
    account = account_of(request)
    wanted = await wrapped(request, "contact")
    email = str(wanted.get("email") or "").strip().lower()
    if not is_address(email):
        return _email_invalid(account)
    if account.contacts.find(email) is not None:
        return _duplicate()
    contact = account.contacts.create(email, account.clock.now())
    return answers.json_answer(write_contact(account, contact, wanted, created=True, cause="contacts"), 201)


@routes.put(PREFIX + "contacts/{id}")
async def put_contact(request: web.Request) -> web.Response:
    """Change a contact, its address too unless another contact has it."""
    account = account_of(request)
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    wanted = await wrapped(request, "contact")
    email = str(wanted.get("email") or contact.email).strip().lower()
    if not is_address(email):
        return _email_invalid(account)
    if account.contacts.find(email) not in {None, contact}:
        return _duplicate()
    if email != contact.email:
        account.contacts.rename(contact, email)
    return answers.json_answer(write_contact(account, contact, wanted, created=False, cause="contacts/{id}"))


@routes.get(PREFIX + "contacts/{id}")
async def get_contact(request: web.Request) -> web.Response:
    """Return a contact with all that hangs on it; names of tags come with `include=contactTags.tag` only."""
    account = account_of(request)
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    nothing: dict[str, list[Shape]] = {name: [] for name in _NONE_OF}
    shape = contact_shape(account, contact) | nothing | related_ids(contact, _WITH_ONE)
    beside = side_loaded(account, [contact], {*_WITH_ONE, *_include(request)})
    return answers.json_answer({**nothing, **beside, "contact": shape})


@routes.delete(PREFIX + "contacts/{id}")
async def delete_contact(request: web.Request) -> web.Response:
    """Delete a contact; the same address gets a new id if it comes back."""
    contact = find_contact(request)
    if contact is None:
        return no_contact(request)
    account_of(request).contacts.delete(contact)
    return answers.json_answer({})


@routes.get(PREFIX + "contacts")
async def get_contacts(request: web.Request) -> web.Response:
    """Find contacts; `meta.total` is a string, nobody found is an empty list."""
    account = account_of(request)
    try:
        query = read_query(
            account, request.query, request.query.getall("ids[]", []), bracketed(request, "filters")
        )
        window = _window(request, account)
    except QueryError as problem:
        return answers.error(400, "Bad Request", str(problem))
    found, total = account.index.find(query, window)
    include = _include(request)
    names = {name.partition(".")[0] for name in include}
    return answers.json_answer(
        {
            "scoreValues": [],
            "contacts": [contact_shape(account, contact) | related_ids(contact, names) for contact in found],
            **side_loaded(account, found, include),
            "meta": {"total": str(total), "page_input": _page_input(query, window)},
        }
    )


def _window(request: web.Request, account: Account) -> Window:
    """Read the paging of `GET /contacts`; ActiveCampaign can order by more than the id."""
    orders = bracketed(request, "orders")
    if set(orders) - {"id"}:
        raise QueryError("not modelled: an order other than orders[id]")
    limit, offset = page_bounds(request, account.settings)
    return Window(
        limit,
        offset,
        greater=read_integer("id_greater", request.query.get("id_greater", "0")),
        less=read_integer("id_less", request.query["id_less"]) if "id_less" in request.query else None,
        descending=orders.get("id", "ASC").upper() == "DESC",
    )


def _include(request: web.Request) -> set[str]:
    return set(request.query.get("include", "").split(","))


def _page_input(query: ContactQuery, window: Window) -> dict[str, object]:
    """Return the reading of the query in `meta`, as numbers, as the OpenAPI file shows it."""
    return {
        "listid": query.list_id,
        "tagid": query.tag_id,
        "limit": window.limit,
        "offset": window.offset,
        "search": query.search or None,
        "status": -1 if query.status is None else query.status,
    }


def write_contact(
    account: Account, contact: Contact, wanted: dict[str, Any], *, created: bool, cause: str
) -> dict[str, object]:
    """Write names, phone and `fieldValues`, and return the answer, which shows only the fields sent."""
    given = wanted.get("fieldValues")
    sent = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    pairs = [(integer(item.get("field")), text(item.get("value"))) for item in sent]
    known = [(n, value) for n, value in pairs if n in account.catalog.fields and value is not None]
    old = contact.details
    clears = account.settings.empty_clears
    values, changed = merge_fields(old.fields, known, clears)
    contact.packed = Details(
        merged(old.first_name, text(wanted.get("firstName")), clears),
        merged(old.last_name, text(wanted.get("lastName")), clears),
        merged(old.phone, text(wanted.get("phone")), clears),
        values,
    ).pack()
    account.contacts.touch(contact, account.clock.now())
    account.start_automations(contact, (), (), changed, cause)
    account.announce_changes(contact, "api", created=created)
    sent_ids = {field_id for field_id, _ in known}
    shown = [v for v in field_values_shape(account, contact) if int(v["field"]) in sent_ids]
    shape = contact_shape(account, contact) | {"fieldValues": [value["id"] for value in shown]}
    return {"fieldValues": shown, "contact": shape}


def find_contact(request: web.Request) -> Contact | None:
    """Return the contact that the path names."""
    return account_of(request).contacts.get(integer(request.match_info["id"]))


def no_contact(request: web.Request) -> web.Response:
    """404 for a contact that is not there."""
    return answers.not_found("Subscriber", request.match_info["id"])


def _email_invalid(account: Account) -> web.Response:
    return answers.coded_error(
        "email_invalid",
        "Contact Email Address is not valid.",
        _EMAIL_POINTER,
        status=account.settings.invalid_email_status,
        error="must_be_valid_email_address",
    )


def _duplicate() -> web.Response:
    return answers.coded_error("duplicate", "Email address already exists in the system", _EMAIL_POINTER)
