"""Run the simulator from the command line: `python -m sandbox.activecampaign --port 0 --speed 5`."""

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
from .settings import SimulatorSettings


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; one line of JSON on stdout says when and where."""
    options, settings = read_arguments(arguments)
    # A million long-lived contacts make full collections slow and pointless.
    gc.set_threshold(100_000, 50, 1_000)
    asyncio.run(_serve(settings, options.port))


def read_arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, SimulatorSettings]:
    """Read the command line; a bad setting is a usage error."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.activecampaign", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--speed", type=float, help="simulated seconds in a real one")
    parser.add_argument("--no-limits", action="store_true", help="no throttles, processing at once")
    parser.add_argument("--key", help="the API key (sandbox-key)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting; the value is JSON, or else text",
    )
    options = parser.parse_args(arguments)
    try:
        return options, SimulatorSettings().changed(_changes(options))
    except (ValidationError, ValueError) as problem:
        parser.error(str(problem))


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for assignment in options.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment}: write NAME=VALUE")
        changes[name] = _value(value)
    if options.speed is not None:
        changes["speed"] = options.speed
    if options.no_limits:
        changes["limits_enforced"] = False
    if options.key is not None:
        changes["key"] = options.key
    return changes


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


async def _serve(settings: SimulatorSettings, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with SimulatedActiveCampaign(settings, port=port) as simulator:
        ready = orjson.dumps({"ready": True, "url": simulator.url, "host": simulator.host})
        sys.stdout.write(ready.decode() + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
