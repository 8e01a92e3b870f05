"""Python 3.13 and the environment of the worker: the app's requirements, and the platform's runtime."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

VERSION = (3, 13)
SETTING = "PYTHON313"
REMEDY = (
    f"install one, for example with `.venv/bin/uv python install 3.13`, and name it: "
    f"`make worker-check {SETTING}=/path/to/python3.13`"
)
_ASK = "import sys; print(*sys.version_info[:2])"


class NoPythonError(Exception):
    """There is no Python 3.13 here; the text says what was tried and what helps."""


class InstallError(Exception):
    """The worker's environment could not be built; the text has the installer's last words."""


def find_python(environment: Mapping[str, str]) -> str:
    """Return a Python 3.13 that runs: the one that is named, the one on PATH, ours, or one of pyenv's.

    That a name is on PATH tells little: pyenv's stand-ins are there for versions that are switched off.
    """
    if named := environment.get(SETTING):
        if _runs(named):
            return named
        raise NoPythonError(f"{SETTING} names {named}, which is no Python 3.13 that runs")
    for candidate in _candidates(environment):
        if _runs(candidate):
            return candidate
    raise NoPythonError(f"there is no Python 3.13 here; {REMEDY}")


def _candidates(environment: Mapping[str, str]) -> Iterator[str]:
    yield "python3.13"
    yield sys.executable
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob("versions/3.13*/bin/python"), reverse=True))


def _runs(python: str) -> bool:
    command = shutil.which(python)
    if command is None:
        return False
    try:
        asked = subprocess.run([command, "-c", _ASK], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and asked.stdout.split() == [str(number) for number in VERSION]


def ensure_environment(folder: Path, requirements: Path, python: str) -> Path:
    """Return the environment's Python; it is built where it is missing or other than asked for.

    Raises InstallError. Several may ask at once: one builds, the others wait.
    """
    executable = folder / "bin" / "python"
    mark = folder / "built-from"
    wanted = hashlib.sha256(requirements.read_bytes() + python.encode()).hexdigest()
    with requirements.open("rb") as asked_for:
        fcntl.flock(asked_for, fcntl.LOCK_EX)
        if not (mark.is_file() and mark.read_text() == wanted and executable.exists()):
            mark.unlink(missing_ok=True)
            _run([python, "-m", "venv", "--clear", str(folder)])
            install = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
            _run([str(executable), "-m", "pip", *install, "-r", str(requirements)])
            mark.write_text(wanted)
    return executable


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    if done.returncode:
        raise InstallError(
            f"{' '.join(command[:4])} … failed: {(done.stderr or done.stdout)[-2000:].strip()}"
        )
