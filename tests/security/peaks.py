"""The peak memory of a program that plans a made-up file, in a process of its own."""

import os
import subprocess
import sys

from tests.runs.site import ROOT


def peak_of_program(program: str, *arguments: str) -> tuple[str, int]:
    """Run a program that prints how its plan ended and its peak; both, as it has printed them."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    outcome, peak = ended.stdout.split()
    return outcome, int(peak)
