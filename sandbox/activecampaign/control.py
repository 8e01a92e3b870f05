"""The control API under `/_sandbox/`: no key, no limits, not counted as requests.

It reads and changes the account's state from outside the process: what an integration did, and what it is
to meet next.
"""

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from .account import Account
from .answers import json_answer
from .contacts import Contact, Details, ListStatus, Membership
from .gate import CONTROL, Handler, account_of
from .outbound import Sender
from .settings import explain

routes = web.RouteTableDef()
SENDER: web.AppKey[Sender] = web.AppKey("sender", Sender)

_PORTION = 2_000


class Seed(BaseModel):
    """A contact as it is to stand; what is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    id: int | None = None
    """Passed over, so that contacts can be written back as they were read."""
    email: str
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    fields: dict[int, str] = {}
    tags: list[str] = []
    lists: dict[int, ListStatus] = {}
    bounced: Literal["", "hard", "soft"] | None = None


class ControlError(ValueError):
    """A control request that makes no sense; the message says why."""


@routes.get(CONTROL + "/contacts")
async def get_contacts(request: web.Request) -> web.StreamResponse:
    """Stream every contact as one line of JSON."""
    account = account_of(request)
    stream = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await stream.prepare(request)
    last_id = 0
    while portion := account.contacts.after(last_id, _PORTION):
        await stream.write(b"".join(orjson.dumps(account.view(contact)) + b"\n" for contact in portion))
        last_id = portion[-1].id
    await stream.write_eof()
    return stream


@routes.get(CONTROL + "/contacts/{email}")
async def get_contact(request: web.Request) -> web.Response:
    """Return the contact with an address, or 404."""
    account = account_of(request)
    contact = account.contacts.find(request.match_info["email"])
    return _problem("no such contact", 404) if contact is None else json_answer(account.view(contact))


@routes.post(CONTROL + "/contacts")
async def post_contacts(request: web.Request) -> web.Response:
    """Write contacts as they are to stand, list status included, without audit or automations."""
    account = account_of(request)
    seeds = [Seed.model_validate(item) for item in await _items(request)]
    for seed in seeds:
        seed_contact(account, seed)
    return json_answer({"contacts": len(seeds)})


@routes.get(CONTROL + "/counters")
async def get_counters(request: web.Request) -> web.Response:
    """Return the counters."""
    account = account_of(request)
    contents = {"contacts": len(account.contacts), "open_batches": len(account.batches.open_batches)}
    return json_answer(account.counters.as_json() | contents)


@routes.get(CONTROL + "/audit")
async def get_audit(request: web.Request) -> web.Response:
    """Return the trails that a well-behaved integration leaves empty, and the calls made to others."""
    counters = account_of(request).counters
    return json_answer(
        {
            "resubscriptions": counters.resubscriptions,
            "automations": list(counters.automations),
            "deliveries": list(counters.deliveries),
        }
    )


@routes.get(CONTROL + "/requests")
async def get_requests(request: web.Request) -> web.Response:
    """Return the recent requests, oldest first, as lines of JSON."""
    visits = account_of(request).counters.requests
    lines = b"".join(orjson.dumps(visit.as_json()) + b"\n" for visit in visits)
    return web.Response(body=lines, content_type="application/x-ndjson")


@routes.get(CONTROL + "/batches")
async def get_batches(request: web.Request) -> web.Response:
    """Return every batch with its status and the number of its failures, as lines of JSON."""
    account = account_of(request)
    now = account.clock.now()
    lines = [
        orjson.dumps(
            {
                "id": batch.id,
                "accepted_at": batch.accepted_at,
                "finished_at": batch.finished_at,
                "contacts": batch.contact_count,
                "status": account.batches.status(batch, now, account.settings),
                "failures": len(batch.failure),
                "exclude_automations": batch.exclude_automations,
            }
        )
        for batch in account.batches.by_id.values()
    ]
    return web.Response(body=b"".join(line + b"\n" for line in lines), content_type="application/x-ndjson")


@routes.post(CONTROL + "/exclusions")
async def post_exclusions(request: web.Request) -> web.Response:
    """Add exclusions: `{"phrase", "match": "exact" | "begins" | "end", "lists": [ids, none for all]}`."""
    account = account_of(request)
    items = await _items(request)
    for item in items:
        match = item.get("match", "exact")
        if match not in {"exact", "begins", "end"}:
            raise ControlError("match is exact, begins or end")
        account.catalog.exclusions.add(str(item["phrase"]), match, [int(n) for n in item.get("lists", ())])
    return json_answer({"exclusions": len(account.catalog.exclusions.items)})


@routes.get(CONTROL + "/faults")
async def get_faults(request: web.Request) -> web.Response:
    """Return the rules in force and what each has done."""
    return json_answer([rule.as_json() for rule in account_of(request).faults.rules])


@routes.post(CONTROL + "/faults")
async def post_faults(request: web.Request) -> web.Response:
    """Install one fault rule or several."""
    account = account_of(request)
    rules = [account.faults.install(item) for item in await _items(request)]
    return json_answer([rule.as_json() for rule in rules])


@routes.delete(CONTROL + "/faults")
async def delete_faults(request: web.Request) -> web.Response:
    """Remove all fault rules, or the one that `?id=` names."""
    wanted = request.query.get("id")
    account_of(request).faults.remove(int(wanted) if wanted else None)
    return json_answer({})


@routes.get(CONTROL + "/settings")
async def get_settings(request: web.Request) -> web.Response:
    """Return the settings in force."""
    return _settings(account_of(request))


@routes.post(CONTROL + "/settings")
async def post_settings(request: web.Request) -> web.Response:
    """Change settings at run time; unknown names and bad values change nothing."""
    account = account_of(request)
    account.change_settings(await _object(request))
    return _settings(account)


@routes.get(CONTROL + "/keys")
async def get_keys(request: web.Request) -> web.Response:
    """Return the valid keys and their rights."""
    return json_answer(account_of(request).keys.as_json())


@routes.post(CONTROL + "/keys")
async def post_keys(request: web.Request) -> web.Response:
    """Do one of `{"add": key}`, `{"revoke": key}`, `{"rotate": key}`, `{"restrict": key, "lists", …}`."""
    keys = account_of(request).keys
    match await _object(request):
        case {"add": str(key)}:
            keys.add(key)
        case {"revoke": str(key)}:
            keys.revoke(key)
        case {"rotate": str(key)}:
            keys.rotate(key)
        case {"restrict": str(key), **rights}:
            keys.restrict(
                key,
                admin=bool(rights.get("admin", False)),
                bulk=bool(rights.get("bulk", True)),
                list_ids=None if rights.get("lists") is None else [int(n) for n in rights["lists"]],
            )
        case _:
            raise ControlError("one of add, revoke, rotate or restrict, with a key")
    return json_answer(keys.as_json())


@routes.post(CONTROL + "/step")
async def post_step(request: web.Request) -> web.Response:
    """Move open batches on: `{"phases": 1, "batchId": one of them}`."""
    account = account_of(request)
    order = await _object(request)
    account.step(int(order.get("phases", 1)), order.get("batchId"))
    return json_answer({"open_batches": len(account.batches.open_batches)})


@routes.post(CONTROL + "/events")
async def post_events(request: web.Request) -> web.Response:
    """Let people act: `{"type": "unsubscribe" | "bounce" | "delete", "email", "list", "reason"}`."""
    account = account_of(request)
    items = await _items(request)
    for item in items:
        happen(account, item)
    return json_answer({"events": len(items)})


@routes.post(CONTROL + "/flush")
async def post_flush(request: web.Request) -> web.Response:
    """Answer when all callbacks and webhooks queued so far have been made."""
    await request.app[SENDER].drained()
    return json_answer({})


@routes.post(CONTROL + "/reset")
async def post_reset(request: web.Request) -> web.Response:
    """Go back to the settings and the contents of the start."""
    account_of(request).reset()
    return json_answer({})


def seed_contact(account: Account, seed: Seed) -> Contact:
    """Write one contact as it is to stand, without audit, automations or webhooks."""
    now = account.clock.now()
    email = seed.email.strip().lower()
    contact = account.contacts.find(email) or account.contacts.create(email, now)
    old = contact.details
    contact.packed = Details(
        old.first_name if seed.first_name is None else seed.first_name,
        old.last_name if seed.last_name is None else seed.last_name,
        old.phone if seed.phone is None else seed.phone,
        old.fields | seed.fields,
    ).pack()
    contact.bounced = contact.bounced if seed.bounced is None else seed.bounced
    tag_ids = dict.fromkeys((*contact.tag_ids, *(account.catalog.tag(name) for name in seed.tags)))
    account.contacts.set_tags(contact, tuple(tag_ids))
    for list_id, status in seed.lists.items():
        left_at = now if status == ListStatus.UNSUBSCRIBED else None
        account.contacts.set_membership(contact, Membership(list_id, status, now, left_at))
    account.contacts.touch(contact, now)
    return contact


def happen(account: Account, item: Mapping[str, Any]) -> None:
    """Do what a person or a mail server does: leave a list, bounce, ask to be deleted."""
    contact = account.contacts.find(str(item.get("email", "")))
    if contact is None:
        raise ControlError("no contact has that address")
    now = account.clock.now()
    match item.get("type"):
        case "unsubscribe":
            list_id, reason = int(item["list"]), str(item.get("reason", ""))
            present = contact.membership(list_id)
            membership = Membership(
                list_id, ListStatus.UNSUBSCRIBED, present and present.subscribed_at, now, 0, reason
            )
            account.contacts.set_membership(contact, membership)
            account.announce("unsubscribe", "public", contact, list_id, {"unsubscribe[reason]": reason})
        case "bounce":
            contact.bounced = str(item.get("kind", "hard"))
            for present in contact.memberships:
                account.contacts.set_membership(contact, present._replace(status=ListStatus.BOUNCED))
            account.announce("bounce", "system", contact, extra={"bounce[type]": contact.bounced})
        case "delete":
            account.contacts.delete(contact)
            return
        case _:
            raise ControlError("type is unsubscribe, bounce or delete")
    account.contacts.touch(contact, now)


@web.middleware
async def control_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a senseless control request into 400 with the reason, an unknown route into a list of routes."""
    try:
        return await handler(request)
    except (web.HTTPException, KeyError, ValueError, TypeError) as problem:
        if not request.path.startswith(CONTROL):
            raise
        return _problem_answer(problem)


