"""Keys and every route besides the bulk importer."""

import pytest

from .activecampaign_helpers import Bench, a_bench, addresses

ANN = "ann@example.org"


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_missing_or_wrong_key_is_forbidden(key: str) -> None:
    async with a_bench() as bench:
        reply = await bench.get("users/me", key=key)
        assert (reply.status, reply.json) == (403, {"message": "Forbidden"})


async def test_a_bad_key_shows_the_login_page_or_401_by_switch() -> None:
    async with a_bench(bad_key_answer="login_page") as bench:
        reply = await bench.get("users/me", key="wrong")
        assert reply.status == 200
        assert reply.headers["Content-Type"].startswith("text/html")
        bench.sim.state.change_settings({"bad_key_answer": "unauthorized"})
        assert (await bench.get("users/me", key="wrong")).status == 401


async def test_a_restricted_key_sees_neither_other_lists_nor_the_account() -> None:
    async with a_bench() as bench:
        await bench.control("POST", "keys", {"restrict": "narrow", "lists": [1, 2]})
        refused = await bench.get("lists/5", key="narrow")
        assert refused.status == 403
        assert refused.headers["Content-Type"].startswith("text/plain")
        assert refused.json["errors"][0]["title"] == "Forbidden"
        assert (await bench.get("lists/2", key="narrow")).status == 200
        assert [item["id"] for item in (await bench.get("lists", key="narrow")).json["lists"]] == ["1", "2"]
        assert (await bench.get("settings/account", key="narrow")).status == 403
        bench.sim.seed(email="bo@example.org")
        join = {"contactList": {"list": 5, "contact": 1, "status": 1}}
        assert (await bench.call("POST", "contactLists", join, key="narrow")).status == 403
        await bench.control("POST", "keys", {"restrict": "blind", "lists": []})
        assert (await bench.get("lists", key="blind")).status == 403
        row = {"email": ANN, "subscribe": [{"listid": 5}, {"listid": 1}]}
        assert (
            await bench.call("POST", "import/bulk_import", {"contacts": [row]}, key="narrow")
        ).status == 200
        bench.clock.advance(6)
        assert bench.contact(ANN)["lists"] == {"1": 1}


async def test_a_key_may_be_kept_from_bulk_imports() -> None:
    async with a_bench() as bench:
        await bench.control("POST", "keys", {"restrict": "sandbox-key", "bulk": False})
        assert (await bench.bulk(addresses(2))).status == 403


async def test_an_unknown_path_is_404_and_a_wrong_method_405() -> None:
    async with a_bench() as bench:
        assert (await bench.get("nowhere")).json["errors"][0]["status"] == 404
        assert (await bench.call("DELETE", "users/me")).status == 405


async def test_the_user_and_the_account() -> None:
    async with a_bench(plan_limit=500) as bench:
        bench.sim.seed(email=ANN)
        assert (await bench.get("users/me")).json["user"]["id"] == "1"
        account = (await bench.get("settings/account")).json
        assert (account["subscriber_limit"], account["subscriber_total"]) == (500, "1")


async def test_lists_have_string_ids_and_totals() -> None:
    async with a_bench() as bench:
        body = (await bench.get("lists?limit=2&offset=1")).json
        assert [item["id"] for item in body["lists"]] == ["2", "3"]
        assert body["meta"]["total"] == "5"
        named = (await bench.get("lists?filters[name]=VIP")).json["lists"]
        assert [item["id"] for item in named] == ["5"]
        assert (await bench.get("lists/5")).json["list"]["name"] == "VIP"
        missing = await bench.get("lists/7")
        assert (missing.status, missing.json) == (404, {"message": "No Result found for _List with id 7"})


