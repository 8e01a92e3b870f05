"""A drop of each producer, as it would write it, becomes the right contacts through the local host."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from exporter.adapters.storage import LANDING_CONTAINER
from tests.runs.site import KEY, Site, running_site
from tests.samples.producers.samples import NAMES, WrittenSample, sample

QUIET_SECONDS = "2"
"""Only for the tests' patience."""
MOST_LOOKS = 100
"""A look is a process that lists the runs, so they take minutes."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that takes a drop for whole after a short while without another file."""
    settings = {"EXPORTER_QUIET_SECONDS": QUIET_SECONDS}
    with running_site(tmp_path_factory.mktemp("producers"), "--no-limits", settings=settings) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_a_producers_drop_becomes_its_contacts(site: Site, name: str) -> None:
    drop = sample(name)
    expected = drop.expected
    apply(site, drop)

    put(site, drop)
    report = ended_run(site, expected["segment"])

    assert report["state"] == "succeeded", report
    assert report["source"] == expected["read"]
    assert report["counts"]["rows"] == report["counts"]["delivered"] == len(expected["contacts"])
    arrived = site.simulator.contacts()
    city = field_of(site, "City")
    assert [
        {
            "email": contact["email"],
            "first_name": contact["first_name"],
            "last_name": contact["last_name"],
            "City": contact["fields"].get(city, ""),
        }
        for contact in (arrived[person["email"]] for person in expected["contacts"])
    ] == expected["contacts"]
    assert not arrived.keys() & set(expected["must_not_arrive"])


def apply(site: Site, drop: WrittenSample) -> None:
    """Apply an export of the sample's segment, and the recipe that only its user can write."""
    expected = drop.expected
    export = {"id": drop.name, "segments": [expected["segment"]], "mapping": expected["mapping"]}
    assert site.apply(export).code == 0
    if expected["own_recipes"]:
        file = site.folder / f"{drop.name}-recipe.json"
        file.write_text(json.dumps({"recipes": expected["own_recipes"]}))
        assert site.run("apply", str(file)).code == 0


def put(site: Site, drop: WrittenSample) -> None:
    """Write the sample's files into the landing container as the producer does: what closes the drop last."""
    with BlobServiceClient.from_connection_string(site.environ["EXPORTER_STORAGE"]) as blobs:
        container = blobs.get_container_client(LANDING_CONTAINER)
        for blob, content in drop.files(blobs.url.rstrip("/")).items():
            container.upload_blob(blob, content)


def ended_run(site: Site, segment: str) -> dict[str, Any]:
    """The report of the segment's only run, once it has ended."""
    for _ in range(MOST_LOOKS):
        runs = [run for run in site.run("run", "list").document if run["segment"] == segment]
        if runs:
            (run,) = runs
            report: dict[str, Any] = site.run("run", "watch", run["run_id"]).document
            return report
    pytest.fail(f"no run of {segment} within {MOST_LOOKS} looks")


def field_of(site: Site, title: str) -> str:
    """The number of a custom field in the simulated account."""
    request = urllib.request.Request(f"http://{site.simulator.host}/api/3/fields?limit=100")
    request.add_header("Api-Token", KEY)
    with urllib.request.urlopen(request, timeout=30) as response:
        fields = json.loads(response.read())["fields"]
    return next(str(field["id"]) for field in fields if field["title"] == title)
