"""Which built-in recipe takes a blob, and what it makes of the name."""

from typing import Any

import pytest

from exporter.domain.recipe import PART, Recipe, compile_pattern, fill
from exporter.domain.recipes import BUILT_IN

INSTANCE = "CustomerInsights_abcd1234-4312-11f4-93dc-24f72f43e7d5"
GUID = "01b2c3d4-0000-1234-0000-438300ad6596"


def taken(blob: str) -> tuple[Recipe, dict[str, str]] | None:
    """The first recipe that fits, and the values that it found."""
    for recipe in BUILT_IN:
        match = compile_pattern(recipe.pattern).fullmatch(blob)
        if match is not None:
            return recipe, {name: value for name, value in match.groupdict().items() if value is not None}
    return None


@pytest.mark.parametrize(
    ("blob", "known_as", "segment", "shared"),
    [
        (
            f"{INSTANCE}/BlobExport/HighValueSegment/2026/11/23/1433/HighValueSegment_1.csv",
            "customer-insights",
            "HighValueSegment",
            {
                "instance": INSTANCE.partition("_")[2],
                "export": "BlobExport",
                "year": "2026",
                "month": "11",
                "day": "23",
                "time": "1433",
            },
        ),
        (
            f"exports/ci/{INSTANCE}/E/Churn_Prone/2026/11/23/0005/Other_12.csv",
            "customer-insights",
            "Churn_Prone",
            {
                "root": "exports/ci",
                "instance": INSTANCE.partition("_")[2],
                "export": "E",
                "year": "2026",
                "month": "11",
                "day": "23",
                "time": "0005",
            },
        ),
        (
            f"{INSTANCE}/Demo_ChurnProneCustomers_1613059542.csv",
            "customer-insights-campaign",
            "Demo_ChurnProneCustomers",
            {"instance": INSTANCE.partition("_")[2], "epoch": "1613059542"},
        ),
        (
            "vip/Vip_Email_2026-11-23-17-55-45-216_00001.csv",
            "salesforce",
            "vip",
            {
                "stem": "Vip_Email",
                "year": "2026",
                "month": "11",
                "day": "23",
                "hour": "17",
                "minute": "55",
                "second": "45",
                "millisecond": "216",
                "ending": "csv",
            },
        ),
        (
            "vip/Vip_Email_2026-11-23_00000.csv.gz",
            "salesforce",
            "vip",
            {"stem": "Vip_Email", "year": "2026", "month": "11", "day": "23", "ending": "csv.gz"},
        ),
        (
            "Vip_Email_2026-11-23-17-55-45_00000.csv",
            "salesforce-flat",
            "Vip_Email",
            {
                "stem": "Vip_Email",
                "year": "2026",
                "month": "11",
                "day": "23",
                "hour": "17",
                "minute": "55",
                "second": "45",
                "ending": "csv",
            },
        ),
        (
            "vip/Blob_0fd1_20261123_101500.csv",
            "adobe",
            "vip",
            {"stem": "Blob_0fd1", "date": "20261123", "time": "101500", "ending": "csv"},
        ),
        (
            "vip/Blob_0fd1_20261123_101500_3.csv",
            "adobe",
            "vip",
            {"stem": "Blob_0fd1", "date": "20261123", "time": "101500", "ending": "csv"},
        ),
        ("vip/part-00000-tid-77-2dd6-3-1-c000.csv", "spark", "vip", {}),
        ("vip/2026/11/part-00012-2dd6-c000.snappy.parquet", "spark", "vip", {"drop": "2026/11"}),
        ("vip/data_0_0_0.csv.gz", "snowflake", "vip", {"ending": "csv.gz"}),
        (
            f"vip/monday/data_{GUID}_006_4_0.snappy.parquet",
            "snowflake",
            "vip",
            {"drop": "monday", "query": GUID, "ending": "snappy.parquet"},
        ),
        ("vip/vip20261123_00001.csv", "data-factory", "vip", {"prefix": "vip20261123", "ending": "csv"}),
        (
            f"vip/monday/{GUID.upper()}_26_0-1.parquet",
            "cetas-serverless",
            "vip",
            {"drop": "monday", "query": GUID.upper(), "ending": "parquet"},
        ),
        (
            "vip/QID776_20261123_182739_0.txt",
            "cetas-dedicated",
            "vip",
            {"query": "776", "date": "20261123", "time": "182739", "ending": "txt"},
        ),
        (
            "crm/vip/2026_11_23_1763892900000_0.jsonl",
            "airbyte",
            "vip",
            {
                "namespace": "crm",
                "year": "2026",
                "month": "11",
                "day": "23",
                "epoch": "1763892900000",
                "ending": "jsonl",
            },
        ),
        ("vip/monday/a.csv", "folder", "vip", {"drop": "monday"}),
        ("vip/monday/x_00001.csv", "folder", "vip", {"drop": "monday"}),
        ("vip/monday/Tier=gold/part-00000-2dd6-c000.csv", "folder", "vip", {"drop": "monday"}),
        ("vip/Tier=gold/part-00000-2dd6-c000.csv", "folder", "vip", {"drop": "Tier=gold"}),
        ("vip/monday.csv", "file", "vip", {"file": "monday.csv"}),
        ("vip/report_2.csv", "file", "vip", {"file": "report_2.csv"}),
        ("vip/report_2026-11-23_2.csv", "file", "vip", {"file": "report_2026-11-23_2.csv"}),
        ("vip/report_20261123.csv", "file", "vip", {"file": "report_20261123.csv"}),
        ("vip/vip20261123T101500Z.csv", "file", "vip", {"file": "vip20261123T101500Z.csv"}),
        ("vip/part-1.csv", "file", "vip", {"file": "part-1.csv"}),
        ("vip/data_1.csv", "file", "vip", {"file": "data_1.csv"}),
        ("vip/data_2026_11_23.csv", "file", "vip", {"file": "data_2026_11_23.csv"}),
        ("vip/ab_1_0-1.parquet", "file", "vip", {"file": "ab_1_0-1.parquet"}),
    ],
)
def test_each_producer_is_known_by_its_names(
    blob: str, known_as: str, segment: str, shared: dict[str, Any]
) -> None:
    found = taken(blob)
    assert found is not None
    recipe, values = found

    assert recipe.id == known_as
    assert fill(recipe.segment or "{segment}", values) == segment
    assert {
        name: value
        for name, value in values.items()
        if name != ("segment" if recipe.segment is None else "") and not name.startswith(PART)
    } == shared


@pytest.mark.parametrize("blob", ["vip.csv", "", "/", "vip/", "/a.csv"])
def test_some_names_are_nobodys(blob: str) -> None:
    assert taken(blob) is None


def test_the_model_of_customer_insights_lies_where_the_recipe_says() -> None:
    for root in ("", "exports/ci/"):
        found = taken(f"{root}{INSTANCE}/E/Vip/2026/11/23/1433/Vip_1.csv")
        assert found is not None
        recipe, values = found

        assert fill(recipe.manifest or "", values) == f"{root}{INSTANCE}/E/model.json"


def test_recipes_have_ids_of_their_own() -> None:
    assert len({recipe.id for recipe in BUILT_IN}) == len(BUILT_IN)
