"""Runs checkov over the templates (`make scan`) and fails on what it finds, or on what it could not read.

checkov ends well when it could not parse a file: it leaves that file out and says so in its summary. So the
summary is read here. A finding is mended in the template, or answered there with a line
`// checkov:skip=ID: reason` inside of the resource's braces.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parent
CHECKOV = INFRA.parent / ".checkov" / "bin" / "checkov"
# Without these it asks a service on the internet for its guidelines, and complains when that does not answer.
ENVIRONMENT = {**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"}
NO_REASON = "No comment provided"
"""What checkov puts where a skipped check has no reason."""


def problems_in(report: dict[str, Any]) -> Iterator[str]:
    """What is wrong, a line each."""
    if report["summary"]["parsing_errors"]:
        yield f"could not be read: {', '.join(report['results']['parsing_errors'])}"
    for check in report["results"]["failed_checks"]:
        line = check["file_line_range"][0]
        yield f"infra{check['file_path']}:{line}: {check['check_id']} {check['check_name']}"
    for check in report["results"]["skipped_checks"]:
        if check["check_result"]["suppress_comment"] in ("", NO_REASON):
            yield f"infra{check['file_path']}: {check['check_id']} is skipped without a reason"


def main() -> int:
    """Run the scanner and print what it says; 1 if there is anything."""
    command = [str(CHECKOV), "--directory", str(INFRA), "--framework", "bicep", "--output", "json"]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    sys.stderr.write(ended.stderr)  # a check that crashed has found nothing, and says so here alone
    report = json.loads(ended.stdout)
    summary = report["summary"]
    problems = list(problems_in(report))
    answered = f"{summary['passed']} checks passed, {summary['skipped']} answered, {len(problems)} problems"
    sys.stdout.write("\n".join([*problems, answered]) + "\n")
    return 1 if problems or ended.stderr else 0


if __name__ == "__main__":
    sys.exit(main())
