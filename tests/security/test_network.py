"""The key goes to ActiveCampaign and to nobody else: real sockets on loopback, tricks on the way."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from exporter.adapters.activecampaign.client import AiohttpDestination, AiohttpDestinations, open_session
from exporter.adapters.activecampaign.resolving import PublicResolver
from exporter.adapters.clock import SystemClock
from exporter.adapters.secrets import SecretReader
from exporter.domain.hosts import HostPolicy, normalise_host
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import ConfigurationError
from exporter.settings import SecretText
from tests.builders import a_connection
from tests.canary import KEY

CONTACTS = b'[{"email":"ann7@example.org"},{"email":"bo7@example.org"}]'
Handler = Callable[[web.Request], web.Response]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[str, list[web.BaseRequest]]]:
    """A server on a free loopback port: its address, and the requests it gets."""
    requests: list[web.BaseRequest] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        requests.append(request)
        return handler(request)  # type: ignore[arg-type] # a server without routes has the plainer kind

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", requests
    finally:
        await runner.cleanup()


@asynccontextmanager
async def destination_at(address: str) -> AsyncIterator[AiohttpDestination]:
    """The real client, led to a loopback address."""
    clock = SystemClock()
    secrets = SecretReader(None, {"activecampaign-acme": SecretText(KEY)}, clock)
    async with open_session() as session:
        destinations = AiohttpDestinations(session, secrets, HostPolicy(local_hosts=(address,)), clock)
        async with destinations.open(a_connection(host=address)) as destination:
            yield destination


def accept(_: web.Request) -> web.Response:
    return web.json_response({"success": 1, "batchId": "b-1"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["http://{other}/api/3/import/bulk_import", "//{other}/", "http://169.254.169.254/"]
)
async def test_a_redirect_is_told_and_not_followed(status: int, target: str) -> None:
    async with serving(accept) as (other, others_requests):

        def redirect(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": target.format(other=other)})

        async with serving(redirect) as (address, requests), destination_at(address) as destination:
            verdicts = [
                await destination.send_bulk(CONTACTS, automations=False),
                await destination.get("users/me"),
            ]

    assert [v.kind for v in verdicts if isinstance(v, Verdict)] == [VerdictKind.MISSING] * 2
    assert len(requests) == 2
    assert others_requests == []


async def test_a_proxy_or_netrc_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Whoever sets one of these on the machine would read the key of a plain request on the way."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login who password what\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(accept) as (proxy, proxied):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy}")
        async with serving(accept) as (address, requests), destination_at(address) as destination:
            verdict = await destination.send_bulk(CONTACTS, automations=False)

    assert verdict.kind is VerdictKind.ACCEPTED
    assert proxied == []
    (request,) = requests
    assert "Authorization" not in request.headers
    assert request.headers["Api-Token"] == KEY


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "hunter2\r\nX-Admin: 1",
        "hunter2\nX: y",
        "hunter2\x00",
        "hunter2 hunter2",
        "kéy",
        "hunter2\x85",
        "hunter2\u2028",
        "\x7f",
        "ключ",
    ],
)
def test_what_would_break_out_of_the_header_is_no_key(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SecretText(key)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "acme.api-us1.com\r\nApi-Token: x",
        "acme.api-us1.com%0d%0aX: y",
        "acme.api-us1.com\x85",
        "acme.api-us1.com\u2028",
        "acme.api-us1.com\t",
    ],
)
def test_what_would_break_out_of_the_request_is_no_host(host: str) -> None:
    with pytest.raises(ConfigurationError):
        normalise_host(host)


@pytest.mark.parametrize(
    ("addresses", "public"),
    [
        (["169.254.169.254"], []),
        (["127.0.0.1", "::1"], []),
        (["10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1"], []),
        (["fd00::1", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1"], []),
        (["169.254.169.254", "104.18.0.1"], ["104.18.0.1"]),
        (["2606:4700::6812:1"], ["2606:4700::6812:1"]),
    ],
)
async def test_a_name_that_leads_into_a_private_network_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], public: list[str]
) -> None:
    async def resolve(*_: object) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname="acme.api-us1.com", host=address, port=443, family=socket.AF_INET, proto=0, flags=0
            )
            for address in addresses
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    resolver = PublicResolver()

    if public:
        assert [entry["host"] for entry in await resolver.resolve("acme.api-us1.com", 443)] == public
    else:
        with pytest.raises(OSError, match="no public address"):
            await resolver.resolve("acme.api-us1.com", 443)


async def test_the_client_asks_that_resolver_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the run it is a host that is not there: nothing is sent, and names may be right later."""
    asked: list[str] = []

    async def resolve(_: object, host: str, *__: object) -> list[ResolveResult]:
        asked.append(host)
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=443, family=socket.AF_INET, proto=0, flags=0)
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    clock = SystemClock()
    secrets = SecretReader(None, {"activecampaign-acme": SecretText(KEY)}, clock)
    async with open_session() as session:
        destinations = AiohttpDestinations(session, secrets, HostPolicy(), clock)
        async with destinations.open(a_connection()) as destination:
            verdict = await destination.send_bulk(CONTACTS, automations=False)

    assert asked == ["acme.api-us1.com"]
    assert verdict.kind is VerdictKind.UNAVAILABLE
