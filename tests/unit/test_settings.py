import copy
import json
import pickle
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.hosts import DEFAULT_PATTERNS
from exporter.domain.recipe import QUIET_SECONDS
from exporter.domain.retention import DROP_DAYS
from exporter.errors import ConfigurationError
from exporter.settings import (
    IDENTITY_FORMS,
    PLATFORM_SETTINGS,
    SECRET_PREFIX,
    SETTINGS,
    STORAGE_SETTINGS,
    SecretText,
    Settings,
    StorageAccount,
    load_local_settings,
    secret_setting,
)

SAMPLE = Path(__file__).parents[2] / "local.settings.sample.json"
KEY = "Y2FuYXJ5LWtleQ=="
STORAGE = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"
IDENTITY = {
    "EXPORTER_STORAGE__blobServiceUri": "https://acme.blob.core.windows.net",
    "EXPORTER_STORAGE__queueServiceUri": "https://acme.queue.core.windows.net",
}


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return str(caught.value).splitlines()


def test_a_connection_string_is_enough() -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "PATH": "/bin", "EXPORTER_LANDING": ""})
    assert settings.storage == settings.landing == StorageAccount(connection_string=STORAGE)
    assert settings.storage_connection_name == settings.landing_connection_name == "EXPORTER_STORAGE"
    assert settings.vault_url is None
    assert settings.host_policy.patterns == DEFAULT_PATTERNS
    assert settings.host_policy.local_hosts == ()


@pytest.mark.parametrize(
    "text",
    [
        "UseDevelopmentStorage=true",
        "BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:2/a;AccountName=a;AccountKey=ab==;",
        "BlobEndpoint=https://a.blob.core.windows.net;SharedAccessSignature=sv=2026&sig=x",
    ],
)
def test_the_usual_forms_of_a_connection_string_are_accepted(text: str) -> None:
    assert Settings.from_env({"EXPORTER_STORAGE": text}).storage.connection_string == text


def test_an_account_may_be_reached_by_identity() -> None:
    client_id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    identity = {"EXPORTER_STORAGE__credential": "managedidentity", "EXPORTER_STORAGE__clientId": client_id}
    account = Settings.from_env(IDENTITY | identity).storage
    assert account == StorageAccount(
        blob_uri="https://acme.blob.core.windows.net",
        queue_uri="https://acme.queue.core.windows.net",
        client_id=client_id,
    )


def test_drops_may_land_in_another_account() -> None:
    landing = {"EXPORTER_LANDING": "UseDevelopmentStorage=true"}
    settings = Settings.from_env(IDENTITY | landing)
    assert settings.landing.connection_string == "UseDevelopmentStorage=true"
    assert settings.landing_connection_name == "EXPORTER_LANDING"


def test_all_problems_are_reported_together() -> None:
    found = problems(
        EXPORTER_LANDING="AccountName=only",
        EXPORTER_VAULT_URL="http://vault.example",
        EXPORTER_HOST_PATTERNS="*",
        EXPORTER_LOCAL_HOSTS="10.0.0.1:80",
        EXPORTER_SECRET_ACME=" a b ",
        EXPORTER_VALUT_URL="https://acme.vault.azure.net",
    )
    assert {line.partition(":")[0] for line in found} == {
        "EXPORTER_STORAGE",
        "EXPORTER_LANDING",
        "EXPORTER_VAULT_URL",
        "EXPORTER_HOST_PATTERNS",
        "EXPORTER_LOCAL_HOSTS",
        "EXPORTER_SECRET_ACME",
        "EXPORTER_VALUT_URL",
    }
    assert any("did you mean EXPORTER_VAULT_URL?" in line for line in found)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"EXPORTER_STORAGE": ""}, "EXPORTER_STORAGE: is missing"),
        ({"EXPORTER_STORAGE": "nonsense"}, "is not a storage connection string"),
        (
            {"EXPORTER_STORAGE": f"AccountName=a;AccountKey={KEY}\r\nX: y"},
            "is not a storage connection string",
        ),
        ({"EXPORTER_STORAGE": "AccountName=a"}, "has neither AccountName and AccountKey"),
        ({"EXPORTER_STORAGE": STORAGE, **IDENTITY}, "keep one of the two"),
        (dict([*IDENTITY.items()][:1]), "EXPORTER_STORAGE__queueServiceUri: is missing"),
        (
            IDENTITY | {"EXPORTER_STORAGE__blobServiceUri": "http://acme.blob.core.windows.net"},
            "service's URI",
        ),
        (IDENTITY | {"EXPORTER_STORAGE__blobServiceUri": "https://a@b.net"}, "service's URI"),
        (
            IDENTITY | {"EXPORTER_STORAGE__queueServiceUri": "https://acme.blob.core.windows.net"},
            "EXPORTER_STORAGE__queueServiceUri: names the blob service",
        ),
        (IDENTITY | {"EXPORTER_STORAGE__credential": "secret"}, "should be managedidentity"),
        (IDENTITY | {"EXPORTER_STORAGE__clientId": "x"}, "should be an identity's client id"),
        ({"EXPORTER_LOCAL_HOSTS": "127.0.0.1"}, "loopback"),
        ({"EXPORTER_LOCAL_HOSTS": "localhost:80"}, "loopback"),
        ({"EXPORTER_HOST_PATTERNS": "*.com"}, "host pattern"),
        ({"EXPORTER_VAULT_URL": "https://u:p@vault.azure.net"}, "should be the vault's URL"),
        ({"EXPORTER_VAULT_URL": "https://vault.azure.net/secrets/x"}, "should be the vault's URL"),
        ({"EXPORTER_VAULT_URL": "https://a.vault.azure.net", "EXPORTER_SECRET_X": "k"}, "not used beside"),
        ({"EXPORTER_SECRET_x": "k"}, "should be EXPORTER_SECRET_ and a name"),
        ({"EXPORTER_SECRET_X": "a\r\nb"}, "the secret is empty or holds"),
        ({"EXPORTER_SECRET_X": "nøkkel"}, "the secret is empty or holds"),
        ({"EXPORTER_SECRET_X": "@Microsoft.KeyVault(SecretUri=x)"}, "did not resolve"),
        ({"EXPORTER_STORAGE": "@Microsoft.KeyVault(SecretUri=x)"}, "did not resolve"),
        ({"EXPORTER_UNKNOWN": "x"}, "is not a setting of this app"),
    ],
)
def test_each_bad_value_is_named_with_what_to_do(environ: dict[str, str], message: str) -> None:
    found = problems(**environ)
    assert any(message in line for line in found)
    assert KEY not in "".join(found)


