"""What every API request passes before and after its route: log, faults, key, general throttle, headers."""

import socket
import struct
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from . import answers
from .account import Account
from .counters import Visit
from .faults import Fault
from .keys import KeyRights

ACCOUNT: web.AppKey[Account] = web.AppKey("account", Account)
RIGHTS: web.RequestKey[KeyRights] = web.RequestKey("rights", KeyRights)
VISIT: web.RequestKey[Visit] = web.RequestKey("visit", Visit)
FAULT: web.RequestKey[Fault] = web.RequestKey("fault", Fault)

PREFIX = "/api/3/"
CONTROL = "/_sandbox"
_SHORT_NAMES = {
    ("POST", "import/bulk_import"): "bulk",
    ("GET", "import/bulk_import"): "progress",
    ("GET", "import/info"): "info",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def account_of(request: web.Request) -> Account:
    """Return the account that the request is about."""
    return request.app[ACCOUNT]


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its route, or answer in the route's place."""
    account = account_of(request)
    account.catch_up()
    if request.path.startswith(CONTROL):
        return await handler(request)
    visit = Visit(account.clock.now(), time.time(), request.method, request.path, request.query_string)
    request[VISIT] = visit
    account.counters.note_request(visit)
    fault = account.faults.pick(route_name(request), request.method, request.path)
    if fault is None:
        answer = await _answer(request, handler)
    else:
        answer = await _answer_with_fault(request, handler, fault)
    answer.headers["RateLimit-Limit"] = str(account.settings.requests_per_second)
    answer.headers["RateLimit-Remaining"] = str(
        account.limits.remaining(account.clock.now(), account.settings)
    )
    visit.status = answer.status
    account.counters.statuses[answer.status] += 1
    return answer


def route_name(request: web.Request) -> str:
    """Return what fault rules call a route: `bulk`, `info`, `progress`, else its path, e.g. `lists/{id}`."""
    resource = request.match_info.route.resource
    return short_name(request.method, resource.canonical if resource else request.path)


def short_name(method: str, path: str) -> str:
    """Return the name of the route with a method and a path pattern."""
    name = path.removeprefix(PREFIX)
    return _SHORT_NAMES.get((method, name), name)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    account = account_of(request)
    rights = account.keys.rights(request.headers.get("Api-Token"))
    if rights is None:
        return _bad_key(account.settings.bad_key_answer)
    request[RIGHTS] = rights
    if not _admitted(request, account):
        account.counters.throttled_general += 1
        return answers.general_throttle(
            account.settings.general_throttle, account.settings.retry_after_seconds
        )
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return answers.html_answer(answers.ERROR_PAGE, 413)
    except web.HTTPException as refusal:
        return answers.error(refusal.status, refusal.reason, f"{request.method} {request.path}")


def _bad_key(mode: str) -> web.Response:
    if mode == "login_page":
        return answers.html_answer(answers.LOGIN_PAGE)
    return (
        answers.message("Unauthorized", 401) if mode == "unauthorized" else answers.message("Forbidden", 403)
    )


def _admitted(request: web.Request, account: Account) -> bool:
    settings = account.settings
    if route_name(request) == "bulk" and not settings.bulk_uses_general_budget:
        return True
    window = account.limits.general
    return account.limits.admit(window, settings.requests_per_second, account.clock.now(), settings)


async def _answer_with_fault(request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    account = account_of(request)
    request[VISIT].fault = str(fault)
    account.counters.faults[str(fault)] += 1
    instead = _instead(request, fault)
    if instead is not None:
        return instead
    request[FAULT] = fault
    if fault.name == "slow_before":
        await account.clock.sleep(fault.seconds)
    answer = await _answer(request, handler)
    if fault.name == "slow":
        await account.clock.sleep(fault.seconds)
    elif fault.name == "reset_after":
        _reset(request)
    elif fault.name == "empty_200":
        return web.Response(status=200)
    elif fault.name == "truncated_json" and isinstance(answer, web.Response):
        whole = answer.body if isinstance(answer.body, bytes) else b""
        answer.body = whole[: len(whole) // 2]
    return answer


def _instead(request: web.Request, fault: Fault) -> web.Response | None:
    """Return the answer of a fault that keeps the request from being carried out."""
    settings = account_of(request).settings
    match fault.name:
        case "status":
            return answers.html_answer(answers.ERROR_PAGE, int(fault.argument))
        case "html_login":
            return answers.html_answer(answers.LOGIN_PAGE)
        case "forbidden" | "forbidden_once":
            return answers.message("Forbidden", 403)
        case "throttle_bulk":
            return answers.bulk_throttle(settings.bulk_requests_per_minute, single=False)
        case "throttle_429":
            return answers.general_throttle("429", settings.retry_after_seconds)
        case "throttle_429_bare":
            return answers.general_throttle("429_without_header", 0)
        case "throttle_503":
            return answers.general_throttle("503", 0)
        case "reset_before":
            _reset(request)
            return web.Response(status=500)
        case _:
            return None


def _reset(request: web.Request) -> None:
    """Drop the connection with a TCP reset, as a failing network would."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
