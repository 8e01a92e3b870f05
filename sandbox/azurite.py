"""Starts Azurite, the storage emulator, on free loopback ports, and stops it again.

    with Azurite() as storage:                    # in memory
        run_the_app(AzureWebJobsStorage=storage.connection_string)

    python -m sandbox.azurite --location .data    # on disk, until a signal; one JSON line on stdout

What Azurite does and does not do is in docs of its own; the traps that decide the flags below were found by
trying: it must skip its API version check because the SDKs are newer than it, `--silent` leaves out the
request log but not the "successfully listening" lines that name the ports, and only a polite end keeps the
last seconds of data on disk.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from sandbox.certificates import Certificate
from sandbox.processes import Child, StartError, scratch_file, tail

ACCOUNT = "devstoreaccount1"
# The well-known key of every emulator; it protects nothing.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_LISTENING = re.compile(
    r"Azurite (Blob|Queue|Table) service is successfully listening at (https?://[\d.]+:\d+)"
)
# Ends Azurite politely, so that it saves its data, when its parent is gone (see sandbox.processes). It prints
# while it closes: that nobody reads this any more must not end it before the data is on disk.
_LIFELINE = (
    "data:text/javascript,process.stdout.on('error',()=>{});process.stderr.on('error',()=>{});"
    "process.stdin.on('end',()=>process.kill(process.pid,'SIGTERM')).resume().unref()"
)


def find_node() -> str:
    """Return the node to run: the one on PATH, else the one in this virtual environment."""
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.prefix) / "bin"))
    if node is None:
        raise StartError("Node.js is neither on PATH nor in the virtual environment: run `make setup`")
    return node


def find_script(start: Path) -> Path:
    """Return Azurite's entry point in the project's `.azurite` folder."""
    script = start / ".azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    if not script.is_file():
        raise StartError(f"Azurite is not installed in {start / '.azurite'}: run `make setup`")
    return script


def default_connection_string(addresses: dict[str, str], account: str = ACCOUNT) -> str:
    """Build the connection string for the addresses Azurite announced, by service."""
    endpoints = [f"{service}Endpoint={address}/{account}" for service, address in sorted(addresses.items())]
    protocol = addresses["Blob"].partition(":")[0]
    return ";".join(
        [f"DefaultEndpointsProtocol={protocol}", f"AccountName={account}", f"AccountKey={KEY}", *endpoints]
    )


class Azurite:
    """One Azurite process: start it, use its `connection_string`, stop it; or `with`, or `async with`.

    Started again after a stop, it listens on the ports that it had. `accounts` are served instead of the
    usual one, all with the same key. With a certificate it listens on https, and takes tokens as well: it
    looks at their audience, issuer and time, and lets whoever has one do anything.
    """

    def __init__(
        self,
        location: Path | None = None,
        *,
        accounts: Sequence[str] = (ACCOUNT,),
        certificate: Certificate | None = None,
        start_seconds: float = 30.0,
    ) -> None:
        self._location = location
        self._accounts = accounts
        self._certificate = certificate
        self._start_seconds = start_seconds
        self._child: Child | None = None
        self._addresses: dict[str, str] = {}

    @property
    def connection_string(self) -> str:
        """How to reach the storage, the first account of it; known once started."""
        return self.connection_string_of(self._accounts[0])

    def connection_string_of(self, account: str) -> str:
        """How to reach one of the accounts."""
        return default_connection_string(self.addresses, account)

    def identity_settings(self, setting: str, account: str) -> dict[str, str]:
        """The settings that lead a connection to one of the accounts without a key."""
        return {
            f"{setting}__{service.lower()}ServiceUri": f"{address}/{account}"
            for service, address in self.addresses.items()
        }

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service (`Blob`, `Queue`, `Table`) listens, as http://127.0.0.1:PORT, or https."""
        if not self._addresses:
            raise RuntimeError("Azurite has not been started")
        return self._addresses

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._child.pid if self._child and self._child.running else None

    def start(self) -> Self:
        """Start Azurite and wait until blob, queue and table service listen."""
        if self._child is not None:
            raise RuntimeError("Azurite is already running")
        script = find_script(Path(__file__).parents[1])
        with scratch_file() as complaints:
            child = Child(
                [find_node(), "--import", _LIFELINE, str(script), *self._options()],
                env={**os.environ, "AZURITE_ACCOUNTS": ";".join(f"{name}:{KEY}" for name in self._accounts)},
                stderr=complaints,
            )
            addresses = self._await_addresses(child)
            if addresses is None:
                child.stop()
                raise StartError(f"Azurite did not start: {tail(complaints) or 'no reason given'}")
        child.drain()
        self._child = child
        self._addresses = addresses
        return self

    def _await_addresses(self, child: Child) -> dict[str, str] | None:
        addresses: dict[str, str] = {}
        deadline = time.monotonic() + self._start_seconds
        while len(addresses) < 3:
            line = child.read_line(deadline)
            if not line:
                return None
            if found := _LISTENING.search(line):
                addresses[found[1]] = found[2]
        return addresses

    def _options(self) -> list[str]:
        options = ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        for service in ("blob", "queue", "table"):
            port = self._addresses.get(service.title(), ":0").rpartition(":")[2]
            options += [f"--{service}Host", "127.0.0.1", f"--{service}Port", port]
        if self._certificate is not None:
            options += ["--cert", str(self._certificate.certificate), "--key", str(self._certificate.key)]
            options += ["--oauth", "basic"]
        if self._location is None:
            return [*options, "--inMemoryPersistence"]
        return [*options, "--location", str(self._location)]

    def stop(self) -> None:
        """End Azurite politely, so that data on disk is complete. Stopping twice does no harm."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)


def main() -> int:
    """Run Azurite until SIGTERM or SIGINT; print how to reach it as one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.azurite", description=main.__doc__)
    parser.add_argument("--location", type=Path, help="folder that keeps the data; without it, memory")
    azurite = Azurite(parser.parse_args().location)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        azurite.start()
        line = {"ready": True, "storage": azurite.connection_string, "pid": azurite.pid}
        print(json.dumps(line), flush=True)  # noqa: T201 - the contract
        while azurite.pid is not None:
            time.sleep(0.5)
    except StartError as problem:
        print(problem, file=sys.stderr)  # noqa: T201 - a tool that could not start says so
        return 1
    except KeyboardInterrupt:
        return 0
    else:
        return 1  # Azurite ended by itself
    finally:
        azurite.stop()


def _leave(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
