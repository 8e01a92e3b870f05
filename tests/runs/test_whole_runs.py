"""From a dropped file to contacts, through the command line, the local host and real sockets."""

import csv
import gzip
import io
from typing import Any

import pytest

from sandbox.segment import write_segment
from tests.runs.site import KEY, Site


def counts(report: dict[str, Any], **expected: int) -> None:
    """The named counts are as expected, all others 0, and they add up."""
    found = {name: count for name, count in report["counts"].items() if count}
    assert found == {name: count for name, count in expected.items() if count}
    rest = {name: count for name, count in report["counts"].items() if name != "rows"}
    assert report["counts"]["rows"] == sum(rest.values())


def test_a_made_up_segment_becomes_exactly_its_valid_rows(site: Site) -> None:
    truth = write_segment(site.folder / "made-up.csv", 3000, seed=11, with_contacts=True)
    assert site.apply({"id": "made-up", "tags": ["from-made-up", {"column": "Tier"}]}).code == 0

    answer = site.drop("made-up", site.folder / "made-up.csv")

    assert answer.code == 0
    (report,) = answer.document
    assert report["state"] == "succeeded"
    assert report["source"] == ["made-up/made-up.csv"]
    counts(
        report,
        rows=truth.rows,
        rejected=sum(truth.rejected.values()),
        duplicates=truth.duplicates,
        delivered=truth.keep,
    )
    assert report["reasons"] == {str(reason): count for reason, count in truth.rejected.items() if count}
    arrived = {
        address: contact
        for address, contact in site.simulator.contacts().items()
        if "from-made-up" in contact["tags"]
    }
    assert arrived.keys() == truth.contacts.keys()
    for address, made in truth.contacts.items():
        contact = arrived[address]
        assert (contact["first_name"], contact["last_name"]) == (made["FirstName"], made["LastName"])
        assert contact["lists"]["5"] == 1

    rejects = site.run("run", "rejects", report["run_id"], as_json=False)
    rows = list(csv.DictReader(io.StringIO(rejects.document, newline="")))
    assert {(row["source"], int(row["row"]), row["reason"]) for row in rows} == {
        ("made-up/made-up.csv", row, str(reason)) for row, reason in truth.rejected_rows.items()
    }


def test_the_same_drop_announced_again_changes_nothing(site: Site) -> None:
    site.apply({"id": "again"})
    file = site.file("again.csv", ["again@example.org,A,B,,Oslo,gold", "again2@example.org,A,B,,Oslo,gold"])
    (report,) = site.drop("again", file).document
    before = site.simulator.ask("counters")["bulk_requests"]

    for _ in range(3):
        site.announce("segments/again/again.csv")

    listed = [run for run in site.run("run", "list").document if run["segment"] == "again"]
    assert [run["run_id"] for run in listed] == [report["run_id"]]
    assert site.simulator.ask("counters")["bulk_requests"] == before


def test_an_address_that_activecampaign_fails_is_refused_with_its_source_and_row(site: Site) -> None:
    site.apply({"id": "failing", "tolerated_reject_percentage": 60})
    file = site.file(
        "failing.csv",
        ["fine@example.org,A,B,,,", "o'failing@example.org,A,B,,,", "fine2@example.org,A,B,,,"],
    )

    (report,) = site.drop("failing", file).document

    counts(report, rows=3, delivered=2, refused=1)
    rejects = site.run("run", "rejects", report["run_id"], as_json=False).document
    assert list(csv.reader(io.StringIO(rejects, newline=""))) == [
        ["source", "row", "reason", "detail", "email"],
        ["failing/failing.csv", "2", "failed_in_activecampaign", "", "o'failing@example.org"],
    ]


def test_an_interrupted_batch_ends_delivered(site: Site) -> None:
    site.apply({"id": "interrupted", "automations": True})
    site.simulator.ask(
        "faults",
        {"route": "bulk", "action": "batch_end:interrupted", "calls": [1]},
    )
    file = site.file("interrupted.csv", [f"int{i}@example.org,A,B,,," for i in range(40)])

    (report,) = site.drop("interrupted", file).document

    assert report["state"] == "succeeded"
    counts(report, rows=40, delivered=40)
    assert report["requests"]["bulk"] == 2
    assert report["automations_withheld"] == 40


