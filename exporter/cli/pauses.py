"""`exporter pause|resume --all`, `connection pause|resume`: nothing is sent until a person says so."""

from typing import Annotated, Any, Final

import typer
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, open_session, pick, run, whoever_asks
from exporter.cli.runs import ReasonOption
from exporter.cli.wording import plural
from exporter.domain.pause import Pause, Pauses
from exporter.steps.control import (
    pause_connection,
    pause_everything,
    resume_connection,
    resume_everything,
)
from exporter.steps.ports import Ports

AllOption = Annotated[bool, typer.Option("--all", help="Every connection.")]
_INTERNAL: Final[Any] = {
    "schema_number": True,
    "everything": {"refused_key"},
    "connections": {"__all__": {"refused_key"}},
}
ConnectionArgument = Annotated[str, typer.Argument(metavar="ID")]


def pause(everything: AllOption = False, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let nothing be sent at all until it is resumed; drops are still taken up and wait."""
    _check_all(everything)

    async def work(output: Output) -> int:
        async with open_session() as session:
            await pause_everything(_pause(reason, session.ports), session.ports)
            _show(await session.ports.pauses.load(), output, "Nothing leaves any more 5 s from now.")
        return ExitCode.DONE

    run(work, as_json=as_json)


def resume(everything: AllOption = False, as_json: JsonOption = False) -> None:
    """End the pause of everything; what is paused by itself stays so."""
    _check_all(everything)

    async def work(output: Output) -> int:
        async with open_session() as session:
            count = await resume_everything(session.ports)
            _show(await session.ports.pauses.load(), output, f"Put {plural(count, 'run')} on the way again.")
        return ExitCode.DONE

    run(work, as_json=as_json)


def pause_one(
    connection_id: ConnectionArgument, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Let no run send over a connection until it is resumed; drops are still taken up and wait."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            pick(await session.ports.registry.connections(), connection_id, "connection")
            await pause_connection(connection_id, _pause(reason, session.ports), session.ports)
            _show(await session.ports.pauses.load(), output, "Nothing leaves over it any more 5 s from now.")
        return ExitCode.DONE

    run(work, as_json=as_json)


def resume_one(connection_id: ConnectionArgument, as_json: JsonOption = False) -> None:
    """Let runs send over a connection again."""

    async def work(output: Output) -> int:
        async with open_session() as session:
            if connection_id not in (await session.ports.pauses.load()).connections:
                pick(await session.ports.registry.connections(), connection_id, "connection")
            count = await resume_connection(connection_id, session.ports)
            _show(await session.ports.pauses.load(), output, f"Put {plural(count, 'run')} on the way again.")
        return ExitCode.DONE

    run(work, as_json=as_json)


def _check_all(everything: bool) -> None:
    """Make whoever means everything say so."""
    if not everything:
        raise typer.BadParameter(
            "say --all for every connection, or use `exporter connection …` or `exporter run …` for one",
            param_hint="--all",
        )


def _pause(reason: str, ports: Ports) -> Pause:
    return Pause(since=ports.clock.now(), by=whoever_asks(), reason=reason)


def _show(pauses: Pauses, output: Output, said: str) -> None:
    """What is paused now."""
    output.document(pauses.model_dump(mode="json", exclude=_INTERNAL))
    lines = [f"everything is paused {pauses.everything.told()}"] if pauses.everything else []
    lines += [f"connection {name} is paused {pause.told()}" for name, pause in pauses.connections.items()]
    output.show(Text(said), Text("\n".join(lines) or "Nothing is paused, but for single runs."))
