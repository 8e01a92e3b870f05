"""Events as log lines: the name, then its fields; the fields are also attributes of the record."""

import logging

from exporter.domain.wording import escaped
from exporter.steps.events import Event

logger = logging.getLogger("exporter")


class LogTelemetry:
    """Writes events to the log."""

    def event(self, event: Event, **fields: str | float | None) -> None:
        """Log an event on one line; fields without a value are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        text = " ".join([event.value, *(f"{name}={escaped(str(value))}" for name, value in known.items())])
        logger.info("%s", text, extra={"event": event.value, **known})
