"""`exporter export …`: which segments go to which lists."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, open_session, pick, run
from exporter.cli.wording import moment
from exporter.domain.configuration import Export
from exporter.steps.ports import StoredExport

exports = typer.Typer(no_args_is_help=True, help="Which segments go to which lists.")


@exports.command("list")
def list_exports(as_json: JsonOption = False) -> None:
    """List the exports."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            stored = await session.ports.registry.exports()
        found = [stored[name] for name in sorted(stored)]
        output.document([entry.value.model_dump(mode="json") for entry in found])
        if found:
            output.show(_table(found))
        else:
            output.show("There are no exports yet: write them in a file, then `exporter apply FILE`.")
        return ExitCode.DONE

    run(work, as_json=as_json)


@exports.command("show")
def show_export(export_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Show one export."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            stored = pick(await session.ports.registry.exports(), export_id, "export")
        output.document(stored.value.model_dump(mode="json"))
        output.show(_details(stored))
        return ExitCode.DONE

    run(work, as_json=as_json)


def _table(found: list[StoredExport]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("export", "name", "connection", "list", "segments", "active since"):
        table.add_column(heading)
    for stored in found:
        export = stored.value
        cells = (export.id, export.name, export.connection, export.list_id, ", ".join(export.segments))
        table.add_row(*(Text(cell) for cell in cells), moment(stored.active_since))
    return table


def _details(stored: StoredExport) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for name, value in _lines(stored.value):
        table.add_row(name, Text(value))
    table.add_row("active since", f"{moment(stored.active_since)} (drops before that are not sent)")
    return table


def _lines(export: Export) -> list[tuple[str, str]]:
    mapping = export.mapping
    standard: dict[str, Any] = mapping.model_dump(exclude={"fields"}, exclude_none=True)
    tags = [tag if isinstance(tag, str) else f"from column {tag.column}" for tag in export.tags]
    return [
        ("export", export.id),
        ("name", export.name),
        ("connection", export.connection),
        ("list", export.list_id),
        ("segments", ", ".join(export.segments)),
        *((name.replace("_", " "), f"column {column}") for name, column in standard.items()),
        *((f"field {field}", f"column {column}") for column, field in mapping.fields.items()),
        ("tags", ", ".join(tags) or "none"),
        ("content", "everybody in the segment" if export.content == "snapshot" else "changes (delta)"),
        ("empty values", "keep what ActiveCampaign has" if export.empty == "keep" else "clear the field"),
        ("automations", "may start" if export.automations else "do not start"),
        ("tolerated rejects", f"{export.tolerated_reject_percentage:g} %"),
    ]
