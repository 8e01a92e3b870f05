"""Callbacks and webhooks: what the simulator calls, how, and how often."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from aiohttp import web

from .activecampaign_helpers import Bench, a_bench, addresses

ANN = "ann@example.org"


@dataclass
class Receiver:
    """A loopback server that keeps what it is sent."""

    url: str = ""
    status: int = 200
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(
            {
                "method": request.method,
                "query": dict(request.query),
                "headers": dict(request.headers),
                "body": await request.read(),
            }
        )
        return web.Response(status=self.status)


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def settle_with_callback(bench: Bench, **callback: Any) -> None:
    await bench.settle([ANN, "bad@nodot"], callback=callback)
    await bench.sim.flush()


async def test_a_callback_posts_the_counts_and_the_failures() -> None:
    async with a_bench() as bench, a_receiver() as receiver:
        await settle_with_callback(
            bench,
            url=receiver.url,
            requestType="POST",
            detailed_results="true",
            params=[{"key": "run", "value": "7"}],
            headers=[{"key": "X-Secret", "value": "s"}],
        )
        [call] = receiver.calls
        body = orjson.loads(call["body"])
        assert (body["run"], body["success"], body["failure"], len(body["errors"])) == ("7", 1, 1, 1)
        assert call["headers"]["X-Secret"] == "s"


async def test_a_callback_may_be_a_get_or_a_form() -> None:
    async with a_bench(callback_body="form") as bench, a_receiver() as receiver:
        params = [{"key": "run", "value": "7"}]
        await settle_with_callback(bench, url=receiver.url, requestType="GET", params=params)
        await settle_with_callback(bench, url=receiver.url, params=params, detailed_results=False)
        first, second = receiver.calls
        assert (first["method"], first["query"]) == ("GET", {"run": "7"})
        form = parse_qs(second["body"].decode())
        assert form["run"] == ["7"]
        assert "errors" not in form


async def test_a_callback_may_be_lost_and_is_never_repeated() -> None:
    async with a_bench() as bench, a_receiver() as receiver:
        receiver.status = 500
        await settle_with_callback(bench, url=receiver.url)
        bench.sim.state.change_settings({"callbacks_lost": True})
        await settle_with_callback(bench, url=receiver.url)
        assert len(receiver.calls) == 1


async def test_nothing_but_loopback_is_called_and_a_callback_of_any_shape_is_survived() -> None:
    async with a_bench() as bench, a_receiver() as receiver:
        await settle_with_callback(bench, url="http://activecampaign.invalid/hook")
        await settle_with_callback(bench, url="http://[", params=[7, "key", {}], headers=7)
        await settle_with_callback(bench, url=receiver.url, headers=[{"key": "X", "value": "a\nb"}])
        outcomes = [delivery["outcome"] for delivery in bench.sim.state.counters.deliveries]
        assert outcomes[:2] == ["not called: only loopback addresses are"] * 2
        await settle_with_callback(bench, url=receiver.url)
        assert len(receiver.calls) == 1


async def hook(bench: Bench, url: str, **changes: Any) -> str:
    webhook = {"name": "w", "url": url, "events": ["subscribe", "unsubscribe"], "sources": ["api", "public"]}
    reply = await bench.call("POST", "webhooks", {"webhook": webhook | changes})
    assert reply.status == 201
    created: str = reply.json["webhook"]["id"]
    return created


async def test_an_opt_out_is_announced_as_a_form_with_php_keys() -> None:
    async with a_bench() as bench, a_receiver() as receiver:
        await hook(bench, receiver.url)
        bench.sim.seed(email=ANN, lists={"5": 1}, tags=["a", "b"])
        event = {"type": "unsubscribe", "email": ANN, "list": 5, "reason": "enough"}
        await bench.control("POST", "events", event)
        await bench.control("POST", "flush")
        [call] = receiver.calls
        form = {key: values[0] for key, values in parse_qs(call["body"].decode()).items()}
        assert form["type"] == "unsubscribe"
        assert form["list"] == "5"
        assert form["contact[email]"] == ANN
        assert form["contact[tags]"] == "a,b"
        assert form["unsubscribe[reason]"] == "enough"


async def test_a_webhook_hears_only_its_events_sources_and_list() -> None:
    async with a_bench() as bench, a_receiver() as receiver:
        await hook(bench, receiver.url, listid=4)
        await hook(bench, receiver.url, sources=["public"])
        await hook(bench, receiver.url, events=["bounce"])
        bench.sim.seed(email=ANN)
        body = {"contactList": {"list": 5, "contact": 1, "status": 1}}
        await bench.call("POST", "contactLists", body)
        await bench.sim.flush()
        assert receiver.calls == []


async def test_a_webhook_is_never_tried_again_and_410_turns_it_off_for_good() -> None:
    async with a_bench() as bench, a_receiver() as receiver:
        webhook_id = await hook(bench, receiver.url)
        for status, calls in ((500, 1), (410, 2), (200, 2)):
            receiver.status = status
            bench.sim.seed(email=ANN, lists={"5": 2})
            body = {"contactList": {"list": 5, "contact": 1, "status": 1}}
            await bench.call("POST", "contactLists", body)
            await bench.sim.flush()
            assert len(receiver.calls) == calls
        assert (await bench.get(f"webhooks/{webhook_id}")).json["webhook"]["state"] == "0"


@pytest.mark.parametrize(("announced", "calls"), [(False, 0), (True, 2)])
async def test_bulk_imports_fire_no_webhooks_unless_switched(announced: bool, calls: int) -> None:
    async with a_bench(webhooks_for_bulk=announced) as bench, a_receiver() as receiver:
        await hook(bench, receiver.url)
        await bench.settle([{"email": email, "subscribe": [{"listid": 5}]} for email in addresses(2)])
        await bench.sim.flush()
        assert len(receiver.calls) == calls


async def test_webhooks_are_listed_changed_and_deleted() -> None:
    async with a_bench() as bench:
        first = await hook(bench, "http://127.0.0.1:1/a")
        await hook(bench, "http://127.0.0.1:1/b", name="other")
        assert (await bench.get("webhooks?filters[name]=other")).json["meta"]["total"] == "1"
        body = {"webhook": {"name": "renamed"}}
        assert (await bench.call("PUT", f"webhooks/{first}", body)).json["webhook"]["name"] == "renamed"
        assert (await bench.call("PUT", f"webhooks/{first}", {"webhook": {"events": ["x"]}})).status == 422
        assert (await bench.call("DELETE", f"webhooks/{first}")).json == {}
        assert len((await bench.get("webhooks")).json["webhooks"]) == 1
        assert (await bench.call("POST", "webhooks", {"webhook": {"name": "incomplete"}})).status == 422
        assert "unsubscribe" in (await bench.get("webhook/events")).json["webhookEvents"]
