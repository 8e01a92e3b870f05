"""The documents tell the truth about what can be checked: links, commands, settings, names."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from exporter.cli.main import app
from exporter.domain.configuration import Connection, Consent, Export, Limits, Mapping
from exporter.domain.configuration_file import load_configuration
from exporter.domain.hosts import HostPolicy
from exporter.domain.reject import RejectReason
from exporter.domain.run import Counts, RunState
from exporter.settings import (
    IDENTITY_FORMS,
    PLATFORM_SETTINGS,
    SECRET_PREFIX,
    SETTINGS,
    TELEMETRY_SETTINGS,
)
from exporter.steps.events import FIELDS, Event, Metric, SpanName
from exporter.steps.health import Ailment
from exporter.steps.messages import Queue

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
CALL = re.compile(r"(?:^\$ |^)(?:\.venv/bin/)?exporter ((?:[a-z]+ ?)+)(.*)$", re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_words(name: str) -> set[str]:
    """Everything that a page has in backticks, in whole and by its parts."""
    spans = CODE.findall(FENCE.sub("", text_of(name)))
    return {*spans, *(part for span in spans for part in re.split(r"[,;:{}<>/ ]+", span))}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where the repository is shown."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands of the command line by their words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def calls(page: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The command and the rest of every call of the exporter that a page shows."""
    text = text_of(page)
    spans = CODE.findall(FENCE.sub("", text)) + [block for _, block in FENCE.findall(text)]
    for span in spans:
        for words, rest in CALL.findall(span):
            yield tuple(words.split()), words + rest


def command_of(words: tuple[str, ...]) -> tuple[str, ...] | None:
    return next((words[:n] for n in (2, 1) if words[:n] in COMMANDS), None)


@pytest.mark.parametrize("page", sorted(str(page.relative_to(ROOT)) for page in PAGES))
def test_every_command_that_a_page_names_exists_with_its_options(page: str) -> None:
    for words, call in calls(page):
        command = command_of(words)
        assert command is not None, call
        known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", call)) <= known, call


def test_the_readme_names_every_command() -> None:
    assert {command_of(words) for words, _ in calls("README.md")} == COMMANDS.keys()


def test_every_setting_is_documented() -> None:
    words = code_words("docs/configuration.md")
    names = {*SETTINGS, *PLATFORM_SETTINGS, *TELEMETRY_SETTINGS, SECRET_PREFIX}
    assert words >= {*names, *(f"…{form}" for form in IDENTITY_FORMS)}


def test_every_key_of_the_configuration_file_is_documented() -> None:
    words = code_words("docs/configuration.md")
    keys = {
        *(Connection.model_fields.keys() - {"limits", "consent"}),
        *(Export.model_fields.keys() - {"mapping"}),
        *(f"limits.{key}" for key in Limits.model_fields),
        *(f"consent.{key}" for key in Consent.model_fields),
        *(f"mapping.{key}" for key in Mapping.model_fields),
    }
    assert keys - words == set()


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md", "docs/deployment.md"])
def test_the_example_configurations_are_valid(page: str) -> None:
    examples = [block for language, block in FENCE.findall(text_of(page)) if language == "yaml"]
    assert examples
    for example in examples:
        load_configuration(example, filename=page, host_policy=HostPolicy(local_hosts=("127.0.0.1:8025",)))


def functions() -> Iterator[tuple[str, list[str]]]:
    """The app's functions, each with the queues that its trigger names."""
    for node in ast.parse(text_of("function_app.py")).body:
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list:
            keywords = [
                keyword
                for decorator in node.decorator_list
                if isinstance(decorator, ast.Call)
                for keyword in decorator.keywords
            ]
            yield (
                node.name,
                [ast.literal_eval(keyword.value) for keyword in keywords if keyword.arg == "queue_name"],
            )


def test_every_function_and_queue_is_documented() -> None:
    words = code_words("docs/operations.md")
    found = dict(functions())
    queues = {queue for names in found.values() for queue in names}
    assert {queue.value for queue in Queue} <= queues
    assert {*found, *queues} - words == set()


def error_codes() -> Iterator[str]:
    """The codes of all errors that end a run."""
    for module in (ROOT / "exporter").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            arguments = node.args[:1] if node.func.id == "StopRunError" else []
            if node.func.id == "RunError":
                arguments = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            for argument in arguments:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def test_states_reasons_codes_and_events_are_documented() -> None:
    words = code_words("docs/operations.md")
    names = {*RunState, *RejectReason, *Event, *Ailment, *error_codes()}
    assert {str(name) for name in names} - words == set()


def test_metrics_spans_and_fields_are_documented() -> None:
    words = code_words("docs/operations.md")
    names = {*Metric, *SpanName, *(field for fields in FIELDS.values() for field in fields)}
    assert {str(name) for name in names} - words == set()


def test_every_event_has_its_list_of_fields() -> None:
    assert FIELDS.keys() == set(Event)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, name)
    else:
        yield key, value


def test_every_number_in_host_json_is_explained() -> None:
    words = code_words("docs/operations.md")
    numbers = {
        key
        for key, value in leaves(json.loads(text_of("host.json"))["extensions"] | {"x": None})
        if isinstance(value, int)
    }
    explained = {part for word in words for part in word.split(".")}
    assert numbers | {"functionTimeout", "visibilityTimeout", "maxPollingInterval"} <= explained


def test_the_promise_has_every_count() -> None:
    assert "rows = " + " + ".join(list(Counts.model_fields)[1:]) in text_of("docs/delivery.md")


def test_the_page_on_security_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text_of("docs/security.md"))
    assert named
    for path, test in named:
        assert re.search(rf"^(?:async )?def {test}\(", text_of(path), re.MULTILINE), (path, test)


def test_only_a_test_makes_a_yes() -> None:
    table = text_of("README.md").partition("## Proven where")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert rows
    for row in rows:
        for cell in row.strip("|").split("|")[1:]:
            assert re.fullmatch(r"not yet|\[yes\]\(tests/[\w/]+\.py\)", cell.strip()), row


@pytest.mark.parametrize("name", ["docs/runbooks.md", "docs/operations.md"])
def test_what_was_lost_is_made_anew_whatever_azd_remembers(name: str) -> None:
    """azd leaves out a deployment whose template and values are those of the last one, unless it is told
    otherwise (github.com/Azure/azure-dev, issue 8349); a variable that was set is another value."""
    for paragraph in re.split(r"\n\n|\n(?=\|)", text_of(name)):
        if "azd env set" not in paragraph:
            assert "`azd provision`" not in paragraph, paragraph
        if paragraph.startswith("|"):
            assert "`azd up`" not in paragraph, paragraph


def test_what_has_not_run_is_told_the_same_in_readme_and_changelog() -> None:
    sentences = [
        sentence
        for name in ("README.md", "CHANGELOG.md")
        for sentence in re.findall(r"Nothing has run [^.]+\.", " ".join(text_of(name).split()))
    ]

    assert len(sentences) == 2
    assert all("Functions host" in sentence and "Azure" in sentence for sentence in sentences)
    assert not any("worker" in sentence for sentence in sentences), "the worker's column has its tests"
