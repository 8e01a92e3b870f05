"""A whole app in the local host, its workers in processes of their own."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient, QueueServiceClient

from sandbox.host import LocalHost
from sandbox.host.problems import StartProblemsError
from tests.sandbox.waiting import eventually, unique

APPS = Path(__file__).parent / "apps"
POLL_OFTEN = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.100"}


class Shop:
    """The app `shop` in a local host, with names of its own in the shared storage."""

    def __init__(self, azurite: str, **options: Any) -> None:
        self.drops = unique("drops")
        self.orders = unique("orders")
        self.seen = unique("seen")
        self.host_id = unique("host")
        self.storage = azurite
        self._blobs = BlobServiceClient.from_connection_string(azurite)
        self._queues = QueueServiceClient.from_connection_string(azurite)
        self.settings = {
            "AzureWebJobsStorage": azurite,
            "SHOP_STORAGE": azurite,
            "DROPS": self.drops,
            "ORDERS": self.orders,
            "SEEN": self.seen,
            "SWEEP": "0 0 0 1 1 *",
            "AzureFunctionsWebHost__hostid": self.host_id,
            **POLL_OFTEN,
        }
        more = {"quiet": True, "list_seconds": 0.1, "log": subprocess.DEVNULL, **options}
        self.host = LocalHost(APPS / "shop", self.settings, **more)
        self._notes: list[dict[str, Any]] = []

    def drop(self, name: str, text: str) -> None:
        self.container.upload_blob(name, text.encode(), overwrite=True)

    @property
    def container(self) -> ContainerClient:
        return self._blobs.get_container_client(self.drops)

    def queue(self, name: str) -> QueueClient:
        return self._queues.get_queue_client(name)

    def order(self, line: str) -> None:
        queue = self.queue(self.orders)
        text = json.dumps({"line": line})
        try:
            queue.send_message(text)
        except ResourceNotFoundError:
            queue.create_queue()
            queue.send_message(text)

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return what functions have left on the queue `seen` so far."""
        try:
            for message in self.queue(self.seen).receive_messages():
                self._notes.append(json.loads(message.content))
                self.queue(self.seen).delete_message(message)
        except ResourceNotFoundError:
            pass
        return [note for note in self._notes if kind in note]

    def note(self, kind: str, value: str) -> dict[str, Any]:
        """Wait for one note."""

        def find() -> dict[str, Any] | None:
            return next((note for note in self.notes(kind) if note[kind] == value), None)

        found = eventually(find, f"{kind} {value}")
        assert found is not None
        return found

    def close(self) -> None:
        self.host.stop()
        self._blobs.close()
        self._queues.close()


@pytest.fixture(scope="module")
def shop(azurite: str) -> Iterator[Shop]:
    shop = Shop(azurite)
    shop.host.start()
    yield shop
    shop.close()


def _call(url: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, dict(response.headers.items()), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers.items()), error.read()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Blobs, queues and their outputs


def test_a_drop_becomes_orders_and_each_order_is_taken(shop: Shop) -> None:
    shop.drop("vip/a.csv", "one\ntwo")
    notes = [shop.note("order", "one"), shop.note("order", "two")]
    assert {note["function"] for note in notes} == {"on_order"}
    assert {note["tries"] for note in notes} == {1}
    assert len({note["invocation"] for note in notes}) == 2
    assert all(note["trace"].startswith("00-") for note in notes)


def test_an_input_stream_holds_the_blob(shop: Shop) -> None:
    shop.drop("notes/deep/hello.txt", "hi there")
    note = shop.note("note", f"{shop.drops}/notes/deep/hello.txt")
    assert (note["text"], note["length"]) == ("hi there", 8)


def test_a_drop_that_cannot_be_read_ends_on_the_poison_queue_of_its_account(shop: Shop) -> None:
    shop.drop("vip/bad.csv", "bad")

    def buried() -> dict[str, Any] | None:
        try:
            for message in shop.queue("webjobs-blobtrigger-poison").peek_messages(32):
                event: dict[str, Any] = json.loads(message.content)
                if event["ContainerName"] == shop.drops:
                    return event
        except ResourceNotFoundError:
            pass
        return None

    event = eventually(buried, "the poison message")
    assert event is not None
    assert (event["FunctionId"], event["BlobName"]) == ("Host.Functions.on_drop", "vip/bad.csv")
    assert event["BlobType"] == "BlockBlob"
    assert event["ETag"]


def test_a_failing_message_is_tried_three_times_and_wakes_the_poison_function(shop: Shop) -> None:
    assert shop.host.worker_pids("on_order_poisoned") == [] or shop.notes("poisoned")
    shop.order("boom")
    assert shop.note("poisoned", "boom")["pid"] == shop.host.worker_pids("on_order_poisoned")[0]


