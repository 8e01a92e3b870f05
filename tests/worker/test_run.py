"""A whole run, each of its messages handed over by the platform's own worker."""

import json
from pathlib import Path

from sandbox.azurite import Azurite
from sandbox.host import LocalHost
from sandbox.segment import write_segment
from sandbox.worker_check.calls import Call, Plan
from sandbox.worker_check.package import pack
from sandbox.worker_check.trial import run_worker
from tests.canary import WATCH
from tests.runs.site import ROOT, Site, environ_of, running_simulator


def test_a_segment_becomes_exactly_its_valid_rows(worker_python: Path, tmp_path: Path) -> None:
    """The drop is announced twice, as Event Grid may; the local host is not started."""
    truth = write_segment(tmp_path / "vip.csv", 700, seed=5, with_contacts=True)
    content = (tmp_path / "vip.csv").read_bytes().decode()
    blob = {"container": "segments", "name": "vip/vip.csv", "content": content}
    with running_simulator("--no-limits") as simulator, Azurite() as storage:
        settings = environ_of(storage.connection_string, simulator.host)
        site = Site(tmp_path, settings, simulator, LocalHost(ROOT, settings))
        assert site.apply({"id": "vip"}).code == 0

        side = run_worker(
            pack(ROOT, tmp_path / "app"),
            Plan(settings, (Call("on_segment_dropped", {"blob": blob}, "ok"),) * 2),
            worker_python,
            storage.connection_string,
            tmp_path / "report.json",
            until="run.completed",
        )
        (run,) = site.run("run", "list").document
        report = site.run("run", "show", run["run_id"]).document
        arrived = simulator.contacts()

    ends = side.report["calls"]
    WATCH.look("the worker's log", json.dumps([end["log"] for end in ends]))
    assert [end["error"] for end in ends if end["error"]] == []
    assert {end["function"] for end in ends} == {
        "on_segment_dropped",
        "on_plan_queued",
        "on_chunk_queued",
        "on_settlement_queued",
        "on_receipt_queued",
    }
    assert (report["state"], report["retrying"]) == ("succeeded", False)
    found = {name: count for name, count in report["counts"].items() if count}
    assert found == {
        "rows": truth.rows,
        "rejected": sum(truth.rejected.values()),
        "duplicates": truth.duplicates,
        "delivered": truth.keep,
    }
    assert report["reasons"] == {str(reason): count for reason, count in truth.rejected.items() if count}
    assert {name for name, contact in arrived.items() if "5" in contact["lists"]} == truth.contacts.keys()
    announced, again = [end["log"] for end in ends[:2]]
    assert any("run.ordered" in line for line in announced)
    assert [line.split()[2] for line in again] == ["drop.repeated"]
