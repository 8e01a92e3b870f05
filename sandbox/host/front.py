"""The host's HTTP port: the app's routes, calls by hand, status, and the webhook for blob events."""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from sandbox.host.events import BlobEvents, read_event, validation_code
from sandbox.host.functions import BlobTrigger, Function, HttpTrigger
from sandbox.host.pool import NoWorkerError, Pool
from sandbox.host.routes import Route, RouteTable

# The platform's front end gives up after so long, whatever the function does (azure-facts 8.6).
_ANSWER_SECONDS = 230.0
_LONGEST_BODY = 210 * 1024 * 1024

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """Takes requests and passes them to functions."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        pool: Pool,
        events: BlobEvents,
        route_prefix: str,
        key: str | None,
        describe: Callable[[], dict[str, Any]],
        grace_seconds: float,
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._pool = pool
        self._events = events
        self._key = key
        self._describe = describe
        self._grace = grace_seconds
        self._table = RouteTable(
            (function.name, _under(route_prefix, function.trigger.route), function.trigger.methods)
            for function in functions
            if isinstance(function.trigger, HttpTrigger)
        )
        self._runner: web.AppRunner | None = None

    async def listen(self, port: int) -> int:
        """Open the port (0: a free one) and return it."""
        app = web.Application(client_max_size=_LONGEST_BODY)
        app.router.add_get("/admin/host/status", self._guarded(self._status))
        app.router.add_post("/admin/functions/{name}", self._guarded(self._run_by_hand))
        app.router.add_post("/runtime/webhooks/blobs", self._guarded(self._take_events))
        app.router.add_route("*", "/{path:.*}", self._route)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=self._grace + 1.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Close the port; requests under way have the grace to be answered."""
        if self._runner is not None:
            await self._runner.cleanup()

    # Keys: a local host checks none unless it was started with one, as `func` does.

    def _guarded(self, handler: Handler) -> Handler:
        async def guard(request: web.Request) -> web.StreamResponse:
            return await handler(request) if self._may(request) else web.Response(status=401)

        return guard

    def _may(self, request: web.Request) -> bool:
        if self._key is None:
            return True
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        return hmac.compare_digest(given.encode(), self._key.encode())

    # The app's own routes

    async def _route(self, request: web.Request) -> web.StreamResponse:
        found = self._table.find(request.method, request.rel_url.raw_path.strip("/"))
        if isinstance(found, frozenset):
            return (
                web.Response(status=405, headers={"Allow": ", ".join(sorted(found))})
                if found
                else _not_found()
            )
        function = self._functions[found.function.lower()]
        trigger = function.trigger
        if function.disabled:
            return _not_found()
        if isinstance(trigger, HttpTrigger) and trigger.auth_level != "anonymous" and not self._may(request):
            return web.Response(status=401)
        return await self._call(found.function, request, found.parameters)

    async def _call(self, function: str, request: web.Request, parameters: Mapping[str, str]) -> web.Response:
        body = await request.read()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._pool.call(
                    function,
                    body,
                    method=request.method,
                    url=str(request.url),
                    headers={name.lower(): value for name, value in request.headers.items()},
                    params=dict(request.query),
                    route_params=dict(parameters),
                )
        except NoWorkerError as error:
            _log.error("function %s did not answer: %s", function, error)
            return web.Response(status=503)
        except TimeoutError:
            _log.error("function %s did not answer within %d s", function, _ANSWER_SECONDS)
            return web.Response(status=504)
        response = web.Response(status=answer.header["status"], body=answer.body)
        for name, value in answer.header["headers"]:
            if name.lower() == "content-type":
                response.headers[name] = value
            elif name.lower() not in ("content-length", "transfer-encoding"):
                response.headers.add(name, value)
        return response

    # The host's routes

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response({**self._describe(), "state": "Running", "workers": self._pool.describe()})

    async def _run_by_hand(self, request: web.Request) -> web.Response:
        """Run a function with the input given: a message's text, or container/blob (azure-facts 8.1)."""
        function = self._functions.get(request.match_info["name"].lower())
        if function is None:
            return _not_found()
        if isinstance(function.trigger, HttpTrigger):
            return web.json_response({"error": "call its route instead"}, status=400)
        try:
            text = (json.loads(await request.read() or b"{}") or {}).get("input") or ""
        except (ValueError, AttributeError):
            return web.json_response({"error": 'the body must be {"input": "..."}'}, status=400)
        if not isinstance(text, str):
            text = json.dumps(text)
        try:
            answer = await self._pool.call(function.name, text.encode())
        except NoWorkerError:
            return web.Response(status=503)
        return web.Response(status=answer.header["status"])

    async def _take_events(self, request: web.Request) -> web.Response:
        """Event Grid's webhook: shake hands, or queue what is told and answer 202 (8.1).

        Event Grid says in a header which of the two it wants; without one, the body tells.
        """
        name = request.query.get("functionName", "").removeprefix("Host.Functions.")
        function = self._functions.get(name.lower())
        if function is None or not isinstance(function.trigger, BlobTrigger):
            return _not_found()
        kind = request.headers.get("aeg-event-type", "").lower()
        if kind == "unsubscribe":
            return web.Response(status=202)
        if kind not in ("", "notification", "subscriptionvalidation"):
            return web.json_response({"error": f"unknown aeg-event-type {kind!r}"}, status=400)
        try:
            document = json.loads(await request.read())
            told = document if isinstance(document, list) else [document]
            if kind != "notification" and (code := validation_code(told)) is not None:
                return web.json_response({"validationResponse": code})
            found = [read_event(event) for event in told]
        except (ValueError, LookupError, TypeError, AttributeError):
            return web.json_response({"error": "not an array of blob events"}, status=400)
        for container, blob in found:
            await self._events.deliver(function, container, blob)
        return web.Response(status=202)


def _under(prefix: str, route: Route) -> Route:
    return Route.parse(f"{prefix}/{route.template}")


def _not_found() -> web.Response:
    return web.Response(status=404)
