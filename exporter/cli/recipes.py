"""`exporter recipe …`: how the files of drops are known, a person's own recipes first."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, open_session, pick, run
from exporter.domain.dialect import DELIMITERS_BY_WORD, Dialect
from exporter.domain.layout import LISTED
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.domain.wording import shown
from exporter.steps.landing import known_recipes

recipes = typer.Typer(no_args_is_help=True, help="How the files of drops are known.")

OWN: Final = "from the configuration file"
PURPOSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "customer-insights": "Customer Insights, export to Blob Storage or Data Lake",
        "customer-insights-campaign": "Customer Insights, export to Adobe Campaign",
        "salesforce": "Salesforce Data 360 (Data Cloud), a folder for each segment",
        "salesforce-flat": "Salesforce Data 360 (Data Cloud), without folders",
        "adobe": "Adobe Real-Time CDP",
        "spark": "Spark and Databricks",
        "snowflake": "Snowflake, COPY INTO a location",
        "cetas-serverless": "Synapse, CETAS in a serverless pool",
        "cetas-dedicated": "Synapse, CETAS in a dedicated pool",
        "data-factory": "Data Factory and Fabric, copy with most rows per file",
        "airbyte": "Airbyte, Azure Blob Storage destination",
        "folder": "several files in a folder that _SUCCESS or .done closes",
        "file": "one file is the whole segment: Census, drt and most jobs",
        LISTED.id: "Common Data Model: what model.json or *.manifest.cdm.json lists, by whatever name",
    }
)
"""What the built-in recipes are for, by id, and what stands for one where a manifest alone decides."""
_WAYS: Final[Mapping[Completeness, str]] = MappingProxyType(
    {
        Completeness.MANIFEST: "its manifest lists it",
        Completeness.COMMITTED: "_committed_ files list it",
        Completeness.MARKER: "_SUCCESS or .done lies in its folder",
        Completeness.QUIET: "no file came for a while",
        Completeness.AT_ONCE: "the file is there",
    }
)


@recipes.command("list")
def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes in the order in which they are tried."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            known = await known_recipes(session.ports)
        output.document([recipe_json(recipe) for recipe in known])
        output.show(_table(known))
        return ExitCode.DONE

    run(work, as_json=as_json)


@recipes.command("show")
def show_recipe(recipe_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Show one recipe."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            # Of an own recipe and a built-in one of a later version with its id, the own one is tried first.
            known = {recipe.id: recipe for recipe in (LISTED, *reversed(await known_recipes(session.ports)))}
        recipe: Recipe = pick(known, recipe_id, "recipe")
        output.document(recipe_json(recipe))
        output.show(_details(recipe))
        return ExitCode.DONE

    run(work, as_json=as_json)


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the configuration file has it, what it is for, and whether it is built in."""
    return {
        **recipe.model_dump(mode="json"),
        "built_in": is_built_in(recipe),
        "purpose": purpose(recipe),
    }


def is_built_in(recipe: Recipe) -> bool:
    """Whether a recipe comes with the exporter."""
    return recipe in (*BUILT_IN, LISTED)


def purpose(recipe: Recipe) -> str:
    """What a recipe is for, in a few words."""
    return PURPOSES.get(recipe.id, "") if is_built_in(recipe) else OWN


def ways_in_words(recipe: Recipe) -> str:
    """What shows that a drop of the recipe is whole, in the order of trial."""
    return ", else ".join(_WAYS[way] for way in recipe.complete)


def dialect_lines(dialect: Dialect) -> list[tuple[str, str]]:
    """What is declared of a dialect, for people; a delimiter that a word stands for by that word."""
    words = {sign: word for word, sign in DELIMITERS_BY_WORD.items()}
    declared = dialect.model_dump(exclude_none=True, exclude_defaults=True)
    if "columns" in declared:
        declared["columns"] = ", ".join(dialect.columns)
    if dialect.delimiter is not None:
        declared["delimiter"] = words.get(dialect.delimiter, dialect.delimiter)
    if dialect.header is not None:
        declared["header"] = "yes" if dialect.header else "no"
    return [(key, shown(value, 2000)) for key, value in declared.items()]


def _table(known: tuple[Recipe, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recipe", "pattern", "a drop is whole when", "for"):
        table.add_column(heading, overflow="fold")
    for recipe in known:
        cells = (recipe.id, recipe.pattern, ways_in_words(recipe), purpose(recipe))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _details(recipe: Recipe) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    lines = [
        ("recipe", recipe.id),
        ("for", purpose(recipe)),
        ("pattern", recipe.pattern),
        ("segment", recipe.segment or "{segment}"),
        ("a drop is whole when", ways_in_words(recipe)),
    ]
    if recipe.manifest:
        lines.append(("manifest", recipe.manifest))
    if Completeness.QUIET in recipe.complete:
        seconds = recipe.quiet_seconds
        lines.append(("quiet for", f"{seconds} s" if seconds else "what EXPORTER_QUIET_SECONDS says"))
    declared = dialect_lines(recipe.dialect)
    lines += declared or [("dialect", "found out from each file")]
    for name, value in lines:
        table.add_row(name, Text(value))
    return table
