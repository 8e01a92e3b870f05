"""Exports that share an account at ActiveCampaign's own limits, in real time, with several instances each."""

import time
from pathlib import Path

from tests.runs.site import running_site

DOCUMENTED = {"bulk_requests_per_minute": 100, "requests_per_second": 5}
SPREAD = dict.fromkeys(("on_plan_queued", "on_chunk_queued", "on_settlement_queued", "on_receipt_queued"), 4)
BIG, SMALL = 50_000, 2_000


def test_two_exports_on_four_instances_keep_the_limits_and_the_small_one_does_not_wait(
    tmp_path: Path,
) -> None:
    with running_site(tmp_path, instances=SPREAD) as site:
        for name, count in (("big", BIG), ("small", SMALL)):
            assert site.apply({"id": name}, limits=DOCUMENTED).code == 0
            site.file(f"{name}.csv", [f"{name}{i}@example.org,Ann,Berg,,Oslo," for i in range(count)])
        assert len(site.host.worker_pids("on_chunk_queued")) == 4

        assert site.run("drop", "big.csv", "--segment", "big").code == 0
        (small,) = site.drop("small", tmp_path / "small.csv").document
        (big_id,) = (run["run_id"] for run in site.run("run", "list").document if run["segment"] == "big")
        big_meanwhile = site.run("run", "show", big_id).document["counts"]["delivered"]
        # As long as it takes: the command would give up before the minutes that the limits cost.
        with site.start("run", "watch", big_id) as watching:
            watching.wait(timeout=600)
        big = site.run("run", "show", big_id).document

        assert (small["state"], small["counts"]["delivered"]) == ("succeeded", SMALL)
        assert (big["state"], big["counts"]["delivered"]) == ("succeeded", BIG)
        assert big_meanwhile < 0.4 * BIG
        counters = site.simulator.ask("counters")
        assert counters["throttled_bulk"] + counters["throttled_single"] + counters["throttled_general"] == 0
        assert counters["peak_bulk_per_minute"] <= 100
        assert counters["peak_requests_per_second"] <= 5
        assert counters["bulk_accepted"] == (BIG + SMALL) // 250
        assert counters["repeated_accepted_bodies"] == 0


def test_a_cancel_in_the_middle_of_a_chunk_holds_within_seconds_and_redrive_sends_the_rest(
    tmp_path: Path,
) -> None:
    rows = 20_000
    with running_site(tmp_path) as site:
        site.apply({"id": "vip", "automations": True}, limits=DOCUMENTED)
        site.file("vip.csv", [f"p{i}@example.org,Ann,Berg,,Oslo," for i in range(rows)])
        site.run("drop", "vip.csv", "--segment", "vip")
        while site.simulator.ask("counters")["bulk_requests"] < 10:
            time.sleep(0.1)  # asks until it is so; the test's own time limit ends a wait for nothing
        (run_id,) = (run["run_id"] for run in site.run("run", "list").document)

        cancelled = site.run("run", "cancel", run_id)
        cancelled_at = time.time()
        stopped = site.run("run", "watch", run_id)

        assert cancelled.code == 0
        assert stopped.code == 3
        report = stopped.document
        assert report["state"] == "cancelled"
        sent = site.simulator.bulk_requests()
        assert all(request["real_at"] <= cancelled_at + 5 for request in sent)
        assert 10 <= len(sent) < rows // 250
        assert report["counts"]["delivered"] == 250 * len(sent)
        assert sum(report["counts"].values()) == 2 * report["counts"]["rows"] == 2 * rows

        redriven = site.run("run", "redrive", run_id, "--wait")

        assert redriven.code == 0
        assert redriven.document["state"] == "succeeded"
        assert redriven.document["counts"]["delivered"] == rows
        counters = site.simulator.ask("counters")
        assert counters["bulk_accepted"] == rows // 250
        assert counters["repeated_accepted_bodies"] == 0
        assert len(site.simulator.contacts()) == rows
