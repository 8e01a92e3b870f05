"""What the bulk post accepts and refuses."""

import re
from typing import Any

import pytest

from .activecampaign_helpers import Bench, a_bench, addresses


def a_body_of(size: int) -> bytes:
    """Return a valid body of two contacts and exactly so many bytes."""
    start = b'{"contacts":[{"email":"a@example.org"},{"email":"b@example.org","first_name":"'
    return start + b"x" * (size - len(start) - 4) + b'"}]}'


async def test_an_accepted_post_is_queued_under_a_uuid() -> None:
    async with a_bench() as bench:
        reply = await bench.bulk(addresses(2))
        assert reply.status == 200
        assert reply.json["success"] == 1
        assert reply.json["queued_contacts"] == 2
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply.json["batchId"])
        assert reply.json["message"]


async def test_the_first_key_is_capital_by_switch() -> None:
    async with a_bench(success_key="Success") as bench:
        assert (await bench.bulk(addresses(2))).json["Success"] == 1


@pytest.mark.parametrize(("count", "status"), [(250, 200), (251, 400)])
async def test_250_contacts_are_the_most(count: int, status: int) -> None:
    async with a_bench() as bench:
        reply = await bench.bulk(addresses(count))
        assert reply.status == status
        if status == 400:
            assert all(isinstance(reason, str) for reason in reply.json["failureReasons"])
            assert bench.sim.counters()["bulk_rejected"] == {"contacts": 1}


@pytest.mark.parametrize(("size", "status"), [(399_999, 200), (400_000, 400)])
async def test_400_000_bytes_are_too_many(size: int, status: int) -> None:
    async with a_bench() as bench:
        body = a_body_of(size)
        assert len(body) == size
        reply = await bench.call("POST", "import/bulk_import", body)
        assert reply.status == status
        assert bench.sim.counters()["largest_bulk_bytes"] == size
        if status == 400:
            assert all(isinstance(reason, str) for reason in reply.json["failureReasons"])


async def test_too_much_is_413_by_switch() -> None:
    async with a_bench(oversize_answer="413") as bench:
        assert (await bench.bulk(addresses(251))).status == 413
        assert (await bench.call("POST", "import/bulk_import", a_body_of(400_000))).status == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"contacts":[]}', b'{"contacts":{}}', b'{"contacts":null}', b'"text"'],
)
async def test_a_body_without_contacts_is_refused_with_string_reasons(body: bytes) -> None:
    async with a_bench() as bench:
        reply = await bench.call("POST", "import/bulk_import", body)
        assert reply.status == 400
        assert reply.json["success"] == 0
        assert reply.json["failureReasons"]
        assert all(isinstance(reason, str) for reason in reply.json["failureReasons"])


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"email": None},
        {"email": ""},
        {"email": 7},
        {"email": "no-at"},
        {"email": "a@@b.org"},
        {"email": "a@b@c.org"},
        {"email": "a b@example.org"},
        {"email": "a..b@example.org"},
        {"email": ".a@example.org"},
        {"email": "a@example..org"},
        {"email": "@example.org"},
        {"email": "a@"},
        "not an object",
    ],
)
async def test_one_malformed_contact_keeps_all_from_being_stored(bad: Any) -> None:
    async with a_bench() as bench:
        rows = [{"email": "a@example.org"}, bad, {"email": "b@example.org"}]
        reply = await bench.call("POST", "import/bulk_import", {"contacts": rows})
        bench.clock.advance(60)
        assert reply.status == 400
        assert "batchId" not in reply.json
        assert [reason["contact"] for reason in reply.json["failureReasons"]] == [2]
        assert len(bench.sim.state.contacts) == 0


@pytest.mark.parametrize("email", ["a@nodot", "o'brien@example.org", " A@Example.org ", "a+b@example.org"])
async def test_defects_that_show_later_pass_the_post(email: str) -> None:
    async with a_bench() as bench:
        assert (await bench.bulk([email, "b@example.org"])).status == 200


@pytest.mark.parametrize(
    ("mode", "places"),
    [("one_based", [2, 3]), ("zero_based", [1, 2]), ("wrong", [3, 1]), ("missing", [None, None])],
)
async def test_a_refusal_places_the_contact_in_each_of_its_ways(mode: str, places: list[int | None]) -> None:
    async with a_bench(refusal_index=mode) as bench:
        reply = await bench.bulk(["a@example.org", "bad", "worse"])
        assert [reason.get("contact") for reason in reply.json["failureReasons"]] == places


