import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

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
        (ClientAuthenticationError("AccountKey=canary"), "storage_denied", "refuses the key"),
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
