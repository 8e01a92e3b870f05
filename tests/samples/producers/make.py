"""Writes the samples: `python -m tests.samples.producers.make`.

Each sample is a folder with `landing/`, whose files lie where the producer would write them in the landing
container, and `expected.json`: what must come of it. Everybody in them is made up.
"""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ENDPOINT: Final = "https://contosolanding.blob.core.windows.net"
"""Stands in addresses of files for the storage that the sample is put into."""
INSTANCE: Final = "CustomerInsights_abcd1234-4312-11f4-93dc-24f72f43e7d5"
COLUMNS: Final = ("CustomerId", "EMail", "FirstName", "LastName", "City")


@dataclass(frozen=True, slots=True)
class Person:
    """One row of a sample."""

    id: str
    email: str
    first_name: str
    last_name: str
    city: str

    @property
    def row(self) -> tuple[str, ...]:
        """The values in the order of `COLUMNS`."""
        return self.id, self.email, self.first_name, self.last_name, self.city


NAMES: Final = (
    ("Jürgen", "Müller", "Köln"),
    ("Zoë", "Brook, Jr.", "Springfield, Ohio"),
    ('Anna "Ace"', "Dale", "Ulm"),
    ("Bo", "Lake", ""),
    ("", "Hill", "Bergen"),
    ("Øystein", "O'Hara", "Đà Nẵng"),
    ("Ines", "Ford", "NULL"),
    ("José", "Castle; Sons", "São Paulo"),
)
"""Names and towns with what readers stumble over: letters beyond ASCII, commas, quotes, nothing at all."""


def people(sample: str, count: int = len(NAMES)) -> list[Person]:
    """The people of a sample: nobody is in two."""
    return [
        Person(f"{number:07}", f"{sample}-{number}@example.com", *NAMES[number % len(NAMES)])
        for number in range(count)
    ]


@dataclass(slots=True)
class Sample:
    """A drop of one producer, and what must come of it."""

    name: str
    producer: str
    recipe: str
    segment: str
    arriving: Sequence[Person]
    files: dict[str, bytes]
    """By blob."""
    read: Sequence[str]
    """The blobs whose rows must arrive."""
    follows: Sequence[str]
    """What it is made after: [D] documentation, [C] public code and listings, [?] an assumption."""
    columns: Sequence[str] = COLUMNS
    """The columns of id, address, first and last name and town, as the mapping names them."""
    signs: Sequence[str] = ()
    """The blobs that show that the drop is whole, which are written last."""
    staying_away: Sequence[Person] = ()
    """People in files that must not be read."""
    recipe_by_names: str = ""
    """The built-in recipe that knows the names, where another one goes before it."""
    own_recipe: dict[str, Any] | None = None
    """A recipe that the configuration must have: where only the user knows the columns."""

    def write(self) -> None:
        """Write the sample's folder."""
        folder = HERE / self.name
        for blob, content in self.files.items():
            path = folder / "landing" / blob
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        text = json.dumps(self.expected(), indent=2, ensure_ascii=False)
        (folder / "expected.json").write_text(f"{text}\n", encoding="utf-8")

    def expected(self) -> dict[str, Any]:
        """What must come of it, and what is known of the producer."""
        _, email, first_name, last_name, city = self.columns
        return {
            "producer": self.producer,
            "follows": [*self.follows],
            "recipe": self.own_recipe["id"] if self.own_recipe else self.recipe,
            "recipe_by_names": self.recipe_by_names or self.recipe,
            "segment": self.segment,
            "mapping": {
                "email": email,
                "first_name": first_name,
                "last_name": last_name,
                "fields": {city: "City"},
            },
            "own_recipes": [self.own_recipe] if self.own_recipe else [],
            "read": sorted(self.read),
            "written_last": [*self.signs],
            "contacts": [
                {
                    "email": person.email,
                    "first_name": person.first_name,
                    "last_name": person.last_name,
                    "City": person.city,
                }
                for person in self.arriving
            ],
            "must_not_arrive": [person.email for person in self.staying_away],
        }


# Ways of writing


