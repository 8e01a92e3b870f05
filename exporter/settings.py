"""The settings of the app, read once from the environment and checked together.

`SETTINGS` is the closed list of what the app reads. An EXPORTER_ name that is not on it is refused,
so that a slip of the pen can't silently leave a default in force.
"""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exporter.domain.hosts import DEFAULT_PATTERNS, HostPolicy, is_local
from exporter.domain.recipe import MAX_QUIET_SECONDS, QUIET_SECONDS
from exporter.domain.retention import DROP_DAYS
from exporter.errors import ConfigurationError

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "EXPORTER_STORAGE": "Connection string of the account that holds runs, queues and configuration.",
        "EXPORTER_LANDING": "Connection string of the account that drops land in; empty: the same account.",
        "EXPORTER_VAULT_URL": "The Key Vault with the API keys: https://NAME.vault.azure.net.",
        "EXPORTER_HOST_PATTERNS": "Hosts that a connection may name: *.api-us1.com,…; empty: the defaults.",
        "EXPORTER_LOCAL_HOSTS": "Loopback addresses that may stand in for ActiveCampaign: 127.0.0.1:PORT,…",
        "EXPORTER_DROP_RETENTION_DAYS": "Days that old drops stay in the landing container; never: for ever.",
        "EXPORTER_QUIET_SECONDS": "Seconds without a new file after which an unmarked drop counts as whole.",
        "EXPORTER_TRACE_PERCENTAGE": "Percentage of traces that is recorded, 0 to 100; failures always are.",
        "EXPORTER_DEBUG": "1: show the traceback of an error on the command line.",
    }
)
"""Every setting by name, with its meaning."""

STORAGE_SETTINGS: Final = ("EXPORTER_STORAGE", "EXPORTER_LANDING")
IDENTITY_FORMS: Final = ("__blobServiceUri", "__queueServiceUri", "__credential", "__clientId")
"""Instead of a connection string, a storage setting may have these parts and be reached by identity."""

SECRET_PREFIX: Final = "EXPORTER_SECRET_"  # noqa: S105 - the name of a setting
"""Locally, without a vault, EXPORTER_SECRET_<NAME> holds an API key."""

PLATFORM_SETTINGS: Final = ("AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME")
"""What the Functions host itself reads; the app doesn't."""

INSIGHTS_SETTING: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"
TELEMETRY_SETTINGS: Final = (
    INSIGHTS_SETTING,
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_ENABLE_OPENTELEMETRY",
)
"""Of the platform: where telemetry goes, as whom, and that the worker leaves sending it to the app."""

_TRACE_PERCENTAGE: Final = "EXPORTER_TRACE_PERCENTAGE"
_DROP_DAYS: Final = "EXPORTER_DROP_RETENTION_DAYS"
_QUIET_SECONDS: Final = "EXPORTER_QUIET_SECONDS"
_KEY_VAULT_REFERENCE: Final = "@Microsoft.KeyVault("
_STORAGE_URI: Final = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9-]+)?/?", re.ASCII)
_LOCAL_STORAGE_URI: Final = re.compile(r"https?://127\.0\.0\.1:[0-9]{1,5}/[a-z0-9-]+/?", re.ASCII)
_OTHER_SERVICE: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "__blobServiceUri": re.compile(r"\.(queue|table|file|dfs)\.core\.", re.ASCII),
        "__queueServiceUri": re.compile(r"\.(blob|table|file|dfs)\.core\.", re.ASCII),
    }
)
"""Azure's own addresses of services other than the one that a form is for."""
_VAULT_URL: Final = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{1,5})?/?", re.ASCII | re.IGNORECASE)
_INGESTION: Final = re.compile(
    r"https://[a-z0-9.-]+(?::[0-9]{1,5})?/?|http://127\.0\.0\.1:[0-9]{1,5}/?", re.ASCII | re.IGNORECASE
)
_CLIENT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_SECRET_SUFFIX: Final = re.compile(r"[A-Z0-9_]{1,127}", re.ASCII)
_HEADER_TEXT: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