async def test_fields_need_more_than_one_page() -> None:
    async with a_bench() as bench:
        first = (await bench.get("fields?limit=1000")).json
        second = (await bench.get("fields?limit=100&offset=100")).json
        assert len(first["fields"]) == 100
        assert len(first["fields"]) + len(second["fields"]) == int(first["meta"]["total"]) == 110
        titles = [item["title"] for item in (*first["fields"], *second["fields"])]
        assert {"City", "Tier", "LifetimeValue", "Preferences", "Birthday", "Interests"} <= set(titles)
        assert len((await bench.get("fields")).json["fields"]) == 20
        city = first["fields"][0]
        assert (city["id"], city["perstag"], city["type"]) == ("1", "CITY", "text")


async def test_choice_fields_come_with_their_options() -> None:
    async with a_bench() as bench:
        body = (await bench.get("fields")).json
        tier = next(item for item in body["fields"] if item["title"] == "Tier")
        options = [item["value"] for item in body["fieldOptions"] if item["id"] in tier["options"]]
        assert options == ["Gold", "Silver", "Bronze"]
        assert len((await bench.get(f"fields/{tier['id']}/options")).json["fieldOptions"]) == 3


async def test_a_field_can_be_created_once() -> None:
    async with a_bench() as bench:
        body = {"field": {"title": "Member", "type": "text"}}
        assert (await bench.call("POST", "fields", body)).status == 201
        again = await bench.call("POST", "fields", body)
        assert (again.status, again.json["errors"][0]["code"]) == (422, "duplicate")


async def test_exclusions_have_a_numeric_total() -> None:
    async with a_bench() as bench:
        await bench.control("POST", "exclusions", {"phrase": "@x.org", "match": "end", "lists": [1]})
        body = (await bench.get("lists/exclusions")).json
        assert body["meta"]["total"] == 1
        assert body["exclusions"][0]["matchPhrase"] == "@x.org"
        assert body["exclusions"][0]["lists"] == ["1"]


async def test_tags_are_found_by_part_and_created_once() -> None:
    async with a_bench() as bench:
        assert (await bench.call("POST", "tags", {"tag": {"tag": "From VIP"}})).status == 201
        assert (await bench.call("POST", "tags", {"tag": {"tag": "from vip"}})).status == 200
        assert (await bench.get("tags?search=vip")).json["tags"][0]["tag"] == "From VIP"
        assert (await bench.get("tags?search=none")).json["meta"]["total"] == "0"
        bench.sim.state.change_settings({"duplicate_tag": "refuse"})
        assert (await bench.call("POST", "tags", {"tag": {"tag": "FROM VIP"}})).status == 422


async def sync(bench: Bench, **contact: object) -> tuple[int, dict[str, object]]:
    reply = await bench.call("POST", "contact/sync", {"contact": contact})
    return reply.status, reply.json


async def test_sync_creates_with_201_and_updates_with_200() -> None:
    async with a_bench() as bench:
        status, body = await sync(
            bench, email=ANN, firstName="Ann", fieldValues=[{"field": "1", "value": "Oslo"}]
        )
        assert status == 201
        status, body = await sync(bench, email=ANN.upper(), fieldValues=[{"field": 2, "value": "Gold"}])
        assert status == 200
        values = body["fieldValues"]
        assert isinstance(values, list)
        assert [value["field"] for value in values] == ["2"]
        assert isinstance(body["contact"], dict)
        assert body["contact"]["fieldValues"] == [values[0]["id"]]
        assert bench.contact(ANN)["fields"] == {"1": "Oslo", "2": "Gold"}
        assert bench.contact(ANN)["first_name"] == "Ann"


async def test_sync_clears_by_empty_values_and_ignores_unknown_fields() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, fields={"1": "Oslo"})
        status, _ = await sync(
            bench, email=ANN, fieldValues=[{"field": 1, "value": ""}, {"field": 999, "value": "x"}]
        )
        assert status == 200
        assert bench.contact(ANN)["fields"] == {}