def as_csv(
    rows: Iterable[Sequence[str]], header: Sequence[str] = (), *, end: str = "\n", **dialect: Any
) -> bytes:
    """CSV with commas and doubled quotes, unless `dialect` says otherwise."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, **dialect).writerows([header, *rows] if header else rows)
    return text.getvalue().encode()


def with_backslashes(
    rows: Iterable[Sequence[str]], header: Sequence[str], *, end: str, quote_all: bool
) -> bytes:
    """CSV in which a backslash stands before a quote within a value, as Spark and Data Factory write it."""

    def written(value: str) -> str:
        is_quoted = quote_all or not value or any(sign in value for sign in '",')
        return '"{}"'.format(value.replace('"', '\\"')) if is_quoted else value

    return "".join(f"{','.join(map(written, row))}{end}" for row in [header, *rows]).encode()


def zipped(data: bytes) -> bytes:
    """gzip of one member, the same at each time."""
    return gzip.compress(data, mtime=0)


def as_parquet(rows: Sequence[Person]) -> bytes:
    """Parquet with texts, nulls for what is empty, and row groups of four."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = zip(*(person.row for person in rows), strict=True)
    table = pa.table(
        {
            name: pa.array([value or None for value in values], pa.string())
            for name, values in zip(COLUMNS, columns, strict=True)
        }
    )
    data = io.BytesIO()
    pq.write_table(table, data, row_group_size=4, compression="snappy")
    return data.getvalue()


def as_document(content: Any) -> bytes:
    """A JSON document."""
    return f"{json.dumps(content, indent=2)}\n".encode()


def rows_of(persons: Iterable[Person]) -> list[tuple[str, ...]]:
    """Their values in the order of `COLUMNS`."""
    return [person.row for person in persons]


# The producers


def customer_insights() -> Sample:
    """Three partitions without a header, another table, yesterday's folder, and the model of all of them."""
    export = f"{INSTANCE}/BlobExport"
    members = people("customer-insights")
    other, past = people("customer-insights-other", 1), people("customer-insights-past", 1)
    now = f"{export}/HighValueSegment/2026/11/23/1433"
    files = {
        f"{now}/HighValueSegment_1.csv": as_csv(rows_of(members[:3]), end="\r\n"),
        f"{now}/HighValueSegment_2.csv": as_csv(rows_of(members[3:6]), end="\r\n"),
        f"{now}/HighValueSegment_3.csv": as_csv(rows_of(members[6:]), end="\r\n"),
    }
    elsewhere = {
        f"{export}/HighValueSegment/2026/11/22/1433/HighValueSegment_1.csv": as_csv(
            rows_of(past), end="\r\n"
        ),
        f"{export}/ChurnProne/2026/11/23/1433/ChurnProne_1.csv": as_csv(rows_of(other), end="\r\n"),
    }
    model = as_document(
        {
            "name": "BlobExport",
            "version": "1.0",
            "culture": "en-US",
            "modifiedTime": "2026-11-23T14:35:12.1180000+00:00",
            "entities": [
                a_table("HighValueSegment", [*files]),
                a_table("ChurnProne", [[*elsewhere][1]]),
            ],
        }
    )
    return Sample(
        name="customer-insights",
        producer="Customer Insights - Data, export to Azure Blob Storage",
        recipe="customer-insights",
        segment="HighValueSegment",
        arriving=members,
        staying_away=[*other, *past],
        files={**files, **elsewhere, f"{export}/model.json": model},
        read=[*files],
        signs=[f"{export}/model.json"],
        follows=[
            "[D] learn.microsoft.com/dynamics365/customer-insights/data/export-azure-blob-storage: names",
            "[D] learn.microsoft.com/common-data-model/model-json: entities, attributes, partitions",
            "[?] no header row, CR LF, quotes where they are needed, addresses of the blob endpoint",
        ],
    )


