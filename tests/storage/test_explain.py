"""`exporter explain` on a real storage: it says what it should, and leaves everything as it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from exporter.adapters.storage import LANDING_CONTAINER
from exporter.cli.main import run_command_line
from sandbox.azurite import Azurite

CONFIGURATION = r"""
connections:
  - {id: acme, host: acme.api-us1.com, secret: activecampaign-acme, consent: {accepted_by: ann@example.org}}
recipes:
  - id: unload
    pattern: "unload/{segment}/{drop}/data_{part}.csv"
    complete: [marker]
    dialect: {header: false, columns: [Email, City], delimiter: bar, null: \N, quote: none, escape: backslash}
exports:
  - id: vip
    connection: acme
    list_id: 5
    segments: [vip]
    mapping: {email: Email, fields: {City: "%CITY%"}}
"""
PARTS = {
    "unload/vip/march/data_0.csv": b"ann@example.org|Oslo\nbob@example.org|\\N\n",
    "unload/vip/march/data_1.csv": b"cid@example.org|Bergen \\| Vest\n",
}


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A storage with a configuration and a drop that is not whole."""
    with Azurite() as azurite:
        connection_string = azurite.connection_string
        monkeypatch.setenv("EXPORTER_STORAGE", connection_string)
        monkeypatch.chdir(tmp_path)
        Path("exporter.yaml").write_text(CONFIGURATION)
        assert run_command_line(["apply", "exporter.yaml"]) == 0
        with BlobServiceClient.from_connection_string(connection_string) as blobs:
            for name, data in PARTS.items():
                blobs.get_blob_client(LANDING_CONTAINER, name).upload_blob(data)
        yield connection_string


def everything_in(connection_string: str) -> dict[str, list[str]]:
    """All containers with their blobs and ETags, and all queues with their messages."""
    found = {}
    with BlobServiceClient.from_connection_string(connection_string) as blobs:
        for container in blobs.list_containers():
            listed = blobs.get_container_client(container.name).list_blobs(include=["metadata"])
            found[f"container {container.name}"] = sorted(f"{blob.name} {blob.etag}" for blob in listed)
    with QueueServiceClient.from_connection_string(connection_string) as queues:
        for queue in queues.list_queues():
            with queues.get_queue_client(queue.name) as client:
                found[f"queue {queue.name}"] = [message.id for message in client.peek_messages(32)]
    return found


def test_a_file_is_explained_and_nothing_is_more_or_other_than_before(
    storage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything_in(storage)
    assert sum(map(len, before.values())) == len(PARTS) + 3  # and a connection, a recipe and an export
    capsys.readouterr()

    for command in (
        ["explain", "unload/vip/march/data_1.csv"],
        ["explain", "segments/unload/vip/march/data_1.csv", "--json"],
        ["explain", "unload/vip/march/none.csv"],
        ["recipe", "list"],
        ["recipe", "show", "unload"],
    ):
        code = run_command_line(command)
        assert code == (1 if "none" in command[1] else 0)
        if "--json" in command:
            document = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert everything_in(storage) == before
    (drop,) = document["drops"]
    (export,) = drop["exports"]
    assert (drop["segment"], drop["complete"], len(drop["files"])) == ("vip", False, 2)
    assert document["recipes_tried"] == [{"recipe": "unload", "why_not": ""}]
    assert export["outcome"] == "wait"
    assert export["contacts"] == [
        {"email": "ann@example.org", "fields": {"%CITY%": "Oslo"}},
        {"email": "bob@example.org"},
        {"email": "cid@example.org", "fields": {"%CITY%": "Bergen | Vest"}},
    ]


def test_what_a_manifest_takes_is_not_said_to_be_taken_by_the_recipe_of_its_name(
    storage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = {"name": "p", "location": "https://acme.blob.core.windows.net/segments/crm/out/vip/vip-0.csv"}
    table = {"$type": "LocalEntity", "name": "vip", "attributes": [{"name": "Email"}], "partitions": [part]}
    model = json.dumps({"name": "crm", "entities": [table]})
    with BlobServiceClient.from_connection_string(storage) as blobs:
        blobs.get_blob_client(LANDING_CONTAINER, "crm/out/model.json").upload_blob(model)
        blobs.get_blob_client(LANDING_CONTAINER, "crm/out/vip/vip-0.csv").upload_blob(b"ann@example.org\n")
    capsys.readouterr()
    assert run_command_line(["explain", "crm/out/vip/vip-0.csv"]) == 0
    out = capsys.readouterr().out
    assert "makes it one of 'cdm'" in out
    assert "yes, by its name" not in out


def test_the_setting_says_how_long_a_drop_without_an_end_marker_must_be_quiet(
    storage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPORTER_QUIET_SECONDS", "86400")
    with BlobServiceClient.from_connection_string(storage) as blobs:
        blobs.get_blob_client(LANDING_CONTAINER, "vip/people_00000.csv").upload_blob(b"Email,City\n")
    assert run_command_line(["explain", "vip/people_00000.csv"]) == 0
    assert "no: it waits for 86400 s without another file" in capsys.readouterr().out


def test_a_storage_that_nobody_prepared_is_not_prepared_by_a_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Azurite() as azurite:
        connection_string = azurite.connection_string
        monkeypatch.setenv("EXPORTER_STORAGE", connection_string)
        monkeypatch.chdir(tmp_path)
        assert run_command_line(["explain", "vip/a.csv"]) == 1
        assert everything_in(connection_string) == {}
    assert "404" in capsys.readouterr().err