def test_each_queue_function_has_a_process_of_its_own(shop: Shop) -> None:
    workers = [w for w in shop.host.status()["workers"] if "on_order_poisoned" not in w["functions"]]
    assert sorted(sorted(worker["functions"]) for worker in workers) == [
        ["files", "order"],
        ["on_drop", "on_note"],
        ["on_order"],
        ["sweep"],
    ]
    assert len({worker["pid"] for worker in workers}) == 4


def test_a_timer_may_run_when_the_host_starts(shop: Shop) -> None:
    note = shop.note("tick", "now")
    assert note["past_due"] is False
    assert [note["pid"]] == shop.host.worker_pids("sweep")


# HTTP


def test_a_request_reaches_its_function_and_its_answer_comes_back(shop: Shop) -> None:
    url = f"{shop.host.api}/api/Orders/a%20b?q=1"
    status, headers, body = _call(url, "bødy".encode(), **{"X-Test": "yes"})
    answer = json.loads(body)
    assert (status, headers["X-Answer"], headers["content-type"]) == (202, "yes", "application/json")
    assert {name: answer[name] for name in ("id", "method", "query", "header", "body")} == {
        "id": "a b",
        "method": "POST",
        "query": {"q": "1"},
        "header": "yes",
        "body": "bødy",
    }
    assert [answer["pid"]] == shop.host.worker_pids("order")


def test_the_rest_of_a_path_and_a_text_answer(shop: Shop) -> None:
    status, _, body = _call(f"{shop.host.api}/api/files/a/b.js")
    assert (status, body) == (200, b"file a/b.js")


