"""docs/diagnosis.md names what the doctor and the probe really have."""

import re

from exporter.domain.deployment import NETWORK
from exporter.domain.resources import Resource
from exporter.steps.deployment import Deployment, Place
from exporter.steps.deployment_checks import checks_of
from exporter.steps.doctor import Code
from exporter.steps.messages import Queue
from exporter.steps.probe_questions import QUESTIONS
from tests.structure.test_docs import COMMANDS, calls, code_words, command_of, text_of

PAGE = "docs/diagnosis.md"


def test_every_code_is_documented() -> None:
    assert {str(code) for code in Code} - code_words(PAGE) == set()


def test_every_queue_is_among_the_checks() -> None:
    spans = set(re.findall(r"`([^`\n]+)`", text_of(PAGE)))
    assert {f"queue {queue}" for queue in Queue} <= spans


def test_every_check_of_a_deployment_is_documented() -> None:
    spans = set(re.findall(r"`([^`\n]+)`", text_of(PAGE)))
    general = {
        r"[a-z-]+ role .+": "<part> role <role>",
        r"[a-z-]+ further roles": "<part> further roles",
        r"[a-z-]+ diagnostics": "<part> diagnostics",
        r"alert-.+": "alert-<name>",
        r"network-.+": "network-<part>",
    }
    kept = {part.tag: [Resource(id=f"/subscriptions/{part.tag}", name="x", type="x")] for part in NETWORK}
    names = {planned.name for planned in checks_of(Deployment(Place("x", "x"), kept))}
    for pattern, form in general.items():
        assert any(re.fullmatch(pattern, name) for name in names)
        names = {
            form if re.fullmatch(pattern, name) and name != "event-topic role" else name for name in names
        }
    assert {"deployment", *names} - spans == set()


def test_the_table_of_questions_is_that_of_the_probe() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) ?\|$", text_of(PAGE), re.MULTILINE)
    shown = {name: rest for name, *rest in rows if name in QUESTIONS}
    assert list(shown) == list(QUESTIONS)
    for name, (asks, default, otherwise) in shown.items():
        question = QUESTIONS[name]
        switches = set(question.switches.values()) | ({f"{question.number}=…"} if question.number else set())
        assert (asks, default) == (question.asks, question.simulator)
        assert set(re.findall(r"`([^`]+)`", otherwise)) == switches


def test_every_command_exists_with_its_options() -> None:
    found = list(calls(PAGE))
    assert found
    for words, call in found:
        command = command_of(words)
        assert command is not None, call
        known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", call)) <= known, call
    options = {option for name in ("doctor", "probe") for p in COMMANDS[(name,)].params for option in p.opts}
    assert {option for option in options if option.startswith("--")} - words_with_options() == set()


def words_with_options() -> set[str]:
    """Every option that the page names, in examples and elsewhere."""
    return set(re.findall(r"--[a-z-]+", text_of(PAGE)))