async def test_sync_refuses_a_missing_or_malformed_address() -> None:
    async with a_bench() as bench:
        status, body = await sync(bench, firstName="Ann")
        assert status == 400
        assert "Contact email must be provided for sync" in str(body)
        status, body = await sync(bench, email="nobody")
        assert status == 422
        assert "must_be_valid_email_address" in str(body)
        bench.sim.state.change_settings({"invalid_email_status": 400})
        assert (await sync(bench, email="nobody"))[0] == 400


async def test_sync_updates_with_201_by_switch() -> None:
    async with a_bench(sync_update_status=201) as bench:
        bench.sim.seed(email=ANN)
        assert (await sync(bench, email=ANN))[0] == 201


async def test_the_plural_sync_path_creates_only_or_is_not_there() -> None:
    async with a_bench() as bench:
        body = {"contact": {"email": ANN}}
        assert (await bench.call("POST", "contacts/sync", body)).status == 201
        again = await bench.call("POST", "contacts/sync", body)
        assert (again.status, again.json["errors"][0]["code"]) == (422, "duplicate")
        bench.sim.state.change_settings({"plural_sync": "404"})
        assert (await bench.call("POST", "contacts/sync", body)).status == 404


async def test_a_contact_is_created_read_changed_and_deleted() -> None:
    async with a_bench() as bench:
        created = await bench.call("POST", "contacts", {"contact": {"email": ANN, "phone": "1"}})
        assert created.status == 201
        path = f"contacts/{created.json['contact']['id']}"
        assert (await bench.call("POST", "contacts", {"contact": {"email": ANN}})).status == 422
        assert (await bench.call("POST", "contacts", {"contact": {"email": "x"}})).status == 422
        bench.sim.seed(email="bo@example.org")
        taken = await bench.call("PUT", path, {"contact": {"email": "bo@example.org"}})
        assert taken.status == 422
        moved = await bench.call("PUT", path, {"contact": {"email": "anna@example.org", "firstName": "Anna"}})
        assert moved.json["contact"]["email"] == "anna@example.org"
        assert bench.sim.contact(ANN) is None
        assert (await bench.get(path)).json["contact"]["firstName"] == "Anna"
        assert (await bench.call("DELETE", path)).json == {}
        gone = await bench.get(path)
        assert (gone.status, gone.json) == (404, {"message": "No Result found for Subscriber with id 1"})


@pytest.mark.parametrize(("before", "move"), [(2, "2->1"), (3, "3->1")])
async def test_contact_lists_resubscribes_and_the_audit_tells(before: int, move: str) -> None:
    async with a_bench() as bench:
        contact = bench.sim.seed(email=ANN, lists={"5": before})
        body = {"contactList": {"list": "5", "contact": str(contact.id), "status": "1"}}
        reply = await bench.call("POST", "contactLists", body)
        assert reply.status == 200
        assert reply.json["contactList"]["contact"] == contact.id
        assert reply.json["contactList"]["list"] == 5
        assert reply.json["contactList"]["status"] == 1
        assert bench.contact(ANN)["lists"] == {"5": 1}
        assert bench.sim.counters()["resubscriptions"][move] == 1
        audit = (await bench.control("GET", "audit")).json["resubscriptions"]
        assert [(entry["email"], entry["list"], entry["from"]) for entry in audit] == [(ANN, 5, before)]


async def test_joining_for_the_first_time_is_no_resubscription() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        body = {"contactList": {"list": 5, "contact": 1, "status": 1}}
        assert (await bench.call("POST", "contactLists", body)).status == 200
        assert bench.sim.counters()["resubscriptions"] == {"2->1": 0, "3->1": 0}


@pytest.mark.parametrize("status", [4, -1, "x", None])
async def test_a_list_status_outside_0_to_3_is_refused(status: object) -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        body = {"contactList": {"list": 5, "contact": 1, "status": status}}
        assert (await bench.call("POST", "contactLists", body)).status == 422


