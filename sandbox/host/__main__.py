"""`python -m sandbox.host`: run a function app on this machine until a signal."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from sandbox.host import logs
from sandbox.host.app_process import AppProcess
from sandbox.host.options import Options
from sandbox.host.problems import StartProblemsError
from sandbox.host.settings import load_settings


def parse_instances(text: str) -> dict[str, int]:
    """Read `function=2,other=3`."""
    counts = {}
    for part in filter(None, text.split(",")):
        name, _, count = part.partition("=")
        if not count.isdigit() or int(count) < 1:
            raise argparse.ArgumentTypeError(f"{part!r} is not function=count")
        counts[name.strip()] = int(count)
    return counts


def parse_options(arguments: list[str]) -> Options:
    """Read the command line."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m sandbox.host", description="Run a function app locally.")
    parser.add_argument(
        "--app-dir", type=Path, default=Path.cwd(), help="folder of function_app.py and host.json"
    )
    parser.add_argument("--port", type=int, default=default.port, help="HTTP port; 0 takes a free one")
    parser.add_argument(
        "--instances", type=parse_instances, default={}, help="function=2,... worker processes"
    )
    parser.add_argument("--function-key", help="ask for this key where the app asks for one")
    parser.add_argument("--quiet", action="store_true", help="log only warnings and errors")
    parser.add_argument("--grace-seconds", type=float, default=default.grace_seconds, help=argparse.SUPPRESS)
    parser.add_argument("--lease-seconds", type=float, default=default.lease_seconds, help=argparse.SUPPRESS)
    parser.add_argument("--list-seconds", type=float, default=default.list_seconds, help=argparse.SUPPRESS)
    parser.add_argument("--init-seconds", type=float, default=default.init_seconds, help=argparse.SUPPRESS)
    parser.add_argument("--end-with-stdin", action="store_true", help=argparse.SUPPRESS)
    given = vars(parser.parse_args(arguments))
    return Options(**{**given, "app_dir": given["app_dir"].resolve()})


async def run(options: Options, settings: dict[str, str]) -> int:
    """Start importing the app in its own process, then import what the host itself needs, and run."""
    if not (options.app_dir / "function_app.py").is_file():
        raise StartProblemsError([f"there is no function_app.py in {options.app_dir}"])
    app = AppProcess(options.app_dir, settings)
    try:
        from sandbox.host.host import Host

        return await Host(options, settings, app).run(lambda api: say({"ready": True, "api": api}))
    finally:
        app.close()


def say(line: dict[str, object]) -> None:
    """Print one JSON line for whoever started the host."""
    print(json.dumps(line), flush=True)  # noqa: T201 - the contract


def main() -> int:
    """Run the host; what is wrong with the app is told on stderr, and on stdout as JSON."""
    options = parse_options(sys.argv[1:])
    logs.set_up(quiet=options.quiet)
    try:
        return asyncio.run(run(options, load_settings(options.app_dir, os.environ)))
    except StartProblemsError as error:
        say({"ready": False, "problems": list(error.problems)})
        sys.stderr.write("\n  ".join(["The host did not start:", *error.problems]) + "\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
