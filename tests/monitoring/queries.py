"""All Log Analytics queries of the project, and what Microsoft's parser makes of them."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from sandbox.azurite import find_node

ROOT: Final = Path(__file__).resolve().parents[2]
INFRA: Final = ROOT / "infra"
QUERIES: Final = INFRA / "queries"
_PARSER: Final = Path(__file__).with_name("parse_queries.cjs")
_PACKAGE: Final = ROOT / ".azurite" / "node_modules" / "@kusto" / "language-service-next"
_COMMENT: Final = re.compile(r"^\s*//.*$", re.MULTILINE)

_APP_COLUMNS: Final = (
    "TimeGenerated: datetime, Properties: dynamic, OperationId: string, OperationName: string, "
    "AppVersion: string, ItemCount: int, "
)
TABLES: Final = {
    "AppTraces": _APP_COLUMNS + "Message: string, SeverityLevel: int",
    "AppMetrics": _APP_COLUMNS + "Name: string, Sum: real, Min: real, Max: real",
    "AppRequests": _APP_COLUMNS + "Name: string, DurationMs: real, Success: bool",
    "AppExceptions": _APP_COLUMNS + "ExceptionType: string",
    "Usage": "TimeGenerated: datetime, DataType: string, Quantity: real, IsBillable: bool",
}
"""The columns that queries use, of tables that the platform defines:
learn.microsoft.com/azure/azure-monitor/reference/tables-index."""


def question_files() -> list[Path]:
    """The questions that an operator asks."""
    return sorted(QUERIES.glob("*.kql"))


def alert_files() -> list[Path]:
    """The queries of log search alerts."""
    return sorted((QUERIES / "alerts").glob("*.kql"))


def first_comment(path: Path) -> str:
    """What a query's first line asks."""
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("// ")


def workbook_items() -> list[dict[str, Any]]:
    """The parts of the workbook in their order."""
    items: list[dict[str, Any]] = json.loads((INFRA / "workbook.json").read_text(encoding="utf-8"))["items"]
    return items


def all_queries() -> dict[str, str]:
    """Every query by its name, with values in the place of what the templates fill in."""
    found = {
        str(path.relative_to(QUERIES)): path.read_text(encoding="utf-8")
        for path in [*question_files(), *alert_files()]
    }
    found |= {
        f"workbook: {item['name']}": item["content"]["query"]
        for item in workbook_items()
        if item["type"] == 3
    }
    return {
        name: text.replace("<everyHours>", "26").replace("<exportId>", "vip") for name, text in found.items()
    }


def without_comments(query: str) -> str:
    """A query's text as far as it is run."""
    return _COMMENT.sub("", query)


@dataclass(frozen=True)
class Parsed:
    """What the parser says of a query."""

    columns: tuple[str, ...]
    """Of its result."""
    problems: tuple[str, ...]
    """Syntax errors, and names that neither a table nor the language has; each with its line."""


def parse(queries: Mapping[str, str]) -> dict[str, Parsed]:
    """Parse queries, by name."""
    answer = subprocess.run(
        [find_node(), str(_PARSER), str(_PACKAGE)],
        input=json.dumps({"tables": TABLES, "queries": queries}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {
        name: Parsed(tuple(found["columns"]), tuple(found["problems"]))
        for name, found in json.loads(answer.stdout).items()
    }


@cache
def parsed_queries() -> dict[str, Parsed]:
    """All queries as the parser sees them."""
    return parse(all_queries())
