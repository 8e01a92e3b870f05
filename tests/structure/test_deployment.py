"""What the doctor knows of a deployment is what the templates make: parts, types, roles, settings, names."""

import ast
import re
from typing import Final

from exporter.adapters.storage import LANDING_CONTAINER, STATE_CONTAINER
from exporter.domain.deployment import (
    API_VERSIONS,
    APP,
    APP_SETTINGS,
    BLOB_FUNCTION,
    CONTAINERS,
    DIAGNOSED,
    EVENT_SUBSCRIPTION,
    FUNCTIONS,
    LANDING,
    LANDING_RULE,
    LIFECYCLE_DAYS,
    LIFECYCLE_PREFIXES,
    OPEN_PATHS,
    OPEN_RUN_DAYS,
    OPTIONAL_APP_SETTINGS,
    PARTS,
    PYTHON_VERSION,
    QUERIES,
    QUEUES,
    ROLES,
    SECOND_PHASE,
    STATE,
)
from exporter.settings import SETTINGS
from exporter.steps.messages import Queue
from tests.structure.test_docs import ROOT, text_of

TEMPLATES: Final = {
    str(path.relative_to(ROOT / "infra")): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "infra").rglob("*.bicep"))
}
TEXT: Final = "\n".join(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE) for text in TEMPLATES.values())
RESOURCE: Final = re.compile(r"^resource \w+ '([\w./]+)@([\w-]+)'( existing)?", re.MULTILINE)
TAG: Final = re.compile(r"'exporter-part': '([^']+)'")


def rule_names(template: str) -> list[str]:
    """The names that a template's loop over `rules` gives."""
    rules = re.findall(r"^var rules = \[\n(.*?)^\]", TEMPLATES[template], re.MULTILINE | re.DOTALL)
    return re.findall(r"^    name: '([\w-]+)'", "\n".join(rules), re.MULTILINE)


def tags() -> set[str]:
    """Every value that the templates give to the tag of parts."""
    found: set[str] = set()
    for name, text in TEMPLATES.items():
        for tag in TAG.findall(text):
            found |= {tag.replace("${rule.name}", rule) for rule in rule_names(name)} if "$" in tag else {tag}
    return found


def test_every_part_is_in_the_templates_and_the_other_way_round() -> None:
    assert tags() == {part.tag for part in PARTS}


def test_every_type_is_asked_in_the_version_of_the_templates() -> None:
    made = {(kind, version) for kind, version, existing in RESOURCE.findall(TEXT) if not existing}

    assert made == set(API_VERSIONS.items())


def test_parts_are_of_the_type_that_has_their_tag() -> None:
    found: dict[str, set[str]] = {}
    for text in TEMPLATES.values():
        for block in re.split(r"^(?=resource )", text, flags=re.MULTILINE):
            resource, tag = RESOURCE.match(block), TAG.search(block)
            if resource and tag:
                found.setdefault(tag[1], set()).add(resource[1])
    for part in PARTS:
        literal = part.tag if part.tag in found else "alert-${rule.name}"
        assert part.type in found[literal], part


def test_what_has_a_tag_in_the_second_phase_comes_from_its_templates() -> None:
    tagged = set(TAG.findall(TEMPLATES["events.bicep"]))
    alerts = {f"alert-{name}" for name in rule_names("event-alerts.bicep")}

    assert tagged | alerts == {part.tag for part in SECOND_PHASE}


def test_how_often_a_part_is_there_follows_from_the_templates() -> None:
    lists = {
        "network-zone": r"^var zones = \[\n(.*?)^\]",
        "network-link": r"^var zones = \[\n(.*?)^\]",
        "network-endpoint": r"^var endpoints = \[\n(.*?)^\]",
    }
    for part in PARTS:
        if part.tag in lists:
            (items,) = re.findall(lists[part.tag], TEXT, re.MULTILINE | re.DOTALL)
            assert part.count == len(items.strip().splitlines())
        elif part.tag != "alert-missing-drops":
            assert part.count == 1


