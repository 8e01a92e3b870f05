"""Faults ordered by a test: what the client sees and whether the request was carried out."""

import asyncio

import aiohttp
import orjson
import pytest

from .activecampaign_helpers import Bench, a_bench, addresses

PAIR = addresses(2)


async def accepted(bench: Bench) -> int:
    count: int = bench.sim.counters()["bulk_accepted"]
    return count


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_status_fault_answers_with_a_page_and_does_nothing(status: int) -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", f"status:{status}", calls=[1])
        reply = await bench.bulk(PAIR)
        assert reply.status == status
        assert reply.headers["Content-Type"].startswith("text/html")
        assert await accepted(bench) == 0
        assert (await bench.bulk(PAIR)).status == 200


@pytest.mark.parametrize(("action", "done"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_reset_leaves_the_client_without_an_answer(action: str, done: int) -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", action, calls=[1])
        with pytest.raises(aiohttp.ClientError):
            await bench.bulk(PAIR)
        assert await accepted(bench) == done
        assert (await bench.bulk(PAIR)).status == 200


@pytest.mark.parametrize(("action", "done_meanwhile"), [("slow:30", 1), ("slow_before:30", 0)])
async def test_a_slow_answer_comes_when_the_clock_says_so(action: str, done_meanwhile: int) -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", action)
        asked = asyncio.create_task(bench.bulk(PAIR))
        await bench.clock.awaited.wait()
        assert await accepted(bench) == done_meanwhile
        bench.clock.advance(29)
        assert not asked.done()
        bench.clock.advance(1)
        assert (await asked).status == 200
        assert await accepted(bench) == 1


async def test_truncated_json_does_not_parse_although_the_batch_is_queued() -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", "truncated_json")
        reply = await bench.bulk(PAIR)
        assert reply.status == 200
        with pytest.raises(orjson.JSONDecodeError):
            _ = reply.json
        assert await accepted(bench) == 1


async def test_an_empty_200_has_no_body_although_the_batch_is_queued() -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", "empty_200")
        reply = await bench.bulk(PAIR)
        assert (reply.status, reply.body) == (200, b"")
        assert await accepted(bench) == 1


async def test_a_login_page_comes_with_200() -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("*", "html_login", calls=[1])
        reply = await bench.get("users/me")
        assert reply.status == 200
        assert reply.body.startswith(b"<!DOCTYPE html>")


async def test_forbidden_once_is_forbidden_once() -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("info", "forbidden_once")
        statuses = [(await bench.get("import/info?batchId=x")).status for _ in range(3)]
        assert statuses == [403, 200, 200]
        bench.sim.install_fault("info", "forbidden")
        assert [(await bench.get("import/info?batchId=x")).status for _ in range(2)] == [403, 403]


@pytest.mark.parametrize(
    ("action", "status", "retry_after"),
    [
        ("throttle_bulk", 400, None),
        ("throttle_429", 429, "1"),
        ("throttle_429_bare", 429, None),
        ("throttle_503", 503, None),
    ],
)
async def test_throttles_can_be_ordered(action: str, status: int, retry_after: str | None) -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", action)
        reply = await bench.bulk(PAIR)
        assert reply.status == status
        assert reply.headers.get("Retry-After") == retry_after
        assert await accepted(bench) == 0


async def statuses_of_users(bench: Bench, count: int) -> list[int]:
    return [(await bench.get("users/me")).status for _ in range(count)]


async def test_calls_are_chosen_by_number_by_interval_or_by_seeded_chance() -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("users/me", "status:500", calls=[1, 3])
        assert await statuses_of_users(bench, 4) == [500, 200, 500, 200]
        bench.sim.state.faults.remove()
        bench.sim.install_fault("users/me", "status:500", calls={"every": 2})
        assert await statuses_of_users(bench, 4) == [200, 500, 200, 500]
        runs = []
        for _ in range(2):
            bench.sim.state.faults.remove()
            bench.sim.install_fault("users/me", "status:500", calls={"probability": 0.5, "seed": 7})
            runs.append(await statuses_of_users(bench, 20))
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 500}


@pytest.mark.parametrize(
    ("route", "path", "hit"),
    [
        ("*", "lists", True),
        ("lists", "lists", True),
        ("lists", "lists/1", False),
        ("lists/{id}", "lists/1", True),
        ("GET /api/3/lists*", "lists/1", True),
        ("POST *", "lists/1", False),
        ("progress", "import/bulk_import", True),
    ],
)
async def test_a_rule_names_a_route_or_a_pattern(route: str, path: str, hit: bool) -> None:
    async with a_bench() as bench:
        bench.sim.install_fault(route, "status:500")
        assert (await bench.get(path)).status == (500 if hit else 200)


async def test_rules_are_installed_listed_and_removed_from_outside() -> None:
    async with a_bench() as bench:
        rules = [{"route": "bulk", "calls": [2], "action": "status:502"}, {"action": "empty_200"}]
        installed = (await bench.control("POST", "faults", rules)).json
        await bench.control("DELETE", f"faults?id={installed[1]['id']}")
        await bench.bulk(PAIR)
        await bench.bulk(PAIR)
        [rule] = (await bench.control("GET", "faults")).json
        assert (rule["action"], rule["seen"], rule["hits"]) == ("status:502", 2, 1)
        assert bench.sim.counters()["faults"] == {"status:502": 1}
        await bench.control("DELETE", "faults")
        assert (await bench.control("GET", "faults")).json == []


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "explode"},
        {"action": "status:abc"},
        {"action": "slow:soon"},
        {"action": "batch_end:completed"},
        {"action": "empty_200", "calls": {"every": 0}},
        {"action": "empty_200", "calls": [0]},
        {"action": "empty_200", "when": "now"},
        {"action": "empty_200", "route": "bulks"},
        {},
    ],
)
async def test_a_senseless_rule_is_refused_with_the_reason(rule: dict[str, object]) -> None:
    async with a_bench() as bench:
        reply = await bench.control("POST", "faults", rule)
        assert reply.status == 400
        assert reply.json["error"]
        assert bench.sim.state.faults.rules == []
