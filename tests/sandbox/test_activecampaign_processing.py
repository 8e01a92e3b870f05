"""What becomes of accepted contacts, and when."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.activecampaign import Account, ManualClock, SimulatedActiveCampaign, SimulatorSettings
from sandbox.activecampaign.batches import Batch

from .activecampaign_helpers import a_bench, addresses

ANN = "ann@example.org"


async def statuses_over(bench: Any, batch_id: str, pauses: list[float]) -> list[object]:
    found = [(await bench.info(batch_id))["status"]]
    for pause in pauses:
        bench.clock.advance(pause)
        found.append((await bench.info(batch_id))["status"])
    return found


async def test_a_batch_takes_six_seconds_through_its_statuses() -> None:
    async with a_bench() as bench:
        batch_id = (await bench.bulk(addresses(250))).json["batchId"]
        assert await statuses_over(bench, batch_id, [0.75, 0.25, 2, 1, 1.75, 0.25]) == [
            False,
            False,
            "waiting",
            "claimed",
            "active",
            "active",
            "completed",
        ]


async def test_contacts_appear_only_when_the_batch_is_final() -> None:
    async with a_bench() as bench:
        await bench.bulk([ANN, "bo@example.org"])
        bench.clock.advance(5.9)
        assert bench.sim.contact(ANN) is None
        bench.clock.advance(0.1)
        assert bench.sim.contact(ANN) is not None


async def test_a_backlog_is_worked_off_at_the_accounts_rate() -> None:
    async with a_bench(contacts_per_minute=600) as bench:
        ids = [(await bench.bulk(addresses(200, n * 200))).json["batchId"] for n in range(2)]
        bench.clock.advance(20)
        assert [(await bench.info(batch_id))["status"] for batch_id in ids] == ["completed", "waiting"]
        bench.clock.advance(20)
        assert (await bench.info(ids[1]))["status"] == "completed"


async def test_without_limits_batches_pass_their_statuses_quickly_or_complete_at_once() -> None:
    async with a_bench(limits_enforced=False, unlimited_processing_seconds=0.6) as bench:
        batch_id = (await bench.bulk(addresses(2))).json["batchId"]
        statuses = await statuses_over(bench, batch_id, [0.11, 0.2, 0.1, 0.2])
        assert statuses == [False, "waiting", "claimed", "active", "completed"]
        bench.sim.state.change_settings({"unlimited_processing_seconds": 0})
        batch_id = (await bench.bulk(addresses(2))).json["batchId"]
        assert (await bench.info(batch_id))["status"] == "completed"


async def test_without_limits_the_rate_of_the_account_does_not_matter() -> None:
    async with a_bench(limits_enforced=False, contacts_per_minute=1) as bench:
        ids = [(await bench.bulk(addresses(250))).json["batchId"] for _ in range(3)]
        bench.clock.advance(0.05)
        assert [(await bench.info(batch_id))["status"] for batch_id in ids] == ["completed"] * 3


async def test_step_on_demand_moves_batches_only_when_told() -> None:
    async with a_bench(processing="step") as bench:
        first, second = [(await bench.bulk(addresses(2, n))).json["batchId"] for n in (0, 2)]
        bench.clock.advance(3600)
        seen = []
        for _ in range(5):
            seen.append((await bench.info(first))["status"])
            bench.sim.step(batch_id=first)
        assert seen == [False, "waiting", "claimed", "active", "completed"]
        assert (await bench.info(second))["status"] is False
        assert (await bench.control("POST", "step", {"phases": 4})).json == {"open_batches": 0}
        assert (await bench.info(second))["status"] == "completed"


async def test_a_contact_is_matched_by_trimmed_lower_case_address() -> None:
    async with a_bench() as bench:
        first = await bench.settle([{"email": " Ann@Example.ORG ", "first_name": "Ann"}])
        second = await bench.settle([{"email": ANN, "last_name": "Lee"}])
        assert (first["success"], second["success"]) == (["1"], [])
        assert bench.contact(ANN)["first_name"] == "Ann"
        assert bench.contact(ANN)["last_name"] == "Lee"


@pytest.mark.parametrize(("clears", "left"), [(True, ""), (False, "Ann")])
async def test_left_out_keys_keep_values_and_empty_ones_clear_by_switch(clears: bool, left: str) -> None:
    async with a_bench(empty_clears=clears) as bench:
        fields = [{"id": 1, "value": "Oslo"}, {"id": "2", "value": "Gold"}]
        await bench.settle([{"email": ANN, "first_name": "Ann", "phone": "1", "fields": fields}])
        await bench.settle([{"email": ANN, "first_name": "", "fields": [{"id": 1, "value": ""}]}])
        contact = bench.contact(ANN)
        assert contact["first_name"] == left
        assert contact["phone"] == "1"
        assert contact["fields"].get("1", "") == ("" if clears else "Oslo")
        assert contact["fields"]["2"] == "Gold"


async def test_tags_are_created_added_and_compared_without_case() -> None:
    async with a_bench() as bench:
        await bench.settle([{"email": ANN, "tags": ["VIP", "vip", "new"]}])
        await bench.settle([{"email": ANN, "tags": ["Vip"]}, {"email": "bo@example.org", "tags": ["NEW"]}])
        assert bench.contact(ANN)["tags"] == ["VIP", "new"]
        assert bench.contact("bo@example.org")["tags"] == ["new"]


@pytest.mark.parametrize(
    ("before", "after"), [(None, 1), (1, 1), (2, 2), (3, 3), (0, 1)], ids=["none", "1", "2", "3", "0"]
)
async def test_subscribe_joins_but_never_brings_back(before: int | None, after: int) -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, lists={} if before is None else {"5": before})
        settled = await bench.settle([{"email": ANN, "first_name": "Ann", "subscribe": [{"listid": "5"}]}])
        assert settled["failure"] == []
        assert bench.contact(ANN)["lists"] == {"5": after}
        assert bench.contact(ANN)["first_name"] == "Ann"
        assert bench.sim.counters()["resubscriptions"] == {"2->1": 0, "3->1": 0}


async def test_unconfirmed_stays_by_switch() -> None:
    async with a_bench(unconfirmed_becomes_subscribed=False) as bench:
        bench.sim.seed(email=ANN, lists={"5": 0})
        await bench.settle([{"email": ANN, "subscribe": [{"listid": 5}]}])
        assert bench.contact(ANN)["lists"] == {"5": 0}


async def test_leaving_one_list_does_not_keep_from_joining_another() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, lists={"5": 2})
        await bench.settle([{"email": ANN, "subscribe": [{"listid": 5}, {"listid": 3}]}])
        assert bench.contact(ANN)["lists"] == {"5": 2, "3": 1}


async def test_unsubscribe_is_an_opt_out_and_wins_over_subscribe() -> None:
    async with a_bench() as bench:
        lists = [{"listid": 5}]
        await bench.settle([{"email": ANN, "subscribe": lists, "unsubscribe": lists}])
        await bench.settle([{"email": ANN, "subscribe": lists}])
        assert bench.contact(ANN)["lists"] == {"5": 2}


async def test_failures_are_bare_addresses_and_their_contacts_are_not_written() -> None:
    async with a_bench(
        failing_addresses=["planted@example.org"], fails=lambda email: email.endswith("@fails.org")
    ) as bench:
        await bench.control("POST", "exclusions", {"phrase": "Excluded@example.org"})
        await bench.control("POST", "exclusions", {"phrase": "noreply", "match": "begins"})
        await bench.control("POST", "exclusions", [{"phrase": "@blocked.org", "match": "end"}])
        bad = [
            "a@nodot",
            "O'Brien@example.org",
            "blåbær@example.org",
            "planted@example.org",
            "x@fails.org",
            "excluded@example.org",
            "noreply7@example.org",
            "y@blocked.org",
        ]
        settled = await bench.settle([ANN, *bad])
        assert settled == {"status": "completed", "success": ["1"], "failure": bad}
        assert [contact.email for contact in bench.sim.state.contacts] == [ANN]


@pytest.mark.parametrize(
    ("setting", "email"),
    [
        ({"dotless_domains_fail": False}, "a@nodot"),
        ({"apostrophes_fail": False}, "o'brien@example.org"),
        ({"non_ascii_addresses": "accept"}, "blåbær@example.org"),
    ],
)
async def test_doubtful_addresses_pass_by_switch(setting: dict[str, object], email: str) -> None:
    async with a_bench(**setting) as bench:
        assert (await bench.settle([email, ANN]))["failure"] == []


@pytest.mark.parametrize("fails", [True, False])
async def test_excluded_contacts_are_not_updated_and_are_in_failure_by_switch(fails: bool) -> None:
    async with a_bench(exclusions_fail=fails) as bench:
        bench.sim.seed(email=ANN)
        await bench.control("POST", "exclusions", {"phrase": ANN})
        settled = await bench.settle([{"email": ANN, "first_name": "Ann"}])
        assert settled["failure"] == ([ANN] if fails else [])
        assert bench.contact(ANN)["first_name"] == ""
        assert bench.sim.counters()["contacts_failed"] == int(fails)


@pytest.mark.parametrize("fails", [True, False])
async def test_who_had_left_is_written_and_in_failure_by_switch(fails: bool) -> None:
    async with a_bench(unsubscribed_fail=fails) as bench:
        bench.sim.seed(email=ANN, lists={"5": 2})
        joining = {"email": ANN, "first_name": "Ann", "subscribe": [{"listid": 5}]}
        assert (await bench.settle([joining]))["failure"] == ([ANN] if fails else [])
        assert bench.contact(ANN)["lists"] == {"5": 2}
        assert bench.contact(ANN)["first_name"] == "Ann"
        assert (await bench.settle([{"email": ANN, "subscribe": [{"listid": 4}]}]))["failure"] == []


async def test_an_exclusion_for_one_list_spares_the_others() -> None:
    async with a_bench() as bench:
        await bench.control("POST", "exclusions", {"phrase": ANN, "lists": [5]})
        assert (await bench.settle([{"email": ANN, "subscribe": [{"listid": 4}]}]))["failure"] == []
        assert (await bench.settle([{"email": ANN, "subscribe": [{"listid": 5}]}]))["failure"] == [ANN]


@pytest.mark.parametrize(("mode", "failure", "held"), [("failure", ["c@x.org"], 2), ("allow", [], 3)])
async def test_new_contacts_over_the_plan_limit(mode: str, failure: list[str], held: int) -> None:
    async with a_bench(plan_limit=2, over_plan_limit=mode) as bench:
        bench.sim.seed(email="a@x.org")
        settled = await bench.settle(["b@x.org", "c@x.org", {"email": "a@x.org", "first_name": "A"}])
        assert settled["failure"] == failure
        assert len(bench.sim.state.contacts) == held
        assert bench.contact("a@x.org")["first_name"] == "A"


@pytest.mark.parametrize("fails", [True, False])
async def test_hard_bounced_contacts_are_updated_but_not_moved(fails: bool) -> None:
    async with a_bench(hard_bounced_fail=fails) as bench:
        bench.sim.seed(email=ANN, bounced="hard", lists={"5": 3})
        row = {"email": ANN, "first_name": "Ann", "subscribe": [{"listid": 5}, {"listid": 4}]}
        assert (await bench.settle([row]))["failure"] == ([ANN] if fails else [])
        assert bench.contact(ANN)["lists"] == {"5": 3}
        assert bench.contact(ANN)["first_name"] == "Ann"


@pytest.mark.parametrize(("mode", "name"), [("last_wins", "Second"), ("first_wins", "First")])
async def test_an_address_twice_in_a_batch(mode: str, name: str) -> None:
    async with a_bench(duplicate_in_batch=mode) as bench:
        rows = [{"email": ANN, "first_name": "First"}, {"email": ANN.upper(), "first_name": "Second"}]
        assert (await bench.settle(rows))["success"] == ["1"]
        assert bench.contact(ANN)["first_name"] == name


async def test_unknown_fields_and_lists_are_ignored_or_fail_by_switch() -> None:
    row = {"email": ANN, "fields": [{"id": 999, "value": "x"}], "subscribe": [{"listid": 77}]}
    async with a_bench() as bench:
        assert (await bench.settle([row]))["failure"] == []
        assert bench.contact(ANN)["fields"] == bench.contact(ANN)["lists"] == {}
    async with a_bench(unknown_fields_fail=True) as bench:
        assert (await bench.settle([row]))["failure"] == [ANN]
    async with a_bench(unknown_lists_fail=True) as bench:
        assert (await bench.settle([row]))["failure"] == [ANN]


async def test_success_holds_ids_of_created_contacts_and_of_updated_ones_by_switch() -> None:
    async with a_bench(success_ids="created_and_updated") as bench:
        bench.sim.seed(email="a@x.org")
        assert (await bench.settle(["a@x.org", "b@x.org"]))["success"] == ["1", "2"]


@pytest.mark.parametrize(("end", "written"), [("failed", 0), ("interrupted", 2)])
async def test_scripted_ends_write_nothing_or_half(end: str, written: int) -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", f"batch_end:{end}", calls=[1])
        assert (await bench.settle(addresses(4)))["status"] == end
        assert len(bench.sim.state.contacts) == written
        assert (await bench.settle(addresses(4)))["status"] == "completed"


async def test_a_stuck_batch_waits_for_ever() -> None:
    async with a_bench() as bench:
        bench.sim.install_fault("bulk", "batch_end:stuck", calls=[1])
        stuck = (await bench.bulk(addresses(2))).json["batchId"]
        assert (await bench.info(stuck))["status"] is False
        bench.clock.advance(7 * 24 * 3600)
        assert (await bench.info(stuck))["status"] == "waiting"


async def test_automations_run_once_per_changed_contact_unless_excluded() -> None:
    rows = [{"email": ANN, "tags": ["a"], "subscribe": [{"listid": 5}], "fields": [{"id": 1, "value": "x"}]}]
    async with a_bench() as bench:
        await bench.settle(rows, exclude_automations=True)
        assert bench.sim.counters()["automation_runs"] == 0
    async with a_bench() as bench:
        await bench.settle(rows)
        await bench.settle(rows)
        assert bench.sim.counters()["automation_runs"] == 1
        assert bench.sim.state.counters.automations[0]["triggers"] == ["list 5", "tag a", "field 1"]


async def test_only_watched_changes_start_automations() -> None:
    async with a_bench(watched_lists=[4], watched_tags=["hot"], watched_fields=[2]) as bench:
        row = {"email": ANN, "tags": ["a"], "subscribe": [{"listid": 5}], "fields": [{"id": 1, "value": "x"}]}
        await bench.settle([row])
        assert bench.sim.counters()["automation_runs"] == 0
        await bench.settle([{"email": ANN, "tags": ["HOT"]}])
        assert bench.sim.counters()["automation_runs"] == 1


async def test_choice_values_are_stored_as_sent() -> None:
    async with a_bench() as bench:
        interests = bench.sim.state.catalog.field_named("Interests").id
        await bench.settle([{"email": ANN, "fields": [{"id": interests, "value": "||Music||Unheard of||"}]}])
        assert bench.contact(ANN)["fields"][str(interests)] == "||Music||Unheard of||"


async def test_a_deleted_contact_comes_back_under_a_new_id() -> None:
    async with a_bench() as bench:
        await bench.settle([ANN])
        assert (await bench.call("DELETE", "contacts/1")).json == {}
        assert (await bench.settle([ANN]))["success"] == ["2"]


async def test_every_setting_can_be_changed_to_a_copy_and_unknown_ones_are_errors() -> None:
    settings = SimulatorSettings()
    assert settings.changed({"plan_limit": 7}).plan_limit == 7
    assert settings.plan_limit is None
    with pytest.raises(ValueError, match="unheard_of"):
        settings.changed({"unheard_of": 1})


async def test_two_simulators_do_not_share_anything() -> None:
    clock = ManualClock()
    async with SimulatedActiveCampaign(clock=clock) as one, SimulatedActiveCampaign(clock=clock) as other:
        assert one.host != other.host
        one.seed(email=ANN)
        assert other.contact(ANN) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "value", "listid", "key"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["first_name", "phone", "tags", "fields", "subscribe", "unsubscribe", "customer_acct_name"]


@given(rows=st.lists(st.dictionaries(st.sampled_from(KEYS), ANYTHING), min_size=1, max_size=5))
def test_whatever_else_a_row_holds_it_is_processed(rows: list[dict[str, Any]]) -> None:
    account = Account(SimulatorSettings(filler_fields=0), ManualClock(60.0))
    body = orjson.dumps({"contacts": [row | {"email": ANN} for row in rows]})
    batch = Batch(
        id="b",
        accepted_at=0.0,
        contact_count=len(rows),
        body=body,
        exclude_automations=False,
        callback=None,
        list_ids=None,
        end="completed",
    )
    account.batches.accept(batch, account.settings)
    account.catch_up()
    assert batch.finished_at is not None
    assert [contact.email for contact in account.contacts] == [ANN]
    assert account.view(account.contacts.by_email[ANN])["id"] == 1