HALVINGS = 2 * 3 * 8
"""To find 3 contacts among 250 by halving: at most two requests for each of them at each of 8 levels."""


@pytest.mark.parametrize(
    ("index", "most_requests"),
    [
        ("one_based", 2),
        ("missing", 1 + HALVINGS),
        ("wrong", 2 * (1 + HALVINGS)),
        ("zero_based", 2 * (1 + HALVINGS)),
    ],
)
def test_three_of_250_whom_only_activecampaign_refuses_do_not_cost_the_others(
    site: Site, index: str, most_requests: int
) -> None:
    name = f"refused-{index.replace('_', '-')}"
    bad = [f"{name}{i}@example.org" for i in (3, 77, 249)]
    site.apply({"id": name})
    site.simulator.ask("settings", {"refused_addresses": bad, "refusal_index": index})
    file = site.file(f"{name}.csv", [f"{name}{i}@example.org,A,B,,," for i in range(250)])

    (report,) = site.drop(name, file).document

    site.simulator.ask("settings", {"refused_addresses": [], "refusal_index": "one_based"})
    counts(report, rows=250, delivered=247, refused=3)
    assert report["requests"]["bulk"] <= most_requests
    rejects = site.run("run", "rejects", report["run_id"], as_json=False).document
    refused = list(csv.DictReader(io.StringIO(rejects, newline="")))
    assert [(row["row"], row["email"]) for row in refused] == [("4", bad[0]), ("78", bad[1]), ("250", bad[2])]
    assert all(row["detail"] for row in refused)
    arrived = {address for address in site.simulator.contacts() if address.startswith(name)}
    assert arrived == {f"{name}{i}@example.org" for i in range(250)} - set(bad)


def test_people_who_opted_out_stay_out(site: Site) -> None:
    site.apply({"id": "opted-out"})
    site.simulator.ask("contacts", [{"email": "left@example.org", "lists": {"5": 2}}])
    file = site.file("opted-out.csv", ["left@example.org,New,Name,,,", "stays@example.org,A,B,,,"])

    (report,) = site.drop("opted-out", file).document

    counts(report, rows=2, delivered=2)
    contacts = site.simulator.contacts()
    assert contacts["left@example.org"]["lists"]["5"] == 2
    assert contacts["left@example.org"]["first_name"] == "New"
    assert contacts["stays@example.org"]["lists"]["5"] == 1
    assert site.simulator.ask("counters")["resubscriptions"] == {"2->1": 0, "3->1": 0}


def test_a_gzip_file_and_a_folder_of_parts_are_read_alike(site: Site) -> None:
    site.apply({"id": "parts"})
    one = site.file("one.csv", ["p1@example.org,A,B,,,", "p2@example.org,A,B,,,"])
    two = site.file("two.csv", ["p3@example.org,A,B,,,", "P1@example.org,A,B,,,"])
    zipped = site.folder / "two.csv.gz"
    zipped.write_bytes(gzip.compress(two.read_bytes()))

    (report,) = site.drop("parts", one, zipped).document

    counts(report, rows=4, delivered=3, duplicates=1)
    assert [name.rsplit("/", 1)[1] for name in report["source"]] == ["one.csv", "two.csv.gz"]


def test_a_one_row_file_arrives(site: Site) -> None:
    site.apply({"id": "lonely"})

    (report,) = site.drop("lonely", site.file("lonely.csv", ["lonely@example.org,A,B,,,"])).document

    counts(report, rows=1, delivered=1)


def test_a_drop_that_no_export_takes_is_listed_with_the_reason(site: Site) -> None:
    site.apply({"id": "known"})

    answer = site.drop("vpi", site.file("vpi.csv", ["x@example.org,A,B,,,"]))

    assert answer.code == 4
    (report,) = answer.document
    assert report["state"] == "skipped"
    assert "no export for segment 'vpi'" in report["error"]["message"]
    assert "known" in report["error"]["message"]
    assert report["run_id"] in [run["run_id"] for run in site.run("run", "list").document]


