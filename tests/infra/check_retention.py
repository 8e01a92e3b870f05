"""Storage deletes by age what the code deletes by need, and nothing sooner than the code would."""

from collections.abc import Iterator
from typing import Final

from exporter.domain.retention import CHUNK_DAYS, REJECT_DAYS, RUN_DAYS
from tests.infra.deployment import Deployment
from tests.infra.project import Project, inside, of_part
from tests.infra.values import Value, member_of, words_of

OPEN_DAYS: Final = 90
"""So long a run may be open, pauses included, before a rule that goes by age may touch what it needs."""

LEAST_DAYS: Final = {
    "exporter/plans/": OPEN_DAYS + max(CHUNK_DAYS, REJECT_DAYS, RUN_DAYS),
    "exporter/poison/": REJECT_DAYS,
    "exporter/reports/": REJECT_DAYS,
    "dead-letters/": 2,
}
"""Days that must pass before a rule may delete, by folder. No other folder of the state has a rule: the code
deletes there, or nobody does. Dead letters matter as long as the sweep still takes up their drops."""

TIED: Final = {"rejectDays": REJECT_DAYS, "runDays": RUN_DAYS}
"""Variables of state-storage.bicep that repeat the code."""

_DELETES_BY_AGE: Final = {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": None}}}


def state_rules(project: Project) -> Iterator[str]:
    """Rules that delete too soon, or what is to stay."""
    for name, deployment in project.deployments.items():
        found = dict(_days_by_folder(deployment, "state-storage"))
        for folder, days in found.items():
            if folder not in LEAST_DAYS:
                yield f"{name}: a rule deletes {folder}, where the code alone may delete"
            elif type(days) is not int or days < LEAST_DAYS[folder]:
                yield f"{name}: {folder} goes after {words_of(days)} days, not {LEAST_DAYS[folder]} at least"
        for folder in sorted(set(LEAST_DAYS) - set(found)):
            yield f"{name}: no rule deletes {folder}"


def tied(project: Project) -> Iterator[str]:
    """Days that the template and the code should have in common and have not."""
    template = next(one for one in project.templates if one.path.name == "state-storage.bicep")
    for name, days in TIED.items():
        node = template.variables.get(name)
        if node is None or node.text != str(days):
            yield f"state-storage.bicep: {name} is {node.text if node else None}, in the code it is {days}"


def landing_rules(project: Project) -> Iterator[str]:
    """Drops that storage deletes though nobody asked for it, or not when somebody did."""
    for name, deployment in project.deployments.items():
        found = dict(_days_by_folder(deployment, "landing-storage"))
        wanted = {"segments/": 400} if name == "all options" else {}
        if found != wanted:
            yield f"{name}: the landing account deletes {found}, not {wanted}"


def rules(project: Project) -> Iterator[str]:
    """Rules that are off, do something else than delete by age, or miss what lies in their folder."""
    for name, deployment in project.deployments.items():
        for part in ("state-storage", "landing-storage"):
            for rule in _rules(deployment, part):
                where = f"{name}: the rule {words_of(member_of(rule, 'name'))} of {part}"
                definition = member_of(rule, "definition")
                if (member_of(rule, "enabled"), member_of(rule, "type")) != (True, "Lifecycle"):
                    yield f"{where} is off"
                if _shape(member_of(definition, "actions")) != _DELETES_BY_AGE:
                    yield f"{where} does something else than delete by age"
                if "'blockBlob'" not in words_of(member_of(member_of(definition, "filters"), "blobTypes")):
                    yield f"{where} leaves out block blobs"


def _shape(value: Value) -> Value:
    """What is in an object, by name, without the values."""
    return {name: _shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def _days_by_folder(deployment: Deployment, part: str) -> Iterator[tuple[str, Value]]:
    """What the lifecycle rules of an account delete, and after how many days."""
    for rule in _rules(deployment, part):
        definition = member_of(rule, "definition")
        prefixes = member_of(member_of(definition, "filters"), "prefixMatch")
        delete = member_of(member_of(member_of(definition, "actions"), "baseBlob"), "delete")
        for prefix in prefixes if isinstance(prefixes, list) and prefixes else ["everything"]:
            yield words_of(prefix).strip("'"), member_of(delete, "daysAfterModificationGreaterThan")


def _rules(deployment: Deployment, part: str) -> Iterator[Value]:
    account = of_part(deployment, part)
    for policy in inside(deployment, account, "Microsoft.Storage/storageAccounts/managementPolicies"):
        found = policy.get("properties", "policy", "rules")
        yield from found if isinstance(found, list) else []
