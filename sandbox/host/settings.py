"""App settings as the platform gives them: `local.settings.json`, under the environment, which wins."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from sandbox.host.problems import StartProblemsError

_EXPRESSION = re.compile(r"%([^%]+)%")
_UNRESOLVED_REFERENCE = "@Microsoft.KeyVault("

STORAGE = "AzureWebJobsStorage"  # the host's own connection


def load_settings(app_dir: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Merge the `Values` of the app's `local.settings.json`, if there is one, with the environment."""
    path = app_dir / "local.settings.json"
    if not path.is_file():
        return dict(environment)
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise StartProblemsError([f"local.settings.json is not JSON: {error}"]) from error
    if document.get("IsEncrypted"):
        raise StartProblemsError(["local.settings.json is encrypted; only plain values can be read"])
    values = {name: str(value) for name, value in document.get("Values", {}).items()}
    return {**values, **environment}


def resolve_expressions(text: str, settings: Mapping[str, str]) -> str:
    """Replace each `%SETTING%` by its value; a setting that is not there raises LookupError with its name."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise LookupError(match[1])
        return settings[match[1]]

    return _EXPRESSION.sub(value, text)


def connection_problem(connection: str, services: tuple[str, ...], settings: Mapping[str, str]) -> str | None:
    """Say what is missing for a connection to reach these services ("blob", "queue"), or nothing.

    An exact setting wins over the prefixed ones; a blob trigger needs both URIs (azure-facts 8.8). An
    unresolved Key Vault reference reaches an app as its literal text (azure-facts 8.9), so it is refused
    here.
    """
    if value := settings.get(connection):
        if value.startswith(_UNRESOLVED_REFERENCE):
            return f"setting {connection} is a Key Vault reference that nothing has resolved"
        return None
    missing = [
        f"{connection}__{service}ServiceUri"
        for service in services
        if service_uri(connection, service, settings) is None
    ]
    return f"setting {connection} or {' and '.join(missing)} is missing" if missing else None


def service_uri(connection: str, service: str, settings: Mapping[str, str]) -> str | None:
    """Return where an identity connection finds a service ("blob", "queue"), or nothing if it does not say.

    The host's own connection may name just the account, which then wins over the URIs; no other connection
    may (azure-facts 8.8).
    """
    if connection == STORAGE and (account := settings.get(f"{connection}__accountName")):
        return f"https://{account}.{service}.core.windows.net"
    return settings.get(f"{connection}__{service}ServiceUri") or None


def identity_options(connection: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Return whose identity a connection uses: `__clientId` names a user-assigned one (azure-facts 8.8)."""
    client_id = settings.get(f"{connection}__clientId")
    return {"managed_identity_client_id": client_id} if client_id else {}


def is_disabled(function: str, settings: Mapping[str, str]) -> bool:
    """Whether `AzureWebJobs.<function>.Disabled` is on; underscores serve where names cannot have dots."""
    names = {f"azurewebjobs{mark}{function.lower()}{mark}disabled" for mark in "._"}
    return any(name.lower() in names and value.lower() in ("true", "1") for name, value in settings.items())
