"""Folders of many parts: the test writes them in any order, and tells the local host as Event Grid might.

The host's own looks for new files are switched off: what the test does not tell is lost.
"""

import json
import random
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

from exporter.adapters.storage import LANDING_CONTAINER
from exporter.domain.run import RunState
from tests.runs.site import Site, running_site

PARTS: Final = 200
PEOPLE_IN_A_PART: Final = 5
QUIET_SECONDS: Final = 10
AT_ONCE: Final = 8
"""So many parts are written at a time."""
MOST_LOOKS: Final = 60
"""A look is a sweep and a process that lists the runs, so they take minutes."""
NEVER_SECONDS: Final = 24 * 3600.0
NAMES: Final = {
    "closed": "closed/monday/part-{:05}-2dd664f9-c000.csv",
    "unload": "unload/monday/data_0_0_{}.csv",
}
"""By segment: parts of Spark, which a marker ends, and of Snowflake, which quiet alone may end."""
MARKERS: Final = {"closed": "closed/monday/_SUCCESS"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that hears of new files only from the test."""
    settings = {"EXPORTER_QUIET_SECONDS": str(QUIET_SECONDS)}
    folder = tmp_path_factory.mktemp("parts")
    with running_site(folder, "--no-limits", settings=settings, list_seconds=NEVER_SECONDS) as running:
        yield running


@pytest.mark.parametrize("segment", NAMES)
def test_a_folder_of_many_parts_is_one_run_whatever_becomes_of_the_events(site: Site, segment: str) -> None:
    """Each event is lost, comes once or comes twice, at once or after all is written."""
    chance = random.Random(segment)
    assert site.apply({"id": segment, "mapping": {"email": "Email"}}).code == 0
    sent_before = sent_contacts(site)
    parts = {NAMES[segment].format(number): people(segment, number) for number in range(PARTS)}
    with BlobServiceClient.from_connection_string(site.environ["EXPORTER_STORAGE"]) as blobs:
        landing = blobs.get_container_client(LANDING_CONTAINER)
        late = put_and_tell(site, landing, parts, chance)
        if segment in MARKERS:
            landing.upload_blob(MARKERS[segment], b"")
        tell(site, late)

    report = ended_run(site, segment)

    assert report["source"] == sorted(parts)
    everybody = {address for addresses in parts.values() for address in addresses}
    assert (report["state"], report["counts"]["delivered"]) == ("succeeded", len(everybody))
    assert {address for address in site.simulator.contacts() if address.startswith(segment)} == everybody
    assert sent_contacts(site) - sent_before == len(everybody)

    for blob in chance.sample(sorted(parts), 3):
        site.announce(f"{LANDING_CONTAINER}/{blob}")
    assert ended_run(site, segment) == report


def sent_contacts(site: Site) -> int:
    """How many contacts all requests had, repeated ones counted again."""
    return sum(request["contacts"] for request in site.simulator.bulk_requests())


def people(segment: str, number: int) -> list[str]:
    """Who is in a part."""
    return [f"{segment}{number}-{person}@example.com" for person in range(PEOPLE_IN_A_PART)]


def put_and_tell(
    site: Site, landing: ContainerClient, parts: dict[str, list[str]], chance: random.Random
) -> list[BlobClient]:
    """Write the parts, some at a time and in any order; the events that are still to come, in any order."""
    fates = {blob: chance.choice(["lost", "at once", "late", "twice"]) for blob in parts}

    def put(blob: str) -> BlobClient:
        written = landing.upload_blob(blob, "\n".join(["Email", *parts[blob], ""]))
        if fates[blob] in {"at once", "twice"}:
            tell(site, [written])
        return written

    with ThreadPoolExecutor(AT_ONCE) as pool:
        written = list(pool.map(put, chance.sample(sorted(parts), len(parts))))
    late = [blob for blob in written if fates[blob.blob_name] in {"late", "twice"}]
    return chance.sample(late, len(late))


def tell(site: Site, blobs: Sequence[BlobClient]) -> None:
    """What Event Grid sends to the host's webhook."""
    events = [
        {
            "eventType": "Microsoft.Storage.BlobCreated",
            "data": {
                "url": blob.url,
                "eTag": blob.get_blob_properties().etag,
                "blobType": "BlockBlob",
            },
        }
        for blob in blobs
    ]
    request = urllib.request.Request(
        f"{site.host.api}/runtime/webhooks/blobs?functionName=Host.Functions.on_segment_dropped",
        data=json.dumps(events).encode(),
        headers={"Content-Type": "application/json", "aeg-event-type": "Notification"},
    )
    with urllib.request.urlopen(request, timeout=60):
        pass


def ended_run(site: Site, segment: str) -> dict[str, Any]:
    """The report of the segment's only run, once it has ended."""
    for _ in range(MOST_LOOKS):
        site.call("sweep_stalled_runs")
        reports = [report for report in site.run("run", "list").document if report["segment"] == segment]
        if reports and all(RunState(report["state"]).final for report in reports):
            report: dict[str, Any]
            (report,) = reports
            return report
    pytest.fail(f"no run of {segment} ended within {MOST_LOOKS} looks")
