"""`exporter erase` on a whole site: plant a person everywhere, erase them, search every byte."""

import base64
import binascii
import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from exporter.domain.reading import GZIP_MAGIC
from tests.runs.site import Site

CANARY = "canary.wren@example.org"
OTHERS = [f"ann{number}@example.org,Ann,Ash,,Oslo,gold" for number in range(40)]
HERS = [f"{CANARY.title()},Canary,Wren,,Oslo,gold", f"{CANARY},Canary,Wren,,Oslo,gold,one too many"]


def everything(site: Site) -> Iterator[tuple[str, bytes]]:
    """Every blob and every queue message of the account, as it lies there and without its wrapping."""
    text = site.environ["EXPORTER_STORAGE"]
    with BlobServiceClient.from_connection_string(text) as blobs:
        for container in blobs.list_containers():
            client = blobs.get_container_client(container.name)
            for blob in client.list_blobs():
                name, data = f"{container.name}/{blob.name}", client.download_blob(blob.name).readall()
                yield name, f"{blob.name}".encode() + data
                if data.startswith(GZIP_MAGIC):
                    yield name, gzip.decompress(data)
    with QueueServiceClient.from_connection_string(text) as queues:
        for queue in queues.list_queues():
            for message in queues.get_queue_client(queue.name).peek_messages(32):
                yield queue.name, message.content.encode()
                with suppress(binascii.Error):
                    yield queue.name, base64.b64decode(message.content, validate=True)


def where_she_is(site: Site) -> set[str]:
    needle = CANARY.encode()
    return {name for name, data in everything(site) if needle in data.lower()}


def landed(site: Site, blob: str) -> bytes:
    with BlobServiceClient.from_connection_string(site.environ["EXPORTER_STORAGE"]) as blobs:
        return blobs.get_blob_client("segments", blob).download_blob().readall()


def plant_dead_message(site: Site) -> None:
    """What the platform leaves of a message that failed five times, where nothing takes it up."""
    with QueueServiceClient.from_connection_string(site.environ["EXPORTER_STORAGE"]) as queues:
        queue = queues.get_queue_client("orders-poison")
        queue.create_queue()
        for name in (CANARY, "somebody else"):
            queue.send_message(base64.b64encode(f'{{"BlobName":"vip/{name}.csv"}}'.encode()).decode())


def count_of_dead_messages(site: Site) -> int:
    """Hidden ones included."""
    with QueueServiceClient.from_connection_string(site.environ["EXPORTER_STORAGE"]) as queues:
        properties = queues.get_queue_client("orders-poison").get_queue_properties()
        return properties.approximate_message_count or 0


def dropped_files(site: Site) -> tuple[Path, Path]:
    plain = site.file("plain.csv", [*OTHERS[:20], *HERS, *OTHERS[20:]])
    zipped = site.folder / "zipped.csv.gz"
    zipped.write_bytes(gzip.compress(site.file("inner.csv", [HERS[0], *OTHERS]).read_bytes()))
    return plain, zipped


def test_nothing_of_a_person_is_left_and_nobody_else_is_touched(site: Site) -> None:
    site.apply({"id": "erasable"})
    plain, zipped = dropped_files(site)
    (report,) = site.drop("erasable", zipped).document
    assert report["counts"]["delivered"] == 41
    (report,) = site.drop("erasable", plain).document
    assert report["counts"]["rejected"] == 1
    plant_dead_message(site)
    containers = {name.split("/")[0] for name in where_she_is(site)}
    assert containers == {"exporter", "segments", "orders-poison"}
    assert CANARY in site.simulator.contacts()
    run_count = len(site.run("run", "list", "--limit", "0").document)

    answer = site.run("erase", CANARY.upper(), "--in-activecampaign", "--yes")

    assert answer.code == 0, answer.notes
    assert where_she_is(site) == set()
    assert CANARY not in answer.notes.lower()
    assert CANARY not in site.simulator.contacts()
    found = answer.document
    assert (found["files"], found["rows"], found["messages"], found["activecampaign"]) == (2, 3, 1, 1)
    assert found["contacts"] >= 1
    assert found["rejects"] == 2
    assert found["suppressed_since"].keys() == {"acme"}
    assert all(left["until"] for left in found["left"])
    without = site.file("expected.csv", OTHERS).read_bytes()
    assert landed(site, "erasable/plain.csv") == without
    assert gzip.decompress(landed(site, "erasable/zipped.csv.gz")) == without
    assert count_of_dead_messages(site) == 1

    site.announce("segments/erasable/plain.csv")
    (report,) = site.drop("erasable", site.file("again.csv", [*OTHERS, HERS[0]])).document
    assert report["counts"]["suppressed"] == 1
    assert report["counts"]["delivered"] == 40
    assert CANARY not in site.simulator.contacts()
    assert len(site.run("run", "list", "--limit", "0").document) == run_count + 1


def test_erasing_asks_first(site: Site) -> None:
    answer = site.run("erase", CANARY)

    assert answer.code == 2
    assert "--yes" in answer.document["error"]["message"]


def test_what_is_no_address_is_refused(site: Site) -> None:
    assert site.run("erase", "canary", "--yes").code == 2
