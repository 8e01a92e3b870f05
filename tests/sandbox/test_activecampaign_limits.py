"""The three throttles, at their edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.activecampaign.limits import Window

from .activecampaign_helpers import a_bench, addresses

PAIR = addresses(2)


async def test_the_sixth_request_within_a_second_is_throttled() -> None:
    async with a_bench(requests_per_second=5) as bench:
        statuses = [(await bench.get("users/me")).status for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        bench.clock.advance(1)
        assert (await bench.get("users/me")).status == 200
        assert bench.sim.counters()["throttled_general"] == 1


async def test_the_general_window_slides() -> None:
    async with a_bench(requests_per_second=5) as bench:
        for _ in range(5):
            assert (await bench.get("users/me")).status == 200
            bench.clock.advance(0.125)
        # At 0.625 s all five still count; at 1 s the first has left, at 1.125 s the second.
        assert (await bench.get("users/me")).status == 429
        bench.clock.advance(0.375)
        assert [(await bench.get("users/me")).status for _ in range(2)] == [200, 429]
        bench.clock.advance(0.125)
        assert [(await bench.get("users/me")).status for _ in range(2)] == [200, 429]


async def test_a_fixed_window_lets_two_bursts_meet_at_its_edge() -> None:
    async with a_bench(requests_per_second=5, window="fixed") as bench:
        bench.clock.advance(0.875)
        assert [(await bench.get("users/me")).status for _ in range(6)] == [200] * 5 + [429]
        bench.clock.advance(0.125)
        assert [(await bench.get("users/me")).status for _ in range(6)] == [200] * 5 + [429]


async def test_every_answer_says_how_many_requests_remain() -> None:
    async with a_bench(requests_per_second=5) as bench:
        replies = [await bench.get("users/me") for _ in range(6)]
        assert {reply.headers["RateLimit-Limit"] for reply in replies} == {"5"}
        assert [reply.headers["RateLimit-Remaining"] for reply in replies] == ["4", "3", "2", "1", "0", "0"]
        assert "RateLimit-Limit" in (await bench.get("nowhere")).headers
        assert "RateLimit-Limit" in (await bench.get("users/me", key="wrong")).headers


@pytest.mark.parametrize(
    ("settings", "status", "retry_after"),
    [
        ({}, 429, "1"),
        ({"retry_after_seconds": 30}, 429, "30"),
        ({"general_throttle": "429_without_header"}, 429, None),
        ({"general_throttle": "503"}, 503, None),
    ],
)
async def test_the_general_throttle_answers_in_each_of_its_forms(
    settings: dict[str, object], status: int, retry_after: str | None
) -> None:
    async with a_bench(requests_per_second=1, **settings) as bench:
        await bench.get("users/me")
        reply = await bench.get("users/me")
        assert reply.status == status
        assert reply.headers.get("Retry-After") == retry_after


async def test_all_keys_share_the_accounts_budget_but_wrong_keys_take_nothing() -> None:
    async with a_bench(requests_per_second=2) as bench:
        await bench.control("POST", "keys", {"add": "second"})
        assert [(await bench.get("users/me", key="wrong")).status for _ in range(3)] == [403] * 3
        assert (await bench.get("users/me")).status == 200
        assert (await bench.get("users/me", key="second")).status == 200
        assert (await bench.get("users/me", key="second")).status == 429


async def test_the_101st_bulk_post_in_a_minute_is_throttled_with_400() -> None:
    async with a_bench() as bench:
        for _ in range(100):
            assert (await bench.bulk(PAIR)).status == 200
        throttled = await bench.bulk(PAIR)
        assert throttled.status == 400
        assert throttled.json["success"] == 0
        assert "rate limit" in throttled.json["message"].lower()
        assert "100" in throttled.json["failureReasons"][0]
        # Single-contact posts have a window of their own.
        assert (await bench.bulk(["one@example.org"])).status == 200
        bench.clock.advance(59.9)
        assert (await bench.bulk(PAIR)).status == 400
        bench.clock.advance(0.1)
        assert (await bench.bulk(PAIR)).status == 200
        assert bench.sim.counters()["throttled_bulk"] == 2


async def test_the_21st_single_contact_post_in_a_minute_is_throttled() -> None:
    async with a_bench(bulk_throttle="429") as bench:
        for address in addresses(20):
            assert (await bench.bulk([address])).status == 200
        throttled = await bench.bulk(["one@example.org"])
        assert throttled.status == 429
        assert "rate limit" in throttled.json["message"].lower()
        assert (await bench.bulk(PAIR)).status == 200
        counters = bench.sim.counters()
        assert (counters["throttled_single"], counters["throttled_bulk"]) == (1, 0)


async def test_a_fixed_minute_starts_on_the_clock_for_bulk_posts_too() -> None:
    async with a_bench(window="fixed", bulk_requests_per_minute=1) as bench:
        bench.clock.advance(59)
        assert [(await bench.bulk(PAIR)).status for _ in range(2)] == [200, 400]
        bench.clock.advance(1)
        assert (await bench.bulk(PAIR)).status == 200


@pytest.mark.parametrize(("counted", "second"), [(True, 400), (False, 200)])
async def test_refused_posts_count_by_switch(counted: bool, second: int) -> None:
    async with a_bench(bulk_requests_per_minute=1, rejected_requests_count=counted) as bench:
        refused = await bench.bulk(["good@example.org", "bad"])
        assert "validation" in refused.json["message"]
        assert (await bench.bulk(PAIR)).status == second


@pytest.mark.parametrize(("counted", "later"), [(True, 400), (False, 200)])
async def test_throttled_posts_count_by_switch(counted: bool, later: int) -> None:
    async with a_bench(bulk_requests_per_minute=1, throttled_requests_count=counted) as bench:
        assert (await bench.bulk(PAIR)).status == 200
        bench.clock.advance(30)
        assert (await bench.bulk(PAIR)).status == 400
        bench.clock.advance(30)
        assert (await bench.bulk(PAIR)).status == later


@pytest.mark.parametrize(("shared", "status"), [(True, 429), (False, 200)])
async def test_bulk_posts_draw_on_the_general_budget_by_switch(shared: bool, status: int) -> None:
    async with a_bench(requests_per_second=1, bulk_uses_general_budget=shared) as bench:
        assert (await bench.bulk(PAIR)).status == 200
        assert (await bench.bulk(PAIR)).status == status


async def test_peaks_stay_when_it_gets_quiet() -> None:
    async with a_bench() as bench:
        for pause, posts in ((0, 3), (0.5, 4), (60, 1)):
            bench.clock.advance(pause)
            for _ in range(posts):
                await bench.bulk(PAIR)
        counters = bench.sim.counters()
        assert counters["peak_requests_per_second"] == 7
        assert counters["peak_bulk_per_minute"] == 7


async def test_without_limits_nothing_is_throttled() -> None:
    async with a_bench(limits_enforced=False, requests_per_second=1, bulk_requests_per_minute=1) as bench:
        assert {(await bench.bulk(PAIR)).status for _ in range(5)} == {200}
        counters = bench.sim.counters()
        assert counters["peak_requests_per_second"] == 5
        assert counters["peak_bulk_per_minute"] == 5


@given(
    pauses=st.lists(st.floats(min_value=0, max_value=20, allow_nan=False), max_size=60),
    limit=st.integers(min_value=1, max_value=8),
)
def test_a_sliding_window_never_admits_more_than_its_limit(pauses: list[float], limit: int) -> None:
    window, now, admitted = Window(60.0), 0.0, []
    for pause in pauses:
        now += pause
        if window.used(now) < limit:
            window.take(now)
            admitted.append(now)
    for moment in admitted:
        assert sum(moment - 60.0 < other <= moment for other in admitted) <= limit
