"""Run the simulator from the command line: `python -m sandbox.activecampaign --port 8025 --speed 5`."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from .server import SimulatedActiveCampaign
from .settings import SimulatorSettings, explain

_ABOUT = """\
A simulated ActiveCampaign account: the REST API v3 on a loopback port, in memory, with the limits, delays
and faults of the real one. Point an integration at the printed URL with the header "Api-Token: sandbox-key".
"""
_EXAMPLES = """\
When it listens it prints one line of JSON with its url and host, and runs until SIGTERM or SIGINT (Ctrl+C).

examples:
  python -m sandbox.activecampaign --port 8025
  python -m sandbox.activecampaign --speed 5 --set plan_limit=500 --set lists='["News", "Customers"]'

What was done to it: curl URL/_sandbox/counters. All routes, settings and faults: docs/sandbox.md.
"""
_LAST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; one line of JSON on stdout says when and where.

    Exits with 2 if an option makes no sense, with 1 if the port cannot be had.
    """
    options, settings = read_arguments(arguments)
    # A million long-lived contacts make full collections slow and pointless.
    gc.set_threshold(100_000, 50, 1_000)
    asyncio.run(_serve(settings, options.port))


def read_arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, SimulatorSettings]:
    """Read the command line; a bad setting is a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.activecampaign",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=_port, default=0, help="the loopback port; 0, the default, takes a free one"
    )
    parser.add_argument("--speed", type=float, metavar="X", help="simulated seconds in a real one (1)")
    parser.add_argument(
        "--no-limits", action="store_true", help="no throttles, batches complete almost at once"
    )
    parser.add_argument("--key", help="the API key (sandbox-key)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting; the value is JSON, or else text; may be repeated",
    )
    parser.add_argument(
        "--settings", action=_PrintSettings, nargs=0, help="print every setting with its default, and exit"
    )
    options = parser.parse_args(arguments)
    try:
        return options, SimulatorSettings().changed(_changes(options))
    except ValidationError as problem:
        parser.error(f"{explain(problem)} (--settings prints them all)")
    except ValueError as problem:
        parser.error(str(problem))


class _PrintSettings(argparse.Action):
    """Print what `--set` knows, and exit, as `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        lines = [
            f"{name}={_as_json(field.default)}\n    {' '.join((field.description or '').split())}\n"
            for name, field in SimulatorSettings.model_fields.items()
            if not field.exclude  # a predicate cannot be written on a command line
        ]
        sys.stdout.write("".join(lines))
        parser.exit()


def _as_json(default: object) -> str:
    return orjson.dumps(sorted(default) if isinstance(default, frozenset) else default).decode()


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{number} is no port; ports go from 0 to {_LAST_PORT}")
    return number


_port.__name__ = "port"  # argparse names the type in "invalid port value"


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for assignment in options.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment}: write NAME=VALUE")
        changes[name] = _value(name, value)
    if options.speed is not None:
        changes["speed"] = options.speed
    if options.no_limits:
        changes["limits_enforced"] = False
    if options.key is not None:
        changes["key"] = options.key
    return changes


def _value(name: str, text: str) -> Any:
    field = SimulatorSettings.model_fields.get(name)
    if field is not None and isinstance(field.default, str):
        return text  # a key or a mode may look like a number
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


async def _serve(settings: SimulatorSettings, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    simulator = SimulatedActiveCampaign(settings, port=port)
    try:
        await simulator.start()
    except OSError as problem:
        sys.exit(f"python -m sandbox.activecampaign: port {port}: {problem.strerror}")
    try:
        ready = orjson.dumps({"ready": True, "url": simulator.url, "host": simulator.host})
        sys.stdout.write(ready.decode() + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await simulator.stop()


if __name__ == "__main__":
    main()