async def test_memberships_tell_when_somebody_joined_and_left() -> None:
    async with a_bench(start="2026-03-01T12:00:00Z", utc_offset_minutes=-360) as bench:
        await bench.settle([{"email": ANN, "subscribe": [{"listid": 5}]}])
        event = {"type": "unsubscribe", "email": ANN, "list": 5, "reason": "too many"}
        await bench.control("POST", "events", event)
        [membership] = (await bench.get("contacts/1/contactLists")).json["contactLists"]
        assert membership["status"] == "2"
        assert membership["sdate"] == "2026-03-01T06:00:06-06:00"
        assert membership["udate"] == "2026-03-01T06:01:00-06:00"
        assert membership["unsubreason"] == "too many"


async def test_an_address_is_looked_up_exactly() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        found = (await bench.get("contacts?email=Ann@example.org")).json
        assert [contact["email"] for contact in found["contacts"]] == [ANN]
        assert found["meta"]["total"] == "1"
        none = (await bench.get("contacts?email=nobody@example.org")).json
        assert (none["contacts"], none["meta"]["total"]) == ([], "0")


async def test_a_sweep_by_id_finds_everybody_with_a_status_once() -> None:
    async with a_bench() as bench:
        for number, email in enumerate(addresses(250)):
            bench.sim.seed(email=email, lists={"5": 2 if number % 2 else 1})
        swept, last = [], 0
        while True:
            query = f"listid=5&status=2&limit=1000&orders[id]=ASC&id_greater={last}"
            page = (await bench.get(f"contacts?{query}")).json["contacts"]
            if not page:
                break
            assert len(page) <= 100
            swept += [int(contact["id"]) for contact in page]
            last = swept[-1]
        assert swept == list(range(2, 251, 2))


async def test_contacts_are_paged_ordered_and_filtered() -> None:
    async with a_bench(start="2026-03-01T12:00:00") as bench:
        for email in addresses(30):
            bench.sim.seed(email=email, lists={"1": 1})
        bench.clock.advance(60)
        bench.sim.seed(email=ANN, first_name="Ann", tags=["vip"], lists={"5": 1})

        async def ids(query: str) -> list[str]:
            body = (await bench.get(f"contacts?{query}")).json
            return [contact["id"] for contact in body["contacts"]]

        assert len(await ids("")) == 20
        assert await ids("orders[id]=DESC&limit=2") == ["31", "30"]
        assert await ids("offset=29") == ["30", "31"]
        assert await ids("id_less=3") == ["1", "2"]
        assert await ids("id_less=0") == await ids("id_less=1") == await ids("id_greater=31") == []
        assert await ids("listid=5") == ["31"]
        assert await ids("tagid=1") == ["31"]
        assert await ids("email_like=ann") == ["31"]
        assert await ids("search=Ann") == ["31"]
        assert await ids("ids[]=4&ids[]=9") == ["4", "9"]
        assert await ids("status=2") == []
        assert await ids("filters[updated_after]=2026-03-01T12:00:30%2B00:00") == ["31"]
        assert await ids("filters[created_before]=2026-03-01T12:00:30Z&limit=1") == ["1"]
        assert await ids("ids[]=9&ids[]=4&ids[]=77&orders[id]=DESC&id_greater=4") == ["9"]
        assert await ids("email=ann@example.org&listid=1") == []
        assert await ids("listid=1&orders[id]=DESC&limit=2&offset=1&id_less=30&id_greater=26") == ["28", "27"]
        assert await ids("offset=99") == await ids("orders[id]=DESC&offset=99") == []
        assert await ids("filters[updated_before]=2026-03-01T12:00:30Z&offset=29") == ["30"]
        assert await ids("filters[created_after]=2026-03-01T12:00:30Z") == ["31"]
        bench.sim.seed(email="new@example.org", lists={"5": 1})
        assert await ids("listid=5") == ["31", "32"]


@pytest.mark.parametrize(
    "query",
    [
        "segmentid=1",
        "phone=47",
        "filters[name]=x",
        "filters[updated_after]=soon",
        "orders[email]=ASC",
        "id_greater=x",
        "id_less=-1",
        "ids[]=x",
        "listid=x",
        "status=x",
    ],
)
async def test_what_cannot_be_filtered_by_is_refused_and_not_ignored(query: str) -> None:
    async with a_bench() as bench:
        reply = await bench.get(f"contacts?{query}")
        assert (reply.status, reply.json["errors"][0]["title"]) == (400, "Bad Request")


