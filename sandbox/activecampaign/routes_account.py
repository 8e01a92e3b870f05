"""The account's own routes: user, settings, lists, exclusions, fields, tags."""

from aiohttp import web

from . import answers
from .catalog import Exclusion, Field, FieldOption
from .contact_query import ContactQuery
from .contact_shapes import tag_shape
from .gate import PREFIX, RIGHTS, account_of
from .reading import bracketed, page, wrapped

routes = web.RouteTableDef()

_NO_PLAN_LIMIT = 1_000_000_000


@routes.get(PREFIX + "users/me")
async def get_user(request: web.Request) -> web.Response:
    """Return the user behind the key; integrations check a key with it."""
    name = account_of(request).settings.account
    user: dict[str, object] = {
        "id": "1",
        "username": name,
        "firstName": "Sandbox",
        "lastName": "User",
        "email": f"{name}@example.org",
        "phone": "",
        "signature": None,
        "links": {},
    }
    return answers.json_answer({"user": user})


@routes.get(PREFIX + "settings/account")
async def get_account(request: web.Request) -> web.Response:
    """Return the plan's contact limit and the present total, to administrators."""
    if not request[RIGHTS].admin:
        return answers.message("Forbidden", 403)
    account = account_of(request)
    settings = account.settings
    return answers.json_answer(
        {
            "account": settings.account,
            "email": f"{settings.account}@example.org",
            "first_name": "Sandbox",
            "last_name": "User",
            "cname": "",
            "status": "active",
            "subscriber_limit": _NO_PLAN_LIMIT if settings.plan_limit is None else settings.plan_limit,
            "subscriber_total": str(len(account.contacts)),
            "trial": False,
            "credits": None,
            "branding": True,
        }
    )


@routes.get(PREFIX + "lists")
async def get_lists(request: web.Request) -> web.Response:
    """Return the lists that the key may see; 403 if there is none."""
    if request[RIGHTS].list_ids == frozenset():
        return _forbidden_list()
    account = account_of(request)
    wanted = bracketed(request, "filters").get("name")
    visible = [
        (list_id, name)
        for list_id, name in account.catalog.lists.items()
        if request[RIGHTS].sees(list_id) and wanted in {None, name}
    ]
    shown = [_list(list_id, name) for list_id, name in page(request, account.settings, visible)]
    return answers.json_answer({"lists": shown, "meta": {"total": str(len(visible))}})


@routes.get(PREFIX + "lists/exclusions")
async def get_exclusions(request: web.Request) -> web.Response:
    """Return the addresses and phrases that imports skip; `meta.total` is a number here."""
    account = account_of(request)
    items = account.catalog.exclusions.items
    shown = [_exclusion(item) for item in page(request, account.settings, items)]
    return answers.json_answer({"exclusions": shown, "meta": {"total": len(items)}})


@routes.get(PREFIX + "lists/{id}")
async def get_list(request: web.Request) -> web.Response:
    """Return one list; 403 for one that the key may not see, 404 for one that is not there."""
    account = account_of(request)
    identity = request.match_info["id"]
    list_id = int(identity) if identity.isdecimal() else 0
    if not request[RIGHTS].sees(list_id):
        return _forbidden_list()
    name = account.catalog.lists.get(list_id)
    if name is None:
        return answers.not_found("_List", identity)
    return answers.json_answer({"list": _list(list_id, name)})


def _forbidden_list() -> web.Response:
    return answers.error(403, "Forbidden", "You may not view this list", content_type="text/plain")


def _list(list_id: int, name: str) -> dict[str, object]:
    return {
        "id": str(list_id),
        "stringid": name.lower().replace(" ", "-"),
        "userid": "1",
        "name": name,
        "cdate": "2024-01-01T09:00:00-06:00",
        "sender_url": "https://example.org",
        "sender_reminder": "You signed up on our site.",
        "links": {},
    }


def _exclusion(item: Exclusion) -> dict[str, object]:
    return {
        "id": str(item.id),
        "matchPhrase": item.phrase,
        "matchType": item.match_type,
        "channel": "email",
        "hidden": False,
        "lists": [str(list_id) for list_id in sorted(item.list_ids)],
    }


