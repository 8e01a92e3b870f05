"""Runs that nothing disturbs: what lands is what arrives."""

import re

import pytest

from exporter.domain.run import RunState
from exporter.steps.events import Event
from tests.builders import a_connection, a_segment, addresses, an_export
from tests.fakes.world import World, most_in_window


async def test_a_dropped_segment_becomes_its_contacts() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(1000))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.SUCCEEDED
    assert (report.counts.rows, report.counts.delivered) == (1000, 1000)
    assert report.requests.bulk == len(world.account.requests) == 4
    assert report.requests.status == len(world.account.questions) == 4
    assert world.account.contacts.keys() == set(addresses(1000))
    assert all(contact["subscribe"] == [{"listid": 5}] for contact in world.account.contacts.values())
    assert world.rejects() == []
    world.check_promises()


async def test_rejected_and_repeated_rows_are_counted_and_listed() -> None:
    world = World()
    await world.connect(a_connection(), an_export(tolerated_reject_percentage=100))
    rows = [*addresses(10), "not an address", "", "ann3@EXAMPLE.org", "ann4@example.org", "no@dots..org"]

    await world.drop(a_segment([f'"{row}"' for row in rows]))
    await world.until_quiet()

    counts = world.report().counts
    assert (counts.rows, counts.rejected, counts.duplicates, counts.delivered) == (15, 3, 2, 10)
    assert [(reject["row"], reject["reason"]) for reject in world.rejects()] == [
        ("11", "invalid_email"),
        ("12", "missing_email"),
        ("15", "invalid_email"),
    ]
    assert {reject["source"] for reject in world.rejects()} == {"vip/monday.csv"}
    world.check_promises()


async def test_one_row_more_than_a_body_holds_makes_two_requests_and_none_of_a_single_contact() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(251))
    await world.until_quiet()

    assert [len(request.contacts) for request in world.account.requests] == [126, 125]
    assert world.report().counts.delivered == 251
    world.check_promises()


async def test_a_file_of_one_row_is_one_request_of_one_contact() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(1))
    await world.until_quiet()

    assert [request.addresses for request in world.account.requests] == [("ann0@example.org",)]
    assert world.report().state is RunState.SUCCEEDED
    world.check_promises()


@pytest.mark.parametrize("allowed", [False, True])
async def test_automations_start_only_where_the_export_says_so(*, allowed: bool) -> None:
    world = World()
    await world.connect(a_connection(), an_export(automations=allowed))

    await world.drop(addresses(300))
    await world.until_quiet()

    assert [request.exclude_automations for request in world.account.requests] == [not allowed] * 2
    assert world.report().automations_withheld == 0
    world.check_promises()


async def test_a_folder_is_one_drop_once_its_end_marker_lands() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(3), "vip/monday/part-0.csv")
    await world.drop([*addresses(2, "bo"), "ann1@example.org"], "vip/monday/part-1.csv")
    await world.until_quiet()
    assert world.runs() == []
    await world.drop(b"", "vip/monday/_SUCCESS")
    await world.until_quiet()

    report = world.report()
    assert report.source == ("vip/monday/part-0.csv", "vip/monday/part-1.csv")
    assert (report.counts.rows, report.counts.duplicates, report.counts.delivered) == (6, 1, 5)
    world.check_promises()


async def test_a_drop_that_no_export_wants_is_listed_with_the_segments_that_are_known() -> None:
    world = World()
    await world.connect(a_connection(), an_export("vip"))

    await world.drop(addresses(3), "vpi/monday.csv")
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.SKIPPED
    assert report.error is not None
    assert "'vpi' (known: vip)" in report.error.message
    assert world.account.arrivals == []


async def test_an_older_drop_starts_nothing_for_a_new_export() -> None:
    world = World()
    world.announces = False
    await world.drop(addresses(3))
    await world.clock.sleep(30)
    await world.connect(a_connection(), an_export())

    await world.announce("vip/monday.csv")
    await world.clock.sleep(600)
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.SKIPPED
    assert report.error is not None
    assert report.error.code == "older_than_export"
    assert world.account.arrivals == []


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_a_long_run_keeps_98_of_100_requests_a_minute_and_is_never_throttled() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(1200))
    await world.until_quiet()

    sent_at = [request.at for request in world.account.requests]
    assert len(sent_at) == 600
    assert sent_at[-1] - sent_at[0] < 6.15 * 61.2
    assert most_in_window(sent_at, 60.0) == 98
    assert world.account.throttled_count == 0
    assert world.report().requests.status <= 1.2 * 600
    world.check_promises()


@pytest.mark.usefixtures("two_contacts_a_body")
async def test_two_runs_on_one_account_take_turns() -> None:
    world = World()
    await world.connect(a_connection(), an_export("vip"), an_export("small"))

    await world.drop(addresses(1000))
    await world.clock.sleep(70)
    await world.drop(addresses(6, "bo"), "small/monday.csv")
    dropped_at = world.clock.monotonic()
    await world.until_quiet()

    small = [request.at for request in world.account.requests if request.addresses[0].startswith("bo")]
    assert max(small) - dropped_at < 2 * 61.2 + 10
    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    assert world.account.throttled_count == 0
    world.check_promises()


async def test_runs_on_different_accounts_do_not_wait_for_each_other() -> None:
    world = World(worker_count=3)
    await world.connect(a_connection("acme"), an_export("vip", connection="acme"))
    await world.connect(a_connection("other"), an_export("news", connection="other"))

    await world.drop(addresses(20_000))
    await world.drop(addresses(20_000, "bo"), "news/monday.csv")
    await world.until_quiet()

    assert {run.state for run in world.runs()} == {RunState.SUCCEEDED}
    for account in world.accounts.values():
        sent_at = [request.at for request in account.requests]
        assert len(sent_at) == 80
        assert sent_at[-1] < 60
    world.check_promises()


async def test_a_drop_that_nobody_announced_is_found_within_two_and_a_half_minutes() -> None:
    world = World()
    world.announces = False
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(300))
    await world.until_quiet()

    assert world.report().counts.delivered == 300
    assert world.account.requests[0].at <= 150
    world.check_promises()


async def test_what_the_pipeline_tells_holds_no_people() -> None:
    world = World()
    account = await world.connect(a_connection(), an_export(tolerated_reject_percentage=100))
    account.refused = frozenset({"ann7@example.org"})
    account.failing = frozenset({"ann9@example.org"})

    await world.drop([*addresses(20), "canary at example.org"])
    await world.until_quiet()

    told = world.telemetry.text() + "".join(text for _, text in world.queues.sent)
    assert world.telemetry.count(Event.BODY_REFUSED) == 1
    assert not re.search(r"ann\d", told)
    assert "canary" not in told
    world.check_promises()