def test_everything_wrong_with_an_identity_is_told_at_once() -> None:
    found = problems(
        EXPORTER_STORAGE__blobServiceUri="https://acme.blob.core.windows.net",
        EXPORTER_STORAGE__credential="key",
        EXPORTER_STORAGE__clientId="acme",
        EXPORTER_LANDING__queueServiceUri="acme",
        EXPORTER_LANDING__clientId="aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
    )
    assert [line.partition(": ")[0] for line in found] == [
        "EXPORTER_STORAGE__queueServiceUri",
        "EXPORTER_STORAGE__credential",
        "EXPORTER_STORAGE__clientId",
        "EXPORTER_LANDING__blobServiceUri",
        "EXPORTER_LANDING__queueServiceUri",
        "EXPORTER_LANDING__clientId",
    ]


def test_local_secrets_are_found_by_the_name_that_connections_use() -> None:
    name = secret_setting("activecampaign-acme")
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, name: "key"})
    assert name == "EXPORTER_SECRET_ACTIVECAMPAIGN_ACME"
    assert settings.local_secrets["activecampaign-acme"].get_secret_value() == "key"


def test_neither_settings_nor_secrets_show_a_key() -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "EXPORTER_SECRET_X": "canary"})
    shown = f"{settings} {settings!r} {settings.local_secrets} {settings.local_secrets['x']!s}"
    assert KEY not in shown
    assert "canary" not in shown


def test_a_secret_is_not_written_down() -> None:
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            write(SecretText("canary"))


def test_secrets_compare_by_value() -> None:
    assert SecretText("a") == SecretText("a")
    assert len({SecretText("a"), SecretText("a"), SecretText("b")}) == 2
    assert SecretText("a") != "a"


def test_the_environment_wins_over_local_settings(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    assert load_local_settings(path, {"A": "1"}) == {"A": "1"}
    path.write_text(json.dumps({"Values": {"A": "file", "B": "file"}}))
    assert load_local_settings(path, {"A": "1"}) == {"A": "1", "B": "file"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "local.settings.json:1:2: this is not valid JSON"),
        ("[]", "under `Values`"),
        ('{"Values": []}', "under `Values`"),
        ('{"Values": {"A": 1}}', "values should be text: A"),
        ('{"IsEncrypted": true, "Values": {}}', "is encrypted"),
    ],
)
def test_a_broken_local_settings_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="settings") as caught:
        load_local_settings(path, {})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "days"), [("", DROP_DAYS), ("1", 1), (" 400 ", 400), ("9999", 9999), ("Never", None)]
)
def test_drops_are_kept_as_long_as_is_said(text: str, days: int | None) -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "EXPORTER_DROP_RETENTION_DAYS": text})
    assert settings.drop_retention == (timedelta(days=days) if days else None)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "10000", "always", "٣"])
def test_a_strange_time_to_keep_drops_is_refused(text: str) -> None:
    (problem,) = problems(EXPORTER_STORAGE=STORAGE, EXPORTER_DROP_RETENTION_DAYS=text)
    assert problem.startswith("EXPORTER_DROP_RETENTION_DAYS: should be days from 1 to 9999")


@pytest.mark.parametrize(("text", "seconds"), [("", QUIET_SECONDS), ("1", 1), (" 86400 ", 86_400)])
def test_a_drop_is_quiet_as_long_as_is_said(text: str, seconds: int) -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "EXPORTER_QUIET_SECONDS": text})
    assert settings.quiet == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "86401", "100000", "never", "5m", "٣"])