class SecretText:
    """A secret that shows itself only when asked by name, and that is safe to put into a header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not _HEADER_TEXT.fullmatch(value):
            raise ConfigurationError(
                "the secret is empty or holds spaces, line breaks or letters outside ASCII, "
                "which no API key does: store it again"
            )
        self._value = value

    def get_secret_value(self) -> str:
        """The secret itself: for the request's header, for nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "SecretText('**********')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written down")


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account, reached by connection string or by identity; its repr shows no key."""

    connection_string: str | None = field(default=None, repr=False)
    blob_uri: str | None = None
    queue_uri: str | None = None
    client_id: str | None = None
    """The user-assigned identity to use; None for the app's own or the developer's."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, valid."""

    storage: StorageAccount
    """State: runs, queues, configuration."""
    landing: StorageAccount
    """Where drops land."""
    vault_url: str | None
    host_policy: HostPolicy
    local_secrets: Mapping[str, SecretText]
    """By the secret's name in lower case with hyphens, as connections name it."""
    storage_connection_name: str = "EXPORTER_STORAGE"
    """The setting that bindings to the state's account name."""
    landing_connection_name: str = "EXPORTER_STORAGE"
    """The setting that bindings to the landing account name."""
    debug: bool = False
    drop_retention: timedelta | None = timedelta(days=DROP_DAYS)
    """How long drops that are no longer needed stay; None: until somebody else deletes them."""
    quiet: timedelta = timedelta(seconds=QUIET_SECONDS)
    """How long nothing may have been written of a drop that nothing else shows to be whole."""
    insights: str | None = field(default=None, repr=False)
    """The connection string of the Application Insights that takes the app's telemetry; None: nobody does."""
    trace_percentage: float = 100.0
    """Spans of so many percent of the traces are recorded, and all that failed."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings in an environment.

        Raises ConfigurationError that lists all missing and bad values, a line each, without the values.
        """
        reader = _Reader(environ)
        storage = reader.account("EXPORTER_STORAGE")
        landing = reader.account("EXPORTER_LANDING")
        if not reader.has_account("EXPORTER_STORAGE"):
            reader.problems.append(_STORAGE_MISSING)
        vault_url = reader.vault_url()
        settings = cls(
            storage=storage or StorageAccount(),
            landing=landing or storage or StorageAccount(),
            vault_url=vault_url,
            host_policy=reader.host_policy(),
            local_secrets=MappingProxyType(reader.local_secrets(vault_url)),
            landing_connection_name="EXPORTER_LANDING" if landing else "EXPORTER_STORAGE",
            debug=reader.text("EXPORTER_DEBUG") == "1",
            drop_retention=reader.drop_retention(),
            quiet=reader.quiet(),
            insights=reader.insights(environ.get(INSIGHTS_SETTING, "").strip()),
            trace_percentage=reader.trace_percentage(),
        )
        if reader.problems:
            raise ConfigurationError("\n".join(reader.problems))
        return settings


_STORAGE_MISSING: Final = (
    "EXPORTER_STORAGE: is missing: set a storage account's connection string, or "
    "EXPORTER_STORAGE__blobServiceUri and EXPORTER_STORAGE__queueServiceUri; "
    "on this machine, `exporter up` starts a storage and shows its connection string"
)


def secret_setting(secret: str) -> str:
    """The local setting that holds the secret of this name."""
    return SECRET_PREFIX + secret.upper().replace("-", "_")


def load_local_settings(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment over the `Values` of a local.settings.json, which may be absent.

    Raises ConfigurationError when the file can't be read as one.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return dict(environ)
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path}: the file can't be read") from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{path}:{error.lineno}:{error.colno}: this is not valid JSON: {error.msg}"
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("Values", {}), dict):
        raise ConfigurationError(f"{path}: should hold an object with the settings under `Values`")
    if document.get("IsEncrypted"):
        raise ConfigurationError(f"{path}: is encrypted: run `func settings decrypt` first")
    values = document.get("Values", {})
    odd = sorted(name for name, value in values.items() if not isinstance(value, str))
    if odd:
        raise ConfigurationError(f"{path}: values should be text: {', '.join(odd)}")
    return {**values, **environ}


def current_settings(directory: Path | None = None) -> Settings:
    """The settings of this process: its environment over local.settings.json in the directory."""
    return Settings.from_env(given_settings(directory))


def given_settings(directory: Path | None = None) -> dict[str, str]:
    """What this process's environment and local.settings.json say, as it is."""
    return load_local_settings((directory or Path.cwd()) / "local.settings.json", os.environ)


