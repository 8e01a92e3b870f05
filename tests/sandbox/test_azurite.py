import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from sandbox.azurite import Azurite, find_node, find_script
from sandbox.processes import StartError
from tests.sandbox.waiting import eventually, unique


def _alive(pid: int) -> bool:
    # A zombie, which nobody has waited for yet, has ended as well.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_serves_blobs_and_queues(azurite: str) -> None:
    with BlobServiceClient.from_connection_string(azurite) as blobs:
        container = blobs.create_container(unique("here"))
        container.upload_blob("a", b"text")
        assert container.download_blob("a").readall() == b"text"
    with QueueServiceClient.from_connection_string(azurite) as queues:
        queue = queues.create_queue(unique("here"))
        queue.send_message("hello")
        assert [message.content for message in queue.receive_messages()] == ["hello"]


def test_many_requests_do_not_fill_a_pipe(azurite: str) -> None:
    # Azurite logs some 150 bytes a request unless told not to; a pipe holds 65,536.
    with BlobServiceClient.from_connection_string(azurite) as blobs:
        for _ in range(500):
            blobs.get_service_properties()


async def test_data_in_a_folder_outlives_it(tmp_path: Path) -> None:
    async with Azurite(tmp_path) as storage:
        with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
            blobs.create_container("kept").upload_blob("a", b"text")
    with (
        Azurite(tmp_path) as storage,
        BlobServiceClient.from_connection_string(storage.connection_string) as blobs,
    ):
        assert blobs.get_blob_client("kept", "a").download_blob().readall() == b"text"


_WRITE_AND_WAIT = """
import json, sys, time
from pathlib import Path
from azure.storage.blob import BlobServiceClient
from sandbox.azurite import Azurite

storage = Azurite(Path(sys.argv[1])).start()
with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
    container = blobs.create_container("kept")
    for number in range(20):
        container.upload_blob(str(number), b"text")
print(json.dumps(storage.pid), flush=True)
time.sleep(600)
"""


def test_data_in_a_folder_outlives_the_kill_of_whoever_started_it(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _WRITE_AND_WAIT, str(tmp_path)], stdout=subprocess.PIPE)
    with parent:
        try:
            assert parent.stdout is not None
            pid = json.loads(parent.stdout.readline())
        finally:
            parent.kill()
    eventually(lambda: not _alive(pid), "the end of Azurite")
    with (
        Azurite(tmp_path) as storage,
        BlobServiceClient.from_connection_string(storage.connection_string) as blobs,
    ):
        names = {blob.name for blob in blobs.get_container_client("kept").list_blobs()}
        assert names == {str(number) for number in range(20)}
        assert blobs.get_blob_client("kept", "19").download_blob().readall() == b"text"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-m", "sandbox.azurite"], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        line = json.loads(parent.stdout.readline())
        assert line["ready"] is True
        assert line["storage"].startswith("DefaultEndpointsProtocol=http;")
        assert _alive(line["pid"])
        parent.send_signal(how)
        eventually(lambda: not _alive(line["pid"]), "the end of Azurite")


def test_without_node_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(StartError, match="make setup"):
        find_node()


def test_node_from_the_virtual_environment_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    node.touch(0o755)
    assert find_node() == str(node)


def test_without_azurite_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="make setup"):
        find_script(tmp_path)


def test_a_failed_start_gives_the_reason(tmp_path: Path) -> None:
    place = tmp_path / "a file"
    place.touch()
    with pytest.raises(StartError, match=r"EEXIST|ENOTDIR|not a directory"):
        Azurite(place).start()


def test_stopping_twice_does_no_harm() -> None:
    storage = Azurite().start()
    pid = storage.pid
    assert pid is not None
    storage.stop()
    storage.stop()
    assert storage.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
