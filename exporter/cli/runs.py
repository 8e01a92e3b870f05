"""`exporter run …`: what happened, what happens now, and which rows did not arrive."""

import codecs
import csv
import io
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
import typer

from exporter.cli.console import Output
from exporter.cli.follow import follow
from exporter.cli.reports import readings_text, report_text, runs_table
from exporter.cli.running import ExitCode, JsonOption, exit_code, open_session, run, whoever_asks
from exporter.domain.pause import MAX_REASON_CHARACTERS, Pause
from exporter.domain.retention import REJECT_DAYS, ended_before
from exporter.domain.run import Run
from exporter.domain.wording import escaped
from exporter.errors import ConfigurationError
from exporter.steps.aggregate import present_report
from exporter.steps.control import cancel_run, pause_run, redrive_run, resume_run
from exporter.steps.ports import Ports


def check_reason(text: str) -> str:
    """The reason itself. Raises BadParameter for one that is too long."""
    if len(text) > MAX_REASON_CHARACTERS:
        raise typer.BadParameter(f"at most {MAX_REASON_CHARACTERS} characters")
    return text


ReasonOption = Annotated[
    str, typer.Option("--reason", callback=check_reason, help="Why, for those who find it paused.")
]

runs = typer.Typer(no_args_is_help=True, help="What happened to drops.")

RunArgument = Annotated[str, typer.Argument(metavar="ID", help="A run's id or the beginning of it.")]


@runs.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=0, help="So many, newest first; 0 lists all.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the runs, newest first."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = [known async for known in session.ports.runs.all()]
            found.sort(key=lambda known: (known.ordered_at, known.run_id), reverse=True)
            shown = found[:limit] if limit else found
            reports = [await present_report(known, session.ports) for known in shown]
        output.document([report.model_dump(mode="json") for report in reports])
        if reports:
            output.show(runs_table(reports))
        else:
            output.show("There are no runs yet: `exporter drop FILE --segment SEGMENT` starts one.")
        if len(found) > len(shown) and not as_json:
            output.note(f"{len(found) - len(shown)} older ones: --limit 0 lists all.")
        return ExitCode.DONE

    run(work, as_json=as_json)


@runs.command("show")
def show_run(run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Show a run's report and how its files were read; before its end, what is known so far."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = await find_run(run_id, session.ports)
            report = await present_report(found, session.ports)
            plan = await session.ports.plans.record(found.run_id)
        readings = plan.readings if plan else ()
        beside = {"read_as": [*readings]} if readings else {}
        output.document(report.model_dump(mode="json") | beside)
        output.show(report_text(report))
        if readings:
            output.show(readings_text(readings))
        return ExitCode.DONE

    run(work, as_json=as_json)


@runs.command("watch")
def watch_run(run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Follow a run to its end; the exit code tells how it ended."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            return await _follow(await find_run(run_id, session.ports), session.ports, output)

    run(work, as_json=as_json)


@runs.command("cancel")
def cancel(run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Stop a run for good: nothing leaves any more, what was accepted is still settled and counted."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = await find_run(run_id, session.ports)
            stopped_now = await cancel_run(found.run_id, whoever_asks(), session.ports)
            await _show(await find_run(found.run_id, session.ports), session.ports, output)
        again = (
            f"run redrive {found.short_id}"
            if found.plan_epoch is not None
            else f"export run {found.export_id}"
        )
        if not stopped_now:
            output.note("The run had been stopped or had ended before: nothing was changed.")
        else:
            output.note(f"Cancelled. To send what was not sent, later: exporter {again}")
        return ExitCode.DONE

    run(work, as_json=as_json)


@runs.command("pause")
def pause(run_id: RunArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let a run send nothing until it is resumed; what was accepted is settled meanwhile.

    A newer drop of its segment starts a run of its own: to stop those as well, pause the connection.
    """

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = await find_run(run_id, session.ports)
            if found.pause is not None:
                output.note(f"The run was paused before, {found.pause.told()}: that stays.")
            made = Pause(since=session.ports.clock.now(), by=whoever_asks(), reason=reason)
            await _show(await pause_run(found.run_id, made, session.ports), session.ports, output)
        return ExitCode.DONE

    run(work, as_json=as_json)


@runs.command("resume")
def resume(run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Let a paused run go on."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = await find_run(run_id, session.ports)
            await _show(await resume_run(found.run_id, session.ports), session.ports, output)
        return ExitCode.DONE

    run(work, as_json=as_json)


@runs.command("redrive")
def redrive(
    run_id: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a run that has ended on its way again: only contacts without a good answer are sent."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = await find_run(run_id, session.ports)
            redriven = await redrive_run(found.run_id, session.ports)
            if wait:
                return await _follow(redriven, session.ports, output)
            await _show(redriven, session.ports, output)
        return ExitCode.DONE

    run(work, as_json=as_json)


async def _show(found: Run, ports: Ports, output: Output) -> None:
    """A run's report as it is now."""
    report = await present_report(found, ports)
    output.document(report.model_dump(mode="json"))
    output.show(report_text(report))


async def _follow(found: Run, ports: Ports, output: Output) -> ExitCode:
    """Follow a run to its end and show its report; the exit code tells how it ended."""
    (report,) = await follow([found.run_id], ports, output)
    output.document(report.model_dump(mode="json"))
    output.show(report_text(report))
    return exit_code([report])


@runs.command("rejects")
def show_rejects(run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Write the rows that did not arrive as CSV to stdout: source, row, reason, detail, email."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            found = await find_run(run_id, session.ports)
            if not found.state.final:
                raise ConfigurationError(
                    f"the run is still {found.state.value}: its rejects are complete when it has ended; "
                    f"`exporter run watch {found.run_id}` follows it"
                )
            if ended_before(found, REJECT_DAYS, session.ports.clock.now()):
                raise ConfigurationError(
                    f"the run ended more than {REJECT_DAYS} days ago, and its rejects are deleted by then: "
                    f"`exporter run show {found.short_id}` still counts them by reason"
                )
            blocks = session.ports.reports.read_rejects(found.run_id)
            await (_write_as_json(blocks, output) if as_json else _write(blocks))
        return ExitCode.DONE

    run(work, as_json=as_json)


async def find_run(wanted: str, ports: Ports) -> Run:
    """The run with an id, or with the only id that begins so. Raises ConfigurationError."""
    exact = await ports.runs.load(wanted) if len(wanted) == 32 and _is_hex(wanted) else None
    if exact is not None:
        return exact
    matches = [known async for known in ports.runs.all() if known.run_id.startswith(wanted.lower())]
    if not wanted or not matches:
        raise ConfigurationError(f"there is no run {wanted!r}; `exporter run list` lists them")
    if len(matches) > 1:
        raise ConfigurationError(f"{len(matches)} runs begin with {wanted!r}: give more of the id")
    return matches[0]


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdef" for digit in text)


async def _write(blocks: AsyncIterator[bytes]) -> None:
    """The file as it is; on a terminal, what a terminal would obey is shown escaped."""
    is_terminal = sys.stdout.isatty()
    decoder = codecs.getincrementaldecoder("utf-8")()
    async for block in blocks:
        if is_terminal:
            sys.stdout.write(escaped(decoder.decode(block).replace("\r", ""), keep="\n"))
        else:
            sys.stdout.buffer.write(block)
    sys.stdout.flush()


async def _write_as_json(blocks: AsyncIterator[bytes], output: Output) -> None:
    data = b"".join([block async for block in blocks])
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    output.document([{**row, "row": orjson.loads(row["row"])} for row in rows])
