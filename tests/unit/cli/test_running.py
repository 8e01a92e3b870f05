import json
import os
import signal
import socket
import subprocess
import sys
from unittest.mock import Mock

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

from exporter.cli.main import run_command_line
from exporter.cli.running import ExitCode, exit_code, explain
from exporter.errors import ConfigurationError, ConflictError, RetryLaterError, StopRunError
from tests.unit.cli.world import World, a_report


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([], ExitCode.DONE),
        ([a_report("succeeded", delivered=1)], ExitCode.DONE),
        ([a_report("partly_failed", delivered=1, rejected=1)], ExitCode.PARTLY_FAILED),
        ([a_report("failed", rejected=1)], ExitCode.FAILED),
        ([a_report("superseded", undelivered=1)], ExitCode.FAILED),
        ([a_report("superseded", delivered=1, undelivered=1)], ExitCode.PARTLY_FAILED),
        ([a_report("cancelled", undelivered=1)], ExitCode.FAILED),
        ([a_report("skipped")], ExitCode.FAILED),
        ([a_report("succeeded", delivered=1), a_report("failed", rejected=1)], ExitCode.FAILED),
    ],
)
def test_the_exit_code_is_the_worst_of_the_ends(reports: list[object], code: ExitCode) -> None:
    assert exit_code(reports) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigurationError("the host is wrong"), "configuration", "the host is wrong"),
        (StopRunError("list_missing", "no such list"), "list_missing", "no such list"),
        (ConflictError("vip changed"), "conflict", "run it again"),
        (RetryLaterError("no answer"), "retry_later", "try again later"),
        (FileNotFoundError(2, "No such file", "a.yaml"), "file", "a.yaml: No such file"),
        (ServiceRequestError("AccountKey=canary"), "storage_unreachable", "does not answer"),
        (ClientAuthenticationError("AccountKey=canary"), "no_identity", "no identity gives a token"),
        (
            ClientAuthenticationError(response=Mock(status_code=403, reason="AccountKey=canary")),
            "storage_denied",
            "refuses the key",
        ),
        (HttpResponseError("AccountKey=canary"), "storage", "refuses a request"),
        (ValueError("AccountKey=canary"), "unexpected", "ValueError"),
    ],
)
def test_every_error_is_one_clear_message_without_secrets(error: Exception, code: str, text: str) -> None:
    known, message = explain(error)
    assert known == code
    assert text in message
    assert "canary" not in message


def test_a_missing_setting_is_an_error_for_people(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPORTER_STORAGE")
    assert world.command("run", "list") == ExitCode.ERROR
    assert world.out == ""
    assert world.err.startswith("Error: EXPORTER_STORAGE: is missing")


def test_a_missing_setting_is_a_document_for_programs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPORTER_STORAGE")
    assert world.command("run", "list", "--json") == ExitCode.ERROR
    assert world.document["error"]["code"] == "configuration"
    assert "EXPORTER_STORAGE: is missing" in world.document["error"]["message"]


@pytest.mark.parametrize(
    "arguments", [["run", "list", "--bogus"], ["bogus"], ["export", "show"], ["drop", "a.csv"]]
)
def test_a_wrong_call_is_a_usage_error(world: World, arguments: list[str]) -> None:
    assert world.command(*arguments) == ExitCode.USAGE
    assert world.out == ""
    assert world.err
    assert world.command(*arguments, "--json") == ExitCode.USAGE
    assert world.document["error"]["code"] == "usage"


def test_a_traceback_is_shown_only_when_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("canary")

    monkeypatch.setattr(world.registry, "exports", broken)
    assert world.command("export", "list") == ExitCode.ERROR
    assert "Traceback" not in world.err
    assert "canary" not in world.err
    monkeypatch.setenv("EXPORTER_DEBUG", "1")
    assert world.command("export", "list", "--json") == ExitCode.ERROR
    assert "Traceback" in world.err
    assert world.document["error"]["code"] == "unexpected"


def test_help_is_not_an_error(world: World) -> None:
    for arguments in (["--help"], ["run", "--help"], ["drop", "--help"]):
        assert world.command(*arguments) == ExitCode.DONE
        assert "Usage" in world.out


def test_help_lists_the_commands(world: World) -> None:
    world.command("--help")
    for name in ("demo", "up", "apply", "drop", "connection", "export", "run"):
        assert f" {name} " in world.out


INTERRUPTED = {"error": {"code": "interrupted", "message": "the command was interrupted before its end"}}


def storage_at(port: int) -> str:
    return (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        f"QueueEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
    )


def interrupt(process: "subprocess.Popen[bytes]", how: signal.Signals) -> tuple[int, bytes, bytes]:
    """Send the signal; gives exit code, stdout and stderr."""
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [["--json"], []])
def test_an_interrupted_command_says_so(how: signal.Signals, options: list[str]) -> None:
    # The signal is not ignored, even if whoever runs the tests ignores it.
    command = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from exporter.cli.main import main; main()"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-c", command, "run", "list", *options],
            env={**os.environ, "EXPORTER_STORAGE": storage_at(silent.getsockname()[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                code, out, err = interrupt(process, how)
        finally:
            process.kill()
    assert code == ExitCode.INTERRUPTED
    if options:
        assert json.loads(out) == INTERRUPTED
        assert (out.count(b"\n"), err) == (1, b"")
    else:
        assert (out, err) == (b"", b"Interrupted.\n")


_COMMAND = """
import asyncio, signal, sys
import typer
from exporter.cli.running import run

signal.signal(signal.SIGINT, signal.default_int_handler)

async def work(output):
    {work}

try:
    run(work, as_json=True)
except typer.Exit as end:
    sys.exit(end.exit_code)
"""
_READS_STDIN = "output.note('go'); sys.stdin.read()"
_HAS_SAID = "output.document({'ready': True}); output.note('go'); await asyncio.sleep(600)"
_TIDIES_UP = """try:
        output.note('go'); await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0); output.note('tidy')"""


@pytest.mark.parametrize(
    ("work", "how", "document", "said"),
    [
        (_READS_STDIN, signal.SIGTERM, INTERRUPTED, b""),
        (_HAS_SAID, signal.SIGINT, {"ready": True}, b"Error: the command was interrupted before its end\n"),
        (_HAS_SAID, signal.SIGTERM, {"ready": True}, b"Error: the command was interrupted before its end\n"),
        (_TIDIES_UP, signal.SIGINT, INTERRUPTED, b"tidy\n"),
        (_TIDIES_UP, signal.SIGTERM, INTERRUPTED, b"tidy\n"),
    ],
)
def test_an_interrupted_command_writes_one_document_and_tidies_up(
    work: str, how: signal.Signals, document: object, said: bytes
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND.format(work=work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == b"go\n"
        assert process.stdin is not None
        stdin, process.stdin = process.stdin, None  # kept open: nobody ends the command that way
        with stdin:
            code, out, err = interrupt(process, how)
    finally:
        process.kill()
    assert code == ExitCode.INTERRUPTED
    assert json.loads(out) == document
    assert err == said


def test_sigterm_is_as_it_was_after_a_command(world: World) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert world.command("run", "list") == ExitCode.DONE
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_storage_that_refuses_is_told_after_one_more_try(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses = []

    async def note_pause(_: object, seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("azure.core.pipeline.transport.AsyncHttpTransport.sleep", note_pause)
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("EXPORTER_STORAGE", storage_at(taken.getsockname()[1]))
        assert run_command_line(["run", "list", "--json"]) == ExitCode.ERROR
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "storage_unreachable"
    assert pauses
    assert max(pauses) <= 4
