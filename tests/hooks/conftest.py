"""Fixtures of the hooks' tests."""

from pathlib import Path

import pytest

from tests.hooks.tools import Tools


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)
