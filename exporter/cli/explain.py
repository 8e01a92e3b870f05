"""`exporter explain BLOB`: what a file in the landing container is, and what would be done with it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import orjson
import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.recipes import dialect_lines, purpose, recipe_json, ways_in_words
from exporter.cli.running import ExitCode, JsonOption, open_session, run
from exporter.cli.wording import moment, number, plural
from exporter.domain.wording import shown_list
from exporter.steps.explain import DropView, Explanation, ExportView, FileReading, Kind, Tried, explain

MAX_FILES_LISTED: Final = 10
_KINDS: Final = {
    Kind.DATA: "a file with rows",
    Kind.SIGN: "shows which drops are whole; holds no rows",
    Kind.JUNK: "is ignored",
    Kind.UNRECOGNISED: "is not recognised, and not read",
}


def explain_blob(
    blob: Annotated[str, typer.Argument(metavar="BLOB", help="Its name in the container, or its address.")],
    rows: Annotated[int, typer.Option(min=1, max=100, help="Show so many contacts of each export.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Say of a file in the landing container what it is, and what would be done with it.

    Which recipe takes it and why others do not, its drop and what that waits for, how it is read, and what
    each export would make of its first rows. Nothing is written, and ActiveCampaign is asked nothing.
    """

    async def work(output: Output) -> int:
        async with open_session(creates=False) as session:
            from exporter.adapters.storage import LANDING_CONTAINER

            found = await explain(blob, session.ports, container=LANDING_CONTAINER, rows=rows)
        output.document(explanation_json(found))
        _show(found, output)
        return ExitCode.DONE if found.exists else ExitCode.ERROR

    run(work, as_json=as_json)


def explanation_json(found: Explanation) -> dict[str, Any]:
    """What was found, for programs."""
    return {
        "blob": found.blob,
        "exists": found.exists,
        "kind": found.kind.value,
        "why": found.why,
        "recipes_tried": [{"recipe": tried.recipe.id, "why_not": tried.why_not} for tried in found.tried],
        "drops": [_drop_json(view) for view in found.drops],
    }


def _drop_json(view: DropView) -> dict[str, Any]:
    drop = view.drop
    return {
        "recipe": recipe_json(drop.recipe),
        "segment": drop.segment,
        "version": drop.version,
        "complete": drop.complete,
        "shown_by": drop.by.value,
        "waits_for": drop.waits_for or None,
        "last_file_at": drop.dropped_at.isoformat(),
        "files": [file.model_dump(mode="json") for file in drop.files],
        "dialect": drop.dialect.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        "readings": [_reading_json(reading) for reading in view.files],
        "exports": [_export_json(export) for export in view.exports],
        "nobody": view.nobody or None,
    }


def _reading_json(file: FileReading) -> dict[str, Any]:
    reading = file.reading
    return {
        "file": file.name,
        "columns": [*file.header],
        "dialect": reading.dialect.model_dump(mode="json", exclude_none=True) if reading else None,
        "found": [*reading.found] if reading else [],
        "problem": file.problem or None,
    }


def _export_json(view: ExportView) -> dict[str, Any]:
    return {
        "export": view.export_id,
        "outcome": view.outcome.value,
        "detail": view.detail,
        "run_ids": [*view.run_ids],
        "contacts": [*view.contacts],
        "rejects": [asdict(reject) for reject in view.rejects],
        "problem": view.problem or None,
    }


def _show(found: Explanation, output: Output) -> None:
    state = "" if found.exists else " (there is no such blob: this is what its name says)"
    output.show(Text.assemble((found.blob, "bold"), f": {_KINDS[found.kind]}{state}"))
    if found.why:
        output.show(f"  {found.why}")
    if found.tried:
        output.show(_tried_table(found))
    for view in found.drops:
        output.show(Text(""), _drop_table(view))
        for file in view.files:
            output.show(*_reading_lines(file))
        if view.nobody:
            output.show(Text(f"  {view.nobody}", style="yellow"))
        for export in view.exports:
            output.show(*_export_lines(export))


def _tried_table(found: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recipe", "for", "takes it"):
        table.add_column(heading, overflow="fold")
    for tried in found.tried:
        table.add_row(Text(tried.recipe.id), Text(purpose(tried.recipe)), _answer(tried, found.drops))
    return table


def _answer(tried: Tried, drops: Sequence[DropView]) -> Text:
    if tried.why_not:
        return Text(f"no: {tried.why_not}", style="dim")
    taken_by = [view.drop.recipe.id for view in drops]
    if taken_by and tried.recipe.id not in taken_by:
        return Text(f"by its name yes, but what lies around it makes it one of '{taken_by[0]}'", "yellow")
    return Text("yes, by its name", "green")


def _drop_table(view: DropView) -> Table:
    drop = view.drop
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    size = sum(file.size for file in drop.files)
    names = shown_list([file.blob for file in drop.files], MAX_FILES_LISTED)
    whole = "yes" if drop.complete else f"no: it waits for {drop.waits_for}"
    lines = [
        ("segment", drop.segment),
        ("drop", drop.version),
        ("recipe", drop.recipe.id),
        ("files", f"{plural(len(drop.files), 'file')}, {number(size)} bytes: {names}"),
        ("last file", moment(drop.dropped_at)),
        ("whole", whole),
        ("whole when", ways_in_words(drop.recipe)),
        *((f"declared {name}", value) for name, value in dialect_lines(drop.dialect)),
    ]
    for name, value in lines:
        table.add_row(name, Text(value))
    return table


def _reading_lines(file: FileReading) -> Iterator[Text]:
    if file.reading is None:
        yield Text(f"  {file.name}: {file.problem}", style="red")
        return
    dialect = ", ".join(f"{name} {value}" for name, value in dialect_lines(file.reading.dialect))
    yield Text(f"  {file.name}: {dialect}")
    for sentence in file.reading.found:
        yield Text(f"    {sentence}")


def _export_lines(view: ExportView) -> Iterator[Text | Padding]:
    yield Text.assemble(("\nexport ", ""), (view.export_id, "bold"), f" {view.detail}")
    if view.problem:
        yield Text(f"  a run would end: {view.problem}", style="red")
    for contact in view.contacts:
        yield Padding(Text(orjson.dumps(contact).decode()), (0, 0, 0, 2), expand=False)
    for reject in view.rejects:
        yield Text(f"  rejected: {reject.source}, row {reject.row}: {reject.reason.value}, {reject.detail}")
