"""`exporter probe CONNECTION`: how an ActiveCampaign account behaves where its documentation is silent."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, open_session, pick, run
from exporter.cli.wording import plural
from exporter.domain.configuration import Connection
from exporter.errors import ExporterError
from exporter.steps.accounts import open_account
from exporter.steps.probe import Prober, probe_reading
from exporter.steps.probe_questions import QUESTIONS, Finding
from exporter.steps.probe_writes import DOMAIN, TAG, WriteProbe, remove_contacts

if TYPE_CHECKING:
    from exporter.adapters.activecampaign.raw import AiohttpRawDestination
    from exporter.bootstrap import App


@dataclass(slots=True)
class _Written:
    """What the write probes left in the account."""

    list_id: str
    token: str
    removed: int | None = None
    """How many contacts were removed again; None: it was not asked for, or not come to."""


@dataclass(slots=True)
class _Wish:
    """What the command line asks for."""

    connection_id: str
    list_id: str | None
    remove: bool
    written: _Written | None = field(default=None)


def probe(
    connection_id: Annotated[str, typer.Argument(metavar="CONNECTION")],
    write_to_list: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Also write a few made-up contacts, to this list: use a test list."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before writing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the made-up contacts at the end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask an account how it behaves where ActiveCampaign's documentation leaves it open."""
    _check_call(connection_id, write_to_list, yes=yes, remove=remove)
    wish = _Wish(connection_id, write_to_list, remove)

    async def work(output: Output) -> int:
        async with _open_prober(wish, output) as prober:
            try:
                await _probe(prober, wish)
            except (ExporterError, asyncio.CancelledError):
                if wish.written is not None:
                    output.warn(_leftovers(wish.written))
                raise
        findings = [prober.findings[name] for name in QUESTIONS if name in prober.findings]
        output.document(_as_json(findings, prober, wish))
        _show(findings, wish, output)
        return ExitCode.DONE

    run(work, as_json=as_json)


def _check_call(connection_id: str, list_id: str | None, *, yes: bool, remove: bool) -> None:
    """Have a person agree to the writing."""
    if list_id is None:
        if remove:
            raise typer.BadParameter("--remove goes with --write-to-list")
        return
    if not list_id.isdecimal() or not list_id.isascii():
        raise typer.BadParameter("--write-to-list takes the list's number in ActiveCampaign, like 5")
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("writing needs --yes where nobody can be asked")
    typer.confirm(
        f"This writes about ten made-up contacts (…@{DOMAIN}, tag {TAG}) to list {list_id} of the account "
        f"behind '{connection_id}'; automations are excluded. Go on?",
        abort=True,
        err=True,
    )


@asynccontextmanager
async def _open_prober(wish: _Wish, output: Output) -> AsyncIterator[Prober]:
    async with open_session() as app:
        ports = app.ports
        connection = pick(await ports.registry.connections(), wish.connection_id, "connection").value
        async with _open_destination(connection, app) as destination:
            yield Prober(connection, await open_account(connection, ports), destination, ports, output.note)


def _open_destination(
    connection: Connection, app: "App"
) -> AbstractAsyncContextManager["AiohttpRawDestination"]:
    from exporter.adapters.activecampaign.raw import open_raw

    return open_raw(connection, app.secrets, app.settings.host_policy, app.ports.clock)


async def _probe(prober: Prober, wish: _Wish) -> None:
    prober.say(f"Asking {prober.connection.host}.")
    await probe_reading(prober)
    if wish.list_id is None:
        return
    writing = WriteProbe(prober, wish.list_id, prober.ports.randomness.token())
    await writing.check_list()
    wish.written = _Written(wish.list_id, writing.token)
    await writing.run()
    if wish.remove:
        prober.say("Removing the made-up contacts.")
        wish.written.removed = await remove_contacts(prober, writing.token)


def _as_json(findings: list[Finding], prober: Prober, wish: _Wish) -> dict[str, Any]:
    written = wish.written
    return {
        "connection": wish.connection_id,
        "host": prober.connection.host,
        "requests": prober.request_count,
        "findings": [
            {
                "question": finding.question.name,
                "asks": finding.question.asks,
                "account": finding.answer,
                "words": finding.words,
                "simulator": finding.question.simulator,
                "differs": finding.differs,
                "switch": finding.switch,
            }
            for finding in findings
        ],
        "switches": _switches(findings),
        "written": None
        if written is None
        else {"list": written.list_id, "token": written.token, "tag": TAG, "removed": written.removed},
    }


def _switches(findings: list[Finding]) -> list[str]:
    """The simulator's settings that make it behave like the account, each once."""
    return list(dict.fromkeys(finding.switch for finding in findings if finding.switch))


def _show(findings: list[Finding], wish: _Wish, output: Output) -> None:
    output.show(_table(findings))
    different = [finding for finding in findings if finding.differs]
    if not different:
        output.show("", "The simulator's defaults fit this account.")
    switches = _switches(findings)
    if switches:
        output.show("", "A simulator that behaves like this account:")
        output.show_command(" ".join(["python -m sandbox.activecampaign", *(f"--set {s}" for s in switches)]))
    unknown = [finding.question.name for finding in different if finding.switch is None]
    if unknown:
        output.show("", f"Without a switch in the simulator: {', '.join(unknown)}.")
    if wish.written is not None:
        output.show("", _leftovers(wish.written))


def _leftovers(written: _Written) -> str:
    """What is still in the account, and how it goes away."""
    if written.removed is not None:
        return f"Removed {plural(written.removed, 'made-up contact')} with {written.token} in the address."
    return (
        f"To remove the made-up contacts: in ActiveCampaign search the contacts for {written.token}, check "
        f"that they carry the tag {TAG}, and delete them. With --remove the probe does it itself."
    )


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("question", "this account", "the simulator's default", "switch"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        answer = Text(finding.answer or "does not tell", style="yellow" if finding.differs else "")
        if finding.words:
            answer.append(f"\n{finding.words}", style="dim")
        switch = f"--set {finding.switch}" if finding.switch else ""
        table.add_row(Text(finding.question.asks), answer, Text(finding.question.simulator), Text(switch))
    return table
