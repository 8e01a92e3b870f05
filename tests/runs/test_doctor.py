"""`exporter doctor` on a whole site: all is well, the app is stopped, the storage refuses or is gone."""

import re
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from exporter.adapters.signs import HEARTBEAT
from exporter.adapters.storage import LANDING_CONTAINER, STATE_CONTAINER
from tests.runs.site import KEY, Answer, Site, running_site


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one connection that works; its app ends before the site does."""
    with running_site(tmp_path_factory.mktemp("doctor"), "--no-limits") as site:
        assert site.apply({"id": "vip"}).code == 0
        fire_timer(site)
        yield site


def fire_timer(site: Site) -> None:
    """Run the sweep now rather than at the next full minute."""
    request = urllib.request.Request(f"{site.host.api}/admin/functions/sweep_stalled_runs", data=b"{}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30):
        pass


def checks(answer: Answer) -> dict[str, dict[str, Any]]:
    """The checks by name; every wrong one has a code and a remedy, and none has the key."""
    found = {check["check"]: check for check in answer.document["checks"]}
    assert len(found) == len(answer.document["checks"])
    for check in found.values():
        assert (check["ok"] is False) == bool(check["code"]) == bool(check["remedy"]), check
    assert answer.document["ok"] is (answer.code == 0)
    assert KEY not in str(answer.document)
    assert "Traceback" not in answer.notes
    return found


def wrong(answer: Answer) -> dict[str, str]:
    """What is wrong, by its code."""
    return {name: check["code"] for name, check in checks(answer).items() if check["ok"] is False}


def blobs(site: Site, container: str) -> set[str]:
    """The names in a container."""
    storage = site.environ["EXPORTER_STORAGE"]
    with ContainerClient.from_connection_string(storage, container) as client:
        return set(client.list_blob_names())


def test_all_is_well_and_the_test_drop_leaves_nothing_behind(own_site: Site) -> None:
    landed = blobs(own_site, LANDING_CONTAINER)

    answer = own_site.run("doctor")

    found = checks(answer)
    assert wrong(answer) == {}
    assert answer.code == 0
    assert list(found) == [
        "settings",
        "state",
        "landing",
        "queues",
        "queue plans",
        "queue chunks",
        "queue settlements",
        "queue receipts",
        "poison queues",
        "configuration",
        "sending",
        "secret acme",
        "events",
        "timers",
        "connection acme",
        "connection acme list 5",
    ]
    assert all(check["ok"] for check in found.values())
    assert blobs(own_site, LANDING_CONTAINER) == landed
    state = blobs(own_site, STATE_CONTAINER)
    assert {name for name in state if name.startswith("signs/")} == {HEARTBEAT}
    assert not {name for name in state if name.startswith(("drops/", "runs/", "open-runs/"))}
    assert own_site.run("run", "list").document == []


def test_people_see_a_line_for_each_check(own_site: Site) -> None:
    answer = own_site.run("doctor", as_json=False)

    assert answer.code == 0
    lines = [line for line in answer.document.splitlines() if line.strip()]
    assert lines[-1] == "All is well."
    assert all(re.match(r"ok +\S", line) for line in lines[:-1])


def test_a_stopped_app_is_named_with_the_command_that_starts_it(own_site: Site) -> None:
    own_site.host.stop()
    storage = own_site.environ["EXPORTER_STORAGE"]

    only_events = wrong(own_site.run("doctor", "--wait-seconds", "0"))
    with ContainerClient.from_connection_string(storage, STATE_CONTAINER) as state:
        state.delete_blob(HEARTBEAT)
    with QueueClient.from_connection_string(storage, "plans-poison") as poison:
        poison.create_queue()
        poison.send_message("{}")
    answer = own_site.run("doctor", "--wait-seconds", "0")

    assert only_events == {"events": "not_announced"}
    assert wrong(answer) == {"poison queues": "poisoned", "events": "app_stopped", "timers": "app_stopped"}
    found = checks(answer)
    assert found["timers"]["remedy"] == "`exporter up`"
    assert "1 in plans-poison" in found["poison queues"]["detail"]
    assert answer.code == 1
    assert not any(name.startswith(".exporter") for name in blobs(own_site, LANDING_CONTAINER))


def test_a_key_that_storage_refuses_is_named_by_its_setting(own_site: Site) -> None:
    storage = re.sub(r"AccountKey=[^;]*", "AccountKey=Y2FuYXJ5", own_site.environ["EXPORTER_STORAGE"])
    other = replace(own_site, environ={**own_site.environ, "EXPORTER_STORAGE": storage})

    answer = other.run("doctor")

    found = checks(answer)
    assert wrong(answer) == {"state": "storage_key_refused"}
    assert "EXPORTER_STORAGE" in found["state"]["detail"]
    assert {check["detail"] for name, check in found.items() if check["ok"] is None} >= {"needs: state"}
    assert "Y2FuYXJ5" not in str(answer.document) + answer.notes


def test_a_storage_that_is_gone_ends_in_one_wrong_line(own_site: Site) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        storage = re.sub(r"127\.0\.0\.1:\d+", address, own_site.environ["EXPORTER_STORAGE"])
        other = replace(own_site, environ={**own_site.environ, "EXPORTER_STORAGE": storage})

        answer = other.run("doctor")

    assert wrong(answer) == {"state": "storage_unreachable"}
    assert "exporter up" in checks(answer)["state"]["remedy"]


def test_missing_settings_are_the_only_line_that_is_wrong(own_site: Site) -> None:
    other = replace(own_site, environ={**own_site.environ, "EXPORTER_STORAGE": ""})

    answer = other.run("doctor")

    assert wrong(answer) == {"settings": "configuration"}
    assert {check["ok"] for check in answer.document["checks"][1:]} == {None}
