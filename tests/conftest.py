"""What all tests share."""

import logging
import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from exporter.steps.messages import MAX_MESSAGE_BYTES, Message
from sandbox.azurite import Azurite
from tests.canary import WATCH, keys_in, people_in

# No test is timed, and the same examples are looked at everywhere.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

IN_REAL_TIME = {"identity", "runs", "telemetry", "worker"}
"""Folders of tests that start whole sites of several processes."""

# The width of a terminal is none of the tests' business; processes that share the tests are given one.
os.environ.pop("COLUMNS", None)

# As in host.json: at INFO the storage library logs every request.
logging.getLogger("azure").setLevel(logging.WARNING)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what a test has logged and printed; what commands print for people may show people."""
    for name, content in report.sections:
        WATCH.look(f"{report.nodeid}: {name}", content, people="stdout" not in name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take long though they mostly wait: other processes reckon meanwhile."""
    items.sort(key=lambda item: not _is_in_real_time(item.nodeid))


class _Sharing(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no type information
    """Shares the tests out between processes by module; one gets all that real clocks count for."""

    def _split_scope(self, nodeid: str) -> str:
        return "in real time" if _is_in_real_time(nodeid) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Sharing:
    """Say which process does what, where there are several."""
    return _Sharing(config, log)


def _is_in_real_time(nodeid: str) -> bool:
    return nodeid.split("/")[1] in IN_REAL_TIME


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A key or a person in the output fails the session, whatever its tests say."""
    if WATCH.findings:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if hasattr(session.config, "workeroutput"):  # one of several processes: the one that reports must know
        session.config.workeroutput["findings"] = WATCH.findings


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what one of several processes has found."""
    WATCH.findings.update(getattr(node, "workeroutput", {}).get("findings", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was found, and where."""
    if WATCH.findings:
        terminalreporter.section("keys or people where none may be", red=True)
    for where, what in WATCH.findings.items():
        terminalreporter.line(f"{where}: {what}")


@pytest.fixture(scope="session", autouse=True)
def _every_message_is_small_and_holds_nobody() -> Iterator[None]:
    """Checks each message of the session as it is put on a queue, pretended or real."""
    to_text = Message.to_text

    def checked(message: Message) -> str:
        text = to_text(message)
        assert len(text.encode()) <= MAX_MESSAGE_BYTES
        assert not keys_in(text) + people_in(text), text
        return text

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Message, "to_text", checked)
        yield


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a storage emulator that all tests share; name things uniquely in it."""
    with Azurite() as storage:
        yield storage.connection_string


class _MadeUpResponse(aiohttp.ClientResponse):
    """A response that aioresponses 0.7.9 can build: it does not know the newest argument."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"stream_writer": Mock(), **options})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Made-up answers for requests of aiohttp; any other request fails to connect."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _MadeUpResponse)
    with aioresponses() as mocked:
        yield mocked