def _problem_answer(problem: Exception) -> web.Response:
    match problem:
        case web.HTTPNotFound() | web.HTTPMethodNotAllowed():
            known = [f"{route.method} {route.path}" for route in routes if isinstance(route, web.RouteDef)]
            return json_answer({"error": "no such control route", "routes": known}, problem.status)
        case web.HTTPException():
            return _problem(problem.reason, problem.status)
        case ValidationError():
            return _problem(explain(problem), 400)
        case KeyError():
            return _problem(f"{problem} is missing", 400)
        case _:
            return _problem(str(problem), 400)


def _problem(text: str, status: int) -> web.Response:
    return json_answer({"error": text}, status)


def _settings(account: Account) -> web.Response:
    return web.Response(body=account.settings.model_dump_json().encode(), content_type="application/json")


async def _object(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    value = orjson.loads(body) if body else {}
    if not isinstance(value, dict):
        raise ControlError("the body is a JSON object")
    return value


async def _items(request: web.Request) -> list[dict[str, Any]]:
    """Read one object, a list of objects, or lines of objects."""
    body = (await request.read()).strip()
    try:
        whole = orjson.loads(body)
        value = whole if isinstance(whole, list) else [whole]
    except orjson.JSONDecodeError:
        value = [orjson.loads(line) for line in body.splitlines() if line]
    if not all(isinstance(item, dict) for item in value):
        raise ControlError("the body is a JSON object, a list of them, or one a line")
    return list(value)
