"""What the platform does around a function, seen from outside: the host's account and the data's are two."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, QueueServiceClient

from sandbox.azurite import Azurite
from sandbox.host import LocalHost, StartProblemsError
from tests.sandbox.waiting import eventually, unique

APPS = Path(__file__).parent / "apps"
POLL_OFTEN = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.100"}
POISON = "webjobs-blobtrigger-poison"


class Depot:
    """The app `depot`. The host watches one container, and hears of another only what a test tells it."""

    def __init__(
        self, folder: Path, host_storage: str, data: str, more: dict[str, str] | None = None, **options: Any
    ) -> None:
        self._notes = folder / unique("notes")
        self._notes.touch()
        self.host_id = unique("host")
        self.drops, self.pair, self.batch, self.out = (unique(n) for n in ("drops", "pair", "batch", "out"))
        self.watched = unique("watched")
        self._blobs = BlobServiceClient.from_connection_string(data)
        self.data = QueueServiceClient.from_connection_string(data)
        self.own = QueueServiceClient.from_connection_string(host_storage)
        settings = {
            "AzureWebJobsStorage": host_storage,
            "AzureFunctionsWebHost__hostid": self.host_id,
            "DATA": data,
            "DROPS": self.watched,
            "PAIR": self.pair,
            "BATCH": self.batch,
            "OUT": self.out,
            "NOTES": str(self._notes),
            **POLL_OFTEN,
            **(more or {}),
        }
        self._key = options.get("function_key", "")
        quiet = {"quiet": True, "log": subprocess.DEVNULL, "list_seconds": 0.1}
        self.host = LocalHost(APPS / "depot", settings, **{**quiet, **options})

    def __enter__(self) -> Self:
        self._blobs.create_container(self.drops)
        self.host.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.host.stop()
        for client in (self._blobs, self.data, self.own):
            client.close()

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return what functions have noted so far, in the order they did."""
        return [note for note in map(json.loads, self._notes.read_text().splitlines()) if kind in note]

    def upload(self, name: str, text: str) -> str:
        """Write a blob and return its ETag."""
        client = self._blobs.get_blob_client(self.drops, name)
        return str(client.upload_blob(text.encode(), overwrite=True)["etag"]).strip('"')

    def delete(self, name: str) -> None:
        self._blobs.get_blob_client(self.drops, name).delete_blob()

    def tell(self, function: str, name: str, etag: str = "0x1", **event: Any) -> int:
        """Post an event to the webhook, as Event Grid does."""
        url = self._blobs.get_blob_client(self.drops, name).url
        data = {"url": url, "eTag": etag, "blobType": "BlockBlob"}
        return self.post(function, [{**event, "data": data}], "Notification")[0]

    def post(
        self, function: str, body: object, kind: str | None = None, *, code: str | None = None
    ) -> tuple[int, bytes]:
        """Post to the webhook of a blob function, with Event Grid's header or without."""
        code = self._key if code is None else code
        path = f"runtime/webhooks/blobs?functionName=Host.Functions.{function}&code={code}"
        return self.call(path, json.dumps(body).encode(), {"aeg-event-type": kind} if kind else {})

    def call(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(f"{self.host.api}/{path}", data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    @property
    def internal(self) -> QueueClient:
        """The queue that blob events go through."""
        return self.own.get_queue_client(f"azure-webjobs-blobtrigger-{self.host_id}")

    def settled(self) -> None:
        """Wait until all blob events have been dealt with."""
        eventually(lambda: depth(self.internal) == 0, "the end of all events")


def depth(queue: QueueClient) -> int:
    return int(queue.get_queue_properties().approximate_message_count or 0)


def texts(queue: QueueClient) -> list[str]:
    try:
        return [message.content for message in queue.peek_messages(32)]
    except ResourceNotFoundError:
        return []


@pytest.fixture(scope="module")
def data() -> Iterator[str]:
    with Azurite() as storage:
        yield storage.connection_string


@pytest.fixture(scope="module")
def depot(azurite: str, data: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    folder = tmp_path_factory.mktemp("depot")
    with Depot(folder, azurite, data, lease_seconds=2, instances={"on_pair": 2}) as depot:
        yield depot


# Blob events


def test_an_event_told_twice_runs_twice_and_sees_the_newest_content(depot: Depot) -> None:
    etag = depot.upload("notes/a", "old")
    depot.upload("notes/a", "new")
    # Of an event only the blob's address, ETag and type matter.
    assert depot.tell("on_note", "notes/a", etag, eventType="Microsoft.Storage.BlobDeleted") == 202
    assert depot.tell("on_note", "notes/a", etag) == 202
    name = f"{depot.drops}/notes/a"
    found = eventually(lambda: (n := depot.notes("note"))[1:] and [x for x in n if x["note"] == name])
    assert [note["text"] for note in found] == ["new", "new"]


def test_an_event_of_a_blob_that_is_gone_is_skipped(depot: Depot) -> None:
    depot.upload("notes/gone", "gone")
    depot.delete("notes/gone")
    assert depot.tell("on_note", "notes/gone") == 202
    depot.settled()
    assert not [note for note in depot.notes("note") if note["note"].endswith("gone")]
    assert not [text for text in texts(depot.data.get_queue_client(POISON)) if "notes/gone" in text]


def test_the_subscription_is_the_filter_not_the_path(depot: Depot) -> None:
    depot.upload("elsewhere", "elsewhere")
    assert depot.tell("on_note", "elsewhere") == 202
    eventually(lambda: [n for n in depot.notes("note") if n["text"] == "elsewhere"], "the run")


def test_a_failing_event_is_tried_five_times_and_kept_in_the_account_of_the_data(depot: Depot) -> None:
    etag = depot.upload("notes/bad", "bad")
    depot.tell("on_note", "notes/bad", etag)
    poison = depot.data.get_queue_client(POISON)
    [text] = eventually(lambda: [t for t in texts(poison) if depot.drops in t], "the poison message")
    assert json.loads(text) == {
        "FunctionId": "Host.Functions.on_note",
        "BlobType": "BlockBlob",
        "ContainerName": depot.drops,
        "BlobName": "notes/bad",
        "ETag": f'"{etag}"',
    }
    assert len([note for note in depot.notes("note") if note["text"] == "bad"]) == 5
    assert not [t for t in texts(depot.own.get_queue_client(POISON)) if depot.drops in t]


def test_a_function_may_ask_for_a_stream_or_for_the_container(depot: Depot) -> None:
    depot.upload("streams/a", "as a stream")
    depot.upload("containers/a", "")
    assert depot.tell("on_stream", "streams/a") == 202
    assert depot.tell("on_container", "containers/a") == 202
    [streamed] = eventually(lambda: depot.notes("stream"), "the stream")
    assert streamed["stream"] == "as a stream"
    [listed] = eventually(lambda: depot.notes("container"), "the container")
    assert (listed["container"], listed["names"]) == (depot.drops, ["containers/a"])


def test_the_header_decides_what_the_webhook_does(depot: Depot) -> None:
    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    code = {"validationCode": "42"}
    hello = {"eventType": kind, "data": code}
    cloud_hello = {"type": kind, "data": json.dumps(code)}
    for body in ([hello], cloud_hello):
        status, answer = depot.post("on_note", body, "SubscriptionValidation")
        assert (status, json.loads(answer)) == (200, {"validationResponse": "42"})
    assert depot.post("on_note", [hello], "Notification")[0] == 400
    assert depot.post("on_note", [], "Unsubscribe")[0] == 202
    assert depot.post("on_note", [], "Something")[0] == 400
    assert depot.post("on_note", [])[0] == 202


# Queue functions


def test_two_instances_are_two_processes_that_both_take_messages_and_share_nothing(depot: Depot) -> None:
    queue = depot.data.get_queue_client(depot.pair)
    queue.create_queue()
    # Each call waits for one in another process: a single one would never end.
    for number in range(6):
        queue.send_message(str(number))
    eventually(lambda: depth(queue) == 0, "the end of all calls")
    notes = depot.notes("pair")
    assert sorted(note["pair"] for note in notes) == [str(number) for number in range(6)]
    pids = {note["pid"] for note in notes}
    assert pids == set(depot.host.worker_pids("on_pair"))
    assert len(pids) == 2
    for pid in pids:
        mine = [note["pair"] for note in notes if note["pid"] == pid]
        assert [note["taken"] for note in notes if note["pid"] == pid] == [
            mine[: count + 1] for count in range(len(mine))
        ]


def test_outputs_are_sent_one_by_one_and_again_with_the_next_try(depot: Depot) -> None:
    queue = depot.data.get_queue_client(depot.batch)
    out = depot.data.get_queue_client(depot.out)
    queue.create_queue()
    queue.send_message("large")
    eventually(lambda: [n for n in depot.notes("poisoned") if n["poisoned"] == "large"], "the poison message")
    assert [note["tries"] for note in depot.notes("batch") if note["batch"] == "large"] == [1, 2, 3]
    # The second item cannot be sent; the first was, with each try, and the third never.
    [*sent] = out.receive_messages()
    assert [message.content for message in sent] == ["large 1"] * 3
    for message in sent:
        assert message.inserted_on is not None
        assert message.expires_on is not None
        assert (message.expires_on - message.inserted_on).days == 7
        out.delete_message(message)
    queue.send_message("fine")
    assert eventually(lambda: texts(out)[2:] and texts(out)) == ["fine 1", "fine 2", "fine 3"]


def test_nothing_is_sent_for_a_call_that_fails_and_a_poison_queue_has_none_of_its_own(depot: Depot) -> None:
    queue = depot.data.get_queue_client(depot.batch)
    poison = depot.data.get_queue_client(f"{depot.batch}-poison")
    queue.send_message("raise")

    def hidden_again() -> bool:
        """Whether the message has been taken once more than it was run, and been left alone."""
        return any((message.dequeue_count or 0) > 3 for message in poison.peek_messages())

    eventually(lambda: texts(poison) == ["raise"] and hidden_again(), "the return of the poison message")
    assert [note["tries"] for note in depot.notes("poisoned") if note["poisoned"] == "raise"] == [1, 2, 3]
    assert not [text for text in texts(depot.data.get_queue_client(depot.out)) if "raise" in text]
    assert f"{depot.batch}-poison-poison" not in [q.name for q in depot.data.list_queues(depot.batch)]


# Timers


def test_a_timer_that_fails_goes_on_and_is_retried_only_by_its_policy(depot: Depot) -> None:
    patient = eventually(lambda: (n := depot.notes("patient_tick"))[6:] and n[:6], "two runs with retries")
    assert [note["patient_tick"] for note in patient] == [0, 1, 2, 0, 1, 2]
    assert {note["of"] for note in patient} == {2}
    assert eventually(lambda: depot.notes("tick")[2:], "runs after a failure")
    assert {note["tick"] for note in depot.notes("tick")} == {False}


# Disabled functions


def test_a_disabled_function_hears_of_nothing_and_can_still_be_run_by_hand(
    azurite: str, data: str, tmp_path: Path
) -> None:
    blobs = ("on_note", "on_stream", "on_container")
    more = {f"AzureWebJobs.{name}.Disabled": "true" for name in (*blobs, "on_batch", "hello")}
    more["AzureWebJobs_on_patient_tick_Disabled"] = "1"
    more["AzureWebJobs.on_tick.Disabled"] = "false"
    with Depot(tmp_path, azurite, data, more, function_key="key") as depot:
        queue = depot.data.get_queue_client(depot.batch)
        queue.create_queue()
        queue.send_message("waits")
        etag = depot.upload("notes/a", "a")
        assert depot.post("on_note", [], "Notification", code="wrong")[0] == 401
        assert depot.tell("on_note", "notes/a", etag) == 202
        assert depot.call("api/hello", headers={"x-functions-key": "key"})[0] == 404
        assert eventually(lambda: depot.notes("tick")[2:], "three ticks of the enabled timer")
        assert depot.notes("patient_tick") == depot.notes("batch") == depot.notes("note") == []
        assert [m.dequeue_count for m in queue.peek_messages()] == [0]
        # The internal queue has no listener when all blob functions are disabled.
        [event] = map(json.loads, texts(depot.internal))
        assert event == {
            "FunctionId": "Host.Functions.on_note",
            "BlobType": "BlockBlob",
            "ContainerName": depot.drops,
            "BlobName": "notes/a",
            "ETag": f'"{etag}"',
        }
        by_hand = json.dumps({"input": "by hand"}).encode()
        assert depot.call("admin/functions/on_batch", by_hand, {"x-functions-key": "key"})[0] == 202
        assert [note["batch"] for note in depot.notes("batch")] == ["by hand"]
        assert [m.dequeue_count for m in queue.peek_messages()] == [0]


def test_an_event_of_a_disabled_function_is_dropped_when_another_listens(
    azurite: str, data: str, tmp_path: Path
) -> None:
    more = {"AzureWebJobs.on_note.Disabled": "true"}
    with Depot(tmp_path, azurite, data, more) as depot:
        depot.upload("notes/a", "a")
        assert depot.tell("on_note", "notes/a") == 202
        depot.settled()
        assert depot.notes("note") == []
        assert not [t for t in texts(depot.data.get_queue_client(POISON)) if depot.drops in t]


# Starting


def test_an_app_that_takes_too_long_to_load_does_not_start(azurite: str, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import time\ntime.sleep(3600)\n")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    host = LocalHost(tmp_path, {"AzureWebJobsStorage": azurite}, init_seconds=0.5, log=subprocess.DEVNULL)
    with pytest.raises(StartProblemsError, match=r"was not loaded within 0\.5 s"):
        host.start()


def test_blobs_from_before_the_first_start_are_told_too(azurite: str, data: str, tmp_path: Path) -> None:
    """Unlike Event Grid, which tells only what is written once there is a subscription."""
    depot = Depot(tmp_path, azurite, data)
    with BlobServiceClient.from_connection_string(data) as blobs:
        blobs.create_container(depot.watched).upload_blob("notes/early", b"early")
    with depot:
        assert eventually(lambda: depot.notes("note"), "the run")[0]["text"] == "early"
