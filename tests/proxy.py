"""A proxy on loopback that stands between a client and a server, and lets things go wrong at named moments.

Bytes and headers pass through untouched: the signatures of storage requests do not cover the host. What
has passed is kept, so that a test can judge the order of things by it.
"""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Self, TypeAlias

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})
"""Headers that are between two neighbours only."""
_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What the client would add by itself; a signature covers some of it."""
_LARGEST_BODY = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Answer:
    """Instead of the server, the proxy answers with this status; with `when="after"` its answer is lost."""

    status: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is reset."""


@dataclass(frozen=True, slots=True)
class Do:
    """Something happens, at once and before anything else moves; then the connection is reset if `cuts`.

    What happens is told the port of the client.
    """

    what: Callable[[int], None]
    cuts: bool = True


Effect: TypeAlias = Answer | Cut | Do


@dataclass(slots=True)
class Fault:
    """What goes wrong: just before, or just after, the n-th request of a kind took effect on the server.

    `call` is a regular expression that is searched in "METHOD /path?query", `body` one for the body.
    """

    when: Literal["before", "after"]
    call: str
    effect: Effect
    nth: int = 1
    times: int = 1
    """So many requests in a row, from the n-th on."""
    body: str = ""
    seen: int = 0

    def strikes(self, call: str, body: bytes) -> bool:
        """Count a request of the kind, and say whether it goes wrong."""
        if not re.search(self.call, call) or not re.search(self.body.encode(), body):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times

    @property
    def struck(self) -> bool:
        """Whether it has happened."""
        return self.seen >= self.nth


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that the server has answered, whether or not its answer was let through."""

    at: float
    """By the server's own clock, in whole seconds since 1970; by the proxy's where the server tells none."""
    call: str
    """METHOD /path?query."""
    body: bytes
    status: int


@dataclass(slots=True)
class Proxy:
    """Stands before the server at `target` (http://127.0.0.1:PORT); use as `async with`."""

    target: str
    faults: list[Fault] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    host: str = ""
    """`127.0.0.1:PORT`, once it listens."""
    under_way: int = 0
    """Requests that have arrived and not been answered."""
    _runner: web.AppRunner | None = None
    _session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}"

    def passed(self, call: str, *, since: float = 0.0) -> list[Exchange]:
        """The requests of a kind that the server has done, from a moment on."""
        return [
            exchange
            for exchange in self.exchanges
            if exchange.status < 400 and exchange.at >= since and re.search(call, exchange.call)
        ]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=512).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_OURS,
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        try:
            return await self._pass_on(request)
        finally:
            self.under_way -= 1

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        call, body = f"{request.method} {request.raw_path}", await request.read()
        fault = next((fault for fault in [*self.faults] if fault.strikes(call, body)), None)
        if fault is not None and fault.when == "before" and (failed := self._fail(fault.effect, request)):
            return failed
        try:
            status, headers, content = await self._forward(request, body)
        except aiohttp.ClientError:  # the server is gone, or cut the connection
            return self._cut(request)
        self.exchanges.append(Exchange(_moment(headers), call, body, status))
        if fault is not None and fault.when == "after" and (failed := self._fail(fault.effect, request)):
            return failed
        response = web.StreamResponse(status=status, headers=_end_to_end(headers))
        if request.method != "HEAD" and status not in {204, 304}:
            response.content_length = len(content)
        with contextlib.suppress(ConnectionError):  # a client that was killed hears no answer
            await response.prepare(request)
            if request.method != "HEAD" and content:
                await response.write(content)
        return response

    async def _forward(self, request: web.Request, body: bytes) -> tuple[int, CIMultiDictProxy[str], bytes]:
        if self._session is None:
            raise RuntimeError("the proxy has not been started")
        async with self._session.request(
            request.method,
            URL(self.target + request.raw_path, encoded=True),
            headers=_end_to_end(request.headers),
            data=body or None,
            allow_redirects=False,
        ) as answer:
            return answer.status, answer.headers, await answer.read()

    def _fail(self, effect: Effect, request: web.Request) -> web.Response | None:
        """Let it happen; None where the request goes on as if nothing were."""
        match effect:
            case Answer(status):
                return web.Response(status=status)
            case Do(what, cuts):
                what(_port(request))
                return self._cut(request) if cuts else None
        return self._cut(request)

    def _cut(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)  # nobody hears it


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP)


def _moment(headers: CIMultiDictProxy[str]) -> float:
    date: Any = headers.get("Date")
    return parsedate_to_datetime(date).timestamp() if date else time.time()


def _port(request: web.Request) -> int:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return int(peer[1]) if peer else 0