async def test_contacts_come_with_their_memberships_when_asked() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, lists={"5": 2})
        body = (await bench.get("contacts?include=contactLists")).json
        assert body["contacts"][0]["contactLists"] == [body["contactLists"][0]["id"]]
        assert body["contactLists"][0]["status"] == "2"
        assert (await bench.get("contacts")).json.keys() == {"contacts", "scoreValues", "meta"}


async def test_the_meta_of_contacts_echoes_the_query_as_numbers() -> None:
    async with a_bench() as bench:
        meta = (await bench.get("contacts?listid=5&limit=1000")).json["meta"]
        assert meta["total"] == "0"
        assert meta["page_input"] == {
            "listid": 5,
            "tagid": 0,
            "limit": 100,
            "offset": 0,
            "search": None,
            "status": -1,
        }


async def test_a_contact_comes_with_all_that_hangs_on_it() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, first_name="Ann", lists={"5": 1}, tags=["vip"], fields={"1": "Oslo"})
        body = (await bench.get("contacts/1")).json
        assert [(m["list"], m["status"], m["contact"]) for m in body["contactLists"]] == [("5", "1", "1")]
        assert [(v["field"], v["value"], v["owner"]) for v in body["fieldValues"]] == [("1", "Oslo", "1")]
        assert [item["tag"] for item in body["contactTags"]] == ["1"]
        for name in ("contactLists", "contactTags", "fieldValues"):
            assert body["contact"][name] == [item["id"] for item in body[name]]
            assert (await bench.get(f"contacts/1/{name}")).json == {name: body[name]}
        assert body["deals"] == body["contactAutomations"] == body["contact"]["deals"] == []
        assert "tags" not in body
        named = (await bench.get("contacts/1?include=contactTags.tag")).json
        assert [(tag["id"], tag["tag"]) for tag in named["tags"]] == [("1", "vip")]


async def test_a_contacts_links_lead_to_what_hangs_on_it() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        links = (await bench.get("contacts/1")).json["contact"]["links"]
        assert set(links) == {"bounceLogs", "contactLists", "contactTags", "fieldValues"}
        for name, link in links.items():
            assert link.startswith(bench.sim.url)
            path = link.removeprefix(f"{bench.sim.url}/api/3/")
            assert name in (await bench.get(path)).json


async def test_found_contacts_come_with_tags_and_values_when_asked() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, tags=["vip", "new"], fields={"1": "Oslo"})
        bench.sim.seed(email="bo@example.org", tags=["new"])
        body = (await bench.get("contacts?include=contactTags.tag,fieldValues,deals")).json
        names = {tag["id"]: tag["tag"] for tag in body["tags"]}
        by_id = {item["id"]: names[item["tag"]] for item in body["contactTags"]}
        assert [[by_id[n] for n in c["contactTags"]] for c in body["contacts"]] == [["vip", "new"], ["new"]]
        assert body["contacts"][0]["fieldValues"] == [body["fieldValues"][0]["id"]]
        assert "contactLists" not in body


async def test_a_tag_tells_how_many_contacts_have_it() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, tags=["vip"])
        tag = (await bench.get("tags/1")).json["tag"]
        assert (tag["tag"], tag["subscriber_count"]) == ("vip", "1")
        await bench.settle([{"email": "bo@example.org", "tags": ["VIP"]}])
        assert (await bench.get("tags/1")).json["tag"]["subscriber_count"] == "2"
        missing = await bench.get("tags/9")
        assert (missing.status, missing.json) == (404, {"message": "No Result found for Tag with id 9"})


