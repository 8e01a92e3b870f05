"""What the code can change in ActiveCampaign is what the promise about consent allows."""

import ast
from collections.abc import Iterator
from typing import Final

from tests.structure.test_docs import ROOT

WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CLIENT: Final = "exporter/adapters/activecampaign/client.py"
ERASE: Final = "exporter/steps/erase.py"
PROBE: Final = "exporter/steps/probe_writes.py"
"""Removes the contacts that the probe itself has made, each marked twice as its own."""

AZURE: Final = "exporter/adapters/deployment.py"
"""Azure tells an app's settings and a webhook's address to a POST only; it is asked, and not changed."""


def writing_calls() -> Iterator[tuple[str, str, str]]:
    """File, method and what is written of the path, of every call that may change something."""
    for module in sorted((ROOT / "exporter").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                method = node.args[0].value
                if method in WRITING:
                    name = str(module.relative_to(ROOT))
                    yield name, str(method), " ".join(ast.unparse(rest) for rest in node.args[1:])


def test_nothing_but_the_bulk_importer_writes_to_activecampaign() -> None:
    """So nobody's list status is ever set, and nobody is resubscribed who has left."""
    calls = list(writing_calls())

    assert (CLIENT, "POST", "'import/bulk_import'") in calls
    others = [call for call in calls if call[1:] != ("POST", "'import/bulk_import'")]
    assert sorted((name, method) for name, method, _ in others) == [
        (CLIENT, "DELETE"),
        (AZURE, "POST"),
        (PROBE, "DELETE"),
    ]


def test_azure_is_changed_by_nobody() -> None:
    """A POST to Azure Resource Manager is one of the two questions that it takes no GET for."""
    tree = ast.parse((ROOT / "exporter/steps/deployment.py").read_text(encoding="utf-8"))
    posted = {
        ast.literal_eval(call.args[1])
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "Ask"
        and any(
            keyword.arg == "is_post" and ast.unparse(keyword.value) == "True" for keyword in call.keywords
        )
    }
    assert posted == {"/config/appsettings/list", "/getFullUrl"}


def test_nobody_but_an_erasure_deletes_a_contact() -> None:
    using = [
        str(module.relative_to(ROOT))
        for module in sorted((ROOT / "exporter").rglob("*.py"))
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "delete"
        and ast.unparse(node.value) == "destination"
    ]
    assert using == [ERASE]


def test_no_method_is_named_in_another_way() -> None:
    """Every place where a writing method stands as text is one of those calls."""
    constants = [
        node.value
        for module in (ROOT / "exporter").rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert len([text for text in constants if text in WRITING]) == len(list(writing_calls()))
