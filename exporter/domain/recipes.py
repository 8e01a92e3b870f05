"""The built-in recipes: how known producers name the files of their drops, in the order of their trial.

A user's own recipes are tried before them. Whatever lies directly in a segment's folder is a whole snapshot
by itself (`file`), so a recipe that takes several files there knows names that nobody gives a file by chance.
A folder of the Common Data Model has no recipe: its manifest says which files belong to a table.
"""

from typing import Final

from exporter.domain.dialect import Dialect
from exporter.domain.recipe import Completeness, Recipe

CUSTOMER_INSIGHTS: Final = Recipe(
    id="customer-insights",
    pattern=(
        "[{root:path}/]CustomerInsights_{instance}/{export}/{segment}"
        "/{year:4}/{month:2}/{day:2}/{time:4}/{part}.csv"
    ),
    complete=(Completeness.MANIFEST, Completeness.QUIET),
    manifest="[{root}/]CustomerInsights_{instance}/{export}/model.json",
)
"""Export to Azure Blob Storage or Data Lake; one `model.json` for all tables of an export, written each time
(learn.microsoft.com/dynamics365/customer-insights/data/export-azure-blob-storage)."""

CUSTOMER_INSIGHTS_CAMPAIGN: Final = Recipe(
    id="customer-insights-campaign",
    pattern="[{root:path}/]CustomerInsights_{instance}/{segment}_{epoch:digits}.csv",
    complete=(Completeness.AT_ONCE,),
)
"""Export to Adobe Campaign: `<export>_<segment>_<epoch>.csv`. Both names may have underscores, so the segment
is both (learn.microsoft.com/dynamics365/customer-insights/data/export-adobe-campaign-standard)."""

_SALESFORCE_TIME: Final = "{year:4}-{month:2}-{day:2}[-{hour:2}-{minute:2}-{second:2}][-{millisecond:3}]"

SALESFORCE: Final = Recipe(
    id="salesforce",
    pattern=f"{{segment}}/{{stem}}_{_SALESFORCE_TIME}_{{part:5}}.{{ending}}",
    complete=(Completeness.QUIET,),
)
"""Data 360 (Data Cloud), a file storage activation with a child folder for each segment
(help.salesforce.com, *File Name Examples for File Storage Activation*)."""

SALESFORCE_FLAT: Final = Recipe(
    id="salesforce-flat",
    pattern=f"{{stem}}_{_SALESFORCE_TIME}_{{part:5}}.{{ending}}",
    segment="{stem}",
    complete=(Completeness.QUIET,),
)
"""The same without a folder: the segment is `<segment>_<activation>`, or the custom name."""

SPARK: Final = Recipe(
    id="spark",
    pattern="{segment}/[{drop:folders}/]part-{part_task:5}-{part}",
    complete=(Completeness.COMMITTED, Completeness.MARKER),
)
"""Spark and Databricks: `part-00000-<id>-c000.csv`, and `_SUCCESS` or `_committed_<id>` at the end
(docs.databricks.com, *Transactional writes to cloud storage with DBIO*). What was written with `partitionBy`
lies in folders `key=value`, each with files of the same drop: there the whole folder is `folder`."""

SNOWFLAKE: Final = Recipe(
    id="snowflake",
    pattern=(
        "{segment}/[{drop}/]data_[{query:guid}_]{part_node:1-3}_{part_thread:1-3}_{part:digits}.{ending}"
    ),
    complete=(Completeness.MARKER, Completeness.QUIET),
    dialect=Dialect(null="\\N"),
)
"""COPY INTO a location that ends in a slash: gzip, no header and `\\N` for nothing unless told otherwise
(docs.snowflake.com/sql-reference/sql/copy-into-location)."""

ADOBE: Final = Recipe(
    id="adobe",
    pattern="{segment}/{stem}_{date:8}_{time:6}[_{part:1-3}].{ending}",
    complete=(Completeness.QUIET,),
)
"""Real-Time CDP splits at five million rows: `name.csv`, `name_2.csv`. Its default name is
`%DESTINATION_NAME%_%SEGMENT_ID%_%DATETIME(YYYYMMdd_HHmmss)%`, which tells one export from the next
(experienceleague.adobe.com, *Activate audiences to batch profile export destinations*). A `manifest*.json`
beside the files is read where there is one."""

DATA_FACTORY: Final = Recipe(
    id="data-factory",
    pattern="{segment}/{prefix}_{part:5}.{ending}",
    complete=(Completeness.QUIET,),
)
"""Copy activity with *max rows per file* and a file name prefix. Quotes are escaped by backslashes unless
told otherwise, which the file shows (learn.microsoft.com/azure/data-factory/format-delimited-text)."""

CETAS_SERVERLESS: Final = Recipe(
    id="cetas-serverless",
    pattern="{segment}/[{drop}/]{query:guid}_{part_job:digits}_{part:digits}-{part_file:digits}.{ending}",
    complete=(Completeness.MARKER, Completeness.QUIET),
)
"""CREATE EXTERNAL TABLE AS SELECT in a serverless pool of Synapse: no header
(learn.microsoft.com/azure/synapse-analytics/sql/develop-tables-cetas; the names as public queries have them).
"""

CETAS_DEDICATED: Final = Recipe(
    id="cetas-dedicated",
    pattern="{segment}/[{drop}/]QID{query:digits}_{date:8}_{time:6}_{part:digits}.{ending}",
    complete=(Completeness.MARKER, Completeness.QUIET),
)
"""The same in a dedicated pool
(learn.microsoft.com/sql/t-sql/statements/create-external-table-as-select-transact-sql)."""

AIRBYTE: Final = Recipe(
    id="airbyte",
    pattern=("{namespace}/{segment}/{year:4}_{month:2}_{day:2}_{epoch:digits}_{part:digits}.{ending}"),
    complete=(Completeness.QUIET,),
)
"""Azure Blob Storage destination: a stream is a segment
(docs.airbyte.com/integrations/destinations/azure-blob-storage)."""

FOLDER: Final = Recipe(
    id="folder",
    pattern="{segment}/{drop}/{part:path}",
    complete=(Completeness.COMMITTED, Completeness.MARKER),
)
"""The project's own form for several files: a folder that an empty `_SUCCESS` or `.done` closes."""

FILE: Final = Recipe(id="file", pattern="{segment}/{file}", complete=(Completeness.AT_ONCE,))
"""The project's own form for one file, and that of Census, drt and most jobs: each new file, and each
overwriting, is a whole snapshot."""

BUILT_IN: Final = (
    CUSTOMER_INSIGHTS,
    CUSTOMER_INSIGHTS_CAMPAIGN,
    SALESFORCE,
    SALESFORCE_FLAT,
    SPARK,
    SNOWFLAKE,
    CETAS_SERVERLESS,
    CETAS_DEDICATED,
    ADOBE,
    DATA_FACTORY,
    AIRBYTE,
    FOLDER,
    FILE,
)
