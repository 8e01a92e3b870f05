"""The workflows call what developers call, may do no more than they need, and hold no secret."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS: Final = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
SUPPLY_CHAIN: Final = (ROOT / "docs" / "supply-chain.md").read_text(encoding="utf-8")
PINNED: Final = re.compile(
    r"^\s+(?:- )?uses: (?P<action>[\w/-]+)@(?P<commit>[0-9a-f]{40}) # (?P<tag>v[\d.]+)$"
)


def parsed(path: Path) -> dict[str, Any]:
    """A YAML file with every value as text: `on` stays a word."""
    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    assert isinstance(loaded, dict)
    return loaded


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", [])


def test_there_are_workflows_for_tests_and_deployment() -> None:
    assert [path.name for path in WORKFLOWS] == ["deploy.yml", "test.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_that_is_called_exists(path: Path) -> None:
    runs = " ".join(step.get("run", "") for step in steps(parsed(path)))

    assert set(re.findall(r"\bmake ([a-z-]+)", runs)) <= TARGETS
    for script in re.findall(r"\bbash (\S+)", runs):
        assert (ROOT / script).exists(), script


def test_ci_runs_the_tests_on_all_versions_and_the_checks_of_the_supply_chain() -> None:
    workflow = parsed(ROOT / ".github/workflows/test.yml")
    runs = {step["run"] for step in steps(workflow) if "run" in step}

    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert {"bash .ci/run", "make worker-check", "make audit", "make scan", "make sbom"} <= runs


def test_nothing_is_deployed_that_was_not_tested_or_without_its_environment() -> None:
    jobs = parsed(ROOT / ".github/workflows/deploy.yml")["jobs"]

    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["deploy"]["needs"] == "test"
    assert jobs["deploy"]["environment"]


def test_a_pipeline_knows_every_variable_of_the_hooks() -> None:
    hooks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "infra/hooks").glob("*.sh"))
    named = set(re.findall(r"^# ([A-Z_]+)  +|^# (EVENT_\w+):", hooks, re.MULTILINE))
    given = parsed(ROOT / ".github/workflows/deploy.yml")["jobs"]["deploy"]["env"]

    assert named
    assert {name for names in named for name in names if name} <= given.keys()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_what_it_needs_and_no_more(path: Path) -> None:
    workflow = parsed(path)
    granted = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
    rights = {(scope, right) for grants in granted for scope, right in grants.items()}

    assert rights <= {("contents", "read"), ("id-token", "write")}
    assert ("id-token", "write") not in workflow["permissions"].items()
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_holds_no_secret_and_runs_nothing_that_a_stranger_wrote(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expressions = set(re.findall(r"\$\{\{\s*([\w.]+)", text))

    assert "secrets" not in text
    assert "pull_request_target" not in text
    assert {words for words in expressions if not words.startswith("vars.")} <= {
        "github.workflow",
        "github.ref",
        "github.event_name",
        "inputs.environment",
        "matrix.python",
    }
    for step in steps(parsed(path)):
        assert "${{" not in step.get("run", ""), "give it to the shell as a variable of the environment"


def test_a_pipeline_knows_every_variable_that_a_deployment_may_have() -> None:
    """One that it does not know falls back to its default: a closed network would be opened again."""
    given = parsed(ROOT / ".github/workflows/deploy.yml")["jobs"]["deploy"]["env"]
    template = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
    parameters = json.loads((ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8"))[
        "parameters"
    ]
    variables = {parameter: value["value"][2:-1] for parameter, value in parameters.items()}
    by_azd = {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
    always_set = {"AZURE_LOCATION", "DEPLOYMENT_TIER"}

    assert set(variables.values()) - set(given) == by_azd | {"NAME_SUFFIX"}
    for parameter, variable in variables.items():
        default = re.search(rf"^param {parameter} string = '(.+)'$", template, re.MULTILINE)
        if default and variable not in by_azd | always_set | {"NAME_SUFFIX"}:
            assert given[variable] == f"${{{{ vars.{variable} || '{default[1]}' }}}}"
        elif variable in given:
            assert given[variable] == f"${{{{ vars.{variable} }}}}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits_that_the_page_lists(path: Path) -> None:
    used = [line for line in path.read_text(encoding="utf-8").splitlines() if "uses: " in line]

    assert used
    for line in used:
        if "uses: ./" in line:
            continue
        found = PINNED.match(line)
        assert found, line
        assert f"| `{found['action']}` | {found['tag']} | `{found['commit']}` |" in SUPPLY_CHAIN, line


def test_newer_versions_are_asked_for_wherever_versions_are_pinned() -> None:
    updates = parsed(ROOT / ".github/dependabot.yml")["updates"]

    assert {(update["package-ecosystem"], update["directory"]) for update in updates} == {
        ("pip", "/"),
        ("npm", "/sandbox"),
        ("github-actions", "/"),
    }
    assert (ROOT / "sandbox" / "package-lock.json").exists()
    assert all(int(update["cooldown"]["default-days"]) >= 7 for update in updates)


def test_the_targets_ask_for_what_is_pinned() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(
        r"cyclonedx-py requirements .*--output-reproducible .*build/sbom\.json requirements\.txt", makefile
    )
    assert re.search(r"pip-audit --strict .*--require-hashes .*-r requirements-dev\.txt", makefile)


def test_the_list_of_parts_has_every_pin_and_comes_out_the_same_again(tmp_path: Path) -> None:
    texts = []
    for name in ("one.json", "two.json"):
        words = [
            "requirements",
            "--output-reproducible",
            "--of",
            "JSON",
            "--output-file",
            str(tmp_path / name),
        ]
        program = [sys.executable, "-m", "cyclonedx_py", *words, str(ROOT / "requirements.txt")]
        subprocess.run(program, check=True, capture_output=True)
        texts.append((tmp_path / name).read_text(encoding="utf-8"))
    listed = {(part["name"], part["version"]) for part in json.loads(texts[0])["components"]}

    assert texts[0] == texts[1]
    pinned = re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert listed == set(pinned)
