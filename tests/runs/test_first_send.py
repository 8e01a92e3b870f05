"""Look before sending, send a few, look at them in ActiveCampaign, then send all."""

from tests.runs.site import Site


def rows(name: str, count: int) -> list[str]:
    return [f"{name}{number}@example.org,Ann,Berg,+47 {number},Oslo,gold" for number in range(count)]


def test_a_preview_shows_the_request_and_sends_nothing(site: Site) -> None:
    site.apply({"id": "preview", "tags": ["seen", {"column": "Tier"}]})
    file = site.file("preview.csv", [*rows("preview", 600), "not an address,,,,,"])
    before = site.simulator.ask("counters")["bulk_requests"]

    answer = site.run("export", "preview", "preview", "--drop", str(file), "--first", "1")

    assert answer.code == 0
    assert answer.document["request"] == {
        "contacts": [
            {
                "email": "preview0@example.org",
                "first_name": "Ann",
                "last_name": "Berg",
                "phone": "+47 0",
                "fields": [{"id": 1, "value": "Oslo"}],
                "tags": ["seen", "gold"],
                "subscribe": [{"listid": 5}],
            }
        ],
        "exclude_automations": True,
    }
    counts = answer.document["counts"]
    assert (counts["rows"], counts["rejected"], counts["undelivered"]) == (601, 1, 600)
    assert answer.document["bulk_requests"] == 3
    (read_as,) = answer.document["read_as"]
    assert read_as.startswith("preview.csv: CSV in UTF-8, delimited by commas,")
    assert [(reject["row"], reject["reason"]) for reject in answer.document["rejects"]] == [
        (601, "invalid_email")
    ]
    assert site.simulator.ask("counters")["bulk_requests"] == before
    assert [run for run in site.run("run", "list").document if run["segment"] == "preview"] == []


def test_a_first_send_shows_each_contact_as_activecampaign_has_it_and_then_all_follow(site: Site) -> None:
    site.apply({"id": "first", "tags": ["seen"]})
    site.simulator.ask("contacts", {"email": "first1@example.org", "lists": {"5": 2}})
    file = site.file("first.csv", rows("first", 40))
    assert site.run("export", "run", "first", "--first", "3").document["error"]["code"] == "configuration"
    assert site.drop("first", file).code == 0

    first = site.run("export", "run", "first", "--first", "3")

    assert first.code == 0
    (report,) = first.document["reports"]
    assert (report["state"], report["counts"]["rows"], report["counts"]["delivered"]) == ("succeeded", 3, 3)
    assert report["cause"].startswith("request:")
    shown = first.document["contacts"]
    assert [contact["email"] for contact in shown] == [f"first{number}@example.org" for number in range(3)]
    assert [contact["list_status"] for contact in shown] == ["subscribed", "unsubscribed", "subscribed"]
    for contact in shown:
        assert (contact["found"], contact["first_name"], contact["last_name"]) == (True, "Ann", "Berg")
        assert contact["fields"] == {"City": "Oslo"}
        assert contact["tags"] == ["seen"]

    everybody = site.run("export", "run", "first", "--wait")

    assert everybody.code == 0
    assert everybody.document[0]["counts"]["delivered"] == 40
    assert site.simulator.contacts()["first1@example.org"]["lists"]["5"] == 2


def test_contacts_that_can_not_be_looked_up_are_told_of_and_the_report_stands(site: Site) -> None:
    site.apply({"id": "unseen"})
    site.drop("unseen", site.file("unseen.csv", rows("unseen", 5)))
    site.simulator.ask("faults", {"route": "contacts", "calls": [1], "action": "status:404"})

    answer = site.run("export", "run", "unseen", "--first", "2")

    assert answer.code == 0
    assert answer.document["reports"][0]["counts"]["delivered"] == 2
    assert answer.document["contacts"] == []
    assert "can't be looked up" in answer.notes