def test_drops_older_than_an_export_start_nothing(site: Site) -> None:
    file = site.file("older.csv", ["older@example.org,A,B,,,"])
    site.drop("older", file)  # nobody wants it yet
    before = site.simulator.ask("counters")["bulk_requests"]

    site.apply({"id": "older"})
    site.announce("segments/older/older.csv")

    runs = [run for run in site.run("run", "list").document if run["segment"] == "older"]
    assert [run["state"] for run in runs] == ["skipped"]
    assert site.simulator.ask("counters")["bulk_requests"] == before


def test_a_drop_with_too_many_bad_rows_sends_nothing_and_lists_every_row(site: Site) -> None:
    site.apply({"id": "bad-rows", "tolerated_reject_percentage": 10})
    before = site.simulator.ask("counters")["bulk_requests"]
    file = site.file("bad-rows.csv", ["ok@example.org,A,B,,,", "broken,A,B,,,", ",A,B,,,"])

    answer = site.drop("bad-rows", file)

    assert answer.code == 4
    (report,) = answer.document
    assert report["error"]["code"] == "too_many_rejects"
    counts(report, rows=3, rejected=2, undelivered=1)
    assert site.simulator.ask("counters")["bulk_requests"] == before
    rejects = site.run("run", "rejects", report["run_id"], as_json=False).document
    assert len(list(csv.DictReader(io.StringIO(rejects, newline="")))) == 3


def test_each_misconfiguration_ends_the_run_at_once_and_says_what_to_do(site: Site) -> None:
    file = site.file("wrong.csv", ["wrong@example.org,A,B,,,"])
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "list_missing": ({"id": "wrong-list", "list_id": "999"}, {}),
        "field_missing": (
            {"id": "wrong-field", "mapping": {"email": "Email", "fields": {"City": "Nowhere"}}},
            {},
        ),
        "missing_column": ({"id": "wrong-column", "mapping": {"email": "E-Mail"}}, {}),
        "key_refused": ({"id": "wrong-key"}, {"id": "wrong", "secret": "wrong-key"}),
        "key_unreadable": ({"id": "no-key"}, {"id": "keyless", "secret": "nobody-has-it"}),
    }
    for code, (export, connection) in cases.items():
        assert site.apply(export, **connection).code == 0
        answer = site.drop(export["id"], file)
        (report,) = answer.document
        assert (report["error"]["code"], report["state"], answer.code) == (code, "failed", 4)
        assert report["counts"]["delivered"] == 0


def test_connection_test_names_what_is_wrong(site: Site) -> None:
    site.apply({"id": "testing"}, id="tested")
    site.apply({"id": "testing-key"}, id="tested-key", secret="wrong-key")

    good = site.run("connection", "test", "tested")
    bad = site.run("connection", "test", "tested-key")

    assert good.code == 0
    assert bad.code == 1
    assert "wrong-key" in str(bad.document)


def test_neither_people_nor_keys_are_in_the_log(site: Site) -> None:
    site.apply({"id": "canary"})
    lines = [f"canary{i}@secret-domain.example,Canaria,Birdwood,+4712345678,Canarytown," for i in range(30)]
    lines.append("not-an-address-canary,Canaria,Birdwood,+4712345678,Canarytown,")

    (report,) = site.drop("canary", site.file("canary.csv", lines)).document

    counts(report, rows=31, delivered=30, rejected=1)
    log = (site.folder / "host.log").read_text()
    assert report["run_id"] in log
    for canary in ("secret-domain", "not-an-address", "Canaria", "Birdwood", "4712345678", KEY):
        assert canary not in log


def test_a_newer_drop_takes_over_and_its_values_hold(site: Site) -> None:
    site.apply({"id": "newer"})
    old = site.file("newer.csv", [f"new{i}@example.org,Old,Name,,," for i in range(300)])
    site.run("drop", str(old), "--segment", "newer")
    new = site.file("newer.csv", [f"new{i}@example.org,New,Name,,," for i in range(300)])

    (report,) = site.drop("newer", new).document

    assert report["state"] == "succeeded"
    states = {
        run["run_id"]: run["state"] for run in site.run("run", "list").document if run["segment"] == "newer"
    }
    assert states.pop(report["run_id"]) == "succeeded"
    assert set(states.values()) <= {"superseded", "succeeded", "failed"}
    names = {c["first_name"] for address, c in site.simulator.contacts().items() if address.startswith("new")}
    assert names == {"New"}
