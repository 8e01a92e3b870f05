"""Who is asked before the probe writes, and how it tells what it found."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import typer

import exporter.cli.probe
from exporter.cli.running import ExitCode
from exporter.errors import RetryLaterError
from exporter.steps.probe_questions import QUESTIONS, Finding
from tests.unit.cli.world import World, a_connection

TOKEN = "0123456789ab"


class Account:
    """What stands in for an account: `answers` are given, all other questions as the simulator does."""

    def __init__(self) -> None:
        self.answers: dict[str, str | None] = {}
        self.error: Exception | None = None
        self.asked = False

    @asynccontextmanager
    async def open(self, *_: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(connection=a_connection(), request_count=7, findings={})

    async def probe(self, prober: Any, wish: Any) -> None:
        self.asked = True
        for name, question in QUESTIONS.items():
            if wish.list_id is not None or not question.writes:
                prober.findings[name] = Finding(question, self.answers.get(name, question.simulator))
        if wish.list_id is not None:
            removed = 4 if wish.remove else None
            wish.written = exporter.cli.probe._Written(wish.list_id, TOKEN, removed)
        if self.error is not None:
            raise self.error


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()
    monkeypatch.setattr(exporter.cli.probe, "_open_prober", made.open)
    monkeypatch.setattr(exporter.cli.probe, "_probe", made.probe)
    return made


@pytest.mark.parametrize(
    "options",
    [
        ["--write-to-list", "5"],
        ["--write-to-list", "five", "--yes"],
        ["--write-to-list", "٥", "--yes"],  # noqa: RUF001 - a digit that int() takes
        ["--remove"],
    ],
)
def test_a_call_that_makes_no_sense_asks_nothing(
    world: World, account: Account, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    assert world.command("probe", "acme", *options) == ExitCode.USAGE
    assert not account.asked


@pytest.mark.parametrize(("reply", "goes_on"), [(True, True), (False, False)])
def test_a_person_is_asked_before_anything_is_written(
    world: World, account: Account, reply: bool, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def confirm(text: str, *, abort: bool, err: bool) -> None:
        questions.append(text)
        assert abort
        assert err
        if not reply:
            raise typer.Abort

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", confirm)

    code = world.command("probe", "acme", "--write-to-list", "5")

    assert code == (ExitCode.DONE if goes_on else ExitCode.INTERRUPTED)
    assert account.asked is goes_on
    (question,) = questions
    assert "list 5" in question
    assert "example.com" in question


def test_reading_needs_nobody_to_agree(world: World, account: Account) -> None:
    assert world.command("probe", "acme") == ExitCode.DONE
    assert "The simulator's defaults fit this account." in world.out
    assert "made-up" not in world.out


def test_differences_become_a_command_for_the_simulator(world: World, account: Account) -> None:
    account.answers = {
        "bad_key": "401 with JSON",
        "contacts_251": "request refused with 413",
        "bytes_400001": "request refused with 413",
        "unknown_path": "400 with a page",
        "largest_page": None,
    }

    assert world.command("probe", "acme", "--write-to-list", "5", "--yes") == ExitCode.DONE
    command = "python -m sandbox.activecampaign --set bad_key_answer=unauthorized --set oversize_answer=413"
    assert command in [line.strip() for line in world.out.splitlines()]
    assert "Without a switch in the simulator: unknown_path." in world.out
    assert "does not tell" in world.out
    assert f"search the contacts for {TOKEN}" in world.out

    assert world.command("probe", "acme", "--write-to-list", "5", "--yes", "--json") == ExitCode.DONE
    document = world.document
    assert document["switches"] == ["bad_key_answer=unauthorized", "oversize_answer=413"]
    differs = {entry["question"]: entry["differs"] for entry in document["findings"]}
    assert {name for name, value in differs.items() if value} == account.answers.keys() - {"largest_page"}
    assert differs["largest_page"] is None
    assert document["written"] == {"list": "5", "token": TOKEN, "tag": "exporter-probe", "removed": None}


def test_removed_contacts_are_counted(world: World, account: Account) -> None:
    world.command("probe", "acme", "--write-to-list", "5", "--yes", "--remove")

    assert f"Removed 4 made-up contacts with {TOKEN} in the address." in world.out


def test_a_probe_that_ends_in_the_middle_says_what_it_left(world: World, account: Account) -> None:
    account.error = RetryLaterError("ActiveCampaign would answer no more")

    assert world.command("probe", "acme", "--write-to-list", "5", "--yes", "--json") == ExitCode.ERROR
    assert world.document["error"]["code"] == "retry_later"
    assert TOKEN in world.err


def test_an_unknown_connection_is_named(world: World) -> None:
    assert world.command("probe", "nobody") == ExitCode.ERROR
    assert "there is no connection 'nobody'" in world.err
