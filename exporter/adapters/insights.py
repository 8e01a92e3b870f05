"""Telemetry that goes to Application Insights, through OpenTelemetry's SDK and Azure Monitor's exporters.

Only what the steps tell leaves the process: spans, metrics and events of the closed lists. The distribution
that Azure Monitor builds around these exporters would add what it finds in the process: requests with their
URLs, other libraries' logs, counters of the machine (docs/decisions/0017-telemetry.md).

Imported only where a connection string is set: these libraries take longer to import than the rest.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from azure.monitor.opentelemetry.exporter import (
    ApplicationInsightsSampler,
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import Meter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    format_span_id,
    format_trace_id,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from exporter import __version__
from exporter.adapters.telemetry import LogTelemetry, known_fields, line
from exporter.domain.trace import traceparent
from exporter.settings import INSIGHTS_SETTING
from exporter.steps.events import METRIC_KINDS, Event, Metric, MetricKind, SpanName

SCOPE: Final = "exporter"
SERVICE: Final = "segment-exporter"
BATCH_SECONDS: Final = 2.0
"""Spans and log lines leave at the latest after so long."""
METRIC_SECONDS: Final = 15.0
SENDING_SECONDS: Final = 10.0
"""At the end of the process: so long what is left may take to leave."""

_QUIET: Final[Mapping[str, str]] = MappingProxyType(
    {
        # What the exporters tell Microsoft about themselves, and where they run: asks the machine's metadata
        # service, and writes to another region (learn.microsoft.com/azure/azure-monitor/app/statsbeat).
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
        # Settings for the exporters that Microsoft may change from outside.
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        # A metric beside ours that repeats the resource.
        "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
    }
)
"""The exporters read these from the environment and have no other switch for them."""


class FailuresAlways(SpanProcessor):
    """Passes on the spans of the traces that were chosen, and every span that failed.

    It decides at the end of a span, when it is known how it went. The choice is by the trace's id, so that
    all processes choose the same traces, and so do other parts that Application Insights sees.
    """

    def __init__(self, percentage: float, following: SpanProcessor) -> None:
        self._sampler = ApplicationInsightsSampler(percentage / 100)
        self._following = following

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that is over."""
        if span.context is None:
            return
        chosen = self._sampler.should_sample(None, span.context.trace_id, span.name).decision
        if chosen is Decision.RECORD_AND_SAMPLE or span.status.status_code is StatusCode.ERROR:
            self._following.on_end(span)

    def shutdown(self) -> None:
        """Send what is left, and end."""
        self._following.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is left."""
        return self._following.force_flush(timeout_millis)


class InsightsTelemetry(LogTelemetry):
    """Writes events to the log and sends them, spans and metrics to Application Insights."""

    def __init__(
        self, spans: TracerProvider, metrics: MeterProvider, logs: LoggerProvider, percentage: float
    ) -> None:
        self._endings = [_Ending(provider.shutdown) for provider in (spans, metrics, logs)]
        atexit.register(self.close)
        self._tracer = spans.get_tracer(SCOPE)
        self._logger = logs.get_logger(SCOPE)
        self._record = {metric: _recorder(metric, metrics.get_meter(SCOPE)) for metric in Metric}
        # One span stands for so many, where only some traces are chosen: Application Insights counts by it.
        self._chosen = ApplicationInsightsSampler(percentage / 100)

    def event(self, event: Event, **fields: str | float | None) -> None:
        """Log an event, and send it within the span that is open."""
        super().event(event, **fields)
        known = known_fields(fields)
        self._logger.emit(
            LogRecord(
                context=get_current(),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=line(event, known),
                attributes={"event": event.value, **known},
            )
        )

    @contextmanager
    def span(self, name: SpanName, parent: str | None = None, **ids: str | int | None) -> Iterator[str]:
        """Record a span of work that came over a queue or by a trigger.

        It stands under its parent whatever else is open; what is open, such as the host's own span for the
        invocation, is linked.
        """
        around = get_current_span().get_span_context()
        span = self._tracer.start_span(
            name.value,
            context=_PROPAGATOR.extract({"traceparent": parent} if parent else {}, Context()),
            kind=SpanKind.CONSUMER,
            attributes={key: value for key, value in ids.items() if value is not None},
            links=[Link(around)] if around.is_valid else [],
        )
        place = span.get_span_context()
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield traceparent(format_trace_id(place.trace_id), format_span_id(place.span_id))
        except BaseException as error:
            _note_failure(span, error)
            raise
        else:
            rate = self._chosen.should_sample(None, place.trace_id, name.value).attributes
            span.set_attributes(dict(rate or {}))
        finally:
            span.end()

    def about(self, **ids: str | int | None) -> None:
        """Add ids to the span that is open."""
        for key, value in ids.items():
            if value is not None:
                get_current_span().set_attribute(key, value)

    def measure(self, metric: Metric, value: float, *, account: str, export_id: str | None = None) -> None:
        """Add a value to a metric; values are summed up in the process and sent now and then."""
        attributes = {"account": account} | ({"export_id": export_id} if export_id else {})
        self._record[metric](value, attributes)

    def close(self) -> None:
        """Send what is left, and end; what has not left by then is lost."""
        atexit.unregister(self.close)
        until = time.monotonic() + SENDING_SECONDS
        for ending in self._endings:
            ending.begin()
        for ending in self._endings:
            ending.wait(until - time.monotonic())


class _Ending:
    """Shuts a provider down beside whoever wants it: where nobody answers, each takes half a minute.

    Its thread waits from the beginning, since none can be started when the process ends.
    """

    def __init__(self, shutdown: Callable[[], object]) -> None:
        self._shutdown = shutdown
        self._begun, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="telemetry-ending", daemon=True).start()

    def begin(self) -> None:
        """Shut it down."""
        self._begun.set()

    def wait(self, seconds: float) -> None:
        """Wait until that is done, or the time is over."""
        self._over.wait(max(0.0, seconds))

    def _run(self) -> None:
        self._begun.wait()
        try:
            self._shutdown()
        finally:
            self._over.set()


_PROPAGATOR: Final = TraceContextTextMapPropagator()


def open_insights(connection_string: str, percentage: float, instance: str) -> InsightsTelemetry:
    """Telemetry for this process, `instance` by name, with spans of so many percent of the traces.

    Authenticates as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says, which the exporters read themselves.
    Raises ValueError for a connection string that names no resource.
    """
    os.environ.update(_QUIET)
    if INSIGHTS_SETTING in os.environ:
        # The exporters parse this one, too, and do not take a semicolon at its end.
        os.environ[INSIGHTS_SETTING] = connection_string
    # No detectors: the one for machines asks the metadata service. Names of people's machines stay here.
    resource = Resource(
        {
            "service.name": os.environ.get("WEBSITE_SITE_NAME", SERVICE),
            "service.instance.id": instance,
            "service.version": __version__,
        }
    )
    # What can't be delivered is not kept in files: it would outlive the process on a disk nobody looks after.
    arguments = {"connection_string": connection_string, "disable_offline_storage": True}
    spans = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    batches = BatchSpanProcessor(
        AzureMonitorTraceExporter(**arguments), schedule_delay_millis=BATCH_SECONDS * 1000
    )
    spans.add_span_processor(FailuresAlways(percentage, batches))
    metrics = MeterProvider(
        [
            PeriodicExportingMetricReader(
                AzureMonitorMetricExporter(**arguments), export_interval_millis=METRIC_SECONDS * 1000
            )
        ],
        resource=resource,
        shutdown_on_exit=False,
    )
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(
            AzureMonitorLogExporter(**arguments), schedule_delay_millis=BATCH_SECONDS * 1000
        )
    )
    return InsightsTelemetry(spans, metrics, logs, percentage)


def _recorder(metric: Metric, meter: Meter) -> Callable[[float, Mapping[str, str]], None]:
    """What takes the values of a metric."""
    match METRIC_KINDS[metric]:
        case MetricKind.COUNTER:
            return meter.create_counter(metric.value).add
        case MetricKind.HISTOGRAM:
            return meter.create_histogram(metric.value).record
        case MetricKind.GAUGE:
            return meter.create_gauge(metric.value).set


def _note_failure(span: Span, error: BaseException) -> None:
    """Mark a span as failed with the kind of its error; an error's text may hold anything."""
    kind = _kind_of(error)
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error", kind)
    span.add_event("exception", {"exception.type": kind})


def _kind_of(error: BaseException) -> str:
    """The type of an error; of a group, the types of what is in it."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_kind_of(part) for part in error.exceptions}))
    return type(error).__name__
