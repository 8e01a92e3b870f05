"""The platform's worker in an environment of its own; where there is no Python 3.13, its tests say so."""

import os
from pathlib import Path

import pytest

from sandbox.worker_check.python import NoPythonError, ensure_environment, find_python
from tests.runs.site import ROOT


@pytest.fixture(scope="session")
def worker_python() -> Path:
    """The Python of the worker's environment, which is built once and kept."""
    try:
        python = find_python(os.environ)
    except NoPythonError as problem:
        pytest.skip(f"NOT SHOWN in the platform's worker: {problem}")
    return ensure_environment(ROOT / ".venv-worker", ROOT / "requirements-worker.txt", python)
