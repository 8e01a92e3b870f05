"""The command line's entry: all commands, and how mistakes in calling them are told."""

import sys
from collections.abc import Sequence

import typer

from exporter.cli.apply import apply
from exporter.cli.connections import connections
from exporter.cli.console import Output
from exporter.cli.demo import demo
from exporter.cli.doctor import doctor
from exporter.cli.drop import drop
from exporter.cli.erase import erase
from exporter.cli.explain import explain_blob
from exporter.cli.exports import exports
from exporter.cli.first_send import preview_export, run_export
from exporter.cli.pauses import pause, pause_one, resume, resume_one
from exporter.cli.probe import probe
from exporter.cli.recipes import recipes
from exporter.cli.running import ExitCode
from exporter.cli.runs import runs
from exporter.cli.up import up

app = typer.Typer(
    name="exporter",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Segment files in Azure Blob Storage become contacts in ActiveCampaign, every row accounted for.",
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 partly failed, 4 failed, 5 needs approval.",
)
app.command()(demo)
app.command()(up)
app.command()(doctor)
app.command(no_args_is_help=True)(probe)
app.command(no_args_is_help=True)(apply)
app.command(no_args_is_help=True)(drop)
app.command(no_args_is_help=True)(erase)
app.command("explain", no_args_is_help=True)(explain_blob)
app.command()(pause)
app.command()(resume)
connections.command("pause")(pause_one)
connections.command("resume")(resume_one)
exports.command("preview")(preview_export)
exports.command("run")(run_export)
app.add_typer(connections, name="connection")
app.add_typer(exports, name="export")
app.add_typer(recipes, name="recipe")
app.add_typer(runs, name="run")

# typer has no public name for the base of all mistakes in calling a command.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code."""
    try:
        return int(app(list(arguments), prog_name="exporter", standalone_mode=False) or 0)
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]
        if "--json" in arguments:
            Output(as_json=True).fail("usage", error.format_message())  # type: ignore[attr-defined]
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
