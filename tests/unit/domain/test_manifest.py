"""What manifests list: model.json, CDM manifests, lists of files."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import json_place
from exporter.domain.dialect import Dialect
from exporter.domain.manifest import Listed, is_manifest, needed_files, read_manifest
from exporter.errors import StopRunError

FOLDER = "CustomerInsights_abcd/Blob Export"
MODEL = f"{FOLDER}/model.json"
HOST = "https://account.blob.core.windows.net"
COLUMNS = ("CustomerId", "EMail")


def a_model(*locations: str, settings: Any = None, **changes: Any) -> dict[str, Any]:
    partitions = [
        {"name": "p", "location": location, **({"fileFormatSettings": settings} if settings else {})}
        for location in locations
    ]
    entity = {
        "$type": "LocalEntity",
        "name": "Vip",
        "attributes": [{"name": name, "dataType": "string"} for name in COLUMNS],
        "partitions": partitions,
        **changes,
    }
    return {"name": "export", "version": "1.0", "pbi:timeZone": "-", "entities": [entity]}


def listed(document: object, blob: str = MODEL, **definitions: object) -> tuple[Listed, ...]:
    needed = {name: json.dumps(content).encode() for name, content in definitions.items()}
    return read_manifest(blob, json.dumps(document).encode(), needed)


@pytest.mark.parametrize(
    ("location", "blob"),
    [
        (f"{HOST}/segments/CustomerInsights_abcd/Blob%20Export/Vip/1.csv", f"{FOLDER}/Vip/1.csv"),
        (
            "https://account.dfs.core.windows.net/other/CustomerInsights_abcd/Blob%20Export/Vip/1.csv",
            f"{FOLDER}/Vip/1.csv",
        ),
        (f"{HOST}:443/c/CustomerInsights_abcd/Blob%20Export/V%C3%ADp/1%25.csv", f"{FOLDER}/Víp/1%.csv"),
        (f"{HOST}/CustomerInsights_abcd/Blob%20Export/1.csv", f"{FOLDER}/1.csv"),
        (
            "http://127.0.0.1:10000/devstoreaccount1/segments/CustomerInsights_abcd/Blob%20Export/1.csv",
            f"{FOLDER}/1.csv",
        ),
        (
            "abfss://segments@account.dfs.core.windows.net/CustomerInsights_abcd/Blob%20Export/1.csv",
            f"{FOLDER}/1.csv",
        ),
        (f"{HOST}/c/CustomerInsights_abcd/Blob%20Export/1.csv?sv=1&sig=x", f"{FOLDER}/1.csv"),
        ("Vip/1.csv", f"{FOLDER}/Vip/1.csv"),
        ("./Vip/1.csv", f"{FOLDER}/Vip/1.csv"),
        ("/Vip/1.csv", f"{FOLDER}/Vip/1.csv"),
        (f"/{FOLDER}/Vip/1.csv", f"{FOLDER}/Vip/1.csv"),
        ("adls:/Vip/1.csv", f"{FOLDER}/Vip/1.csv"),
        ("50%.csv", f"{FOLDER}/50%.csv"),
    ],
)
def test_a_location_is_a_blob_below_the_folder_of_its_model(location: str, blob: str) -> None:
    (table,) = listed(a_model(location))

    assert table == Listed("Vip", (blob,), Dialect(columns=COLUMNS))


def test_a_folder_that_was_copied_into_another_one_is_read_by_the_addresses_that_it_came_with() -> None:
    address = f"{HOST}/raw/CustomerInsights_abcd/Blob%20Export/Vip/1.csv"

    (table,) = listed(a_model(address), f"from/the lake/{MODEL}")
    (other,) = listed(a_model(f"{HOST}/raw/other/Blob%20Export/Vip/1.csv"), f"from/the lake/{MODEL}")

    assert (table.blobs, table.fault) == ((f"from/the lake/{FOLDER}/Vip/1.csv",), "")
    assert "outside of the folder" in other.fault


@pytest.mark.parametrize(
    "location",
    [
        f"{HOST}/segments/CustomerInsights_other/Blob%20Export/1.csv",
        f"{HOST}/segments/CustomerInsights_abcd/Blob%20Export/../../vip/1.csv",
        f"{HOST}/segments/CustomerInsights_abcd/Blob%20Export/%2e%2e/1.csv",
        f"{HOST}/segments/CustomerInsights_abcd/Blob%20Export/",
        f"{HOST}/segments/CustomerInsights_abcd/Blob%20Export//1.csv",
        "../1.csv",
        "https://[::1/1.csv",
        "/",
    ],
)
def test_a_location_outside_is_told_and_not_read(location: str) -> None:
    (table,) = listed(a_model("Vip/0.csv", location))

    assert table.blobs == (f"{FOLDER}/Vip/0.csv",)
    assert "outside of the folder" in table.fault


def test_a_signature_in_an_address_is_not_told() -> None:
    (table,) = listed(a_model(f"{HOST}/other/1.csv?sv=1&sig=secret"))

    assert "/other/1.csv" in table.fault
    assert "secret" not in table.fault


@pytest.mark.parametrize(
    ("location", "blob"),
    [
        (f"{HOST}/segments/Vip/1.csv", "Vip/1.csv"),
        ("http://127.0.0.1:10000/devstoreaccount1/segments/Vip/1.csv", "Vip/1.csv"),
        ("abfss://segments@account.dfs.core.windows.net/Vip/1.csv", "Vip/1.csv"),
        ("Vip/1.csv", "Vip/1.csv"),
        ("/Vip/1.csv", "Vip/1.csv"),
    ],
)
def test_a_model_may_lie_in_the_container_itself(location: str, blob: str) -> None:
    (table,) = listed(a_model(location), "model.json")

    assert table.blobs == (blob,)


@pytest.mark.parametrize(
    ("settings", "dialect"),
    [
        ({"$type": "CsvFormatSettings"}, Dialect(format="csv", columns=COLUMNS)),
        (
            {
                "$type": "CsvFormatSettings",
                "columnHeaders": True,
                "csvStyle": "QuoteAlways",
                "delimiter": ";",
                "quoteStyle": "QuoteStyle.None",
                "encoding": "UTF-16",
                "own:word": {},
            },
            Dialect(
                format="csv",
                columns=COLUMNS,
                header=True,
                delimiter=";",
                quote="none",
                encoding="utf-16",
            ),
        ),
        (
            {"$type": "CsvFormatSettings", "columnHeaders": "False", "quoteStyle": "QuoteStyle.Csv"},
            Dialect(format="csv", columns=COLUMNS, header=False, quote='"'),
        ),
        ({"$type": "ParquetFormatSettings"}, Dialect(format="parquet")),
        ({"$type": "OtherSettings", "delimiter": "\t"}, Dialect(columns=COLUMNS, delimiter="\t")),
    ],
)
def test_format_settings_are_a_dialect(settings: dict[str, Any], dialect: Dialect) -> None:
    (table,) = listed(a_model("1.csv", "2.csv", settings=settings))

    assert table == Listed("Vip", (f"{FOLDER}/1.csv", f"{FOLDER}/2.csv"), dialect)


def test_files_of_one_table_that_are_written_differently_are_told() -> None:
    model = a_model("1.csv", "2.csv")
    model["entities"][0]["partitions"][1]["fileFormatSettings"] = {"$type": "ParquetFormatSettings"}

    (table,) = listed(model)

    assert table.fault == "its files are written in 2 different ways"


def test_entities_of_other_models_and_tables_without_files_are_no_lists() -> None:
    model = a_model()
    model["entities"].append({"$type": "ReferenceEntity", "name": "Other", "modelId": "m"})

    assert listed(model) == (Listed("Vip", ()),)
    assert listed({}) == ()


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], "keys and values at its beginning"),
        ({"entities": {}}, "a list at entities."),
        ({"entities": [1]}, "keys and values at entities[0]."),
        (a_model(name=None), "something at entities[0].name."),
        (a_model(name=7), "a text at entities[0].name."),
        (a_model(attributes=[{}]), "something at entities[0].attributes[0].name."),
        (a_model(partitions=[{"location": ""}]), "a text at entities[0].partitions[0].location."),
        (a_model("1", settings=[1]), "keys and values at entities[0].partitions[0].fileFormatSettings."),
        (a_model("1", settings={"delimiter": ";;"}), "a single character at"),
        (a_model("1", settings={"delimiter": "a"}), "a sign that values seldom hold"),
        (a_model("1", settings={"delimiter": "\n"}), "a sign that values seldom hold"),
        (a_model("1", settings={"columnHeaders": 1}), "true or false at"),
        (a_model("1", settings={"encoding": "klingon"}), "a known encoding (known: utf-8 "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: object, where: str) -> None:
    with pytest.raises(StopRunError) as caught:
        listed(document)

    assert caught.value.code == "bad_manifest"
    assert MODEL in str(caught.value)
    assert where in str(caught.value)


def test_a_model_that_is_no_json_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StopRunError, match=r"is not JSON in UTF-8: .*line 2, column 1"):
        read_manifest(MODEL, b"\xef\xbb\xbf{\n")
    with pytest.raises(StopRunError, match="is not JSON"):
        read_manifest(MODEL, b'{"a": "\xff"}')
    monkeypatch.setattr(json_place, "MAX_MANIFEST_BYTES", 10)
    with pytest.raises(StopRunError, match="has 11 bytes; a manifest may have 10 at most"):
        read_manifest(MODEL, b'{"a": 1234}')


# *.manifest.cdm.json

CDM = "lake/default.manifest.cdm.json"
DEFINITION = "lake/Vip.cdm.json"


def a_cdm_manifest(**changes: Any) -> dict[str, Any]:
    entity = {
        "type": "LocalEntity",
        "entityName": "Vip",
        "entityPath": "Vip.cdm.json/Vip",
        "dataPartitions": [{"location": "Vip/1.csv"}, {"location": "Vip/2.csv"}],
        **changes,
    }
    return {"manifestName": "default", "jsonSchemaSemanticVersion": "1.0.0", "entities": [entity]}


def a_definition(*attributes: Any, name: str = "Vip") -> dict[str, Any]:
    return {"definitions": [{"entityName": name, "hasAttributes": [*attributes]}]}


def test_a_cdm_manifest_needs_the_definitions_of_its_tables() -> None:
    manifest = json.dumps(a_cdm_manifest(entityPath="local:/Vip.cdm.json/Vip")).encode()

    assert needed_files(CDM, manifest) == (DEFINITION,)
    assert needed_files(MODEL, b"?") == ()


def test_a_cdm_manifest_lists_partitions_and_takes_columns_from_the_definition() -> None:
    group = {
        "attributeGroupReference": {"attributeGroupName": "all", "members": [{"name": "A"}, {"name": "B"}]}
    }

    (table,) = listed(a_cdm_manifest(), CDM, **{DEFINITION: a_definition(group, {"name": "C"})})

    assert table == Listed("Vip", ("lake/Vip/1.csv", "lake/Vip/2.csv"), Dialect(columns=("A", "B", "C")))


def test_the_traits_of_a_partition_are_a_dialect() -> None:
    arguments = {"columnHeaders": "true", "delimiter": ",", "escape": "\\", "encoding": "utf-8", "quote": '"'}
    trait = {
        "traitReference": "is.partition.format.CSV",
        "arguments": ["x", *({"name": name, "value": value} for name, value in arguments.items())],
    }
    for key in ("exhibitsTraits", "traits"):
        partitions = [{"location": "Vip/1.csv", key: ["is.hidden", trait]}]

        (table,) = listed(a_cdm_manifest(dataPartitions=partitions), CDM)

        assert table.dialect == Dialect(
            format="csv", header=True, delimiter=",", escape="backslash", encoding="utf-8", quote='"'
        )
        assert not table.fault, "the files name their columns themselves"


def test_parquet_needs_no_definition() -> None:
    partitions = [{"location": "Vip/1.parquet", "exhibitsTraits": ["is.partition.format.parquet"]}]

    assert listed(a_cdm_manifest(dataPartitions=partitions), CDM) == (
        Listed("Vip", ("lake/Vip/1.parquet",), Dialect(format="parquet")),
    )


@pytest.mark.parametrize(
    ("definitions", "fault"),
    [
        ({}, "lake/Vip.cdm.json, which names the columns of Vip, is not there"),
        ({DEFINITION: a_definition(name="Other")}, "lake/Vip.cdm.json does not define Vip"),
    ],
)
def test_columns_that_are_not_known_are_a_fault(definitions: dict[str, Any], fault: str) -> None:
    (table,) = listed(a_cdm_manifest(), CDM, **definitions)

    assert table.fault == fault


@pytest.mark.parametrize(
    "key", ["dataPartitionPatterns", "incrementalPartitions", "incrementalPartitionPatterns"]
)
def test_patterns_and_increments_say_nothing_of_what_is_whole(key: str) -> None:
    manifest = a_cdm_manifest(**{key: [{"rootLocation": "Vip", "globPattern": "*.csv"}]})

    (table,) = listed(manifest, CDM, **{DEFINITION: a_definition({"name": "A"})})

    assert table.fault.startswith(f"it has {key}")


def test_attributes_that_are_defined_elsewhere_are_refused() -> None:
    with pytest.raises(StopRunError, match=r"an attribute .* at definitions\[0\]\.hasAttributes\[0\]"):
        listed(a_cdm_manifest(), CDM, **{DEFINITION: a_definition("someGroup")})


# Lists of files


@pytest.mark.parametrize(
    ("document", "exports"),
    [
        (
            {
                "flowRunId": "1",
                "exportResults": [
                    {"sinkPath": "vip", "name": "a_20261123_101500_2.csv", "size": 1},
                    {"sinkPath": "vip", "name": "a_20261123_101500.csv", "size": 1},
                    {"sinkPath": "vip", "name": "b_20261123_101500.csv", "size": 1},
                ],
            },
            [("vip/a_20261123_101500_2.csv", "vip/a_20261123_101500.csv"), ("vip/b_20261123_101500.csv",)],
        ),
        ({"files": ["vip/report_1.csv", "vip/report_2.csv"]}, [("vip/report_1.csv",), ("vip/report_2.csv",)]),
        ({"entries": [{"url": f"{HOST}/segments/vip/a.csv?sig=x"}, 5, {"size": 1}]}, [("vip/a.csv",)]),
        ({"files": "a.csv"}, []),
        ({"other": 1}, []),
        ([1], []),
    ],
)
def test_a_list_of_files_is_a_hint(document: object, exports: list[tuple[str, ...]]) -> None:
    tables = listed(document, "vip/manifest-1-2.json")

    assert tables == tuple(Listed("", blobs) for blobs in exports)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.json", True),
        ("default.manifest.cdm.json", True),
        ("Vip.cdm.json", True),
        ("manifest.json", True),
        ("manifest-0fd1-77.json", True),
        ("my-model.json", False),
        ("people.json", False),
        ("manifest.csv", False),
    ],
)
def test_manifests_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_manifest(name) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def places(value: object, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values within a document, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, item in inner for place in places(item, (*way, key)))]


def replaced(value: Any, way: tuple[Any, ...], other: object) -> Any:
    """The document with another value at the end of a way."""
    if not way:
        return other
    copy = value.copy()
    copy[way[0]] = replaced(value[way[0]], way[1:], other)
    return copy


SETTINGS = {"$type": "CsvFormatSettings", "columnHeaders": False, "delimiter": ",", "encoding": "utf-8"}
TRAIT = {"traitReference": "is.partition.format.CSV", "arguments": [{"name": "delimiter", "value": ","}]}
WHOLE_MODEL = a_model(f"{HOST}/c/{FOLDER}/1.csv", "2.csv", settings=SETTINGS)
WHOLE_MANIFEST = a_cdm_manifest(
    dataPartitions=[{"location": "Vip/1.csv", "exhibitsTraits": [TRAIT]}], dataPartitionPatterns=[]
)
WHOLE_DEFINITION = a_definition({"attributeGroupReference": {"members": [{"name": "A"}]}}, {"name": "C"})
WHOLE_LIST = {"exportResults": [{"name": "a.csv"}], "files": ["b.csv"]}


def tables_or_code(blob: str, data: bytes, definition: bytes) -> tuple[Listed, ...] | str:
    """What a manifest lists, or the code of the error."""
    try:
        return read_manifest(blob, data, dict.fromkeys(needed_files(blob, data), definition))
    except StopRunError as error:
        return error.code


@given(st.data())
def test_any_value_in_any_place_gives_tables_or_says_what_is_wrong(data: st.DataObject) -> None:
    blob, document = data.draw(
        st.sampled_from(
            [
                (MODEL, WHOLE_MODEL),
                (CDM, WHOLE_MANIFEST),
                (DEFINITION, WHOLE_DEFINITION),
                ("vip/manifest.json", WHOLE_LIST),
            ]
        )
    )
    changed = json.dumps(replaced(document, data.draw(st.sampled_from(places(document))), data.draw(JSON)))
    definition = json.dumps(WHOLE_DEFINITION).encode()
    if blob == DEFINITION:
        blob, changed, definition = CDM, json.dumps(WHOLE_MANIFEST), changed.encode()

    found = tables_or_code(blob, changed.encode(), definition)

    if isinstance(found, str):
        assert found == "bad_manifest"
    else:
        folder = blob[: blob.rfind("/") + 1]
        assert all(file.startswith(folder) for table in found for file in table.blobs)


@given(st.binary(max_size=40) | st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"1" * 5000]))
def test_any_bytes_give_tables_or_say_what_is_wrong(data: bytes) -> None:
    for blob in (MODEL, CDM, "vip/manifest.json"):
        assert tables_or_code(blob, data, data) in ("bad_manifest", ())
