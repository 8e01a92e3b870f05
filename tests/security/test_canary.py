"""Keys and people are looked for in all that the suite puts out, and the search finds what is there."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from exporter.settings import SecretText, Settings, StorageAccount
from exporter.steps.events import Event
from exporter.steps.messages import PlanMessage
from sandbox.azurite import Azurite
from tests.canary import KEY, OPERATOR, Watch, keys_in, people_in
from tests.fakes.telemetry import FakeTelemetry
from tests.runs import site

ROOT = Path(__file__).resolve().parents[2]

CONFTEST = """
from tests.conftest import (
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
"""
PLANTED = {
    "log": f"logging.getLogger('exporter').warning('it is {KEY}')",
    "stdout": f"print('{KEY}')",
    "stderr_of_a_process": f"os.write(2, b'{KEY}')",
    "base64": f"print('{base64.b64encode(KEY.encode()).decode()}')",
    "address": "logging.getLogger('azure').error('ada.brook.7@mail.example.com')",
    "phone": "print('+4712345678', file=sys.stderr)",
}
FINE = {
    "what_a_command_shows_people": "print('ada.brook.7@example.com')",
    "an_operator": f"print('{OPERATOR}', file=sys.stderr)",
}


def run_suite(folder: Path, statements: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a suite, each test of which does one thing and passes, under the hooks of this one."""
    tests = [f"def test_{name}():\n    {statement}\n" for name, statement in statements.items()]
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_planted.py").write_text("\n".join(["import logging, os, sys", *tests]))
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(folder),
            str(folder),
            *options,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_session_that_lets_something_out_fails_though_its_tests_pass(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, PLANTED | FINE)

    assert f"{len(PLANTED | FINE)} passed" in ended.stdout
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    found = set(re.findall(r"^test_planted\.py::test_(\w+): Captured", ended.stdout, re.MULTILINE))
    assert found == PLANTED.keys()


def test_what_one_of_several_processes_finds_by_itself_fails_the_session(tmp_path: Path) -> None:
    look = f"from tests.canary import WATCH; WATCH.look('a blob', '{KEY}')"

    ended = run_suite(tmp_path, {"of_a_blob": look} | FINE, "-n", "2")

    assert f"{1 + len(FINE)} passed" in ended.stdout
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert re.findall(r"^a blob: '(.*)' \(1 in all\)", ended.stdout, re.MULTILINE) == ["canary-key"]


def test_what_may_be_shown_fails_no_session(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, FINE)

    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert "none may be" not in ended.stdout


@pytest.mark.parametrize(
    "text",
    [
        "ann7@example.org",
        "<ADA.BROOK.7@MAIL.EXAMPLE.COM>",
        "?email=ada.brook.7%40example.net",
        "o'failing@example.org",
        "canary1@secret-domain.example",
        "+4712345678",
        "phone=%2B4712345678",
        "Łukasz",
        "Smith-Jones",
        "Birdwood",
    ],
)
def test_people_are_found_in_every_form(text: str) -> None:
    watch = Watch()
    watch.look("here", f"before {text}, after")
    watch.look("a place for people", f"before {text}, after", people=False)

    assert watch.findings.keys() == {"here"}


def test_an_operator_and_a_host_are_nobody() -> None:
    assert people_in(f"accepted by {OPERATOR} on acme.api-us1.com; 4712345678 rows") == []
    assert keys_in("secret activecampaign-acme") == []


@pytest.fixture
def left_behind() -> Iterator[tuple[str, BlobServiceClient, QueueServiceClient]]:
    """A storage of its own, to leave something behind in."""
    with (
        Azurite() as storage,
        BlobServiceClient.from_connection_string(storage.connection_string) as blobs,
        QueueServiceClient.from_connection_string(storage.connection_string) as queues,
    ):
        yield storage.connection_string, blobs, queues


def test_a_site_is_searched_in_its_logs_blobs_and_queues(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left_behind: tuple[str, BlobServiceClient, QueueServiceClient],
) -> None:
    storage, blobs, queues = left_behind
    watch = Watch()
    monkeypatch.setattr(site, "WATCH", watch)
    person = "ann7@example.org"
    (tmp_path / "host.log").write_text(f"run.completed {person}\n")
    for container, blob, content in (
        ("segments", "vip/monday.csv", person),
        ("exporter", "plans/1/chunk.gz", person),
        ("exporter", "plans/1/with-key", KEY),
        ("exporter", "facts/1/receipt.json", person),
        ("exporter", f"runs/{person}.json", "{}"),
    ):
        with blobs.get_container_client(container) as client:
            if not client.exists():
                client.create_container()
            client.upload_blob(blob, content)
    queues.create_queue("plans-poison").send_message(person)

    site.search_site(tmp_path, storage)

    assert watch.findings.keys() == {
        str(tmp_path / "host.log"),
        "blob plans/1/with-key",
        "blob facts/1/receipt.json",
        f"name of runs/{person}.json",
        "message of plans-poison",
    }


def test_a_message_and_an_event_with_a_person_fail_the_test_that_makes_them() -> None:
    message = PlanMessage.model_construct(run_id="ann7@example.org")

    with pytest.raises(AssertionError):
        message.to_text()
    with pytest.raises(AssertionError):
        FakeTelemetry().event(Event.DROP_IGNORED, why="ann7@example.org")


@pytest.mark.parametrize(
    "value",
    [
        SecretText(KEY),
        StorageAccount(f"AccountName=acme;AccountKey={KEY}"),
        Settings.from_env(
            {"EXPORTER_STORAGE": f"AccountName=acme;AccountKey={KEY}", "EXPORTER_SECRET_ACME": KEY}
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_type_that_holds_a_secret_shows_it(value: object) -> None:
    whole = [repr(value), str(value), f"{value}"]
    if isinstance(value, Settings):
        whole += [repr(part) for part in (value.storage, value.landing, value.local_secrets)]

    assert keys_in("\n".join(whole)) == []
