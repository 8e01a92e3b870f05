"""docs/deployment.md follows the templates: parameters, variables, outputs and files are called so there."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
INFRA: Final = ROOT / "infra"
PAGE: Final = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
TEMPLATE: Final = (INFRA / "main.bicep").read_text(encoding="utf-8")
HOOKS: Final = "".join(hook.read_text(encoding="utf-8") for hook in sorted((INFRA / "hooks").glob("*.sh")))
PARAMETER: Final = re.compile(
    r"^@description\('((?:[^'\\]|\\.)*)'\)\n(?:@.*\n)*param (\w+) [\w?]+(?: = (.*))?$", re.MULTILINE
)
BY_AZD: Final = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_RESOURCE_GROUP", "AZURE_SUBSCRIPTION_ID"}
"""Variables of an environment that azd keeps by itself."""


def json_in(path: Path) -> dict[str, Any]:
    loaded = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def variables() -> dict[str, str]:
    """By parameter, the variable of the azd environment that sets it."""
    found = {}
    for name, given in json_in(INFRA / "main.parameters.json")["parameters"].items():
        match = re.fullmatch(r"\$\{(\w+)(?:=.*)?\}", str(given["value"]))
        if match:
            found[name] = match[1]
    return found


def default_of(name: str, written: str | None) -> str:
    """What holds where nothing is given: of the tiers, or as the template has it."""
    tiers = [json_in(INFRA / "tiers" / f"{tier}.json") for tier in ("staging", "production")]
    if name in tiers[0]:
        staging, production = (json.dumps(tier[name]) for tier in tiers)
        return f"`{staging}`" if staging == production else f"staging `{staging}`, production `{production}`"
    if written is None:
        return "required"
    return f"`{written}`"


def parameter_table() -> str:
    """The table of all parameters of main.bicep, as the page must have it."""
    by = variables()
    lines = ["| parameter | azd variable | default | meaning |", "| --- | --- | --- | --- |"]
    for meaning, name, written in PARAMETER.findall(TEMPLATE):
        variable = f"`{by[name]}`" if name in by else "none"
        text = meaning.replace("\\'", "'").replace("|", "\\|")
        lines.append(f"| `{name}` | {variable} | {default_of(name, written or None)} | {text} |")
    return "\n".join(lines)


def test_every_parameter_is_listed_with_its_default() -> None:
    table = parameter_table()

    assert table.count("\n") - 1 == len(re.findall(r"^param ", TEMPLATE, re.MULTILINE))
    assert table in PAGE, f"put this under Parameters:\n{table}"


def test_every_variable_that_is_set_is_one_that_somebody_reads() -> None:
    known = {*variables().values(), *BY_AZD, *re.findall(r"\$\{(\w+)", HOOKS)}
    set_there = set(re.findall(r"azd env set (\w+)", PAGE))

    assert set_there
    assert set_there <= known


def test_every_output_that_is_used_is_one_of_the_template() -> None:
    outputs = set(re.findall(r"^output (\w+) ", TEMPLATE, re.MULTILINE))
    used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)\b", PAGE)) | set(re.findall(r"azd env get-value (\w+)", PAGE))
    own = {"KEY", "EMAIL", "SCOPE", "LANDING", *re.findall(r"^\$? ?([A-Z_]+)=", PAGE, re.MULTILINE)}

    assert used - own <= outputs | BY_AZD | set(variables().values())
    assert {"KEY_VAULT_NAME", "STATE_ACCOUNT_NAME", "LANDING_ACCOUNT_NAME"} <= used


@pytest.mark.parametrize("template", ["main", "events"])
def test_the_commands_by_hand_give_the_templates_what_they_want(template: str) -> None:
    commands: list[str] = re.findall(r"az deployment group create(?:.*\\\n)+.*", PAGE)
    [command] = [command for command in commands if f"infra/{template}.bicep" in command]
    given = dict(re.findall(r" (\w+)=([\w@.-]+)", command))
    text = (INFRA / f"{template}.bicep").read_text(encoding="utf-8")
    outputs = set(re.findall(r"^output (\w+) ", TEMPLATE, re.MULTILINE)) | {"OBJECT_ID"}

    assert set(given) <= set(re.findall(r"^param (\w+)", text, re.MULTILINE))
    assert set(re.findall(r"^param (\w+) \w+$", text, re.MULTILINE)) <= set(given)
    assert {value for value in given.values() if value.isupper()} <= outputs


def test_every_file_that_is_named_exists() -> None:
    named = set(
        re.findall(r"`?\b(infra/[\w./-]+\.(?:bicep|json|sh)|azure\.yaml|\.github/[\w./-]+\.yml)\b", PAGE)
    )

    assert {"infra/main.bicep", "infra/events.bicep"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_page_says_that_nobody_has_run_it_in_azure() -> None:
    assert "Nobody has run any of this in Azure yet" in PAGE


def test_a_deployment_by_hand_gives_each_template_what_it_asks_for() -> None:
    outputs = set(re.findall(r"^output (\w+) ", TEMPLATE, re.MULTILINE))
    commands = re.findall(r"^\$ az deployment group create (?:.*\\\n)*.*$", PAGE, re.MULTILINE)

    assert len(commands) == 2
    for command in commands:
        path = re.search(r"--template-file (\S+)", command)
        assert path
        text = (ROOT / path[1]).read_text(encoding="utf-8")
        declared = set(re.findall(r"^param (\w+) ", text, re.MULTILINE))
        optional = set(re.findall(r"^param (\w+) \w+(?:\?| =)", text, re.MULTILINE))
        given = dict(re.findall(r"\b(\w+)=(\S+)", command))

        assert declared - optional <= set(given) <= declared, path[1]
        assert {value for value in given.values() if value.isupper()} <= outputs | {"OBJECT_ID"}, path[1]


def test_what_the_landing_account_deletes_by_age_is_told_as_it_is() -> None:
    rule = re.search(
        r"prefixMatch: \['(\w+)/'\]", (INFRA / "landing-storage.bicep").read_text(encoding="utf-8")
    )
    privacy = " ".join((ROOT / "docs" / "privacy.md").read_text(encoding="utf-8").split())

    assert rule
    assert f"every file in the container {rule[1]} is deleted" in PAGE
    assert f"such a rule, for `{rule[1]}` alone, only if `landingDeleteAfterDays`" in privacy
