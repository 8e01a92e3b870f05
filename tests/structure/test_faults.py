"""The table of faults in docs/delivery.md is whole, and names only tests that exist."""

import ast
import re
from functools import cache
from typing import Final

from tests.structure.test_docs import ROOT, text_of

FAULT_COUNT: Final = 64
ROW: Final = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)
TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
NOT_BUILT: Final = "not built: "


def rows() -> list[tuple[int, str, str]]:
    """Number, behaviour and tests of every row of the table."""
    table = text_of("docs/delivery.md").partition("\n## Faults\n")[2].partition("\n## ")[0]
    return [(int(number), behaviour, tests) for number, _, behaviour, tests in ROW.findall(table)]


@cache
def named_in(path: str) -> frozenset[str]:
    """The test functions of a file; none where there is no file."""
    if not (ROOT / path).is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.parse(text_of(path)).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_fault_has_one_row_and_they_are_in_order() -> None:
    assert [number for number, _, _ in rows()] == list(range(1, FAULT_COUNT + 1))


def test_every_row_names_a_test_unless_there_is_nothing_to_test_yet() -> None:
    for number, behaviour, tests in rows():
        assert TEST.search(tests) or behaviour.startswith(NOT_BUILT), number


def test_every_test_that_is_named_exists() -> None:
    named = [(number, *match) for number, _, tests in rows() for match in TEST.findall(tests)]
    assert [entry for entry in named if entry[2] not in named_in(entry[1])] == []


def test_nothing_but_tests_is_in_the_last_column() -> None:
    for number, _, tests in rows():
        assert re.sub(rf"{TEST.pattern}|<br>|\s", "", tests) == "", number
