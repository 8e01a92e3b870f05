"""Events as log lines: the name, then its fields; the fields are also attributes of the record."""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.domain.trace import trace_id_of, traceparent
from exporter.domain.wording import escaped
from exporter.steps.events import Event, Metric, SpanName

logger = logging.getLogger("exporter")


class LogTelemetry:
    """Writes events to the log. Nobody takes spans and metrics; traces are passed on all the same.

    So a run that is ordered on the command line has a trace, which the app then records.
    """

    def event(self, event: Event, **fields: str | float | None) -> None:
        """Log an event on one line; fields without a value are left out."""
        known = known_fields(fields)
        logger.info("%s", line(event, known), extra={"event": event.value, **known})

    @contextmanager
    def span(self, name: SpanName, parent: str | None = None, **ids: str | int | None) -> Iterator[str]:
        """A place in the trace of the parent, or in a new one."""
        yield traceparent(trace_id_of(parent) or secrets.token_hex(16), secrets.token_hex(8))

    def about(self, **ids: str | int | None) -> None:
        """Nobody takes spans."""

    def measure(self, metric: Metric, value: float, *, account: str, export_id: str | None = None) -> None:
        """Nobody takes metrics."""


def known_fields(fields: dict[str, str | float | None]) -> dict[str, str | float]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def line(event: Event, fields: dict[str, str | float]) -> str:
    """An event as one line, whatever is in its fields."""
    return " ".join([event.value, *(f"{name}={escaped(str(value))}" for name, value in fields.items())])