@routes.get(PREFIX + "fields")
async def get_fields(request: web.Request) -> web.Response:
    """Return custom fields, with the texts of their options beside them."""
    account = account_of(request)
    catalog = account.catalog
    shown = page(request, account.settings, list(catalog.fields.values()))
    options = [_option(catalog.options[option_id]) for item in shown for option_id in item.option_ids]
    relations = [{"id": str(item.id), "field": str(item.id), "relid": "0", "dorder": "0"} for item in shown]
    return answers.json_answer(
        {
            "fields": [_field(item) for item in shown],
            "fieldOptions": options,
            "fieldRels": relations,
            "meta": {"total": str(len(catalog.fields))},
        }
    )


@routes.post(PREFIX + "fields")
async def post_field(request: web.Request) -> web.Response:
    """Create a custom field; a title may be used once."""
    account = account_of(request)
    wanted = await wrapped(request, "field")
    title = str(wanted.get("title") or "")
    if not title:
        return answers.coded_error("field_missing", "The title is missing.", "/data/attributes/title")
    if any(item.title == title for item in account.catalog.fields.values()):
        return answers.coded_error("duplicate", "The title is in use.", "/data/attributes/title")
    created = account.catalog.add_field(title, str(wanted.get("type") or "text"))
    return answers.json_answer({"field": _field(created)}, 201)


@routes.get(PREFIX + "fields/{id}/options")
async def get_options(request: web.Request) -> web.Response:
    """Return the options of one field."""
    catalog = account_of(request).catalog
    identity = request.match_info["id"]
    item = catalog.fields.get(int(identity)) if identity.isdecimal() else None
    if item is None:
        return answers.not_found("Field", identity)
    options = [_option(catalog.options[option_id]) for option_id in item.option_ids]
    return answers.json_answer({"fieldOptions": options, "meta": {"total": str(len(options))}})


def _field(item: Field) -> dict[str, object]:
    return {
        "id": str(item.id),
        "title": item.title,
        "descript": "",
        "type": item.type,
        "isrequired": "0",
        "perstag": item.perstag,
        "defval": None,
        "visible": "1",
        "ordernum": str(item.id),
        "options": [str(option_id) for option_id in item.option_ids],
        "relations": [str(item.id)],
        "links": {},
    }


def _option(option: FieldOption) -> dict[str, object]:
    return {
        "id": str(option.id),
        "field": str(option.field_id),
        "value": option.value,
        "label": option.value,
        "orderid": str(option.order),
        "isdefault": "0",
    }


@routes.get(PREFIX + "tags")
async def get_tags(request: web.Request) -> web.Response:
    """Return tags; `search` finds any part of a name."""
    account = account_of(request)
    part = request.query.get("search", "").lower()
    found = [(tag_id, name) for tag_id, name in account.catalog.tags.items() if part in name.lower()]
    shown = [tag_shape(account, tag_id) for tag_id, _ in page(request, account.settings, found)]
    return answers.json_answer({"tags": shown, "meta": {"total": str(len(found))}})


@routes.post(PREFIX + "tags")
async def post_tag(request: web.Request) -> web.Response:
    """Create a tag; a known name gives the old tag with 200, or 422 by switch."""
    account = account_of(request)
    name = str((await wrapped(request, "tag")).get("tag") or "")
    if not name:
        return answers.coded_error("field_missing", "The tag name is missing.", "/data/attributes/tag")
    known = account.catalog.find_tag(name)
    if known is not None and account.settings.duplicate_tag == "refuse":
        return answers.coded_error("duplicate", "The tag already exists.", "/data/attributes/tag")
    tag_id = account.catalog.tag(name)
    return answers.json_answer({"tag": tag_shape(account, tag_id)}, 201 if known is None else 200)


@routes.get(PREFIX + "tags/{id}")
async def get_tag(request: web.Request) -> web.Response:
    """Return one tag and how many contacts have it; the count is a string."""
    account = account_of(request)
    identity = request.match_info["id"]
    tag_id = int(identity) if identity.isdecimal() else 0
    if tag_id not in account.catalog.tags:
        return answers.not_found("Tag", identity)
    count = account.index.count(ContactQuery(tag_id=tag_id))
    return answers.json_answer({"tag": tag_shape(account, tag_id) | {"subscriber_count": str(count)}})