async def test_the_wrong_place_is_wrong_for_a_single_contact_too() -> None:
    async with a_bench(refusal_index="wrong") as bench:
        assert (await bench.bulk(["bad"])).json["failureReasons"][0]["contact"] == 2


async def test_chosen_addresses_are_refused_although_they_look_right() -> None:
    async with a_bench(
        refused_addresses=["Planted@example.org"], refuses=lambda email: email.startswith("x")
    ) as bench:
        rows = ["a@example.org", "PLANTED@example.org", "x1@example.org"]
        reply = await bench.bulk(rows)
        assert [reason["contact"] for reason in reply.json["failureReasons"]] == [2, 3]


async def test_two_equal_posts_are_two_batches() -> None:
    async with a_bench() as bench:
        first, second = await bench.bulk(addresses(2)), await bench.bulk(addresses(2))
        assert first.json["batchId"] != second.json["batchId"]
        counters = bench.sim.counters()
        assert counters["repeated_bodies"] == counters["repeated_accepted_bodies"] == 1


async def test_unknown_and_camel_case_keys_are_ignored() -> None:
    async with a_bench() as bench:
        row = {"email": "a@example.org", "firstName": "Ann", "tags": ["a"], "exclude_automations": True}
        await bench.settle([row | {"extra": [1]}], unheard_of=1)
        assert bench.contact("a@example.org")["first_name"] == ""
        assert bench.sim.counters()["automation_runs"] == 1


async def test_a_full_plan_refuses_the_post_by_switch() -> None:
    async with a_bench(plan_limit=1, over_plan_limit="402") as bench:
        assert (await bench.bulk(addresses(1))).status == 200
        bench.clock.advance(60)
        assert (await bench.bulk(addresses(2))).status == 402


async def test_the_counters_describe_the_posts() -> None:
    async with a_bench() as bench:
        await bench.bulk(addresses(4))
        await bench.bulk(["a@example.org", "A@example.org ", "b@example.org"])
        await bench.bulk(["a@example.org", "bad"])
        counters = bench.sim.counters()
        assert counters["bulk_accepted"] == 2
        assert counters["bulk_rejected"] == {"validation": 1}
        assert counters["contacts_per_bulk"] == {"min": 2, "max": 4, "mean": 3}
        assert counters["duplicate_addresses"] == {"total": 1, "most_in_a_batch": 1, "batches": 1}


async def test_info_needs_a_batch_id() -> None:
    async with a_bench() as bench:
        reply = await bench.get("import/info")
        assert (reply.status, reply.json) == (
            400,
            {"success": 0, "message": "'batchId' is a required field."},
        )


async def test_an_unknown_batch_is_false_or_404() -> None:
    async with a_bench() as bench:
        assert await bench.info("nobody") == {"status": False, "success": [], "failure": []}
        bench.sim.state.change_settings({"unknown_batch_answer": "404"})
        assert (await bench.get("import/info?batchId=nobody")).status == 404


async def progress_of(bench: Bench) -> tuple[list[Any], list[Any]]:
    body = (await bench.get("import/bulk_import")).json
    return body["outstanding"], body["recentlyCompleted"]


async def test_progress_counts_batches_per_day_as_strings() -> None:
    async with a_bench(start="2026-03-01T12:00:00Z", utc_offset_minutes=0) as bench:
        await bench.bulk(addresses(3))
        await bench.bulk(addresses(4))
        day = {"forDate": "2026-03-01", "batches": "2", "contacts": "7"}
        assert await progress_of(bench) == ([day], [])
        bench.clock.advance(6)
        assert await progress_of(bench) == ([], [day])
        bench.clock.advance(7 * 24 * 3600 - 1)
        assert await progress_of(bench) == ([], [day])
        bench.clock.advance(1)
        assert await progress_of(bench) == ([], [])


async def test_progress_has_a_line_for_each_day_of_the_accounts_zone() -> None:
    async with a_bench(start="2026-03-02T04:00:00Z", progress_days=30) as bench:
        await bench.settle(addresses(2))
        bench.clock.advance(2 * 3600)
        await bench.settle(addresses(3))
        bench.clock.advance(24 * 3600)
        await bench.bulk(addresses(4))
        outstanding, completed = await progress_of(bench)
        assert [line["forDate"] for line in outstanding] == ["2026-03-03"]
        assert [(line["forDate"], line["contacts"]) for line in completed] == [
            ("2026-03-01", "2"),
            ("2026-03-02", "3"),
        ]
