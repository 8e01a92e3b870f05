"""One line of JSON a log record, on stderr, with the function and invocation it belongs to."""

import contextvars
import json
import logging
import sys
from datetime import UTC, datetime

# The function and the invocation id that the running code belongs to.
invocation: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar(
    "invocation", default=None
)

# Several processes write to one pipe, which keeps lines whole up to 4,096 bytes only.
_LONGEST_TEXT = 1_800


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_LONGEST_TEXT],
            "pid": record.process,
        }
        if current := invocation.get():
            line["function"], line["invocation_id"] = current
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-_LONGEST_TEXT:]
        return json.dumps(line)


def set_up(*, quiet: bool) -> None:
    """Send all logs of this process to stderr; quietly, only warnings and worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if quiet else logging.INFO)
    # The SDKs tell of every request at INFO; an access log repeats what the functions say.
    for chatty in ("azure", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