def test_what_a_request_may_fail_with(shop: Shop) -> None:
    request = urllib.request.Request(f"{shop.host.api}/api/orders/1", method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    refused.value.close()
    assert (refused.value.code, refused.value.headers["Allow"]) == (405, "GET, POST")
    assert _call(f"{shop.host.api}/api/nothing")[0] == 404
    assert _call(f"{shop.host.api}/orders/1")[0] == 404
    status, _, body = _call(f"{shop.host.api}/api/files/fail")
    assert (status, body) == (500, b"")


# Calls by hand, and the webhook


def _by_hand(shop: Shop, function: str, text: str) -> int:
    return _call(f"{shop.host.api}/admin/functions/{function}", json.dumps({"input": text}).encode())[0]


def test_functions_are_run_by_hand(shop: Shop) -> None:
    assert _by_hand(shop, "on_order", '{"line": "by hand"}') == 202
    assert shop.note("order", "by hand")
    shop.drop("other/by-hand.txt", "fits no pattern")
    assert _by_hand(shop, "on_note", f"{shop.drops}/notes/gone.txt") == 202  # no such blob: skipped
    assert _by_hand(shop, "sweep", "") == 202
    assert _by_hand(shop, "nobody", "") == 404
    assert _call(f"{shop.host.api}/admin/functions/on_order", b"not json")[0] == 400


def test_the_webhook_takes_events_and_shakes_hands(shop: Shop) -> None:
    shop.drop("notes/again.txt", "again")
    name = f"{shop.drops}/notes/again.txt"
    shop.note("note", name)
    shop._notes.clear()
    hook = f"{shop.host.api}/runtime/webhooks/blobs?functionName=Host.Functions.on_note&code=x"
    data = {
        "url": shop.container.get_blob_client("notes/again.txt").url,
        "eTag": "0x1",
        "blobType": "BlockBlob",
    }
    event = {"eventType": "Microsoft.Storage.BlobCreated", "data": data}
    assert _call(hook, json.dumps([event]).encode())[0] == 202
    assert shop.note("note", name)["text"] == "again"
    code = {"validationCode": "42"}
    hello = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": code}
    status, _, body = _call(hook, json.dumps([hello]).encode())
    assert (status, json.loads(body)) == (200, {"validationResponse": "42"})
    assert _call(hook.replace("on_note", "on_order"), b"[]")[0] == 404
    assert _call(hook, b'[{"data": {}}]')[0] == 400


# Ends


def test_a_worker_that_dies_is_started_again_and_the_host_ends_cleanly(azurite: str) -> None:
    shop = Shop(azurite, lease_seconds=1, instances={"on_order": 2}, function_key="key")
    try:
        shop.host.start()
        before = shop.host.worker_pids("on_order")
        assert len(before) == 2
        shop.order("die")  # each try ends the worker at once
        assert shop.note("poisoned", "die")
        shop.order("fine")
        assert shop.note("order", "fine")["pid"] in shop.host.worker_pids("on_order")
        starts = [w["starts"] for w in shop.host.status()["workers"] if w["functions"] == ["on_order"]]
        assert sum(starts) == 2 + 3

        assert _call(f"{shop.host.api}/api/orders/1")[0] == 401
        assert _call(f"{shop.host.api}/api/orders/1?code=key")[0] == 202
        assert _call(f"{shop.host.api}/api/orders/1", None, **{"x-functions-key": "wrong"})[0] == 401
        assert _call(f"{shop.host.api}/api/files/1")[0] == 200
        assert _call(f"{shop.host.api}/admin/host/status")[0] == 401

        pids = [worker["pid"] for worker in shop.host.status()["workers"] if worker["pid"]]
        assert shop.host.stop() == 0
        assert not any(_alive(pid) for pid in pids)
    finally:
        shop.close()


def test_a_killed_host_takes_its_workers_along_and_the_next_goes_on(azurite: str) -> None:
    shop = Shop(azurite)
    try:
        shop.host.start()
        shop.drop("vip/first.csv", "first")
        shop.note("order", "first")
        pids = [worker["pid"] for worker in shop.host.status()["workers"] if worker["pid"]]
        shop.host.kill()
        eventually(lambda: not any(_alive(pid) for pid in pids), "the end of the workers")
        shop.drop("vip/second.csv", "second")
        shop._notes.clear()
        shop.host.start()
        shop.note("order", "second")
        assert [note["order"] for note in shop.notes("order")] == ["second"]
    finally:
        shop.close()


def test_a_call_that_takes_too_long_ends_its_worker_and_tells_no_content(
    azurite: str, tmp_path: Path
) -> None:
    work, seen = unique("work"), unique("seen")
    settings = {"AzureWebJobsStorage": azurite, "WORK": work, "SEEN": seen}
    log = tmp_path / "log"
    with QueueServiceClient.from_connection_string(azurite) as queues, log.open("wb") as stderr:
        queues.create_queue(work).send_message("c2VjcmV0IHRleHQ=")  # base64: host.json says nothing else
        with LocalHost(APPS / "slow", settings, lease_seconds=2, log=stderr) as host:

            def result() -> str | None:
                try:
                    message = queues.get_queue_client(seen).receive_message()
                except ResourceNotFoundError:
                    return None
                return message.content if message else None

            answer = eventually(result, "the second try")
            assert answer is not None
            # Outputs are encoded as host.json says of messages.
            assert base64.b64decode(answer).decode().startswith("secret text 2 ")
            status, _, _ = _call(f"{host.api}/api/die")
            assert status == 503
            eventually(lambda: len(host.worker_pids("die")) == 1, "the new worker")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    timeouts = [line for line in lines if "functionTimeout" in line["message"]]
    assert [line["function"] for line in timeouts] == ["on_work"]
    assert timeouts[0]["invocation_id"]
    assert any("on_work ended with 124" in line["message"] for line in lines)
    assert "secret" not in log.read_text()
    assert "c2Vjcm" not in log.read_text()


def test_running_calls_have_a_grace_when_the_host_is_told_to_stop(azurite: str) -> None:
    shop = Shop(azurite)
    try:
        shop.host.start()
        shop.order("block 1.5")
        eventually(lambda: shop.queue(shop.orders).peek_messages() == [], "the taking of the message")
        assert shop.host.stop() == 0
        assert shop.note("order", "block 1.5")
        assert shop.queue(shop.orders).get_queue_properties().approximate_message_count == 0
    finally:
        shop.close()


# Starts that fail


def test_all_that_is_wrong_with_an_app_is_told_at_once(azurite: str) -> None:
    host = LocalHost(APPS / "broken", {"AzureWebJobsStorage": azurite}, log=subprocess.DEVNULL)
    with pytest.raises(StartProblemsError) as caught:
        host.start()
    told = "\n".join(caught.value.problems)
    assert "on_message: queueTrigger 'message': 'Not_A_Queue' is not a queue name" in told
    assert (
        "on_message: queueTrigger 'message': setting NOWHERE or NOWHERE__queueServiceUri is missing" in told
    )
    assert "sweep: timerTrigger 'timer': the schedule is not NCRONTAB" in told
    assert "on_mistyped: parameter 'more' has no binding" in told
    assert "on_listed: parameter 'out' must be annotated with a type of typing, as Out[List[str]]" in told
    assert "on_mistyped: parameter 'message' cannot be a str" in told
    assert "on_event: eventGridTrigger 'event': this host does not support the binding" in told
    assert "host.json: batchSize is 99" in told


@pytest.mark.parametrize(
    ("app", "settings", "problem"),
    [
        ("unloadable", {}, "RuntimeError: no configuration"),
        ("nothing", {}, "there is no function_app.py"),
    ],
)
def test_an_app_that_cannot_be_loaded(app: str, settings: dict[str, str], problem: str) -> None:
    host = LocalHost(APPS / app, settings, log=subprocess.DEVNULL)
    with pytest.raises(StartProblemsError, match=problem):
        host.start()


def test_the_command_line_speaks_one_line_and_obeys_sigterm(azurite: str) -> None:
    shop = Shop(azurite)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "sandbox.host", "--app-dir", str(APPS / "shop"), "--quiet"]
    with subprocess.Popen(
        command,
        env={**os.environ, **shop.settings},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert line["ready"] is True
        assert _call(f"{line['api']}/api/files/x")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b""
        assert process.wait(30) == 0
    shop.close()
