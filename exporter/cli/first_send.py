"""`exporter export preview` and `export run`: look before sending, send a few, then send all."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.drop import check_files, local_file
from exporter.cli.follow import follow
from exporter.cli.reports import counts_table, readings_text, reasons_table, report_text
from exporter.cli.running import ExitCode, JsonOption, exit_code, open_session, pick, run
from exporter.cli.wording import plural
from exporter.domain.configuration import Connection, Export
from exporter.domain.run import Run, RunReport
from exporter.errors import ExporterError
from exporter.steps.contact_view import ContactView, view_contacts
from exporter.steps.order import order_runs
from exporter.steps.ports import Ports
from exporter.steps.preview import Preview, preview

MOST_FIRST: Final = 100
"""Each contact of a first send is looked up with several requests of the account's general budget."""

ExportArgument = Annotated[str, typer.Argument(metavar="ID")]


def preview_export(
    export_id: ExportArgument,
    files: Annotated[list[Path], typer.Option("--drop", metavar="FILE", help="May be repeated.")],
    first: Annotated[int, typer.Option(min=1, max=250, help="Show so many contacts.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Show what an export would make of a file: counts, rejects, and the request as it would leave."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            export, connection = await _configured(export_id, session.ports)
            session.settings.host_policy.check(connection.host)
            check_files(files, export.segments[0])
            sources = [local_file(file) for file in files]
            found = await preview(export, connection, sources, session.ports, first=first)
        output.document(_preview_json(found))
        output.show(_preview_text(found))
        if found.request["contacts"]:
            output.show(orjson.dumps(found.request, option=orjson.OPT_INDENT_2).decode())
        return ExitCode.DONE if found.would_stop is None else ExitCode.FAILED

    run(work, as_json=as_json)


def run_export(
    export_id: ExportArgument,
    segment: Annotated[str | None, typer.Option(help="Only this one of its segments.")] = None,
    first: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_FIRST, help="Send only so many, and show each as ActiveCampaign has it."
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Send every contact, changed or not; every run does so far.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the runs to their end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send the newest drop of the export's segments now; with --first, a few contacts to look at.

    A new or changed export does not send older drops by itself: so look at the first contacts of a drop that
    is there already, before the next one lands.
    """
    del full  # nothing is left out yet that it could add

    async def work(output: Output) -> int:
        async with open_session() as session:
            export, connection = await _configured(export_id, session.ports)
            session.settings.host_policy.check(connection.host)
            ordered = await order_runs(export, connection, session.ports, segment=segment, first=first)
            if not wait and first is None:
                output.document([{"run_id": each.run_id, "segment": each.segment} for each in ordered])
                for each in ordered:
                    output.show(f"Ordered run {each.short_id} of segment {each.segment}.")
                    output.show_command(f"exporter run watch {each.short_id}")
                return ExitCode.DONE
            reports = await follow([each.run_id for each in ordered], session.ports, output)
            contacts = await _as_they_are(ordered, session.ports, output) if first is not None else None
        output.document(_reports_json(reports, contacts))
        output.show(*(report_text(report) for report in reports))
        if contacts:
            output.show(Padding(_contacts_table(contacts), (1, 0, 0, 2), expand=False))
        return exit_code(reports)

    run(work, as_json=as_json)


async def _configured(export_id: str, ports: Ports) -> tuple[Export, Connection]:
    """An export and its connection. Raises ConfigurationError that names those that exist."""
    export: Export = pick(await ports.registry.exports(), export_id, "export").value
    connection: Connection = pick(await ports.registry.connections(), export.connection, "connection").value
    return export, connection


async def _as_they_are(runs: list[Run], ports: Ports, output: Output) -> list[ContactView]:
    """The contacts of the runs. A look that fails is told of and no more: they were sent all the same."""
    views: list[ContactView] = []
    try:
        async for view in (view for each in runs async for view in view_contacts(each, ports)):
            views.append(view)  # noqa: PERF401 - those that came before an error are kept
    except ExporterError as error:
        output.warn(f"the contacts can't be looked up in ActiveCampaign: {error}")
    return views


def _reports_json(reports: list[RunReport], contacts: list[ContactView] | None) -> Any:
    """A list of reports; with a first send an object that has the contacts as well."""
    told = [report.model_dump(mode="json") for report in reports]
    return told if contacts is None else {"reports": told, "contacts": [asdict(view) for view in contacts]}


def _contacts_table(contacts: list[ContactView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for heading in ("as ActiveCampaign has it", "id", "list", "name", "phone", "fields", "tags"):
        table.add_column(heading)
    for view in contacts:
        if not view.found:
            table.add_row(Text(view.email), Text("not there", style="red"))
            continue
        fields = ", ".join(f"{title}: {value}" for title, value in view.fields.items())
        name = f"{view.first_name} {view.last_name}".strip()
        cells = (
            view.email,
            view.contact_id,
            view.list_status,
            name,
            view.phone,
            fields,
            ", ".join(view.tags),
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _preview_json(found: Preview) -> dict[str, Any]:
    return {
        "counts": found.counts.model_dump(),
        "reasons": found.reasons,
        "bulk_requests": found.bulk_requests,
        "request": found.request,
        "rejects": [asdict(reject) for reject in found.rejects],
        "would_stop": found.would_stop.model_dump() if found.would_stop else None,
        "read_as": [*found.readings],
    }


def _preview_text(found: Preview) -> RenderableType:
    contacts = found.counts.undelivered
    said = f"Would send {plural(contacts, 'contact')} in {plural(found.bulk_requests, 'bulk request')}."
    if found.would_stop is not None:
        said = f"A run of this would fail: {found.would_stop.message}."
    parts: list[RenderableType] = [
        Text(f"{said} This was a preview: nothing was sent."),
        Padding(counts_table(found.counts, planned=True), (1, 0, 0, 2), expand=False),
        readings_text(found.readings),
    ]
    if found.reasons:
        parts.append(Padding(reasons_table(found.reasons), (1, 0, 0, 2), expand=False))
    for reject in found.rejects:
        where = f"  {reject.source}, row {reject.row}: "
        parts.append(Text(f"{where}{reject.reason.value}, {reject.detail} {reject.email!r}", style="dim"))
    if contacts:
        parts.append(Text("\nThe first request, cut to the contacts asked for:\n"))
    return Group(*parts)