def completed_by(given: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """The found settings that nothing given stands against, in whichever form it is given.

    Whoever names a storage without a landing account means one account for both, and whoever has keys in the
    environment means no vault.
    """
    present = {name for name, value in given.items() if value.strip()}
    stands_against = {
        "EXPORTER_STORAGE": ("EXPORTER_STORAGE",),
        "EXPORTER_LANDING": ("EXPORTER_LANDING", "EXPORTER_STORAGE"),
        "EXPORTER_VAULT_URL": ("EXPORTER_VAULT_URL", SECRET_PREFIX),
    }
    return {
        name: value
        for name, value in found.items()
        if not any(
            other == name or other.startswith(stands_against.get(name.partition("__")[0], (name,)))
            for other in present
        )
    }


class _Reader:
    """Reads settings and collects what is wrong with them; empty values count as absent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._values = {
            name: value.strip()
            for name, value in environ.items()
            if name.startswith("EXPORTER_") and value.strip()
        }
        self.problems += self._strange_names()
        self.problems += self._unresolved()

    def text(self, name: str) -> str | None:
        """A setting's value, or None."""
        return self._values.get(name)

    def has_account(self, name: str) -> bool:
        """Whether a storage setting is given in any form."""
        return any(name + form in self._values for form in ("", *IDENTITY_FORMS))

    def account(self, name: str) -> StorageAccount | None:
        """The account that a storage setting and its identity forms describe, or None."""
        connection_string = self.text(name)
        parts = [self.text(name + form) for form in IDENTITY_FORMS]
        if connection_string and any(parts):
            self._refuse(name, "is given as a connection string and by identity: keep one of the two")
        elif connection_string:
            return self._by_key(name, connection_string)
        elif any(parts):
            return self._by_identity(name, *parts)
        return None

    def vault_url(self) -> str | None:
        """The vault's URL without a closing slash, or None."""
        url = self.text("EXPORTER_VAULT_URL")
        if url and not _VAULT_URL.fullmatch(url):
            self._refuse("EXPORTER_VAULT_URL", "should be the vault's URL: https://NAME.vault.azure.net")
        return url.rstrip("/") if url else None

    def drop_retention(self) -> timedelta | None:
        """How long drops stay that are no longer needed, or None for ever."""
        days = self.text(_DROP_DAYS)
        if days is None:
            return timedelta(days=DROP_DAYS)
        if days.lower() == "never":
            return None
        if not re.fullmatch("[1-9][0-9]{0,3}", days):
            self._refuse(_DROP_DAYS, f"should be days from 1 to 9999, or never (default {DROP_DAYS})")
            return None
        return timedelta(days=int(days))

    def quiet(self) -> timedelta:
        """How long a drop without any end marker must have been quiet."""
        seconds = self.text(_QUIET_SECONDS) or str(QUIET_SECONDS)
        if not re.fullmatch("[1-9][0-9]{0,4}", seconds) or int(seconds) > MAX_QUIET_SECONDS:
            self._refuse(
                _QUIET_SECONDS, f"should be seconds from 1 to {MAX_QUIET_SECONDS} (default {QUIET_SECONDS})"
            )
            return timedelta(seconds=QUIET_SECONDS)
        return timedelta(seconds=int(seconds))

    def insights(self, connection_string: str) -> str | None:
        """The connection string of Application Insights, or None."""
        if not connection_string:
            return None
        # The exporters' own parser is as strict: what it does not take would fail every call of a function.
        text = connection_string.rstrip(";")
        pairs = [part.split("=") for part in text.split(";")]
        parts = {pair[0].lower(): pair[1] for pair in pairs if len(pair) == 2}
        if (
            any(len(pair) != 2 for pair in pairs)
            or not _CLIENT_ID.fullmatch(parts.get("instrumentationkey", ""))
            or not _INGESTION.fullmatch(parts.get("ingestionendpoint", ""))
            or parts.get("authorization", "ikey").lower() != "ikey"
        ):
            self._refuse(
                INSIGHTS_SETTING,
                "should be the connection string of an Application Insights resource "
                "(InstrumentationKey=…;IngestionEndpoint=https://…)",
            )
        return text

    def trace_percentage(self) -> float:
        """The part of the traces that is recorded."""
        text = self.text(_TRACE_PERCENTAGE) or "100"
        if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,3})?", text) or float(text) > 100:
            self._refuse(_TRACE_PERCENTAGE, "should be a number from 0 to 100 (default 100)")
            return 100.0
        return float(text)

    def host_policy(self) -> HostPolicy:
        """The hosts that connections may name."""
        patterns = tuple(_listed(self.text("EXPORTER_HOST_PATTERNS") or "")) or DEFAULT_PATTERNS
        local_hosts = tuple(_listed(self.text("EXPORTER_LOCAL_HOSTS") or ""))
        for pattern in patterns:
            try:
                HostPolicy((pattern,))
            except ConfigurationError as error:
                self._refuse("EXPORTER_HOST_PATTERNS", str(error))
        for host in local_hosts:
            if not is_local(host):
                self._refuse(
                    "EXPORTER_LOCAL_HOSTS", "should be loopback addresses with a port, like 127.0.0.1:8025"
                )
        return HostPolicy() if self.problems else HostPolicy(patterns, local_hosts)

    def local_secrets(self, vault_url: str | None) -> dict[str, SecretText]:
        """The API keys that the environment holds; only where there is no vault."""
        secrets = {}
        for name, value in self._values.items():
            if not name.startswith(SECRET_PREFIX):
                continue
            suffix = name.removeprefix(SECRET_PREFIX)
            if not _SECRET_SUFFIX.fullmatch(suffix):
                self._refuse(name, "should be EXPORTER_SECRET_ and a name in A-Z, 0-9 and _")
            elif vault_url:
                self._refuse(name, "is not used beside EXPORTER_VAULT_URL: keep the key in the vault only")
            else:
                try:
                    secrets[suffix.lower().replace("_", "-")] = SecretText(value)
                except ConfigurationError as error:
                    self._refuse(name, str(error))
        return secrets

    def _refuse(self, name: str, sentence: str) -> None:
        self.problems.append(f"{_printable(name)}: {sentence}")

    def _strange_names(self) -> Iterator[str]:
        known = {*SETTINGS, *(name + form for name in STORAGE_SETTINGS for form in IDENTITY_FORMS)}
        for name in self._values:
            if name in known or name.startswith(SECRET_PREFIX):
                continue
            matches = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {matches[0]}?" if matches else ""
            yield f"{_printable(name)}: is not a setting of this app{hint}"

    def _unresolved(self) -> Iterator[str]:
        for name, value in self._values.items():
            if value.startswith(_KEY_VAULT_REFERENCE):
                yield (
                    f"{_printable(name)}: is a Key Vault reference that the platform did not resolve: check "
                    "that the secret exists and that the app's identity may read it, then restart the app"
                )

    def _by_key(self, name: str, text: str) -> StorageAccount | None:
        if text.startswith(_KEY_VAULT_REFERENCE):
            return None
        problem = _connection_string_problem(text)
        if problem:
            self._refuse(name, problem)
        return StorageAccount(connection_string=text)

    def _by_identity(
        self,
        name: str,
        blob_uri: str | None,
        queue_uri: str | None,
        credential: str | None,
        client_id: str | None,
    ) -> StorageAccount:
        for form, uri in (("__blobServiceUri", blob_uri), ("__queueServiceUri", queue_uri)):
            if uri is None:
                self._refuse(name + form, "is missing beside the account's other service")
            elif not _STORAGE_URI.fullmatch(uri) and not _LOCAL_STORAGE_URI.fullmatch(uri):
                self._refuse(name + form, "should be a service's URI: https://ACCOUNT.blob.core.windows.net")
            elif other := _OTHER_SERVICE[form].search(uri):
                self._refuse(name + form, f"names the {other[1]} service: the two URIs are not the same")
        if credential not in (None, "managedidentity"):
            self._refuse(f"{name}__credential", "should be managedidentity, or absent")
        if client_id and not _CLIENT_ID.fullmatch(client_id):
            self._refuse(f"{name}__clientId", "should be an identity's client id")
        if client_id and credential is None:
            self._refuse(f"{name}__clientId", f"needs {name}__credential=managedidentity beside it")
        return StorageAccount(blob_uri=blob_uri, queue_uri=queue_uri, client_id=client_id)


def _connection_string_problem(text: str) -> str | None:
    """What is wrong with a storage connection string; nothing of it is repeated."""
    pairs = [part.partition("=") for part in text.rstrip(";").split(";")]
    parts = {key.strip().lower(): value for key, equals, value in pairs if equals}
    if len(parts) != len(pairs) or not text.isascii() or not text.isprintable():
        return "is not a storage connection string (parts like AccountName=…;AccountKey=…)"
    if parts.get("usedevelopmentstorage") == "true":
        return None
    by_key = parts.get("accountname") and parts.get("accountkey")
    by_signature = parts.get("sharedaccesssignature") and parts.get("blobendpoint")
    if not by_key and not by_signature:
        return "has neither AccountName and AccountKey, nor BlobEndpoint and SharedAccessSignature"
    return None


def _printable(name: str) -> str:
    """A name as it may be shown: in an environment it may be anything."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _listed(text: str) -> list[str]:
    """The entries of a setting with commas between."""
    return [entry.strip().lower() for entry in text.split(",") if entry.strip()]
