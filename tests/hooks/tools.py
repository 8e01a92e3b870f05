"""Stand-ins for `az` and `azd` on PATH: they answer from a table and write down how they were called."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOOKS = Path(__file__).parents[2] / "infra" / "hooks"

_TOOL = """#!{python}
import json, pathlib, sys
home = pathlib.Path({home!r})
call = pathlib.Path(sys.argv[0]).name + " " + " ".join(sys.argv[1:])
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
rules = json.loads((home / "answers").read_text())
for beginning, answers in rules.items():
    if call.startswith(beginning):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        (home / "answers").write_text(json.dumps(rules))
        sys.exit(1) if answer is None else print(answer)
        break
else:
    sys.exit("no answer for: " + call)
"""

REFUSED = None
"""The answer of a command that fails, as for somebody without the right."""


@dataclass
class Ended:
    """How a hook ended."""

    code: int
    out: str
    err: str
    calls: list[str]
    """Every call of `az` and `azd`, in order, arguments with a blank between."""

    def made(self, beginning: str) -> list[str]:
        """The calls that begin so."""
        return [call for call in self.calls if call.startswith(beginning)]

    def written(self) -> list[str]:
        """The calls that change something."""
        verbs = ("create", "update", "set", "post")
        return [call for call in self.calls if any(verb in shlex.split(call)[1:6] for verb in verbs)]


@dataclass
class Tools:
    """A folder with the two tools, and what they answer."""

    home: Path
    answers: dict[str, list[str | None]] = field(default_factory=dict)
    """By the beginning of a call; the first that fits. Answers in turn, the last one for ever; None fails."""

    def __post_init__(self) -> None:
        for tool in ("az", "azd"):
            path = self.home / tool
            path.write_text(_TOOL.format(python=sys.executable, home=str(self.home)))
            path.chmod(0o755)

    def run(self, hook: str, environment: Mapping[str, str]) -> Ended:
        """Run a hook to its end, in a folder that is not the checkout's."""
        (self.home / "answers").write_text(json.dumps(self.answers))
        (self.home / "calls").write_text("")
        path = f"{self.home}{os.pathsep}/usr/bin{os.pathsep}/bin"
        ended = subprocess.run(
            ["/bin/sh", str(HOOKS / hook)],
            env={"PATH": path, **environment},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        calls = [json.loads(line) for line in (self.home / "calls").read_text().splitlines()]
        return Ended(ended.returncode, ended.stdout, ended.stderr, calls)
