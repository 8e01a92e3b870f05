"""Events, spans and metrics kept for a look afterwards."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from exporter.domain.trace import trace_id_of, traceparent
from exporter.steps.events import FIELDS, Event, Metric, SpanName
from tests.canary import keys_in, people_in

SPAN_FIELDS = {"run_id", "export_id", "chunk", "turn", "drop"}


@dataclass(slots=True)
class FakeSpan:
    """A span: what, in which trace, about what, and the kind of error that ended it."""

    name: SpanName
    trace_id: str
    ids: dict[str, str | int | None]
    failed: str | None = None


class FakeTelemetry:
    """`events` lists what happened, in order, with its fields; `spans` what took time."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, dict[str, str | float | None]]] = []
        self.spans: list[FakeSpan] = []
        self.values: list[tuple[Metric, float, str, str | None]] = []
        self.on_event: Callable[[Event, dict[str, str | float | None]], None] = lambda event, fields: None
        self._open: ContextVar[FakeSpan | None] = ContextVar("open span", default=None)

    def event(self, event: Event, **fields: str | float | None) -> None:
        assert not keys_in(str(fields)) + people_in(str(fields)), (event, fields)
        assert fields.keys() <= FIELDS[event], (event, fields)
        self.events.append((event, fields))
        self.on_event(event, fields)

    @contextmanager
    def span(self, name: SpanName, parent: str | None = None, **ids: str | int | None) -> Iterator[str]:
        assert ids.keys() <= SPAN_FIELDS, (name, ids)
        number = len(self.spans) + 1
        span = FakeSpan(name, trace_id_of(parent) or f"{number:032x}", ids)
        self.spans.append(span)
        token = self._open.set(span)
        try:
            yield traceparent(span.trace_id, f"{number:016x}")
        except BaseException as error:
            span.failed = type(error).__name__
            raise
        finally:
            self._open.reset(token)

    def about(self, **ids: str | int | None) -> None:
        assert ids.keys() <= SPAN_FIELDS, ids
        span = self._open.get()
        if span is not None:
            span.ids |= ids

    def measure(self, metric: Metric, value: float, *, account: str, export_id: str | None = None) -> None:
        assert value >= 0, (metric, value)
        assert not people_in(f"{account} {export_id}"), (account, export_id)
        self.values.append((metric, value, account, export_id))

    def count(self, event: Event) -> int:
        """How often something happened."""
        return Counter(name for name, _ in self.events)[event]

    def of(self, run_id: str) -> list[FakeSpan]:
        """The spans of a run."""
        return [span for span in self.spans if span.ids.get("run_id") == run_id]

    def total(self, metric: Metric) -> float:
        """All values of a metric together."""
        return sum(value for measured, value, _, _ in self.values if measured is metric)

    def text(self) -> str:
        """Everything that was recorded, to look for what should not be there."""
        events = "\n".join(f"{event} {fields}" for event, fields in self.events)
        return f"{events}\n{self.spans}\n{self.values}"
