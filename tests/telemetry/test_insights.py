"""What the real SDK and exporters post: spans, events and metrics of the closed lists, nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from exporter.adapters.insights import InsightsTelemetry, open_insights
from exporter.domain.trace import trace_id_of
from exporter.steps.events import Event, Metric, SpanName
from tests.telemetry.ingestion import Ingestion

ROOT = Path(__file__).parents[2]
RUN = "0123456789abcdef0123456789abcdef"
SECRET_TEXT = "nobody may read this"

Open = Callable[[float], InsightsTelemetry]


@pytest.fixture
def insights(ingestion: Ingestion) -> Iterator[Open]:
    """Opens telemetry with a percentage of traces; closing it sends what is left."""
    with ExitStack() as stack:

        def start(percentage: float) -> InsightsTelemetry:
            telemetry = open_insights(ingestion.connection_string, percentage, "0123456789ab")
            stack.callback(telemetry.close)
            return telemetry

        yield start


def test_a_span_stands_under_its_parent_and_events_stand_within_it(
    ingestion: Ingestion, insights: Open
) -> None:
    telemetry = insights(100)
    with telemetry.span(SpanName.DROP, drop="d") as drop:
        telemetry.event(Event.DROP_RECORDED, drop="d", run_count=1, announced=True)
    with telemetry.span(SpanName.CHUNK, drop, run_id=RUN, chunk=3, turn=None):
        telemetry.about(export_id="vip")
        telemetry.event(Event.CHUNK_STARTED, run_id=RUN, chunk=3)
    telemetry.close()

    (first,), (second,) = ingestion.spans("drop"), ingestion.spans("chunk")
    assert first.trace_id == second.trace_id == trace_id_of(drop)
    assert second.tags["ai.operation.parentId"] == first.data["id"]
    assert "ai.operation.parentId" not in first.tags
    assert second.properties == {"run_id": RUN, "chunk": "3", "export_id": "vip"}
    assert (first.data["success"], second.data["success"]) == (True, True)
    (recorded,), (started,) = ingestion.events("drop.recorded"), ingestion.events("chunk.started")
    assert recorded.trace_id == started.trace_id == first.trace_id
    assert started.tags["ai.operation.parentId"] == second.data["id"]
    assert started.properties == {
        "event": "chunk.started",
        "run_id": RUN,
        "chunk": "3",
        "logger_name": "exporter",
    }
    assert started.data["message"] == f"chunk.started run_id={RUN} chunk=3"


def test_a_drop_opens_a_trace_of_its_own_also_within_a_sweep(ingestion: Ingestion, insights: Open) -> None:
    telemetry = insights(100)
    with telemetry.span(SpanName.SWEEP) as sweep, telemetry.span(SpanName.DROP, drop="d") as drop:
        pass
    telemetry.close()

    assert trace_id_of(sweep) != trace_id_of(drop)
    (span,) = ingestion.spans("drop")
    assert span.trace_id == trace_id_of(drop)
    linked = json.loads(span.properties["_MS.links"])
    assert [link["operation_Id"] for link in linked] == [trace_id_of(sweep)]


def test_what_the_worker_says_of_an_invocation_is_linked_and_not_followed(
    ingestion: Ingestion, insights: Open
) -> None:
    """The worker attaches the host's trace before it calls a function (azure_functions_runtime/otel.py)."""
    telemetry = insights(100)
    with telemetry.span(SpanName.DROP) as drop:
        pass
    theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    token = attach(TraceContextTextMapPropagator().extract({"traceparent": theirs, "tracestate": ""}))
    with telemetry.span(SpanName.PLAN, drop, run_id=RUN):
        telemetry.event(Event.PLAN_STARTED, run_id=RUN)
    telemetry.event(Event.MESSAGE_POISONED, queue="plans")
    detach(token)
    telemetry.close()

    (plan,), (started,) = ingestion.spans("plan"), ingestion.events("plan.started")
    assert plan.trace_id == started.trace_id == trace_id_of(drop)
    linked = json.loads(plan.properties["_MS.links"])
    assert [link["operation_Id"] for link in linked] == [trace_id_of(theirs)]
    (poisoned,) = ingestion.events("message.poisoned")
    assert poisoned.trace_id == trace_id_of(theirs)


