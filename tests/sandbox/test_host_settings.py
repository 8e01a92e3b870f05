import json
from pathlib import Path

import pytest

from sandbox.host.host_json import HostOptions, load_host_json, parse_time_span
from sandbox.host.problems import StartProblemsError
from sandbox.host.settings import (
    connection_problem,
    identity_options,
    is_disabled,
    load_settings,
    resolve_expressions,
    service_uri,
)
from sandbox.host.storage import Accounts


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    values = {"A": "file", "B": "file", "N": 3}
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    assert load_settings(tmp_path, {"B": "environment", "C": "environment"}) == {
        "A": "file",
        "B": "environment",
        "C": "environment",
        "N": "3",
    }


def test_without_a_file_there_is_the_environment(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"A": "1"}) == {"A": "1"}


@pytest.mark.parametrize("text", ["{", '{"IsEncrypted": true, "Values": {}}'])
def test_a_settings_file_that_cannot_be_read_is_a_problem(tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    with pytest.raises(StartProblemsError, match=r"local\.settings\.json"):
        load_settings(tmp_path, {})


def test_expressions_take_settings() -> None:
    assert resolve_expressions("a-%X%-%Y%", {"X": "1", "Y": "2"}) == "a-1-2"
    with pytest.raises(LookupError, match="Z"):
        resolve_expressions("%Z%", {})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"S": "UseDevelopmentStorage=true"}, None),
        ({"S__blobServiceUri": "https://b", "S__queueServiceUri": "https://q"}, None),
        ({"S__blobServiceUri": "https://b"}, "S or S__queueServiceUri is missing"),
        ({}, "S or S__blobServiceUri and S__queueServiceUri is missing"),
        ({"S": ""}, "is missing"),
        ({"S": "@Microsoft.KeyVault(SecretUri=https://v/secrets/n/)"}, "Key Vault"),
    ],
)
def test_a_connection_is_one_setting_or_one_for_each_service(
    settings: dict[str, str], problem: str | None
) -> None:
    found = connection_problem("S", ("blob", "queue"), settings)
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_the_hosts_own_connection_may_name_just_the_account() -> None:
    settings = {
        "AzureWebJobsStorage__accountName": "acme",
        "AzureWebJobsStorage__blobServiceUri": "https://elsewhere",
        "S__accountName": "acme",
    }
    assert connection_problem("AzureWebJobsStorage", ("blob", "queue"), settings) is None
    assert service_uri("AzureWebJobsStorage", "blob", settings) == "https://acme.blob.core.windows.net"
    assert Accounts(settings)["AzureWebJobsStorage"].queues.url == "https://acme.queue.core.windows.net/"
    found = connection_problem("S", ("queue",), settings)
    assert found == "setting S or S__queueServiceUri is missing"


async def test_an_exact_setting_wins_over_the_prefix() -> None:
    text = "AccountName=acme;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/acme"
    settings = {
        "S": text,
        "S__blobServiceUri": "https://elsewhere",
        "S__queueServiceUri": "https://elsewhere",
    }
    accounts = Accounts(settings)
    assert accounts["S"].blobs.url == "http://127.0.0.1:1/acme/"
    await accounts.close()


