"""The worker check's own parts, without a worker: what it compares, copies, reads and looks for."""

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sandbox.worker_check.calls import Call, Plan, read_plan
from sandbox.worker_check.comparison import compare
from sandbox.worker_check.package import pack
from sandbox.worker_check.python import NoPythonError, ensure_environment, find_python
from sandbox.worker_check.trial import Side, Trial, without_chance
from tests.runs.site import ROOT

REPORT: dict[str, Any] = {
    "refused": None,
    "python": "3.13.0",
    "functions": [
        {
            "name": "on_order",
            "bindings": [
                {
                    "direction": "IN",
                    "type": "queueTrigger",
                    "name": "order",
                    "queueName": "orders",
                    "connection": "SHOP",
                }
            ],
            "declared": {"order": {"type": "queueTrigger", "direction": "IN", "dataType": "UNDEFINED"}},
            "deferred": [],
            "retry": {},
            "problems": [],
        }
    ],
    "calls": [
        {"function": "on_order", "error": None, "http": None, "outputs": {}, "log": ["INFO shop sold 3"]}
    ],
}
SETTINGS = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "SHOP": "UseDevelopmentStorage=true"}
PLAN = Plan(SETTINGS, (Call("on_order", {"message": "3"}, "ok"),))


def differences(change: Callable[[dict[str, Any]], Any], *, left: int = 1) -> tuple[str, ...]:
    """What is found when the worker's report differs from the local host's."""
    theirs = deepcopy(REPORT)
    change(theirs)
    verdict = compare(
        Trial(Side(theirs, {"blob a/b": left}), Side(deepcopy(REPORT), {"blob a/b": 1}), SETTINGS), PLAN
    )
    assert verdict.ok is (verdict.differences == ())
    return verdict.differences


def test_two_equal_reports_are_the_same() -> None:
    assert differences(lambda report: report["calls"][0].update(log=["INFO shop sold 4"])) == ()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda r: r.update(refused="ImportError: no"), "refuses the app"),
        (lambda r: r.update(functions=[]), "not known to the worker"),
        (lambda r: r["functions"][0].update(name="another"), "not known to the local host"),
        (lambda r: r["functions"][0]["bindings"][0].update(queueName="others"), "bindings"),
        (lambda r: r["functions"][0]["bindings"][0].update(connection="STORE"), "bindings"),
        (lambda r: r["functions"][0]["declared"]["order"].update(direction="OUT"), "declared"),
        (lambda r: r["functions"][0].update(deferred=["order"]), "deferred"),
        (lambda r: r["functions"][0].update(problems=["no"]), "does not load it"),
        (lambda r: r["functions"][0].update(retry={"max_retry_count": "3"}), "retry"),
        (lambda r: r["calls"][0].update(error="ValueError: no"), "ended with 'ValueError', not 'ok'"),
        (lambda r: r["calls"][0].update(http={"status": 200}), "http of call 1"),
        (lambda r: r["calls"][0].update(outputs={"more": ["1"]}), "outputs of call 1"),
        (lambda r: r["calls"][0].update(log=["INFO shop lost 3"]), "log of call 1"),
    ],
)
def test_every_difference_is_found(change: Callable[[dict[str, Any]], Any], found: str) -> None:
    assert any(found in text for text in differences(change))


def test_a_function_that_nobody_calls_is_found() -> None:
    uncalled = {**REPORT, "calls": []}
    verdict = compare(Trial(Side(uncalled, {}), Side(uncalled, {}), SETTINGS), Plan(SETTINGS, ()))

    assert verdict.differences == ("on_order: is never called: add a call",)
    assert not verdict.ok


def test_what_is_left_in_storage_is_compared() -> None:
    (difference,) = differences(lambda _: None, left=2)

    assert difference.startswith("what is left in storage: ")


def test_chance_is_digests_and_figures_and_no_words() -> None:
    text = "run 0123456789abcdef0123456789abcdef took 1.25 s, deadbeef why=Error"

    assert without_chance(text) == "run # took # s, deadbeef why=Error"


def test_what_is_deployed_is_the_app_and_nothing_else(tmp_path: Path) -> None:
    package = pack(ROOT, tmp_path / "package")

    needed = {"exporter", "function_app.py", "host.json", "requirements.txt"}
    harmless = {".funcignore", "LICENSE", "README.md", "pyproject.toml", "azure.yaml"}
    assert needed <= {path.name for path in package.iterdir()} <= needed | harmless
    assert not list(package.rglob("__pycache__"))


def test_a_pattern_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / ".funcignore").write_text("docs/*.md\n")

    with pytest.raises(ValueError, match="docs"):
        pack(app, tmp_path / "package")


@pytest.mark.parametrize(
    "call",
    [
        {"function": "on_order", "ends": "ok"},
        {"function": "on_order", "ends": "ok", "message": "", "timer": {"past_due": False}},
        {"function": "on_order", "message": ""},
        {"function": "on_order", "ends": "ok", "message": "", "more": 1},
    ],
)
def test_a_call_in_another_form_is_refused(call: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "calls.json"
    file.write_text(json.dumps({"settings": {}, "calls": [call]}))

    with pytest.raises(ValueError, match="call 1"):
        read_plan(file)


def stand_in(folder: Path, name: str, text: str) -> Path:
    """A program that only pretends to be Python."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def test_a_python_that_does_not_run_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:/usr/bin:/bin")
    stand_in(tmp_path / "shims", "python3.13", "echo 'command not found' >&2; exit 127")
    environment = {"PYENV_ROOT": str(tmp_path / "pyenv")}

    with pytest.raises(NoPythonError, match="PYTHON313="):
        find_python(environment)
    stand_in(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin", "python", "echo 3 12")
    with pytest.raises(NoPythonError, match="uv python install"):
        find_python(environment)
    right = stand_in(tmp_path / "pyenv" / "versions" / "3.13.9" / "bin", "python", "echo 3 13")
    assert find_python(environment) == str(right)


def test_a_python_that_is_named_is_taken_or_refused(tmp_path: Path) -> None:
    right = stand_in(tmp_path, "right", "echo 3 13")
    wrong = stand_in(tmp_path, "wrong", "echo 3 11")

    assert find_python({"PYTHON313": str(right)}) == str(right)
    with pytest.raises(NoPythonError, match="wrong"):
        find_python({"PYTHON313": str(wrong)})


def test_the_environment_is_built_once_for_the_same_requirements(tmp_path: Path) -> None:
    log = tmp_path / "log"
    builds = 'mkdir -p "$4/bin" && cp "$0" "$4/bin/python"'
    python = stand_in(tmp_path, "python", f'echo "$@" >> {log}\nif [ "$2" = venv ]; then {builds}; fi')
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("one==1\n")

    for text in ("one==1\n", "one==1\n", "one==2\n"):
        requirements.write_text(text)
        ensure_environment(tmp_path / "venv", requirements, str(python))

    assert log.read_text().count("-m venv --clear") == 2
    assert log.read_text().count("--require-hashes") == 2