@pytest.mark.parametrize("parent", [None, "", "nonsense", f"00-{'0' * 32}-{'0' * 16}-01"])
def test_what_is_no_place_in_a_trace_opens_one(
    parent: str | None, ingestion: Ingestion, insights: Open
) -> None:
    telemetry = insights(100)
    with telemetry.span(SpanName.PLAN, parent, run_id=RUN) as place:
        pass
    telemetry.close()

    assert [span.trace_id for span in ingestion.spans()] == [trace_id_of(place)]


def fail(telemetry: InsightsTelemetry, parent: str) -> None:
    """A span that ends with an error whose text nobody may see."""
    with suppress(ExceptionGroup), telemetry.span(SpanName.SETTLE, parent, run_id=RUN):
        raise ExceptionGroup(SECRET_TEXT, [ValueError(SECRET_TEXT), OSError(SECRET_TEXT)])


def test_of_an_error_its_kind_is_told_and_not_its_text(ingestion: Ingestion, insights: Open) -> None:
    telemetry = insights(100)
    with telemetry.span(SpanName.DROP) as drop:
        pass
    fail(telemetry, drop)
    telemetry.close()

    (span,) = ingestion.spans("settle")
    assert span.data["success"] is False
    assert span.properties["error"] == "OSError, ValueError"
    (raised,) = ingestion.of("ExceptionData")
    assert raised.trace_id == span.trace_id
    assert [found["typeName"] for found in raised.data["exceptions"]] == ["OSError, ValueError"]
    assert SECRET_TEXT not in b"\n".join(ingestion.posted).decode()


def test_failures_and_events_are_told_where_no_trace_is_chosen(ingestion: Ingestion, insights: Open) -> None:
    telemetry = insights(0)
    with telemetry.span(SpanName.DROP) as drop:
        telemetry.event(Event.DROP_RECORDED, drop="d", run_count=1, announced=True)
    fail(telemetry, drop)
    telemetry.close()

    (failed,) = ingestion.spans()
    assert (failed.data["name"], failed.data["success"]) == ("settle", False)
    assert failed.trace_id == trace_id_of(drop)
    assert failed.sample_rate == 100
    (recorded,) = ingestion.events()
    assert recorded.trace_id == failed.trace_id
    assert recorded.sample_rate == 100


def test_a_trace_is_told_as_a_whole_or_not_at_all(ingestion: Ingestion, insights: Open) -> None:
    processes = [insights(25), insights(25)]
    traces = []
    for _ in range(200):
        with processes[0].span(SpanName.DROP) as drop:
            traces.append(trace_id_of(drop))
        with processes[1].span(SpanName.PLAN, drop, run_id=RUN):
            pass
    for process in processes:
        process.close()

    drops = {span.trace_id for span in ingestion.spans("drop")}
    assert drops == {span.trace_id for span in ingestion.spans("plan")}
    assert drops < set(traces)
    assert drops
    assert {span.sample_rate for span in ingestion.spans()} == {25}


def test_metrics_are_those_of_the_list_with_account_and_export_alone(
    ingestion: Ingestion, insights: Open
) -> None:
    telemetry = insights(100)
    for metric in Metric:
        telemetry.measure(metric, 0.25, account="acme", export_id="vip")
        telemetry.measure(metric, 0.5, account="acme", export_id="vip")
    telemetry.measure(Metric.BUDGET_USED, 1.0, account="other")
    telemetry.close()

    told = ingestion.metrics()
    assert told.keys() == {metric.value for metric in Metric}
    points = {
        name: [
            (found.properties["account"], found.properties.get("export_id"), found.data["metrics"][0])
            for found in envelopes
        ]
        for name, envelopes in told.items()
    }
    ((account, export_id, delivered),) = points["exporter.contacts.delivered"]
    assert (account, export_id, delivered["value"]) == ("acme", "vip", 0.75)
    ((_, _, waited),) = points["exporter.slot.wait"]
    assert (waited["count"], waited["value"], waited["min"], waited["max"]) == (2, 0.75, 0.25, 0.5)
    used = {account: point["value"] for account, _, point in points["exporter.budget.used"]}
    assert used == {"acme": 0.5, "other": 1.0}
    keys = {key for envelopes in told.values() for found in envelopes for key in found.properties}
    assert keys == {"account", "export_id"}


