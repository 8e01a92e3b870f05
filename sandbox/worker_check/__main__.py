"""`python -m sandbox.worker_check`: every function of an app, in the platform's own worker."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from sandbox.processes import StartError
from sandbox.worker_check.calls import read_plan
from sandbox.worker_check.comparison import Verdict, compare
from sandbox.worker_check.package import pack
from sandbox.worker_check.python import InstallError, NoPythonError, ensure_environment, find_python
from sandbox.worker_check.trial import ROOT, TrialError, run_trial

DIFFERENT, CANNOT_RUN = 1, 3


def check_app(app_dir: Path, calls: Path, worker_python: Path) -> Verdict:
    """Let the worker and the local host run what would be deployed of a folder, and compare.

    Raises TrialError and StartError where that is not possible.
    """
    plan = read_plan(calls)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        return compare(run_trial(pack(app_dir.resolve(), folder / "app"), plan, worker_python, folder), plan)


def main() -> int:
    """Run the check; 0 is the same, 1 a difference, 3 that it can't run here."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.worker_check", description=main.__doc__)
    parser.add_argument("--app-dir", type=Path, default=Path.cwd(), help="folder of function_app.py")
    parser.add_argument("--calls", type=Path, required=True, help="what each function is called with")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    try:
        python = ensure_environment(
            ROOT / ".venv-worker", ROOT / "requirements-worker.txt", find_python(os.environ)
        )
        verdict = check_app(options.app_dir, options.calls, python)
    except (NoPythonError, InstallError, StartError, TrialError) as problem:
        print(f"The worker check has not run: {problem}", file=sys.stderr)  # noqa: T201 - says why
        return CANNOT_RUN
    text = json.dumps(verdict.to_document(), indent=2) if options.json else _table(verdict)
    print(text)  # noqa: T201 - the outcome
    return 0 if verdict.ok else DIFFERENT


def _table(verdict: Verdict) -> str:
    width = max([len(row.function) for row in verdict.rows] + [len("function")])
    lines = [f"{'function':{width}}  indexed  loaded  invoked  same as local host"]
    for row in verdict.rows:
        indexed, loaded, same = ("yes" if fact else "NO" for fact in (row.indexed, row.loaded, row.same))
        lines.append(f"{row.function:{width}}  {indexed:7}  {loaded:6}  {row.invoked:7}  {same}")
    lines += ["", *(f"* {difference}" for difference in verdict.differences)]
    what = "Every function is the same in both." if verdict.ok else "The worker and the local host differ."
    return "\n".join([*lines, f"{what} Worker on Python {verdict.python}."])


if __name__ == "__main__":
    sys.exit(main())
