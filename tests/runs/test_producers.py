"""A drop of each producer, as it would write it, becomes the right contacts through the local host.

All lie in one landing container, dropped together and in no order that helps.
"""

import gzip
import json
import random
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from exporter.adapters.schema import from_bytes
from exporter.adapters.storage import LANDING_CONTAINER, STATE_CONTAINER
from exporter.domain.drop import is_hidden
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.domain.run import Run, RunState
from tests.runs.site import KEY, Site, running_site
from tests.samples.producers.samples import NAMES, WrittenSample, sample

QUIET: Final = timedelta(seconds=5)
"""Only for the tests' patience."""
MOST_LOOKS: Final = 60
"""A look is a sweep and a process that lists the runs, so they take minutes."""
EARLY: Final = "-early"
"""Ends the segments of copies whose manifest or commit is written before the files that it lists."""
DROPS: Final = {
    drop.expected["segment"]: drop
    for name in NAMES
    for drop in [sample(name), *([sample(name).copy(EARLY)] if sample(name).is_listed else [])]
}
"""All drops by their segment."""

HELD: Final = "held"
HELD_PEOPLE: Final = ("held-0@example.com", "held-1@example.com")
HELD_RECIPE: Final = {
    "id": HELD,
    "pattern": "held/{drop}/rows_{part:digits}.csv",
    "segment": HELD,
    "complete": ["marker", "quiet"],
    "quiet_seconds": 3600,
}
JUNK_PEOPLE: Final = "junk-0@example.com"
JUNK: Final = (
    "snowflake-vip/_temporary/0/data_01b8f2ac-0604-0b1d-0000-04d9071a2b3e_0_2_0.csv.gz",
    "census-vip/.census-vip.csv.part",
    "factory-vip/_draft_00002.csv",
)
FOLDERS: Final = ("spark-vip/2026/11", "snowflake-vip/20261123", "factory-vip/")
"""Blobs that stand for folders."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A site on which the runs of all drops but the held one have ended."""

    site: Site
    reports: dict[str, list[dict[str, Any]]]
    """By segment."""
    contacts: dict[str, dict[str, Any]]
    city: str
    """The number of the custom field."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """All drops put together into one site, and what became of them."""
    settings = {"EXPORTER_QUIET_SECONDS": f"{QUIET.total_seconds():.0f}"}
    with running_site(tmp_path_factory.mktemp("producers"), "--no-limits", settings=settings) as site:
        apply(site)
        with blobs_of(site) as blobs:
            put_everything(blobs.get_container_client(LANDING_CONTAINER), blobs.url.rstrip("/"))
        reports = ended_runs(site, [*DROPS])
        yield Ended(site, reports, site.simulator.contacts(), field_of(site, "City"))


@pytest.mark.parametrize("segment", DROPS)
def test_a_producers_drop_is_one_run_and_becomes_its_contacts(ended: Ended, segment: str) -> None:
    expected = DROPS[segment].expected

    (report,) = ended.reports[segment]

    assert report["state"] == "succeeded", report
    assert report["source"] == expected["read"]
    assert report["counts"]["rows"] == report["counts"]["delivered"] == len(expected["contacts"])
    assert [
        {
            "email": contact["email"],
            "first_name": contact["first_name"],
            "last_name": contact["last_name"],
            "City": contact["fields"].get(ended.city, ""),
        }
        for contact in (ended.contacts[person["email"]] for person in expected["contacts"])
    ] == expected["contacts"]


def test_nobody_else_arrives(ended: Ended) -> None:
    """Nobody of an uncommitted, unlisted, unfinished or hidden file, nor of a drop that is not whole."""
    expected = {person["email"] for drop in DROPS.values() for person in drop.expected["contacts"]}
    assert ended.contacts.keys() - {*HELD_PEOPLE} == expected


def test_only_drops_are_listed(ended: Ended) -> None:
    others = [
        (segment, report["state"], report["error"]["code"])
        for segment, reports in ended.reports.items()
        for report in reports
        if segment not in DROPS
    ]

    no_export_takes_it = ("ChurnProne", "skipped", "no_export")
    assert others == [no_export_takes_it] * 2  # the other table of each export of Customer Insights


def test_junk_leaves_no_trace(ended: Ended) -> None:
    """Nothing that the app has written down names it."""
    hidden = {blob for drop in DROPS.values() for blob in drop.files() if is_hidden(blob)}
    signs = {blob for drop in DROPS.values() for blob in drop.expected["written_last"]}
    with blobs_of(ended.site) as blobs:
        state = blobs.get_container_client(STATE_CONTAINER)
        written = {blob.name: plain(state.download_blob(blob.name).readall()) for blob in state.list_blobs()}
    read = DROPS["census-vip"].expected["read"][0]

    assert any(read in text for text in written.values())
    for blob in [*JUNK, *(f'"{folder}"' for folder in FOLDERS), *hidden - signs]:
        assert [name for name, text in written.items() if blob in text] == []


def test_what_nothing_but_quiet_ends_was_not_taken_up_before(ended: Ended) -> None:
    segments = [segment for segment, drop in DROPS.items() if ends_by_quiet(drop)]
    assert {"data-cloud-vip", "snowflake-vip", "airbyte-vip"} <= {*segments}
    with blobs_of(ended.site) as blobs:
        state = blobs.get_container_client(STATE_CONTAINER)
        for segment in segments:
            (report,) = ended.reports[segment]
            run = from_bytes(Run, state.download_blob(f"runs/{report['run_id']}.json").readall())
            written = [source.last_modified for source in run.sources]
            assert run.ordered_at - max(written) >= QUIET


def test_a_drop_waits_for_its_own_quiet_unless_a_marker_ends_it(ended: Ended) -> None:
    """It was dropped before all others, and looked at as often."""
    assert HELD not in ended.reports
    with blobs_of(ended.site) as blobs:
        blobs.get_container_client(LANDING_CONTAINER).upload_blob("held/monday/_SUCCESS", b"")

    (report,) = ended_runs(ended.site, [HELD])[HELD]

    assert report["source"] == ["held/monday/rows_0.csv", "held/monday/rows_1.csv"]
    assert (report["state"], report["counts"]["delivered"]) == ("succeeded", 2)
    assert {*HELD_PEOPLE} <= ended.site.simulator.contacts().keys()


def apply(site: Site) -> None:
    """Apply an export of each segment, and the recipes that only a user can write."""
    exports = [
        {"id": segment.lower().replace("_", "-"), "segments": [segment], "mapping": drop.expected["mapping"]}
        for segment, drop in DROPS.items()
    ]
    held = {"id": HELD, "mapping": {"email": "EMail"}}
    recipes = [recipe for drop in DROPS.values() for recipe in drop.expected["own_recipes"]]
    answer = site.apply_all([*exports, held], recipes=[*recipes, HELD_RECIPE])
    assert answer.code == 0, answer.notes


def put_everything(landing: ContainerClient, endpoint: str) -> None:
    """Write all files as their producers do, but drops and the files of each in any order.

    Manifests and commits come before the first file, or after the last one.
    """
    for number, address in enumerate(HELD_PEOPLE):
        landing.upload_blob(f"held/monday/rows_{number}.csv", f"EMail\n{address}\n")
    for folder in FOLDERS:
        landing.upload_blob(folder, b"", metadata={"hdi_isfolder": "true"})
    for blob in JUNK:
        landing.upload_blob(blob, f"CustomerId,EMail\n1,{JUNK_PEOPLE}\n")
    chance = random.Random(6)
    early: list[tuple[str, bytes]] = []
    data: list[tuple[str, bytes]] = []
    late: list[tuple[str, bytes]] = []
    for segment, drop in chance.sample([*DROPS.items()], len(DROPS)):
        files, signs = drop.files(endpoint), drop.expected["written_last"]
        rest = [blob for blob in files if blob not in signs]
        # Databricks marks the start of a transaction before its first file.
        early += [(blob, files[blob]) for blob in rest if is_hidden(blob)]
        (early if segment.endswith(EARLY) else late).extend((blob, files[blob]) for blob in signs)
        seen = [blob for blob in rest if not is_hidden(blob)]
        data += [(blob, files[blob]) for blob in chance.sample(seen, len(seen))]
    for blob, content in [*early, *data, *late]:
        landing.upload_blob(blob, content)


def ended_runs(site: Site, segments: list[str]) -> dict[str, list[dict[str, Any]]]:
    """All reports by segment, once each of these segments has one and no run is open."""
    reports: dict[str, list[dict[str, Any]]] = {}
    for _ in range(MOST_LOOKS):
        site.call("sweep_stalled_runs")
        reports = {}
        for report in site.run("run", "list", "--limit", "0").document:
            reports.setdefault(report["segment"], []).append(report)
        states = [RunState(report["state"]) for found in reports.values() for report in found]
        if reports.keys() >= {*segments} and all(state.final for state in states):
            return reports
    pytest.fail(f"within {MOST_LOOKS} looks no run of {sorted({*segments} - reports.keys())}, of {reports}")


def ends_by_quiet(drop: WrittenSample) -> bool:
    """Whether nothing but a while without another file shows that a drop is whole."""
    own = [Recipe.model_validate_json(json.dumps(recipe)) for recipe in drop.expected["own_recipes"]]
    quiet = {recipe.id for recipe in (*BUILT_IN, *own) if Completeness.QUIET in recipe.complete}
    return drop.expected["recipe"] in quiet and not drop.expected["written_last"]


def blobs_of(site: Site) -> BlobServiceClient:
    """The site's storage."""
    return BlobServiceClient.from_connection_string(site.environ["EXPORTER_STORAGE"])


def plain(data: bytes) -> str:
    """The text of a stored document."""
    return (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode()


def field_of(site: Site, title: str) -> str:
    """The number of a custom field in the simulated account."""
    request = urllib.request.Request(f"http://{site.simulator.host}/api/3/fields?limit=100")
    request.add_header("Api-Token", KEY)
    with urllib.request.urlopen(request, timeout=30) as response:
        fields = json.loads(response.read())["fields"]
    return next(str(field["id"]) for field in fields if field["title"] == title)
