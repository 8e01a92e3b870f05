"""The control API, the command line, and the page that describes them."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp.web import RouteDef

from sandbox.activecampaign import ScaledClock, SimulatorSettings, control
from sandbox.activecampaign.__main__ import read_arguments
from sandbox.activecampaign.faults import BATCH_ENDS, PLAIN_ACTIONS, SECONDS_ACTIONS

from .activecampaign_helpers import a_bench, addresses

ANN = "ann@example.org"
ROOT = Path(__file__).parents[2]


async def test_seeded_contacts_are_streamed_back_one_a_line() -> None:
    ann = {
        "email": ANN,
        "first_name": "Ann",
        "last_name": "Lee",
        "phone": "1",
        "fields": {"1": "Oslo"},
        "tags": ["vip"],
        "lists": {"5": 2, "1": 1},
        "bounced": "soft",
    }
    async with a_bench() as bench:
        await bench.control("POST", "contacts", [ann, {"email": "bo@example.org"}])
        lines = (await bench.control("GET", "contacts")).body.splitlines()
        assert orjson.loads(lines[0]) == {"id": 1, **ann}
        assert orjson.loads(lines[1])["email"] == "bo@example.org"
        assert (await bench.control("GET", f"contacts/{ANN}")).json == {"id": 1, **ann}
        assert (await bench.control("GET", "contacts/nobody@example.org")).status == 404
        counters = (await bench.control("GET", "counters")).json
        assert (counters["contacts"], counters["requests"], counters["automation_runs"]) == (2, 0, 0)


async def test_contacts_may_be_seeded_as_lines() -> None:
    async with a_bench() as bench:
        lines = b"".join(orjson.dumps({"email": email}) + b"\n" for email in addresses(3))
        assert (await bench.control("POST", "contacts", lines)).json == {"contacts": 3}


@pytest.mark.parametrize(
    ("seed", "reason"),
    [
        ({"email": ANN, "list": {"5": 1}}, "list: unknown"),
        ({"email": ANN, "lists": {"5": 9}}, "lists.5"),
        ({"email": ANN, "bounced": "yes"}, "bounced"),
        ({"first_name": "Ann"}, "email"),
    ],
)
async def test_a_seed_with_a_mistake_writes_nothing(seed: dict[str, object], reason: str) -> None:
    async with a_bench() as bench:
        reply = await bench.control("POST", "contacts", [{"email": "bo@example.org"}, seed])
        assert reply.status == 400
        assert reason in reply.json["error"]
        assert len(bench.sim.state.contacts) == 0


async def test_contacts_can_be_written_back_as_they_were_read() -> None:
    async with a_bench() as bench, a_bench() as other:
        bench.sim.seed(
            email=ANN, first_name="Ann", fields={1: "Oslo"}, tags=["a"], lists={5: 3}, bounced="hard"
        )
        lines = (await bench.control("GET", "contacts")).body
        assert (await other.control("POST", "contacts", lines)).json == {"contacts": 1}
        assert (await other.control("GET", "contacts")).body == lines


async def test_an_unknown_control_route_names_the_known_ones() -> None:
    async with a_bench() as bench:
        reply = await bench.control("GET", "")
        assert reply.status == 404
        assert "GET /_sandbox/counters" in reply.json["routes"]
        assert (await bench.control("PUT", "counters")).status == 405


async def test_the_request_log_tells_when_what_and_how_much() -> None:
    async with a_bench(request_log_size=2) as bench:
        await bench.get("users/me")
        bench.clock.advance(1.5)
        batch_id = (await bench.bulk(addresses(3), exclude_automations=True)).json["batchId"]
        await bench.get("lists/9")
        lines = (await bench.control("GET", "requests")).body.splitlines()
        first, second = [orjson.loads(line) for line in lines]
        assert first["seconds"] == 1.5
        assert first["real_at"] > 0
        assert (first["method"], first["path"]) == ("POST", "/api/3/import/bulk_import")
        assert (first["status"], first["contacts"], first["exclude_automations"]) == (200, 3, True)
        assert first["bytes"] > 0
        assert first["batch_id"] == batch_id
        assert (second["path"], second["status"]) == ("/api/3/lists/9", 404)


async def test_batches_are_listed_with_their_statuses() -> None:
    async with a_bench() as bench:
        await bench.settle([ANN, "a@nodot"])
        [line] = (await bench.control("GET", "batches")).body.splitlines()
        batch = orjson.loads(line)
        assert (batch["status"], batch["contacts"], batch["failures"]) == ("completed", 2, 1)


async def test_settings_change_at_run_time_and_bad_ones_change_nothing() -> None:
    async with a_bench() as bench:
        changed = await bench.control("POST", "settings", {"refusal_index": "wrong", "plan_limit": 9})
        assert (changed.json["refusal_index"], changed.json["plan_limit"]) == ("wrong", 9)
        bad = await bench.control("POST", "settings", {"plan_limit": 1, "unheard_of": 1})
        assert (bad.status, bad.json) == (400, {"error": "unheard_of: unknown"})
        late = await bench.control("POST", "settings", {"plan_limit": 1, "key": "other"})
        assert (late.status, late.json) == (400, {"error": "key is read at the start only"})
        assert (await bench.control("GET", "settings")).json["plan_limit"] == 9


async def test_keys_are_added_revoked_and_rotated() -> None:
    async with a_bench() as bench:
        await bench.control("POST", "keys", {"add": "second"})
        assert (await bench.get("users/me", key="second")).status == 200
        await bench.control("POST", "keys", {"revoke": "second"})
        assert (await bench.get("users/me", key="second")).status == 403
        await bench.control("POST", "keys", {"rotate": "third"})
        assert (await bench.get("users/me")).status == 403
        assert (await bench.control("GET", "keys")).json == {
            "third": {"admin": True, "bulk": True, "lists": None}
        }
        assert (await bench.control("POST", "keys", {"lose": "third"})).status == 400


async def test_people_bounce_and_are_deleted() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, lists={"5": 1})
        await bench.control("POST", "events", {"type": "bounce", "email": ANN})
        assert bench.contact(ANN)["lists"] == {"5": 3}
        assert (await bench.get("contacts/1")).json["contact"]["bounced_hard"] == "1"
        assert (await bench.get("contacts/1/bounceLogs")).json["meta"]["total"] == "1"
        await bench.control("POST", "events", {"type": "delete", "email": ANN})
        assert bench.sim.contact(ANN) is None
        assert (await bench.control("POST", "events", {"type": "bounce", "email": ANN})).status == 400


async def test_reset_goes_back_to_the_start() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        bench.sim.install_fault("*", "status:500")
        await bench.control("POST", "settings", {"plan_limit": 9})
        await bench.control("POST", "reset")
        assert (await bench.get("contacts")).json["meta"]["total"] == "0"
        assert (await bench.control("GET", "settings")).json["plan_limit"] is None
        assert (await bench.control("GET", "counters")).json["requests"] == 1


async def test_the_control_api_needs_no_key_and_draws_on_no_budget() -> None:
    async with a_bench(requests_per_second=1) as bench:
        assert {(await bench.control("GET", "counters")).status for _ in range(5)} == {200}
        assert (await bench.get("users/me")).status == 200


async def test_json_that_is_none_is_refused_by_the_control_api() -> None:
    async with a_bench() as bench:
        assert (await bench.control("POST", "settings", b"{")).status == 400
        assert (await bench.control("POST", "contacts", b"[1]")).status == 400


def test_a_scaled_clock_keeps_its_moment_when_its_speed_changes() -> None:
    clock = ScaledClock(1_000_000.0)
    before = clock.now()
    clock.set_speed(0.001)
    assert clock.now() >= before


def test_the_command_line_takes_any_setting() -> None:
    options, settings = read_arguments(
        [
            "--port",
            "7",
            "--speed",
            "5",
            "--no-limits",
            "--key",
            "k",
            "--set",
            "window=fixed",
            "--set",
            "plan_limit=9",
        ]
    )
    assert options.port == 7
    assert (settings.speed, settings.limits_enforced, settings.key) == (5, False, "k")
    assert (settings.window, settings.plan_limit) == ("fixed", 9)


def test_a_key_may_look_like_a_number() -> None:
    assert read_arguments(["--set", "key=7"])[1].key == read_arguments(["--key", "7"])[1].key == "7"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--set", "unheard_of=1"], "unheard_of: unknown"),
        (["--set", "x"], "write NAME=VALUE"),
        (["--set", "window=round"], "'sliding' or 'fixed'"),
        (["--speed", "0"], "speed"),
        (["--speed", "inf"], "speed"),
        (["--port", "99999"], "99999 is no port"),
        (["--port", "x"], "invalid port value"),
    ],
)
def test_a_bad_option_is_a_usage_error(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "usage" in told
    assert reason in told


def test_the_command_prints_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(["--settings"])
    assert ended.value.code == 0
    printed = {line.partition("=")[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "}
    assert printed == set(SimulatorSettings.model_fields) - {"fails", "refuses"}


async def a_command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.activecampaign",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def listening(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    ready: dict[str, Any] = orjson.loads(await process.stdout.readline())
    return ready


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_says_where_it_listens_and_frees_its_port_on_a_signal(number: int) -> None:
    process = await a_command()
    ready = await listening(process)
    assert ready == {"ready": True, "url": f"http://{ready['host']}", "host": ready["host"]}
    async with aiohttp.ClientSession() as http:
        # A connection that stays open, with a request under way, does not hold it up.
        async with http.post(f"{ready['url']}/_sandbox/faults", json={"action": "slow:3600"}) as answer:
            assert answer.status == 200
        asked = asyncio.create_task(http.get(f"{ready['url']}/api/3/users/me"))
        async with http.get(f"{ready['url']}/_sandbox/counters") as answer:
            assert answer.status == 200
        process.send_signal(number)
        rest, told = await process.communicate()
        assert (process.returncode, rest, told) == (0, b"", b"")
        with pytest.raises(aiohttp.ClientError):
            await asked
    successor = await a_command("--port", ready["host"].rpartition(":")[2])
    assert (await listening(successor))["host"] == ready["host"]
    successor.terminate()
    await successor.communicate()


async def test_the_command_says_that_a_port_is_taken() -> None:
    async with a_bench() as bench:
        process = await a_command("--port", bench.sim.host.rpartition(":")[2])
        out, told = await process.communicate()
        assert (process.returncode, out) == (1, b"")
        assert b"address already in use" in told
        assert b"Traceback" not in told


def test_the_page_names_every_setting_fault_and_control_route() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    actions = {*PLAIN_ACTIONS, *(f"{name}:" for name in SECONDS_ACTIONS), *(f"`{end}`" for end in BATCH_ENDS)}
    routes = {f"{route.method} {route.path}" for route in control.routes if isinstance(route, RouteDef)}
    names = {f"`{name}`" for name in SimulatorSettings.model_fields}
    assert sorted(word for word in {*actions, *routes, *names} if word not in page) == []
