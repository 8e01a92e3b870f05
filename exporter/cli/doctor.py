"""`exporter doctor`: what is wrong, and the one thing to do about each part of it."""

import asyncio
import os
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from exporter.cli.connections import Check as ConnectionCheck
from exporter.cli.connections import check_connection
from exporter.cli.console import Output
from exporter.cli.deployment import examine_deployment, resource_group, subscription_id
from exporter.cli.running import ExitCode, JsonOption, run
from exporter.cli.wording import moment
from exporter.domain.configuration import Connection, Export
from exporter.errors import ConfigurationError, ExporterError, NewerVersionError
from exporter.settings import Settings, completed_by, given_settings, secret_setting
from exporter.steps.deployment import Deployment, remedies_of, settings_of
from exporter.steps.doctor import Check, Code, Doctor, Examination, Instruments, TroubleError

if TYPE_CHECKING:
    from exporter.bootstrap import App

SECRET_SECONDS: Final = 20.0
"""So long the vault may take, the way to an identity included."""
_CHECKS_OF_STORAGE: Final = ("state", "landing", "queues", "configuration", "sending", "events", "timers")


def doctor(
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="So long a test drop may take to be announced.")
    ] = 60.0,
    group: Annotated[
        str | None,
        typer.Option(
            "--resource-group",
            envvar="AZURE_RESOURCE_GROUP",
            callback=resource_group,
            help="Look at the deployment in this group, too.",
        ),
    ] = None,
    subscription: Annotated[
        str | None,
        typer.Option(
            envvar="AZURE_SUBSCRIPTION_ID",
            callback=subscription_id,
            help="The id of the group's subscription, where you may see more than one.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at deployment, settings, storage, queues, secrets, app and connections; mend nothing."""

    async def work(output: Output) -> int:
        examination = Examination(on_check=partial(_show, output), on_surprise=_show_traceback)
        deployment = None
        if group:
            output.show(Text("The deployment", style="bold"))
            deployment = await examine_deployment(examination, group, subscription)
            output.show("", Text("The installation", style="bold"))
        await _examine(examination, wait_seconds, deployment)
        output.document({"ok": examination.well, "checks": [asdict(check) for check in examination.checks]})
        output.show("", "All is well." if examination.well else _summary(examination))
        return ExitCode.DONE if examination.well else ExitCode.ERROR

    run(work, as_json=as_json)


async def _examine(
    examination: Examination, wait_seconds: float, deployment: Deployment | None = None
) -> None:
    settings: list[Settings] = []
    found = settings_of(deployment) if deployment is not None else {}

    async def read_settings() -> str:
        try:
            given = given_settings()
            added = completed_by(given, found)
            settings.append(Settings.from_env({**given, **added}))
        except ConfigurationError as error:
            raise TroubleError(
                Code.CONFIGURATION,
                "; ".join(str(error).splitlines()),
                "set or correct the settings named, in the environment or local.settings.json",
            ) from None
        names = sorted({name.partition("__")[0] for name in added})
        return f"complete; the deployment gives {', '.join(names)}, reached as you" if names else "complete"

    await examination.look("settings", read_settings)
    if not settings:
        for name in _CHECKS_OF_STORAGE:
            examination.skip(name, "needs: settings")
        return
    async with open_practice(settings[0]) as (app, instruments):
        ports = app.ports
        deployed = remedies_of(deployment) if deployment is not None else None
        the_doctor = Doctor(instruments, ports.clock, ports.randomness, wait_seconds, deployed)
        await the_doctor.examine_storage(examination)
        connections, exports = await _read_configuration(examination, app)
        await examination.look("sending", partial(_look_at_pauses, app), needs=["state"])
        for connection in connections:
            await examination.look(f"secret {connection.id}", partial(_read_secret, connection, app))
        await the_doctor.examine_app(examination)
        for connection in connections:
            await _examine_connection(examination, connection, exports, app)


@asynccontextmanager
async def open_practice(settings: Settings) -> AsyncIterator[tuple["App", Instruments]]:
    """The app on a storage that is left as it is, and what to look at the storage with."""
    from exporter.adapters.diagnosis import StorageInstruments
    from exporter.bootstrap import open_app

    async with open_app(settings, impatient=True, creates=False) as app:
        randomness = app.ports.randomness
        yield app, StorageInstruments(app.storage, settings.storage, settings.landing, randomness)


async def _read_configuration(examination: Examination, app: "App") -> tuple[list[Connection], list[Export]]:
    """Connections and exports in the order of their ids; none where they can't be read."""
    connections: list[Connection] = []
    exports: list[Export] = []

    async def read() -> str:
        registry = app.ports.registry
        try:
            stored, stored_exports = await registry.connections(), await registry.exports()
        except (ValueError, NewerVersionError) as error:
            raise TroubleError(
                Code.CONFIGURATION,
                f"a stored connection or export can't be read by this version ({type(error).__name__})",
                "`exporter apply FILE` with the version of the exporter that the app runs",
            ) from None
        connections.extend(stored[name].value for name in sorted(stored))
        exports.extend(stored_exports[name].value for name in sorted(stored_exports))
        hint = "" if connections else "; `exporter apply FILE` adds them"
        return f"connections: {len(connections)}, exports: {len(exports)}{hint}"

    await examination.look("configuration", read, needs=["state"])
    return connections, exports


async def _look_at_pauses(app: "App") -> str:
    """Whether a person keeps the app from sending."""
    pauses = await app.ports.pauses.load()
    if pauses.everything is not None:
        told = f"all sending is paused since {moment(pauses.everything.since)}"
        raise TroubleError(Code.PAUSED, told, "`exporter resume --all`")
    if pauses.connections:
        since = {name: moment(pause.since) for name, pause in pauses.connections.items()}
        told = "; ".join(f"connection '{name}' is paused since {when}" for name, when in since.items())
        raise TroubleError(Code.PAUSED, told, f"`exporter connection resume {next(iter(since))}`")
    return "nothing is paused, but for single runs"


async def _read_secret(connection: Connection, app: "App") -> str:
    """The key is there; who reads it here is whoever runs the command, and not the app."""
    name = connection.secret
    try:
        async with asyncio.timeout(SECRET_SECONDS):
            await app.secrets.get(name)
    except TimeoutError:
        problem = f"the vault did not give secret '{name}' within {SECRET_SECONDS:.0f} s"
        raise TroubleError(Code.SECRET_UNREADABLE, problem, _secret_remedy(name, app.settings)) from None
    except ExporterError as error:
        raise TroubleError(Code.SECRET_UNREADABLE, str(error), _secret_remedy(name, app.settings)) from None
    if app.settings.vault_url is None:
        return f"secret '{name}' is in the settings of this shell (the app has settings of its own)"
    return f"secret '{name}' is readable for you (the app reads it with an identity of its own)"


def _secret_remedy(name: str, settings: Settings) -> str:
    if settings.vault_url is None:
        return f"set {secret_setting(name)} here and where the app runs, then start the app anew"
    return f"`az keyvault secret show --id {settings.vault_url}/secrets/{name} --query attributes`"


async def _examine_connection(
    examination: Examination, connection: Connection, exports: list[Export], app: "App"
) -> None:
    """What `exporter connection test` finds."""
    name = f"connection {connection.id}"
    found: list[ConnectionCheck] = []

    async def test() -> str:
        try:
            app.settings.host_policy.check(connection.host)
        except ConfigurationError as error:
            remedy = "add the host to EXPORTER_HOST_PATTERNS, here and where the app runs"
            raise TroubleError(Code.HOST_NOT_ALLOWED, str(error), remedy) from None
        found.extend(await check_connection(connection, exports, app.ports))
        account = found.pop(0)
        if not account.ok:
            raise _trouble(account, connection)
        return f"{connection.host} takes the key"  # whose it is, is nobody's business here

    await examination.look(name, test, needs=[f"secret {connection.id}"])
    for check in found:
        remedy = None if check.ok else _trouble(check, connection).remedy
        examination.note(Check(f"{name} {check.check}", check.ok, check.code, check.detail, remedy))


def _trouble(check: ConnectionCheck, connection: Connection) -> TroubleError:
    host, secret = connection.host, connection.secret
    again = f"`exporter connection test {connection.id}`"
    remedies = {
        "key_refused": f"put the key that {host} shows under Settings > Developer into secret '{secret}'",
        "account_unpaid": f"settle the account of {host} with ActiveCampaign",
        "host_wrong": f"correct the host of '{connection.id}', then `exporter apply FILE`",
        "list_missing": "correct list_id of the exports that name it, then `exporter apply FILE`",
        "list_denied": "let the group of the key's user manage the list: Settings > Users and Groups",
        "retry_later": f"wait a minute, then {again}",
    }
    code = check.code or Code.UNEXPECTED
    return TroubleError(code, check.detail, remedies.get(code, again))


def _show(output: Output, check: Check) -> None:
    """One line, and what mends it on the next."""
    sign = {
        True: Text("ok", style="green"),
        False: Text("wrong", style="bold red"),
        None: Text("skipped", style="yellow"),
    }[check.ok]
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=7)
    table.add_column(min_width=18)
    table.add_column(overflow="fold")
    table.add_row(sign, Text(check.check), Text(check.detail))
    if check.remedy:
        table.add_row("", "", Text(f"→ {check.remedy}", style="bold"))
    output.show(table)


def _summary(examination: Examination) -> str:
    wrong = [check.check for check in examination.checks if check.ok is False]
    return f"Wrong: {', '.join(wrong)}. Mend the first one, then run it again."


def _show_traceback(error: Exception) -> None:
    if os.environ.get("EXPORTER_DEBUG") == "1":
        traceback.print_exception(error)
