"""`exporter connection …`: the ActiveCampaign accounts, and whether they can be used."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, explain, open_session, pick, run
from exporter.domain.configuration import Connection, Export
from exporter.domain.pause import Pauses
from exporter.errors import ExporterError
from exporter.steps.ports import Ports
from exporter.steps.preflight import check_account

connections = typer.Typer(no_args_is_help=True, help="ActiveCampaign accounts.")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and how it is."""

    check: str
    """`account`, or `list` and its id."""
    ok: bool
    code: str | None
    """Why it is not, for programs."""
    detail: str


@connections.command("list")
def list_connections(as_json: JsonOption = False) -> None:
    """List the connections."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            stored = await session.ports.registry.connections()
            exports = [entry.value for entry in (await session.ports.registry.exports()).values()]
            pauses = await session.ports.pauses.load()
        found = [stored[name].value for name in sorted(stored)]
        output.document([connection.model_dump(mode="json") for connection in found])
        if found:
            output.show(_table(found, exports, pauses))
        else:
            output.show("There are no connections yet: write them in a file, then `exporter apply FILE`.")
        return ExitCode.DONE

    run(work, as_json=as_json)


@connections.command("test")
def check(connection_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Name what is wrong with a connection: host, key, rights, lists."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            ports = session.ports
            stored = pick(await ports.registry.connections(), connection_id, "connection")
            exports = [entry.value for entry in (await ports.registry.exports()).values()]
            session.settings.host_policy.check(stored.value.host)
            checks = await check_connection(stored.value, exports, ports)
        all_good = all(check.ok for check in checks)
        output.document(
            {"connection": connection_id, "ok": all_good, "checks": [asdict(check) for check in checks]}
        )
        output.show(_checks_table(checks))
        return ExitCode.DONE if all_good else ExitCode.ERROR

    run(work, as_json=as_json)


async def check_connection(connection: Connection, exports: list[Export], ports: Ports) -> list[Check]:
    """Look at the account, then at each list that an export sends to; a broken account ends the look."""
    checks = [await _check("account", connection, None, ports)]
    if checks[0].ok:
        list_ids = {export.list_id for export in exports if export.connection == connection.id}
        checks += [
            await _check(f"list {name}", connection, name, ports) for name in sorted(list_ids, key=int)
        ]
    return checks


async def _check(name: str, connection: Connection, list_id: str | None, ports: Ports) -> Check:
    try:
        found = await check_account(connection, list_id, ports)
    except ExporterError as error:
        return Check(name, False, *explain(error))
    said = f"the list {found.list_name!r}" if list_id else f"{connection.host}, as {found.user}"
    return Check(name, True, None, said)


def _table(found: list[Connection], exports: list[Export], pauses: Pauses) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("connection", "name", "host", "secret", "limits", "exports", "paused"):
        table.add_column(heading)
    for connection in found:
        limits = connection.limits
        used = [export.id for export in exports if export.connection == connection.id]
        pace = f"{limits.bulk_requests_per_minute}/min, {limits.requests_per_second}/s, {limits.share:.0%}"
        cells = (connection.id, connection.name, connection.host, connection.secret, pace, ", ".join(used))
        pause = pauses.everything or pauses.connections.get(connection.id)
        table.add_row(*(Text(cell) for cell in cells), Text(pause.told() if pause else "", style="yellow"))
    return table


def _checks_table(checks: list[Check]) -> Table:
    table = Table.grid(padding=(0, 2))
    for check in checks:
        sign = Text("ok", style="green") if check.ok else Text("wrong", style="bold red")
        table.add_row(sign, Text(check.check), Text(check.detail))
    return table
