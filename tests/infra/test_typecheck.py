"""The check of types and names finds each fault that is planted into the samples, and none in the samples."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.infra import lint
from tests.infra.deployment import deploy
from tests.infra.resource_types import TYPES, ResourceTypes
from tests.infra.template import read_template
from tests.infra.trim_types import trimmed
from tests.infra.typecheck import read_problems, resource_problems

SAMPLES = Path(__file__).parent / "samples"
TYPES_HERE = ResourceTypes(TYPES)


def problems_in(folder: Path) -> list[str]:
    """All that the checks of one deployment by itself find."""
    templates = [read_template(path) for path in sorted(folder.resolve().glob("*.bicep"))]
    found = [
        problem
        for template in templates
        for check in (
            lint.undeclared_names,
            lint.unused_names,
            lint.undescribed,
            lint.missing_files,
            lint.late_names,
        )
        for problem in check(template)
    ]
    for template in templates:
        found += [*template.problems, *lint.module_problems(template), *read_problems(template, TYPES_HERE)]
    deployment = deploy(folder / "main.bicep", {"environmentName": "prod"}, every=True)
    found += [problem for one in deployment.resources for problem in resource_problems(one, TYPES_HERE)]
    return [*found, *lint.unread_outputs(templates), *lint.unfit_arguments(deployment)]


def test_the_samples_are_without_fault() -> None:
    assert problems_in(SAMPLES) == []


FAULTS = [
    ("store.bicep", "kind: 'StorageV2'\n", "", "required 'kind' is missing"),
    (
        "store.bicep",
        "properties: {\n    min",
        "properties: {\n    accessTier: 'Warm'\n    min",
        "'Warm' is none of",
    ),
    ("store.bicep", "minimumTlsVersion", "minimumTLSVersion", "should be written 'minimumTlsVersion'"),
    ("store.bicep", "supportsHttpsTrafficOnly", "supportsHttpOnly", "unknown property 'supportsHttpOnly'"),
    ("store.bicep", "TrafficOnly: true", "TrafficOnly: 'yes'", "str given, BooleanType wanted"),
    (
        "store.bicep",
        "properties: {\n    min",
        "properties: {\n    primaryLocation: 'x'\n    min",
        "is read-only",
    ),
    ("store.bicep", "@2023-05-01", "@2023-05-99", "no type Microsoft.Storage/storageAccounts@2023-05-99"),
    (
        "store.bicep",
        "'queueServices'",
        "'queueService'",
        "no type Microsoft.Storage/storageAccounts/queueService@",
    ),
    ("store.bicep", "days: days\n", "days: 0\n", "0 is not from 1 to 365"),
    ("store.bicep", "days: days\n", "days: '${account.id}'\n", "text given, IntegerType wanted"),
    ("store.bicep", "guid(same.id", "guid(same.ids", "same has no 'ids'"),
    (
        "store.bicep",
        "primaryEndpoints.blob",
        "primaryEndpoints.blobs",
        "has no 'properties.primaryEndpoints.blobs'",
    ),
    ("store.bicep", "name: name\n  loc", "name: nme\n  loc", "nothing is called 'nme'"),
    ("store.bicep", "var role", "var other = 1\nvar role", "'other' is not used"),
    ("store.bicep", "@description('Queues to make.')", "", "'queueNames' has no @description"),
    ("store.bicep", "guid(same.id", "guid(same.location", "same.location is not known before"),
    ("main.bicep", "if (second)", "if (first.outputs.name == 'x')", "first.outputs.name is not known before"),
    ("store.bicep", "output uri", "output more string = name\noutput uri", "nobody reads the output 'more'"),
    ("main.bicep", "large.json", "larger.json", "there is no file larger.json"),
    ("main.bicep", "days: 1\n", "", "'days' is not given"),
    ("main.bicep", "days: 1\n", "days: 1\n    hours: 2\n", "has no parameter 'hours'"),
    ("main.bicep", "days: 1\n", "days: '1'\n", "'days' is str, not int"),
    ("main.bicep", "days: 1\n", "days: 1000\n", "'days' is 1000, 1 to 365 wanted"),
    ("main.bicep", "= 'small'", "= 'tiny'", "'size' is 'tiny', none of ['small', 'large']"),
    ("main.bicep", "first.outputs.uri", "first.outputs.url", "has no output 'url'"),
    ("main.bicep", "output SECOND", "output SECOND SECOND", "syntax error near"),
]


@pytest.mark.parametrize(("file", "old", "new", "problem"), FAULTS, ids=[fault[3] for fault in FAULTS])
def test_a_planted_fault_is_found(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    shutil.copytree(SAMPLES, tmp_path / "infra")
    path = tmp_path / "infra" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    assert any(problem in found for found in problems_in(tmp_path / "infra"))


def test_trimming_keeps_a_resource_with_all_that_it_refers_to() -> None:
    text = {"$type": "StringType"}
    described = {"type": {"$ref": "#/0"}, "flags": 0, "description": "What it is."}
    kept = {key: described[key] for key in ("type", "flags")}
    types: list[dict[str, Any]] = [
        text,
        {"$type": "ObjectType", "name": "B", "properties": {}},
        {"$type": "ObjectType", "name": "A", "properties": {"description": described}},
        {"$type": "ResourceType", "name": "B@1", "body": {"$ref": "#/1"}},
        {"$type": "ResourceType", "name": "A@1", "body": {"$ref": "#/2"}},
    ]

    assert trimmed(types, ["a@1"]) == [
        text,
        {"$type": "ObjectType", "name": "A", "properties": {"description": kept}},
        {"$type": "ResourceType", "name": "A@1", "body": {"$ref": "#/1"}},
    ]