def test_a_strange_time_to_be_quiet_is_refused(text: str) -> None:
    assert problems(EXPORTER_STORAGE=STORAGE, EXPORTER_QUIET_SECONDS=text) == [
        "EXPORTER_QUIET_SECONDS: should be seconds from 1 to 86400 (default 300)"
    ]


def test_the_sample_names_every_setting_and_no_other() -> None:
    names = set(json.loads(SAMPLE.read_text())["Values"])
    secrets = {name for name in names if name.startswith(SECRET_PREFIX)}
    assert len(secrets) == 1
    assert names - secrets == {*SETTINGS, *PLATFORM_SETTINGS}


def test_the_sample_is_valid_as_it_is() -> None:
    settings = Settings.from_env(load_local_settings(SAMPLE, {}))
    assert settings.storage == settings.landing
    assert settings.host_policy.patterns == DEFAULT_PATTERNS


NAMES = st.sampled_from(
    [*SETTINGS, *(name + form for name in STORAGE_SETTINGS for form in IDENTITY_FORMS), "EXPORTER_SECRET_X"]
) | st.text(max_size=8).map(lambda text: f"EXPORTER_{text}")
TEXTS = st.sampled_from([STORAGE, *IDENTITY.values(), "managedidentity", "127.0.0.1:80", "*.x.com", ""])


INSIGHTS = (
    "InstrumentationKey=0f8fad5b-d9cb-469f-a165-70867728950e;"
    "IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;"
    "LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/"
)


@pytest.mark.parametrize(
    "text",
    [
        INSIGHTS,
        f"{INSIGHTS};",
        INSIGHTS.replace("https://westeurope-5.in.applicationinsights.azure.com/", "http://127.0.0.1:8080"),
    ],
)
def test_telemetry_goes_where_the_platform_says(text: str) -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "APPLICATIONINSIGHTS_CONNECTION_STRING": text})

    assert settings.insights == text.rstrip(";")
    assert "0f8fad5b" not in repr(settings)


def test_telemetry_goes_nowhere_by_itself_and_then_with_all_traces() -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "APPLICATIONINSIGHTS_CONNECTION_STRING": " "})

    assert (settings.insights, settings.trace_percentage) == (None, 100.0)


@pytest.mark.parametrize(
    "text",
    [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "InstrumentationKey=0f8fad5b-d9cb-469f-a165-70867728950e",
        INSIGHTS.replace("https:", "http:"),
        INSIGHTS.replace("0f8fad5b", "canary"),
        INSIGHTS.replace(";Ingestion", "; Ingestion"),
        f"{INSIGHTS};Authorization=aad",
        f"{INSIGHTS};;Location=westeurope",
        f"{INSIGHTS};ApplicationId",
        f"{INSIGHTS};ApplicationId=a=b",
        "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/insights/)",
    ],
)
def test_what_is_no_application_insights_is_refused(text: str) -> None:
    (problem,) = problems(EXPORTER_STORAGE=STORAGE, APPLICATIONINSIGHTS_CONNECTION_STRING=text)

    assert problem.startswith("APPLICATIONINSIGHTS_CONNECTION_STRING: should be")
    assert "canary" not in problem


@pytest.mark.parametrize(("text", "percentage"), [("0", 0.0), ("12.5", 12.5), ("100", 100.0), ("", 100.0)])
def test_a_part_of_the_traces_may_be_recorded(text: str, percentage: float) -> None:
    settings = Settings.from_env({"EXPORTER_STORAGE": STORAGE, "EXPORTER_TRACE_PERCENTAGE": text})

    assert settings.trace_percentage == percentage


@pytest.mark.parametrize("text", ["-1", "101", "100.1", "all", "1e1", "5 %", "nan", "0.12345", "\u0661"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    assert problems(EXPORTER_STORAGE=STORAGE, EXPORTER_TRACE_PERCENTAGE=text) == [
        "EXPORTER_TRACE_PERCENTAGE: should be a number from 0 to 100 (default 100)"
    ]


def valid_or_refused(environ: dict[str, str]) -> Settings | str:
    """The settings, or why they are refused."""
    try:
        return Settings.from_env(environ)
    except ConfigurationError as error:
        return str(error)


@given(st.dictionaries(NAMES, TEXTS | st.text(max_size=20), max_size=6))
def test_any_environment_is_valid_or_refused_line_by_line(environ: dict[str, str]) -> None:
    settings = valid_or_refused(environ)
    if isinstance(settings, str):
        assert all(line.startswith("EXPORTER_") for line in settings.splitlines())
        assert KEY not in settings
    else:
        assert settings.storage != StorageAccount()
        assert {name for name, value in environ.items() if value.strip()} <= {
            *SETTINGS,
            *(name + form for name in STORAGE_SETTINGS for form in IDENTITY_FORMS),
            "EXPORTER_SECRET_X",
            *(name for name in environ if name.startswith(SECRET_PREFIX)),
        }
