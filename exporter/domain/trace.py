"""Where a span stands in its trace, as text: a traceparent of W3C Trace Context (w3.org/TR/trace-context).

All of a run belongs to one trace, which the arrival of its drop has opened, or whoever ordered it.
"""

import re
from typing import Annotated, Final

from pydantic import Field

_FORM: Final = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$"

Traceparent = Annotated[str, Field(pattern=_FORM)]
"""Version, trace id, span id, flags: 55 characters, ids of no person or thing."""


def traceparent(trace_id: str, span_id: str) -> str:
    """The text for a span; `trace_id` has 32 hex digits, `span_id` 16."""
    return f"00-{trace_id}-{span_id}-01"


def trace_id_of(text: str | None) -> str | None:
    """The trace that a traceparent names; None for none, and for what is no traceparent."""
    return text[3:35] if text is not None and re.fullmatch(_FORM, text) else None
