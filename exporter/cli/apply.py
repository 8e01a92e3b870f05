"""`exporter apply FILE`: connections, recipes and exports from one file."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, open_session, run
from exporter.cli.wording import plural
from exporter.domain.configuration_file import load_configuration
from exporter.errors import ConfigurationError
from exporter.steps.apply import Action, Differences, apply_configuration

_SIGNS: Final = {
    Action.CREATE: ("+", "green"),
    Action.CHANGE: ("~", "yellow"),
    Action.REMOVE: ("-", "red"),
    Action.UNCHANGED: ("=", "dim"),
}
_DONE: Final = {
    Action.CREATE: "created",
    Action.CHANGE: "changed",
    Action.REMOVE: "removed",
    Action.UNCHANGED: "unchanged",
}


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - reads stdin.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, change nothing.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the file does not have.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the connections, recipes and exports of FILE in force; all its problems are reported at once."""

    async def work(output: Output) -> int:
        text = read_text(file)
        async with open_session() as session:
            registry = session.ports.registry
            configuration = load_configuration(
                text,
                filename=str(file),
                host_policy=session.settings.host_policy,
                known_connections=() if prune else (await registry.connections()).keys(),
            )
            differences = await apply_configuration(configuration, registry, prune=prune, dry_run=dry_run)
        output.document(differences_json(differences))
        output.show(_changes_table(differences), _summary(differences))
        return ExitCode.DONE

    run(work, as_json=as_json)


def read_text(file: Path) -> str:
    """The file's text. Raises ConfigurationError when it is not UTF-8, OSError when it can't be read."""
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: is not UTF-8 text (byte {error.start})") from None


def differences_json(differences: Differences) -> dict[str, Any]:
    """What was or would be done, for programs."""
    return {
        "applied": differences.applied,
        "changes": [
            {"kind": change.kind, "id": change.id, "action": change.action.value, "paths": [*change.paths]}
            for change in differences.changes
        ],
    }


def _changes_table(differences: Differences) -> Table:
    table = Table.grid(padding=(0, 2))
    for change in differences.changes:
        sign, style = _SIGNS[change.action]
        name = Text(f"{sign} {change.kind} {change.id}", style=style)
        table.add_row(name, Text(", ".join(change.paths), style="dim"))
    return table


def _summary(differences: Differences) -> Text:
    counts = {action: differences.count(action) for action in Action}
    said = [f"{counts[action]} {_DONE[action]}" for action in Action if counts[action]]
    text = Text("\n" + (", ".join(said) or "The file holds nothing") + ".")
    touched = counts[Action.CREATE] + counts[Action.CHANGE] + counts[Action.REMOVE]
    if touched and not differences.applied:
        text.append(f" Nothing was written (--dry-run): {plural(touched, 'change')} to apply.")
    waiting = [
        change
        for change in differences.changes
        if change.kind == "export" and change.action in {Action.CREATE, Action.CHANGE}
    ]
    if waiting and differences.applied:
        text.append(" New and changed exports wait for their next drop: ")
        text.append("exporter drop FILE --segment SEGMENT --wait", style="bold")
    return text
