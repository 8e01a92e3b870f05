"""Webhooks: list, create, change, delete."""

from typing import Any

from aiohttp import web

from . import answers
from .account import Account
from .gate import PREFIX, account_of
from .processing import integer
from .reading import bracketed, page, wrapped
from .webhooks import EVENTS, Webhook

routes = web.RouteTableDef()

_SOURCES = ("public", "admin", "api", "system")


@routes.get(PREFIX + "webhook/events")
async def get_events(_: web.Request) -> web.Response:
    """Return the events that can be listened for; `meta.total` is a number here."""
    return answers.json_answer({"webhookEvents": list(EVENTS), "meta": {"total": len(EVENTS)}})


@routes.get(PREFIX + "webhooks")
async def get_webhooks(request: web.Request) -> web.Response:
    """Return the webhooks, filtered by name, url or listid."""
    account = account_of(request)
    shapes = [webhook_shape(account, hook) for hook in account.webhooks.by_id.values()]
    for name, value in bracketed(request, "filters").items():
        shapes = [shape for shape in shapes if shape.get(name) == value]
    shown = page(request, account.settings, shapes)
    return answers.json_answer({"webhooks": list(shown), "meta": {"total": str(len(shapes))}})


@routes.post(PREFIX + "webhooks")
async def post_webhook(request: web.Request) -> web.Response:
    """Register a webhook; name, url, events and sources are required."""
    account = account_of(request)
    wanted = await wrapped(request, "webhook")
    problem = _problem(wanted)
    if problem:
        return answers.coded_error("field_invalid", f"{problem} is missing or invalid.", f"/data/{problem}")
    hook = account.webhooks.add(
        name=str(wanted["name"]),
        url=str(wanted["url"]),
        events=wanted["events"],
        sources=wanted["sources"],
        list_id=integer(wanted.get("listid")),
        now=account.clock.now(),
    )
    return answers.json_answer({"webhook": webhook_shape(account, hook)}, 201)


def _problem(wanted: dict[str, Any]) -> str:
    for name in ("name", "url"):
        if not isinstance(wanted.get(name), str) or not wanted[name]:
            return name
    for name, known in (("events", EVENTS), ("sources", _SOURCES)):
        values = wanted.get(name)
        if not isinstance(values, list) or not values or not all(value in known for value in values):
            return name
    return ""


@routes.get(PREFIX + "webhooks/{id}")
async def get_webhook(request: web.Request) -> web.Response:
    """Return one webhook."""
    hook = _find(request)
    if hook is None:
        return _no_webhook(request)
    return answers.json_answer({"webhook": webhook_shape(account_of(request), hook)})


@routes.put(PREFIX + "webhooks/{id}")
async def put_webhook(request: web.Request) -> web.Response:
    """Change a webhook; keys left out are kept."""
    hook = _find(request)
    if hook is None:
        return _no_webhook(request)
    wanted = await wrapped(request, "webhook")
    present = {"name": hook.name, "url": hook.url, "events": list(hook.events), "sources": list(hook.sources)}
    problem = _problem(present | wanted)
    if problem:
        return answers.coded_error("field_invalid", f"{problem} is invalid.", f"/data/{problem}")
    hook.name, hook.url = wanted.get("name", hook.name), wanted.get("url", hook.url)
    hook.events = tuple(wanted.get("events", hook.events))
    hook.sources = tuple(wanted.get("sources", hook.sources))
    hook.list_id = integer(wanted.get("listid", hook.list_id))
    return answers.json_answer({"webhook": webhook_shape(account_of(request), hook)})


@routes.delete(PREFIX + "webhooks/{id}")
async def delete_webhook(request: web.Request) -> web.Response:
    """Remove a webhook."""
    hook = _find(request)
    if hook is None:
        return _no_webhook(request)
    del account_of(request).webhooks.by_id[hook.id]
    return answers.json_answer({})


def _find(request: web.Request) -> Webhook | None:
    return account_of(request).webhooks.by_id.get(integer(request.match_info["id"]))


def _no_webhook(request: web.Request) -> web.Response:
    return answers.not_found("Webhook", request.match_info["id"])


def webhook_shape(account: Account, hook: Webhook) -> dict[str, Any]:
    """Return a webhook as routes show it; list "0" means all lists."""
    return {
        "id": str(hook.id),
        "name": hook.name,
        "url": hook.url,
        "events": list(hook.events),
        "sources": list(hook.sources),
        "listid": str(hook.list_id),
        "cdate": account.date(hook.created_at).isoformat(timespec="seconds"),
        "state": "1" if hook.active else "0",
        "links": {},
    }
