"""`exporter demo`: the whole path on this machine, and a check that nothing got lost on it."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import orjson
import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.drop import follow_drop, put_drop
from exporter.cli.local import (
    Simulator,
    blank_settings,
    check_sandbox,
    ended,
    start_app,
    start_simulator,
    start_storage,
    with_storage,
)
from exporter.cli.reports import report_text
from exporter.cli.running import ExitCode, JsonOption, open_session, run
from exporter.cli.wording import number, plural
from exporter.domain.configuration import (
    Configuration,
    Connection,
    Consent,
    Export,
    Mapping,
    TagColumn,
)
from exporter.domain.run import RunReport
from exporter.errors import ConfigurationError
from exporter.settings import Settings, secret_setting
from exporter.steps.apply import apply_configuration

if TYPE_CHECKING:
    from sandbox.host import LocalHost
    from sandbox.segment import Truth

Result = TypeVar("Result")

SEGMENT: Final = "customers"
_SECRET: Final = "activecampaign-demo"  # noqa: S105 - the name of a secret
_LIST_ID: Final = "2"
_MAX_COMPARED: Final = 250_000
"""So many contacts are compared value by value; beyond that their number is."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure as the segment was made and as it came out."""

    what: str
    expected: int
    found: int

    @property
    def equal(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.found


def demo(
    rows: Annotated[int, typer.Option(min=1, help="How many rows to make up.")] = 5_000,
    as_json: JsonOption = False,
) -> None:
    """Send a made-up segment to a simulated ActiveCampaign on this machine, and check every row."""

    async def work(output: Output) -> int:
        check_sandbox()
        _end_politely()
        with tempfile.TemporaryDirectory(prefix="exporter-demo-") as directory:
            report, comparisons = await _run_demo(rows, Path(directory), output)
        equal = all(comparison.equal for comparison in comparisons)
        output.document(
            {
                "report": report.model_dump(mode="json"),
                "comparisons": [asdict(entry) | {"equal": entry.equal} for entry in comparisons],
                "equal": equal,
            }
        )
        output.show(report_text(report, hints=False), _comparison_text(comparisons))
        return ExitCode.DONE if equal else ExitCode.ERROR

    run(work, as_json=as_json)


def _end_politely() -> None:
    """Let SIGTERM, like Ctrl+C, end this process by the way that ends the others first."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _run_demo(rows: int, directory: Path, output: Output) -> tuple[RunReport, list[Comparison]]:
    from sandbox.processes import scratch_file, tail
    from sandbox.segment import write_segment

    output.note("Starting a storage, a simulated ActiveCampaign and the app…")
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(start_storage(directory / "storage"))
        simulator = await stack.enter_async_context(start_simulator())
        environ = demo_environ(storage, simulator)
        log = scratch_file()
        host = await stack.enter_async_context(start_app(environ, log=log, quiet=True))
        session = await stack.enter_async_context(open_session(Settings.from_env(environ)))
        await apply_configuration(demo_configuration(simulator.host), session.ports.registry)
        file = directory / "customers.csv"
        truth = await asyncio.to_thread(write_segment, file, rows, with_contacts=rows <= _MAX_COMPARED)
        output.note(f"Made up {plural(rows, 'row')}; at ActiveCampaign's limits 25,000 go out in a minute.")
        dropped = await put_drop([file], SEGMENT, session.ports)
        try:
            (report,) = await _while_up(host, follow_drop(dropped, session.ports, output))
        except ConfigurationError:
            output.note(tail(log))
            raise
        return report, await compare(report, truth, contacts_in(simulator))


def demo_environ(storage: str, simulator: Simulator) -> dict[str, str]:
    """The environment of the demo: nothing of the user's own settings."""
    return with_storage(
        {
            **blank_settings(os.environ),
            "EXPORTER_LOCAL_HOSTS": simulator.host,
            secret_setting(_SECRET): simulator.key,
        },
        storage,
    )


def demo_configuration(host: str) -> Configuration:
    """One connection and one export that take in the made-up columns."""
    connection = Connection(
        id="demo",
        name="Simulated ActiveCampaign",
        host=host,
        secret=_SECRET,
        consent=Consent(accepted_by="nobody: these people are made up"),
    )
    mapping = Mapping(
        email="Email",
        first_name="FirstName",
        last_name="LastName",
        phone="Phone",
        fields={"City": "City"},
    )
    export = Export(
        id=SEGMENT,
        name="Made-up customers",
        connection="demo",
        list_id=_LIST_ID,
        segments=(SEGMENT,),
        mapping=mapping,
        tags=("demo", TagColumn(column="Tier")),
        # In a small made-up segment chance alone may spoil more than the usual share.
        tolerated_reject_percentage=100,
    )
    return Configuration(connections=(connection,), exports=(export,))


async def _while_up(host: "LocalHost", work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work, but not without the app."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(ended(host))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ConfigurationError("the app ended in the middle of the demo")
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def contacts_in(simulator: Simulator) -> AsyncIterator[dict[str, Any]]:
    """All contacts of the simulated account."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{simulator.url}/_sandbox/contacts") as response,
    ):
        async for line in response.content:
            yield orjson.loads(line)


async def compare(
    report: RunReport, truth: "Truth", contacts: AsyncIterator[dict[str, Any]]
) -> list[Comparison]:
    """The report and the account against what is known of the made-up segment."""
    counts = report.counts
    comparisons = [
        Comparison("rows", truth.rows, counts.rows),
        Comparison("repeated addresses", truth.duplicates, counts.duplicates),
        *(
            Comparison(f"rejected: {reason}", truth.rejected[reason], report.reasons.get(reason, 0))
            for reason in sorted({*truth.rejected, *report.reasons})
        ),
        Comparison("delivered", truth.keep, counts.delivered),
    ]
    found = right = 0
    async for contact in contacts:
        found += 1
        made = truth.contacts.get(contact["email"])
        right += made is not None and _values_of(contact) == _values_made(made)
    comparisons.append(Comparison("contacts in ActiveCampaign", truth.keep, found))
    if truth.contacts:
        comparisons.append(Comparison("with every value right", truth.keep, right))
    return comparisons


def _values_of(contact: dict[str, Any]) -> tuple[Any, ...]:
    """What the account holds of a contact; City is the only custom field that is sent."""
    names = (contact["first_name"], contact["last_name"], contact["phone"])
    city = next(iter(contact["fields"].values()), "")
    return (*names, city, {*contact["tags"]}, contact["lists"])


def _values_made(row: dict[str, str]) -> tuple[Any, ...]:
    """The same of a row of the segment."""
    tags = {"demo", row["Tier"]} - {""}
    return (row["FirstName"], row["LastName"], row["Phone"], row["City"], tags, {_LIST_ID: 1})


def _comparison_text(comparisons: list[Comparison]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_row("", Text("made up", style="dim"), Text("found", style="dim"))
    for entry in comparisons:
        verdict = Text("equal", style="green") if entry.equal else Text("different", style="bold red")
        table.add_row(entry.what, number(entry.expected), number(entry.found), verdict)
    unequal = sum(not entry.equal for entry in comparisons)
    end = (
        Text(f"{plural(unequal, 'figure')} differ from what was made up.", style="bold red")
        if unequal
        else Text("Every row is accounted for.", style="bold green")
    )
    heading = Text("Compared with the truth", style="bold")
    return Group(Text(), heading, Padding(table, (0, 0, 1, 2), expand=False), end)
