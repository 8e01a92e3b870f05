"""A whole run in the local host: what reaches Application Insights, and what never does."""

from pathlib import Path
from typing import Any

from exporter.steps.events import FIELDS, Event, Metric, SpanName
from sandbox.segment import write_segment
from tests.canary import keys_in, people_in
from tests.runs.site import Site, running_site
from tests.telemetry.ingestion import Envelope, Ingestion

ROWS = 27_000
"""So many of the made-up rows have more valid contacts than a chunk takes."""
OF_THE_SDK = {"logger_name", "_MS.links"}


def test_a_run_is_one_trace_from_drop_to_report_and_tells_of_nobody(
    tmp_path: Path, ingestion: Ingestion
) -> None:
    settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string}
    with running_site(tmp_path, "--no-limits", settings=settings) as site:
        report = send_two_chunks(site)
        run_id = report["run_id"]
        ingestion.wait_for(lambda: bool(ingestion.events("run.completed")))
        ingestion.wait_for(lambda: missing_spans(ingestion, run_id) == set())
        ingestion.wait_for(lambda: places_of_events(ingestion, run_id) <= places_of_spans(ingestion))
        ingestion.wait_for(lambda: ingestion.metrics().keys() == {metric.value for metric in Metric})
        ingestion.wait_for(lambda: settled_count(ingestion) >= report["requests"]["bulk"])

    check_spans(ingestion, run_id)
    check_events(ingestion, report)
    check_metrics(ingestion, report, site.simulator.host)
    told = b"\n".join(ingestion.posted).decode()
    assert keys_in(told) + people_in(told) == []
    assert "made-up.csv" not in told
    assert ingestion.of("ExceptionData") == []


def send_two_chunks(site: Site) -> dict[str, Any]:
    """A run of two chunks, each in a call of its own: a limit lets the second one wait for its minute."""
    write_segment(site.folder / "made-up.csv", ROWS, seed=5)
    site.apply({"id": "vip"}, limits={"bulk_requests_per_minute": 500, "requests_per_second": 25})
    (report,) = site.drop("vip", site.folder / "made-up.csv").document
    assert report["state"] == "succeeded"
    assert report["requests"]["bulk"] > 98
    return dict(report)


def spans_of(ingestion: Ingestion, run_id: str) -> list[Envelope]:
    """The spans of a run, and the span of its drop, which has several runs in general."""
    drops = {told.trace_id for told in ingestion.events("run.ordered") if told.properties["run_id"] == run_id}
    return [
        span
        for span in ingestion.spans()
        if span.properties.get("run_id") == run_id
        or (span.data["name"] == SpanName.DROP and span.trace_id in drops)
    ]


def missing_spans(ingestion: Ingestion, run_id: str) -> set[tuple[str, str | None]]:
    """What a run of two chunks must have done and is not told of yet."""
    found = {
        (span.data["name"], span.properties.get("chunk") if span.data["name"] == SpanName.CHUNK else None)
        for span in spans_of(ingestion, run_id)
    }
    return {
        (SpanName.DROP.value, None),
        (SpanName.PLAN.value, None),
        (SpanName.CHUNK.value, "0"),
        (SpanName.CHUNK.value, "1"),
        (SpanName.SETTLE.value, None),
        (SpanName.REPORT.value, None),
    } - found


def places_of_events(ingestion: Ingestion, run_id: str) -> set[tuple[str, str]]:
    """In which trace and span the events of a run stand."""
    return {
        (told.trace_id, told.tags["ai.operation.parentId"])
        for told in ingestion.of("MessageData")
        if told.properties.get("run_id") == run_id
    }


def places_of_spans(ingestion: Ingestion) -> set[tuple[str, str]]:
    """The spans that have arrived, each with its trace."""
    return {(span.trace_id, span.data["id"]) for span in ingestion.spans()}


def settled_count(ingestion: Ingestion) -> int:
    """How many batches the settle time was measured of."""
    points = ingestion.metrics().get("exporter.settle.time", [])
    return sum(point.data["metrics"][0]["count"] for point in points)


def check_spans(ingestion: Ingestion, run_id: str) -> None:
    """One trace holds everything; it is the drop's, and the sweeps are in none with it."""
    spans = spans_of(ingestion, run_id)
    (trace_id,) = {span.trace_id for span in spans}
    (drop,) = [span for span in spans if span.data["name"] == SpanName.DROP]
    assert all(span.data["success"] for span in spans)
    for span in spans:
        if span is not drop:
            assert span.tags["ai.operation.parentId"] == drop.data["id"]
            assert span.properties["export_id"] == "vip"
    assert {span.data["name"] for span in ingestion.spans()} <= {name.value for name in SpanName}
    assert trace_id not in {span.trace_id for span in ingestion.spans("sweep")}


def check_events(ingestion: Ingestion, report: dict[str, Any]) -> None:
    """Events have the fields of the list, and those of a run its trace."""
    (trace_id,) = {span.trace_id for span in spans_of(ingestion, report["run_id"])}
    for told in ingestion.of("MessageData"):
        event = Event(told.properties["event"])
        assert told.properties.keys() - OF_THE_SDK <= FIELDS[event] | {"event"}
        if told.properties.get("run_id") == report["run_id"]:
            assert told.trace_id == trace_id
    (completed,) = ingestion.events("run.completed")
    assert {name: int(completed.properties[name]) for name in report["counts"]} == report["counts"]
    (recorded,) = ingestion.events("drop.recorded")
    assert recorded.trace_id == trace_id


def check_metrics(ingestion: Ingestion, report: dict[str, Any], activecampaign: str) -> None:
    """The metrics of the list and no other; contacts are counted once."""
    told = ingestion.metrics()
    assert told.keys() == {metric.value for metric in Metric}
    points = [point for envelopes in told.values() for point in envelopes]
    assert {point.properties["account"] for point in points} == {
        activecampaign.replace(".", "-").replace(":", "-")
    }
    assert {key for point in points for key in point.properties} == {"account", "export_id"}
    for name, count in (("delivered", "delivered"), ("rejected", "rejected")):
        sums = [point.data["metrics"][0]["value"] for point in told[f"exporter.contacts.{name}"]]
        assert sum(sums) == report["counts"][count]
    assert settled_count(ingestion) == report["requests"]["bulk"]
    assert 0 < max(point.data["metrics"][0]["value"] for point in told["exporter.budget.used"]) <= 1