def a_table(name: str, blobs: Iterable[str], settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """An entity of a `model.json`."""
    return {
        "$type": "LocalEntity",
        "name": name,
        "description": "",
        "attributes": [{"name": column, "dataType": "string"} for column in COLUMNS],
        "partitions": [
            {
                "name": blob.rpartition("/")[2].removesuffix(".csv"),
                "refreshTime": "2026-11-23T14:33:07.4890000+00:00",
                "location": f"{ENDPOINT}/segments/{blob}",
                **({"fileFormatSettings": settings} if settings else {}),
            }
            for blob in blobs
        ],
    }


def customer_insights_campaign() -> Sample:
    """One file of a segment, for Adobe Campaign."""
    members = people("campaign", 6)
    blob = f"{INSTANCE}/ChurnSegmentDemo_ChurnProneCustomers_1763908380.csv"
    return Sample(
        name="customer-insights-campaign",
        producer="Customer Insights - Data, export to Adobe Campaign",
        recipe="customer-insights-campaign",
        segment="ChurnSegmentDemo_ChurnProneCustomers",
        arriving=members,
        files={blob: as_csv(rows_of(members), COLUMNS, end="\r\n")},
        read=[blob],
        follows=[
            "[D] learn.microsoft.com/dynamics365/customer-insights/data/export-adobe-campaign-standard",
            "[?] how it is quoted",
        ],
    )


def cdm_model() -> Sample:
    """A folder of the Common Data Model with declared semicolons and a header in each file."""
    members = people("cdm-model")
    blobs = [f"lake/Marketing/Loyal/Loyal-{number}.csv" for number in range(2)]
    settings = {
        "$type": "CsvFormatSettings",
        "columnHeaders": True,
        "csvStyle": "CsvStyle.QuoteAlways",
        "delimiter": ";",
        "quoteStyle": "QuoteStyle.Csv",
        "encoding": "UTF-8",
    }
    model = {"name": "Marketing", "version": "1.0", "entities": [a_table("Loyal", blobs, settings)]}
    halves = (members[:4], members[4:])
    files = {
        blob: as_csv(rows_of(half), COLUMNS, delimiter=";", quoting=csv.QUOTE_ALL)
        for blob, half in zip(blobs, halves, strict=True)
    }
    return Sample(
        name="cdm-model",
        producer="A CDM folder with model.json",
        recipe="cdm",
        segment="Loyal",
        arriving=members,
        files={**files, "lake/Marketing/model.json": as_document(model)},
        read=blobs,
        signs=["lake/Marketing/model.json"],
        follows=["[D] learn.microsoft.com/common-data-model/model-json: fileFormatSettings"],
    )


def cdm_manifest() -> Sample:
    """A folder of the Common Data Model with a manifest, a definition and tabs without a header."""
    members = people("cdm-manifest")
    blobs = [f"lake/Weekly/Newcomers/part-{number}.csv" for number in range(2)]
    arguments = {"columnHeaders": "false", "delimiter": "\t", "encoding": "UTF-8"}
    trait = {
        "traitReference": "is.partition.format.CSV",
        "arguments": [{"name": name, "value": value} for name, value in arguments.items()],
    }
    manifest = {
        "manifestName": "default",
        "jsonSchemaSemanticVersion": "1.0.0",
        "entities": [
            {
                "type": "LocalEntity",
                "entityName": "Newcomers",
                "entityPath": "Newcomers.cdm.json/Newcomers",
                "dataPartitions": [
                    {"location": blob.removeprefix("lake/Weekly/"), "exhibitsTraits": [trait]}
                    for blob in blobs
                ],
            }
        ],
    }
    definition = {
        "jsonSchemaSemanticVersion": "1.0.0",
        "imports": [{"corpusPath": "cdm:/foundations.cdm.json"}],
        "definitions": [
            {
                "entityName": "Newcomers",
                "hasAttributes": [
                    {"name": name, "dataType": "string", "maximumLength": 200} for name in COLUMNS
                ],
            }
        ],
    }
    halves = (members[:5], members[5:])
    return Sample(
        name="cdm-manifest",
        producer="A CDM folder with a manifest",
        recipe="cdm",
        segment="Newcomers",
        arriving=members,
        files={
            **{blob: as_csv(rows_of(half), delimiter="\t") for blob, half in zip(blobs, halves, strict=True)},
            "lake/Weekly/Newcomers.cdm.json": as_document(definition),
            "lake/Weekly/default.manifest.cdm.json": as_document(manifest),
        },
        read=blobs,
        signs=["lake/Weekly/default.manifest.cdm.json"],
        follows=[
            "[D] learn.microsoft.com/common-data-model/cdm-manifest: entities, partitions, traits",
            "[C] github.com/microsoft/CDM: arguments of traits are texts",
        ],
    )


def salesforce() -> Sample:
    """Two parts of an activation, tabs, in a child folder."""
    members = people("salesforce")
    stem = "data-cloud-vip/Vip_EmailCampaign_2026-11-23-17-55-45-216"
    halves = {f"{stem}_00000.csv": members[:5], f"{stem}_00001.csv": members[5:]}
    return Sample(
        name="salesforce",
        producer="Salesforce Data 360 (Data Cloud), file storage activation",
        recipe="salesforce",
        segment="data-cloud-vip",
        arriving=members,
        files={
            blob: as_csv(rows_of(half), COLUMNS, delimiter="\t", quoting=csv.QUOTE_ALL)
            for blob, half in halves.items()
        },
        read=[*halves],
        follows=[
            "[D] help.salesforce.com, File Name Examples for File Storage Activation: names and parts",
            "[D] the delimiter is chosen; [?] that everything is quoted",
        ],
    )


def adobe() -> Sample:
    """Three parts of an audience and a manifest."""
    members = people("adobe", 9)
    folder, stem = "rtcdp-vip", "AzureBlob_9f7d37fd-7039-4454-94ef-2b0cd6c3206a_20261123_101500"
    thirds = {
        f"{stem}.csv": members[:3],
        f"{stem}_2.csv": members[3:6],
        f"{stem}_3.csv": members[6:],
    }
    files = {
        f"{folder}/{name}": as_csv(rows_of(third), COLUMNS, quoting=csv.QUOTE_ALL)
        for name, third in thirds.items()
    }
    manifest = {
        "flowRunId": "7f0b0a5e-5d0a-4a5c-9f39-0d3a8ab5a1d2",
        "scheduledTime": "2026-11-23T10:15:00Z",
        "exportResults": [{"sinkPath": folder, "name": name, "size": 100} for name in thirds],
    }
    sign = f"{folder}/manifest-3fc0a4a1-7f0b0a5e-5d0a-4a5c-9f39-0d3a8ab5a1d2.json"
    return Sample(
        name="adobe",
        producer="Adobe Real-Time CDP, Azure Blob destination",
        recipe="adobe",
        segment=folder,
        arriving=members,
        files={**files, sign: as_document(manifest)},
        read=[*files],
        signs=[sign],
        follows=[
            "[D] experienceleague.adobe.com, Activate audiences to batch profile export destinations: _2, _3",
            "[D] the default name %DESTINATION_NAME%_%SEGMENT_ID%_%DATETIME(YYYYMMdd_HHmmss)%",
            "[?] the fields of the manifest",
        ],
    )


def adobe_parquet() -> Sample:
    """One audience as Parquet."""
    members = people("adobe-parquet")
    blob = "rtcdp-parquet/AzureBlob_0fd1_20261123_110000.parquet"
    return Sample(
        name="adobe-parquet",
        producer="Adobe Real-Time CDP, Azure Blob destination, Parquet",
        recipe="adobe",
        segment="rtcdp-parquet",
        arriving=members,
        files={blob: as_parquet(members)},
        read=[blob],
        follows=["[D] the name, and that Parquet can be chosen", "[?] types and compression"],
    )


def databricks() -> Sample:
    """Two committed files, one of a failed task and one of an unfinished transaction."""
    members = people("databricks")
    lost = people("databricks-lost", 2)
    folder, done, begun = "lakehouse-vip/2026-11-23", "2573423067284639534", "4790749035172336934"
    names = [
        f"part-0000{number}-tid-{done}-55317b3d-ccfb-4be8-8d2c-1d96d9cf100b-{number}-1-c000.csv"
        for number in range(2)
    ]
    failed = f"part-00001-tid-{done}-55317b3d-ccfb-4be8-8d2c-1d96d9cf100b-7-1-c000.csv"
    unfinished = f"part-00000-tid-{begun}-4204d842-03a4-43e3-a61d-cf3e4767bf01-0-1-c000.csv"
    files = {
        f"{folder}/{names[0]}": as_csv(rows_of(members[:4]), COLUMNS),
        f"{folder}/{names[1]}": as_csv(rows_of(members[4:]), COLUMNS),
    }
    commit = json.dumps({"added": names, "removed": []}, separators=(",", ":")).encode()
    return Sample(
        name="databricks",
        producer="Databricks, transactional writes",
        recipe="spark",
        segment="lakehouse-vip",
        arriving=members,
        staying_away=lost,
        files={
            f"{folder}/_started_{done}": b"",
            f"{folder}/_started_{begun}": b"",
            **files,
            f"{folder}/{failed}": as_csv(rows_of(lost[:1]), COLUMNS),
            f"{folder}/{unfinished}": as_csv(rows_of(lost[1:]), COLUMNS),
            f"{folder}/_committed_{done}": commit,
            f"{folder}/_SUCCESS": b"",
        },
        read=[*files],
        signs=[f"{folder}/_committed_{done}", f"{folder}/_SUCCESS"],
        follows=[
            "[D] docs.databricks.com, Transactional writes to cloud storage with DBIO",
            "[C] public listings of such folders: names of parts, commits in JSON",
        ],
    )


def spark() -> Sample:
    """Part files with backslashes before quotes, checksums, and a task's folder that was left behind."""
    members = people("spark")
    lost = people("spark-lost", 1)
    folder, job = "spark-vip/2026/11/23", "2dd664f9-d2c4-4ffe-878f-c6c70c1fb0cb"
    names = [f"part-0000{number}-{job}-c000.csv" for number in range(2)]
    files = {
        f"{folder}/{names[0]}": with_backslashes(rows_of(members[:4]), COLUMNS, end="\n", quote_all=False),
        f"{folder}/{names[1]}": with_backslashes(rows_of(members[4:]), COLUMNS, end="\n", quote_all=False),
    }
    left = f"{folder}/_temporary/0/task_202611231015/part-00002-{job}-c000.csv"
    return Sample(
        name="spark",
        producer="Apache Spark",
        recipe="spark",
        segment="spark-vip",
        arriving=members,
        staying_away=lost,
        files={
            **files,
            **{f"{folder}/.{name}.crc": b"crc\0\0\0\2\0" for name in names},
            left: as_csv(rows_of(lost), COLUMNS),
            f"{folder}/_SUCCESS": b"",
        },
        read=[*files],
        signs=[f"{folder}/_SUCCESS"],
        follows=[
            "[D] spark.apache.org, CSV Files: escape is a backslash by default",
            "[C] _SUCCESS, .crc and _temporary of Hadoop's committer",
        ],
    )


def snowflake() -> Sample:
    """Two gzip files without a header, with text in quotes where needed and a mark for nothing."""
    members = people("snowflake")
    folder = "snowflake-vip/20261123"
    query = "01b8f2ac-0604-0b1d-0000-04d9071a2b3e"
    halves = {
        f"{folder}/data_{query}_0_0_0.csv.gz": members[:4],
        f"{folder}/data_{query}_0_1_0.csv.gz": members[4:],
    }

    def with_nulls(half: Sequence[Person]) -> bytes:
        return zipped(as_csv([[value or "\\N" for value in row] for row in rows_of(half)]))

    return Sample(
        name="snowflake",
        producer="Snowflake, COPY INTO a location",
        recipe="snowflake",
        segment="snowflake-vip",
        arriving=members,
        files={blob: with_nulls(half) for blob, half in halves.items()},
        read=[*halves],
        own_recipe={
            "id": "snowflake-vip",
            "pattern": "{segment}/{drop}/data_{query:guid}_{part_a:1-3}_{part_b:1-3}_{part:digits}.csv.gz",
            "complete": ["quiet"],
            "dialect": {"header": False, "null": "\\N", "columns": [*COLUMNS]},
        },
        follows=[
            "[D] docs.snowflake.com/sql-reference/sql/copy-into-location",
            "[D] FIELD_OPTIONALLY_ENCLOSED_BY = '\"' has to be set; [?] \\N stays without quotes",
        ],
    )


def data_factory() -> Sample:
    """Two files of a copy activity with backslashes before quotes and CR LF."""
    members = people("data-factory")
    halves = {
        "factory-vip/vip20261123_00000.csv": members[:4],
        "factory-vip/vip20261123_00001.csv": members[4:],
    }
    return Sample(
        name="data-factory",
        producer="Data Factory, copy activity with a limit of rows for each file",
        recipe="data-factory",
        segment="factory-vip",
        arriving=members,
        files={
            blob: with_backslashes(rows_of(half), COLUMNS, end="\r\n", quote_all=True)
            for blob, half in halves.items()
        },
        read=[*halves],
        follows=[
            "[D] learn.microsoft.com/azure/data-factory/format-delimited-text: escapeChar, quoteAllText",
        ],
    )


def cetas_csv() -> Sample:
    """Two files of a serverless pool, without a header."""
    members = people("cetas-csv")
    query = "synapse-vip/20261123/DBD275E4-778C-4B99-84ED-B65A557CD8DF_22"
    halves = {f"{query}_0-1.csv": members[:4], f"{query}_1-1.csv": members[4:]}
    return Sample(
        name="cetas-csv",
        producer="Synapse, CREATE EXTERNAL TABLE AS SELECT to CSV",
        recipe="cetas-serverless",
        segment="synapse-vip",
        arriving=members,
        files={blob: as_csv(rows_of(half)) for blob, half in halves.items()},
        read=[*halves],
        own_recipe={
            "id": "synapse-vip",
            "pattern": "{segment}/{drop}/{query:guid}_{part_job:digits}_{part:digits}-{part_file:digits}.csv",
            "complete": ["quiet"],
            "dialect": {"header": False, "columns": [*COLUMNS]},
        },
        follows=[
            "[D] learn.microsoft.com/azure/synapse-analytics/sql/develop-tables-cetas",
            "[C] public queries over such folders: the names; [?] how it is quoted",
        ],
    )


def cetas_parquet() -> Sample:
    """A file of a dedicated pool as Parquet."""
    members = people("cetas-parquet")
    blob = "pool-vip/QID776_20261123_182739_0.parquet"
    return Sample(
        name="cetas-parquet",
        producer="Synapse, CREATE EXTERNAL TABLE AS SELECT to Parquet in a dedicated pool",
        recipe="cetas-dedicated",
        segment="pool-vip",
        arriving=members,
        files={blob: as_parquet(members)},
        read=[blob],
        follows=[
            "[D] learn.microsoft.com/sql/t-sql/statements/create-external-table-as-select-transact-sql",
            "[?] the ending",
        ],
    )


def census() -> Sample:
    """One file at a fixed path that is overwritten."""
    members = people("census")
    blob = "census-vip/census-vip.csv"
    return Sample(
        name="census",
        producer="Census (Fivetran Activations)",
        recipe="file",
        segment="census-vip",
        arriving=members,
        files={blob: as_csv(rows_of(members), COLUMNS)},
        read=[blob],
        follows=[
            "[D] fivetran.com/docs/activations, Azure Blob Storage: one file, replaced; [?] how it is quoted"
        ],
    )


def airbyte() -> Sample:
    """Two files of one sync with Airbyte's own columns."""
    members = people("airbyte")
    own = ("_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_generation_id", "_airbyte_meta")
    values = ("3b6ce2d1-59ab-4d25-a3d5-4c39f1a7d6a0", "1763892900000", "1", '{"changes":[]}')
    stem = "crm/airbyte-vip/2026_11_23_1763892900000"
    halves = {f"{stem}_0.csv": members[:4], f"{stem}_1.csv": members[4:]}
    return Sample(
        name="airbyte",
        producer="Airbyte, Azure Blob Storage destination",
        recipe="airbyte",
        segment="airbyte-vip",
        arriving=members,
        files={
            blob: as_csv([(*values, *row) for row in rows_of(half)], (*own, *COLUMNS), end="\r\n")
            for blob, half in halves.items()
        },
        read=[*halves],
        follows=[
            "[D] docs.airbyte.com/integrations/destinations/azure-blob-storage: path, own columns",
        ],
    )


def drt() -> Sample:
    """One file of JSON Lines."""
    members = people("drt")
    blob = "drt-vip/drt-vip20261123T060000Z.jsonl"
    lines = [
        json.dumps(
            {name: value or None for name, value in zip(COLUMNS, person.row, strict=True)}, ensure_ascii=False
        )
        for person in members
    ]
    return Sample(
        name="drt",
        producer="drt, JSON Lines",
        recipe="file",
        segment="drt-vip",
        arriving=members,
        files={blob: "".join(f"{line}\n" for line in lines).encode()},
        read=[blob],
        follows=["[D][C] drt's Azure Blob Storage destination: the name; [?] nulls"],
    )


Maker = Callable[[], Sample]

SAMPLES: Final[tuple[Maker, ...]] = (
    customer_insights,
    customer_insights_campaign,
    cdm_model,
    cdm_manifest,
    salesforce,
    adobe,
    adobe_parquet,
    databricks,
    spark,
    snowflake,
    data_factory,
    cetas_csv,
    cetas_parquet,
    census,
    airbyte,
    drt,
)


def main() -> None:
    """Write all samples anew."""
    for make in SAMPLES:
        sample = make()
        shutil.rmtree(HERE / sample.name, ignore_errors=True)
        sample.write()


if __name__ == "__main__":
    main()
