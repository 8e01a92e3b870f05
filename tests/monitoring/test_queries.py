"""Queries are in the query language, and name only what the app tells."""

import re
from pathlib import Path

import pytest

from exporter.domain.budget import DOCUMENTED_BULK_PER_MINUTE, DOCUMENTED_PER_SECOND, pace_for
from exporter.domain.chunk import MAX_BODY_CONTACTS
from exporter.steps.events import FIELDS, Event, Metric, SpanName
from tests.monitoring.queries import (
    INFRA,
    ROOT,
    all_queries,
    first_comment,
    parse,
    parsed_queries,
    question_files,
    without_comments,
    workbook_items,
)

QUERIES = all_queries()
FIELD = re.compile(r"\bProperties\s*(?:\.\s*(\w+)|\[\s*[\"'](\w+)[\"']\s*\])")
BARE_PROPERTIES = re.compile(r"\bProperties\b(?!\s*[.\[])")
TOLD_NAME = re.compile(r"\"([a-z]+(?:\.[a-z_]+)+)\"")
METRIC_ATTRIBUTES = {"account", "export_id"}


def fields_in(query: str) -> set[str]:
    return {dotted or bracketed for dotted, bracketed in FIELD.findall(without_comments(query))}


def names_in(query: str) -> set[str]:
    """Names of events and metrics that a query compares with."""
    return set(TOLD_NAME.findall(without_comments(query)))


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_valid(name: str) -> None:
    assert parsed_queries()[name].problems == ()
    assert parsed_queries()[name].columns


def test_the_parser_finds_what_is_wrong() -> None:
    wrong = {
        "column": "AppTraces | where Mesage == ''",
        "operator": "AppTraces | sumarize count()",
        "table": "AppTrace | count",
        "function": "AppTraces | extend x = tolongs(Message)",
    }
    assert [name for name, found in parse(wrong).items() if not found.problems] == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_names_events_and_metrics_that_exist(name: str) -> None:
    assert names_in(QUERIES[name]) <= {*Event, *Metric}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_uses_fields_that_its_events_have(name: str) -> None:
    query = QUERIES[name]
    named = [FIELDS[event] for event in Event if event in names_in(query)]
    known = set().union(*(named or FIELDS.values())) | {"event"}
    if "AppMetrics" in query:
        known = METRIC_ATTRIBUTES
    assert fields_in(query) <= known
    assert not BARE_PROPERTIES.search(without_comments(query))


def test_every_event_that_needs_a_person_is_asked_for() -> None:
    asked = set().union(*(names_in(query) for query in QUERIES.values()))
    assert {
        Event.APP_ALIVE,
        Event.ACCOUNT_HELD,
        Event.LOOK_FAILED,
        Event.MESSAGE_POISONED,
        Event.MESSAGE_PUT_BACK,
        Event.RUN_COMPLETED,
        Event.RUN_RESTARTED,
        Event.RUN_STOPPED,
        Event.SECRET_UNREADABLE,
        Event.SENDING_PAUSED,
    } <= asked
    assert {Metric.BUDGET_USED, Metric.SLOT_WAIT, Metric.SETTLE_TIME} <= asked


def test_whether_a_drop_arrived_is_asked_of_every_event_of_drops() -> None:
    told = {event.value for event in Event if event.value.startswith("drop.")}
    assert told <= names_in(QUERIES["drops.kql"])


def test_there_are_ten_questions() -> None:
    assert len(question_files()) == 10
    assert all(first_comment(path).endswith("?") for path in question_files())


def test_every_question_is_saved_in_the_portal_with_its_words() -> None:
    saved = re.findall(
        r"name: '([\w-]+)'\n\s+question: '(.+)'\n\s+query: loadTextContent\('queries/([\w-]+)\.kql'\)",
        (INFRA / "queries.bicep").read_text(encoding="utf-8"),
    )
    assert sorted(saved) == [(path.stem, first_comment(path), path.stem) for path in question_files()]


def test_every_question_is_explained() -> None:
    page = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.+\?) \| \[`([\w-]+)`\]\(\.\./infra/queries/([\w-]+)\.kql\) \|", page, re.MULTILINE
    )
    assert sorted(rows, key=lambda row: row[1]) == [
        (first_comment(path), path.stem, path.stem) for path in question_files()
    ]


@pytest.mark.parametrize("page", ["docs/queries.md", "docs/runbooks.md"])
def test_query_files_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"infra/queries/[\w/-]+\.kql", (ROOT / page).read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not Path(ROOT / name).is_file()] == []


def test_every_metric_is_told_of() -> None:
    page = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
    assert [metric for metric in Metric if f"`{metric}`" not in page] == []


def workbook_text() -> str:
    return (INFRA / "workbook.json").read_text(encoding="utf-8")


def test_the_workbook_has_its_parts() -> None:
    items = workbook_items()
    assert len({item["name"] for item in items}) == len(items)
    headings = [
        item["content"]["json"].partition("\n")[0].removeprefix("## ") for item in items if item["type"] == 1
    ]
    assert headings[1:] == ["Runs", "Throughput against the limit", "Outcomes", "Latency", "Cost"]


def test_the_workbook_asks_the_workspace_in_the_time_chosen() -> None:
    for item in workbook_items():
        if item["type"] == 3:
            assert item["content"]["crossComponentResources"] == ["<logWorkspaceId>"], item["name"]
            assert item["content"]["timeContextFromParameter"] == "TimeRange", item["name"]
            assert "TimeGenerated > ago" not in item["content"]["query"], item["name"]


def test_what_the_template_fills_in_is_in_the_workbook_and_nothing_else() -> None:
    template = (INFRA / "workbook.bicep").read_text(encoding="utf-8")
    assert set(re.findall(r"<\w+>", workbook_text())) == set(re.findall(r"'(<\w+>)'", template))


def test_the_workbook_knows_the_limit() -> None:
    bodies = pace_for(DOCUMENTED_BULK_PER_MINUTE, DOCUMENTED_PER_SECOND).bulk_count
    contacts = bodies * MAX_BODY_CONTACTS
    assert f"{DOCUMENTED_BULK_PER_MINUTE:.0f} bulk requests a minute" in workbook_text()
    assert (
        f"{bodies} of them, with up to {MAX_BODY_CONTACTS} contacts each: {contacts:,} a" in workbook_text()
    )
    assert f"= {bodies} * {MAX_BODY_CONTACTS};" in QUERIES["workbook: speed"]


def test_the_workbook_leaves_our_own_spans_out_of_what_the_platform_bills() -> None:
    query = QUERIES["workbook: functions"]
    assert set(re.findall(r'"([a-z]+)"', query)) == {*SpanName}