TALK = """
import json, sys
reached = set()
sys.addaudithook(lambda name, values: reached.add(str(values[1] if name == "socket.connect" else values[0]))
                 if name in {"socket.connect", "socket.getaddrinfo"} else None)
from exporter.adapters.insights import open_insights
from exporter.steps.events import Event, Metric, SpanName
telemetry = open_insights(sys.argv[1], 100, "0123456789ab")
with telemetry.span(SpanName.DROP):
    telemetry.event(Event.RETENTION_ENDED, deleted=1)
telemetry.measure(Metric.SLOT_WAIT, 1.0, account="acme")
telemetry.close()
json.dump(sorted(reached), sys.stdout)
"""


def test_nothing_but_the_ingestion_is_asked_or_told_anything(ingestion: Ingestion) -> None:
    """No metadata service of the machine, no telemetry about telemetry, no settings from elsewhere."""
    talked = subprocess.run(
        [sys.executable, "-c", TALK, ingestion.connection_string],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    port = ingestion.url.rpartition(":")[2]
    reached = set(json.loads(talked.stdout))
    assert reached == {"127.0.0.1", f"('127.0.0.1', {port})"}
    assert len(ingestion.envelopes) == 3
    assert {envelope.tags["ai.cloud.roleInstance"] for envelope in ingestion.envelopes} == {"0123456789ab"}


OPENED_BY_SETTINGS = """
import os
from exporter.adapters.insights import open_insights
from exporter.settings import Settings
settings = Settings.from_env(os.environ)
open_insights(settings.insights, settings.trace_percentage, "0123456789ab").close()
"""


@pytest.mark.parametrize("end", [";", "; "])
def test_what_the_settings_accept_the_exporters_accept(ingestion: Ingestion, end: str) -> None:
    setting = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string + end}
    opened = subprocess.run(
        [sys.executable, "-c", OPENED_BY_SETTINGS],
        cwd=ROOT,
        env={**os.environ, "EXPORTER_STORAGE": "UseDevelopmentStorage=true", **setting},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert opened.returncode == 0, opened.stderr


LEFT_ALONE = """
import socket, sys, time
from exporter.adapters import insights
from exporter.steps.events import Event, Metric, SpanName
insights.SENDING_SECONDS = 1.0
nobody = socket.create_server(("127.0.0.1", 0))
key = "InstrumentationKey=00000000-0000-4000-8000-00000000c0de;"
url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
telemetry = insights.open_insights(f"{key}IngestionEndpoint={url}", 100, "0123456789ab")
with telemetry.span(SpanName.DROP):
    telemetry.event(Event.RETENTION_ENDED, deleted=1)
telemetry.measure(Metric.SLOT_WAIT, 1.0, account="acme")
if sys.argv[1] == "closed":
    telemetry.close()
"""


@pytest.mark.parametrize("way", ["closed", "not closed"])
def test_an_ingestion_that_never_answers_does_not_keep_a_process_alive(way: str) -> None:
    subprocess.run([sys.executable, "-c", LEFT_ALONE, way], cwd=ROOT, check=True, timeout=20)


NOT_CLOSED = TALK.replace("telemetry.close()", "")


def test_what_is_left_at_the_end_of_a_process_is_sent_though_nobody_closes_it(ingestion: Ingestion) -> None:
    subprocess.run(
        [sys.executable, "-c", NOT_CLOSED, ingestion.connection_string], cwd=ROOT, check=True, timeout=60
    )

    assert {envelope.kind for envelope in ingestion.envelopes} == {"MessageData", "MetricData", "RequestData"}
