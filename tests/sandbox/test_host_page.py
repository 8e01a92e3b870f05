"""The page about the local host tells the truth about its command line and its routes."""

import re
from pathlib import Path

import pytest

from sandbox.host import __main__ as command_line
from sandbox.host import front, queues
from sandbox.host.options import Options

PAGE = (Path(__file__).parents[2] / "docs" / "local-host.md").read_text(encoding="utf-8")


def test_the_page_lists_the_options_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.parse_options(["--help"])
    offered = set(re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert offered == set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE))


def test_the_page_has_the_figures_of_the_code() -> None:
    words = " ".join(PAGE.split())
    minutes = queues.LEASE_SECONDS / 60
    assert f"taken for {minutes:g} minutes and renewed every {minutes / 2:g}" in words
    assert f"504 after {front._ANSWER_SECONDS:g} s" in words
    assert f"more than {Options().init_seconds:g} s to load" in words
    assert f"`--port N` | the loopback port; {Options().port}, the default" in words
