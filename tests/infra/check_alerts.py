"""Alerts look at the right place often enough, go off at the first finding, and reach everybody named."""

from collections.abc import Iterator
from typing import Final

from tests.infra.deployment import DeployedResource
from tests.infra.project import Project, of_part, part_of
from tests.infra.values import Value, member_of, words_of

_BY_LOG: Final = "Microsoft.Insights/scheduledQueryRules"
_BY_METRIC: Final = "Microsoft.Insights/metricAlerts"

METRICS: Final = {"alert-dead-letters": "DeadLetteredCount", "alert-dropped-events": "DroppedEventCount"}
"""learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-eventgrid-systemtopics-metrics"""

MINUTES: Final = {"PT5M": 5, "PT10M": 10, "PT15M": 15, "PT1H": 60, "P1D": 1440, "P2D": 2880}


def _alerts(made: Project) -> Iterator[tuple[str, DeployedResource]]:
    """The alerts of every deployment, each with what it is called in messages."""
    for name, deployment in made.all_deployments.items():
        for one in deployment.resources:
            if one.type in {_BY_LOG, _BY_METRIC}:
                yield f"{name}: {part_of(one)}", one


def _criterion(alert: DeployedResource) -> Value:
    found = alert.get("properties", "criteria", "allOf")
    return found[0] if isinstance(found, list) and len(found) == 1 else None


def going_off(project: Project) -> Iterator[str]:
    """Alerts that are off, or that wait for more than a first finding."""
    for where, one in _alerts(project):
        if one.get("properties", "enabled") is not True:
            yield f"{where} is off"
        criterion = _criterion(one)
        fires = tuple(member_of(criterion, name) for name in ("timeAggregation", "operator", "threshold"))
        counted = "Count" if one.type == _BY_LOG else "Total"
        if fires != (counted, "GreaterThan", 0):
            yield f"{where} goes off at {fires}"
        periods = member_of(criterion, "failingPeriods")
        if one.type == _BY_LOG and periods != {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1}:
            yield f"{where} goes off only when it finds something again"


def looking(project: Project) -> Iterator[str]:
    """Alerts that look elsewhere, for something else, or with a gap between two looks."""
    workspace, topic = of_part(project.usual, "logs"), of_part(project.second_phase, "event-topic")
    for where, one in _alerts(project):
        source = workspace if one.type == _BY_LOG else topic
        if words_of(one.get("properties", "scopes")) != f"[[{source.identity}].id]":
            yield f"{where} looks at {words_of(one.get('properties', 'scopes'))}"
        often, window = (
            MINUTES.get(words_of(one.get("properties", name)).strip("'"), 0)
            for name in ("evaluationFrequency", "windowSize")
        )
        if not 0 < often <= window:
            yield f"{where} looks every {often} minutes at {window}"
        if one.get("properties", "autoMitigate") is True and often == window:
            yield f"{where} is called mended though what has happened has only gone by"
        if one.type == _BY_METRIC and member_of(_criterion(one), "metricName") != METRICS[part_of(one)]:
            yield f"{where} looks at another metric than {METRICS[part_of(one)]}"
        file = project.infra / "queries" / "alerts" / f"{part_of(one).removeprefix('alert-')}.kql"
        if one.type == _BY_LOG and not _is_made_of(
            member_of(_criterion(one), "query"), file.read_text("utf-8")
        ):
            yield f"{where} does not ask what is in {file.name}"


def _is_made_of(query: Value, text: str) -> bool:
    """Whether a query is a file's, but for what stands in the place of names in angle brackets."""
    lines = text.splitlines()
    given = query.splitlines() if isinstance(query, str) else []
    return len(lines) == len(given) and all(
        line == one for line, one in zip(lines, given, strict=True) if "<" not in line
    )


def reaching(project: Project) -> Iterator[str]:
    """Alerts that nobody gets, and addresses that get none."""
    group = of_part(project.usual, "action-group")
    for where, one in _alerts(project):
        if f"[{group.identity}].id" not in words_of(one.get("properties", "actions")):
            yield f"{where} reaches nobody"
    receivers = group.get("properties", "emailReceivers")
    found = {
        words_of(member_of(one, "emailAddress")) for one in (receivers if isinstance(receivers, list) else [])
    }
    if found != {"'ann@example.org'", "'bob@example.org'"} or group.get("properties", "enabled") is not True:
        yield f"alerts reach {sorted(found)}, not ann and bob"
    missing = {part_of(one) for _, one in _alerts(project) if part_of(one) == "alert-missing-drops"}
    if not missing:
        yield "no alert for drops that are expected"