async def test_a_tag_is_put_on_and_taken_off_by_association() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        tag = (await bench.call("POST", "tags", {"tag": {"tag": "vip"}})).json["tag"]["id"]
        body = {"contactTag": {"contact": "1", "tag": tag}}
        put_on = await bench.call("POST", "contactTags", body)
        assert put_on.status == 201
        assert put_on.json["contacts"][0]["email"] == ANN
        assert (await bench.call("POST", "contactTags", body)).status == 200
        association = put_on.json["contactTag"]["id"]
        assert (await bench.get("contacts/1/contactTags")).json["contactTags"][0]["id"] == association
        assert (await bench.call("DELETE", f"contactTags/{association}")).status == 200
        assert (await bench.call("DELETE", f"contactTags/{association}")).status == 404
        by_name = {"contactTag": {"contact": "1", "tag": "vip"}}
        assert (await bench.call("POST", "contactTags", by_name)).status == 422


async def test_a_field_value_is_written_by_numeric_id_only() -> None:
    async with a_bench() as bench:
        bench.sim.seed(email=ANN)
        body = {"fieldValue": {"contact": 1, "field": 1, "value": "Oslo"}}
        assert (await bench.call("POST", "fieldValues", body)).json["fieldValue"]["value"] == "Oslo"
        body["fieldValue"]["field"] = "CITY"
        assert (await bench.call("POST", "fieldValues", body)).status == 422
        assert (await bench.get("contacts/1/fieldValues")).json["fieldValues"][0]["value"] == "Oslo"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "contacts/9"),
        ("PUT", "contacts/9"),
        ("DELETE", "contacts/9"),
        ("GET", "contacts/9/contactLists"),
        ("GET", "contacts/9/contactTags"),
        ("GET", "contacts/9/fieldValues"),
        ("GET", "contacts/9/bounceLogs"),
        ("GET", "fields/999/options"),
        ("GET", "webhooks/9"),
        ("PUT", "webhooks/9"),
        ("DELETE", "webhooks/9"),
    ],
)
async def test_what_is_not_there_is_404(method: str, path: str) -> None:
    async with a_bench() as bench:
        assert (await bench.call(method, path, {} if method == "PUT" else None)).status == 404


ODD: tuple[object, ...] = (None, True, 7, -1, "x", [], [7], ["x"], [{}], {}, {"a": 1}, {"a": [{}]})
WRITES = {
    ("POST", "contact/sync", "contact"): ("email", "firstName", "fieldValues"),
    ("POST", "contacts", "contact"): ("email", "phone", "fieldValues"),
    ("PUT", "contacts/1", "contact"): ("email", "lastName", "fieldValues"),
    ("POST", "contactLists", "contactList"): ("list", "contact", "status", "sourceid"),
    ("POST", "contactTags", "contactTag"): ("contact", "tag"),
    ("POST", "fieldValues", "fieldValue"): ("contact", "field", "value"),
    ("POST", "fields", "field"): ("title", "type"),
    ("POST", "tags", "tag"): ("tag",),
    ("POST", "webhooks", "webhook"): ("name", "url", "events", "sources", "listid"),
}


@pytest.mark.parametrize(("route", "names"), WRITES.items(), ids=[path for _, path, _ in WRITES])
async def test_a_body_of_any_shape_gets_an_answer(
    route: tuple[str, str, str], names: tuple[str, ...]
) -> None:
    method, path, wrapper = route
    sound = {
        "email": ANN,
        "contact": 1,
        "list": 5,
        "status": 1,
        "field": 1,
        "tag": 1,
        "name": "n",
        "url": "http://127.0.0.1:1/",
        "events": ["bounce"],
        "sources": ["api"],
    }
    async with a_bench() as bench:
        bench.sim.seed(email=ANN, tags=["a"])
        bodies = [*ODD, *({wrapper: value} for value in ODD)]
        bodies += [{wrapper: sound | {name: value}} for name in names for value in ODD]
        statuses = {(await bench.call(method, path, body)).status for body in bodies}
        assert statuses <= {200, 201, 400, 404, 422}