def test_a_client_id_names_the_identity_of_its_connection_alone() -> None:
    settings = {"S__clientId": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"}
    assert identity_options("S", settings) == {"managed_identity_client_id": settings["S__clientId"]}
    assert identity_options("T", settings) == {}


@pytest.mark.parametrize(
    ("name", "value", "disabled"),
    [
        ("AzureWebJobs.sweep.Disabled", "true", True),
        ("azurewebjobs.SWEEP.disabled", "True", True),
        ("AzureWebJobs_sweep_Disabled", "1", True),
        ("AzureWebJobs.sweep.Disabled", "false", False),
        ("AzureWebJobs.sweep.Disabled", "", False),
        ("AzureWebJobs.sweeper.Disabled", "true", False),
    ],
)
def test_a_setting_disables_a_function(name: str, value: str, disabled: bool) -> None:
    assert is_disabled("sweep", {name: value}) is disabled


def _host_json(folder: Path, document: object) -> None:
    (folder / "host.json").write_text(json.dumps(document))


def test_host_json_has_the_platforms_defaults(tmp_path: Path) -> None:
    _host_json(tmp_path, {"version": "2.0"})
    options = load_host_json(tmp_path, {})
    assert (options.queues.batch_size, options.queues.max_dequeue_count) == (16, 5)
    assert (options.queues.visibility_seconds, options.queues.max_polling_seconds) == (0.0, 60.0)
    assert (options.queues.encoding, options.route_prefix) == ("base64", "api")
    assert options.timeout_seconds == 1800
    assert options.queues.new_batch_threshold == HostOptions().queues.new_batch_threshold
    assert options.blobs.max_dequeue_count == 5


def test_host_json_is_read_and_overridden_by_settings(tmp_path: Path) -> None:
    queues = {
        "batchSize": 24,
        "newBatchThreshold": 0,
        "visibilityTimeout": "00:00:30",
        "messageEncoding": "none",
    }
    _host_json(
        tmp_path,
        {"functionTimeout": "00:02:00", "extensions": {"queues": queues, "http": {"routePrefix": ""}}},
    )
    settings = {
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.250",
        "AzureFunctionsJobHost__Extensions__Queues__BatchSize": "2",
    }
    options = load_host_json(tmp_path, settings)
    assert (options.queues.batch_size, options.queues.new_batch_threshold) == (2, 0)
    assert (options.queues.visibility_seconds, options.queues.max_polling_seconds) == (30.0, 0.25)
    assert (options.queues.encoding, options.route_prefix, options.timeout_seconds) == ("none", "", 120.0)


def test_the_queue_of_blob_events_has_a_section_of_its_own(tmp_path: Path) -> None:
    queues = {"maxDequeueCount": 3, "visibilityTimeout": "00:00:30", "messageEncoding": "none"}
    blobs = {"maxDegreeOfParallelism": 100, "poisonBlobThreshold": 6}
    _host_json(tmp_path, {"extensions": {"queues": queues, "blobs": blobs}})
    found = load_host_json(tmp_path, {}).blobs
    assert (found.batch_size, found.new_batch_threshold, found.max_dequeue_count) == (32, 68, 6)
    assert (found.visibility_seconds, found.encoding) == (0.0, "none")


@pytest.mark.parametrize(("parallel", "batch_size", "threshold"), [(1, 1, 0), (2, 2, 0), (16, 9, 7)])
def test_blob_events_run_as_many_at_once_as_asked_for(
    tmp_path: Path, parallel: int, batch_size: int, threshold: int
) -> None:
    _host_json(tmp_path, {"extensions": {"blobs": {"maxDegreeOfParallelism": parallel}}})
    found = load_host_json(tmp_path, {}).blobs
    assert (found.batch_size, found.new_batch_threshold) == (batch_size, threshold)


def test_dynamic_concurrency_is_refused(tmp_path: Path) -> None:
    _host_json(tmp_path, {"concurrency": {"dynamicConcurrencyEnabled": True}})
    with pytest.raises(StartProblemsError, match="dynamicConcurrencyEnabled is not supported"):
        load_host_json(tmp_path, {})


def test_an_unbounded_timeout(tmp_path: Path) -> None:
    _host_json(tmp_path, {"functionTimeout": "-1"})
    assert load_host_json(tmp_path, {}).timeout_seconds is None


def test_everything_wrong_with_host_json_is_told_at_once(tmp_path: Path) -> None:
    queues = {"batchSize": 33, "maxDequeueCount": "x", "visibilityTimeout": "soon", "messageEncoding": "hex"}
    _host_json(tmp_path, {"extensions": {"queues": queues}})
    with pytest.raises(StartProblemsError) as caught:
        load_host_json(tmp_path, {})
    told = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for name in ("batchSize", "maxDequeueCount", "visibilityTimeout", "messageEncoding"):
        assert name in told


@pytest.mark.parametrize("text", [None, "{"])
def test_a_missing_or_broken_host_json_is_a_problem(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "host.json").write_text(text)
    with pytest.raises(StartProblemsError, match=r"host\.json"):
        load_host_json(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:30", 30.0), ("1.02:03:04", 93784.0), ("00:00:00.5000000", 0.5)]
)
def test_time_spans(text: str, seconds: float) -> None:
    assert parse_time_span(text) == seconds


@pytest.mark.parametrize("text", ["30", "00:60:00", "24:00:00", "1:2", ""])
def test_other_texts_are_not_time_spans(text: str) -> None:
    with pytest.raises(ValueError, match="time span"):
        parse_time_span(text)
