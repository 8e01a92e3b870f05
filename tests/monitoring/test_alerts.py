"""Each alert has its query and its runbook, and can be what it says."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.monitoring.queries import INFRA, ROOT, alert_files, all_queries, parsed_queries, without_comments

TEMPLATE = (INFRA / "alerts.bicep").read_text(encoding="utf-8")
EVENT_TEMPLATE = (INFRA / "event-alerts.bicep").read_text(encoding="utf-8")
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
MISSING_DROPS = "missing-drops"
MINUTES = {"PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT1H": 60, "P1D": 1440, "P2D": 2880}
"""Some of the durations that log search alerts allow; two days is the longest."""
PARTS = ["What it means.", "In danger.", "Look.", "Mend.", "Ends"]


@dataclass(frozen=True)
class Rule:
    """A log search alert of the template's list."""

    name: str
    query: str
    """The query's file, under infra/."""
    severity: int
    frequency: str
    window: str
    lasts: bool
    columns: tuple[str, ...]
    """That split it."""


def objects_in(list_name: str, template: str) -> list[dict[str, str]]:
    """The objects of a `var` that is a list of flat objects, each property as it is written."""
    block = re.search(rf"^var {list_name} = \[\n(.*?)^\]", template, re.MULTILINE | re.DOTALL)
    assert block is not None, list_name
    bodies = re.findall(r"^  \{\n(.*?)^  \}", block[1], re.MULTILINE | re.DOTALL)
    return [dict(re.findall(r"^    (\w+): (.+)$", body, re.MULTILINE)) for body in bodies]


def columns_of(split_by: str) -> tuple[str, ...]:
    if split_by == "[]":
        return ()
    return tuple(dimension["name"].strip("'") for dimension in objects_in(split_by, TEMPLATE))


def log_rules() -> list[Rule]:
    return [
        Rule(
            name=rule["name"].strip("'"),
            query=rule["query"].removeprefix("loadTextContent('").removesuffix("')"),
            severity=int(rule["severity"]),
            frequency=rule["frequency"].strip("'"),
            window=rule["window"].strip("'"),
            lasts=rule["lasts"] == "true",
            columns=columns_of(rule["splitBy"]),
        )
        for rule in objects_in("rules", TEMPLATE)
    ]


RULES = log_rules()
METRIC_RULES = {rule["name"].strip("'"): rule for rule in objects_in("rules", EVENT_TEMPLATE)}
ALERTS = sorted([*(rule.name for rule in RULES), MISSING_DROPS, *METRIC_RULES])


def runbook(name: str) -> str:
    return RUNBOOKS.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    headings: list[str] = re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)
    assert sorted(headings) == ALERTS


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_says_what_is_asked_at_night(name: str) -> None:
    text = runbook(name)
    places = [text.find(f"**{part}") for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    assert re.search(r"`exporter |^\$ |infra/queries/", text, re.MULTILINE), "nothing to look at"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_its_runbook_and_has_its_tag(name: str) -> None:
    template = EVENT_TEMPLATE if name in METRIC_RULES else TEMPLATE
    written = name if name == MISSING_DROPS else "${rule.name}"
    assert f"Runbook: ${{runbooks}}#{written}'" in template
    assert f"'exporter-part': 'alert-{written}'" in template


def test_what_is_gone_is_not_left_to_a_deployment_that_azd_leaves_out() -> None:
    """github.com/Azure/azure-dev, cli/azd/docs/provision-state.md: changes from outside azd are not seen."""
    sentences = re.split(r"(?<=[.:]) ", " ".join(RUNBOOKS.split()))
    provisioning = [sentence for sentence in sentences if "azd provision" in sentence]
    assert len(provisioning) >= 3
    assert all("--no-state" in sentence or "azd env set" in sentence for sentence in provisioning)


def test_every_alert_query_is_used_by_the_alert_of_its_name() -> None:
    used = {rule.name: rule.query for rule in RULES}
    used[MISSING_DROPS] = f"queries/alerts/{MISSING_DROPS}.kql"
    assert f"loadTextContent('{used[MISSING_DROPS]}')" in TEMPLATE
    assert used == {path.stem: f"queries/alerts/{path.name}" for path in alert_files()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_one_that_the_platform_takes(rule: Rule) -> None:
    assert MINUTES[rule.frequency] <= MINUTES[rule.window]
    assert set(rule.columns) <= set(parsed_queries()[f"alerts/{rule.name}.kql"].columns)
    assert rule.severity in range(1, 4)


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.lasts], ids=lambda rule: rule.name)
def test_what_has_happened_is_told_once(rule: Rule) -> None:
    assert rule.frequency == rule.window


@pytest.mark.parametrize("path", alert_files(), ids=lambda path: path.stem)
def test_an_alert_query_starts_with_a_table(path: Path) -> None:
    """learn.microsoft.com/azure/azure-monitor/alerts/alerts-log-query: no `union`, no `search`."""
    query = without_comments(all_queries()[f"alerts/{path.name}"]).strip()
    assert query.startswith("AppTraces\n")
    assert not re.search(r"\b(union|search|take|limit)\b", query)


def test_a_query_looks_no_further_back_than_its_window() -> None:
    for rule in RULES:
        for hours in re.findall(r"ago\((\d+)h\)", all_queries()[f"alerts/{rule.name}.kql"]):
            assert int(hours) * 60 <= MINUTES[rule.window], rule.name
    assert "windowSize: 'P2D'" in TEMPLATE
    assert "string(min(expected.everyHours, 48))" in TEMPLATE


def table_rows() -> dict[str, list[str]]:
    """The runbooks' table: severity, frequency, window and end of each alert."""
    rows = re.findall(r"^\| \[([\w-]+)\]\(#([\w-]+)\) \| (.+) \|$", RUNBOOKS, re.MULTILINE)
    assert all(name == anchor for name, anchor, _ in rows)
    return {name: rest.split(" | ") for name, _, rest in rows}


def told(duration: str) -> str:
    minutes = MINUTES[duration]
    if minutes < 60:
        return f"{minutes} min"
    hours, days = minutes // 60, minutes // 1440
    return f"{hours} h" if not days else f"{days} day{'s' if days > 1 else ''}"


def test_the_table_of_alerts_tells_what_the_templates_say() -> None:
    expected = {
        rule.name: [
            str(rule.severity),
            told(rule.frequency),
            told(rule.window),
            "by itself" if rule.lasts else "says it once",
        ]
        for rule in RULES
    }
    expected[MISSING_DROPS] = ["2", told("PT1H"), told("P2D"), "by itself"]
    for name, rule in METRIC_RULES.items():
        expected[name] = [rule["severity"], told("PT5M"), told("PT5M"), "says it once"]
    assert table_rows() == expected


def test_the_sum_of_what_alerts_cost_adds_up() -> None:
    often = sum(MINUTES[rule.frequency] == 5 for rule in RULES)
    text = " ".join(RUNBOOKS.split())
    prices = re.search(
        r"(\d\.\d\d) for a log search alert that looks every 5 minutes, "
        r"(\d\.\d\d) every 15 .+?(\d\.\d\d) for a metric",
        text,
    )
    assert prices is not None
    each = [float(price) for price in prices.groups()]
    counts = [often, len(RULES) - often, len(METRIC_RULES)]
    total = sum(count * price for count, price in zip(counts, each, strict=True))
    terms = " + ".join(f"{count} x {price:.2f}" for count, price in zip(counts, each, strict=True))
    assert f"{terms} = {total:.2f}" in text