def test_roles_are_those_of_the_templates() -> None:
    ids = dict(re.findall(r"^var (\w+) = '([0-9a-f-]{36})'$", TEMPLATES["roles.bicep"], re.MULTILINE))
    of_app: dict[str, set[str]] = {}
    for name, items in re.findall(
        r"^var (\w+)RolesOfApp = \[\n(.*?)^\]", TEMPLATES["roles.bicep"], re.MULTILINE | re.DOTALL
    ):
        of_app[name] = {ids[role] for role in re.findall(r"^  (\w+)", items, re.MULTILINE)}
    single = re.findall(
        r"^resource appOn(\w+) '[^']+' = \{\n  name: guid\(\w+\.id, identityPrincipalId, (\w+)\)",
        TEMPLATES["roles.bicep"],
        re.MULTILINE,
    )
    of_app |= {name.lower(): {ids[role]} for name, role in single}

    known = {part.tag.removesuffix("-storage"): {role.id for role in roles} for part, roles in ROLES.items()}
    assert of_app == known


def test_settings_of_the_app_are_those_of_the_template() -> None:
    (body,) = re.findall(r"name: 'appsettings'\n(.*?)^}", TEMPLATES["app.bicep"], re.MULTILINE | re.DOTALL)
    given = set(re.findall(r"^      ([A-Z]\w+): ", body, re.MULTILINE | re.IGNORECASE))
    optional = set(re.findall(r"\? \{\} : \{ (\w+):", body))

    assert given == APP_SETTINGS
    assert optional <= OPTIONAL_APP_SETTINGS
    assert {name.partition("__")[0] for name in APP_SETTINGS | OPTIONAL_APP_SETTINGS} >= SETTINGS.keys() - {
        "EXPORTER_LOCAL_HOSTS"
    }


def test_containers_and_queues_are_those_of_the_code() -> None:
    assert {STATE_CONTAINER} <= CONTAINERS[STATE]
    assert CONTAINERS[LANDING] == {LANDING_CONTAINER}
    assert QUEUES[STATE] == {name for queue in Queue for name in (queue, f"{queue}-poison")}


def test_functions_are_those_of_the_app() -> None:
    tree = ast.parse(text_of("function_app.py"))
    found = {
        node.name
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.decorator_list
    }

    assert found == FUNCTIONS
    assert BLOB_FUNCTION in FUNCTIONS


def test_lifecycle_rules_are_those_of_the_template() -> None:
    template = TEMPLATES["state-storage.bicep"]
    rules = re.findall(r"name: '([\w-]+)'\n\s+enabled: true\n\s+type: 'Lifecycle'", template, re.MULTILINE)

    assert set(rules) == LIFECYCLE_DAYS.keys()
    prefixes = re.findall(r"prefixMatch: \['([^']+)'\]", template)
    assert dict(zip(rules, prefixes, strict=True)) == LIFECYCLE_PREFIXES
    assert f"name: '{LANDING_RULE}'\n          enabled: true" in TEMPLATES["landing-storage.bicep"]
    assert f"var openRunDays = {OPEN_RUN_DAYS}\n" in template


def test_open_paths_and_python_are_those_of_the_templates() -> None:
    (paths,) = re.findall(r"excludedPaths: \[\n(.*?)\]", TEMPLATES["authentication.bicep"], re.DOTALL)

    assert set(re.findall(r"'([^']+)'", paths)) == OPEN_PATHS
    assert f"version: '{PYTHON_VERSION}'" in TEMPLATES["app.bicep"]


def test_the_event_subscription_is_that_of_the_template() -> None:
    assert f"name: '{EVENT_SUBSCRIPTION}'" in TEMPLATES["events.bicep"]
    assert f"var functionName = '{BLOB_FUNCTION}'" in TEMPLATES["events.bicep"]


def test_saved_queries_are_those_of_the_template() -> None:
    names = re.findall(r"^    name: '([\w-]+)'\n    question:", TEMPLATES["queries.bicep"], re.MULTILINE)

    assert {f"exporter-{name}" for name in names} == QUERIES


def test_whose_logs_are_kept_is_in_the_templates() -> None:
    scopes = {
        (name, scope)
        for name, text in TEMPLATES.items()
        for scope in re.findall(
            r"^resource \w+ 'Microsoft\.Insights/diagnosticSettings@.*?^  scope: (\w+)",
            text,
            re.MULTILINE | re.DOTALL,
        )
    }
    templates = {STATE.tag: "state-storage", LANDING.tag: "landing-storage", "event-topic": "events"}
    services = {"/blobServices/default": "blobs", "/queueServices/default": "queues"}

    assert scopes == {
        (f"{templates.get(part.tag, part.tag)}.bicep", services.get(child, part.tag.removeprefix("event-")))
        for part, children in DIAGNOSED.items()
        for child in children
    }
    assert APP in DIAGNOSED
