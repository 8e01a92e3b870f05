"""One pure table: an answer's status, headers and body become a verdict.

Sources: developers.activecampaign.com/reference (bulk-import-contacts, bulk-import-status-info,
rate-limits) and what clients met in practice; where they disagree, the reading that loses nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from exporter.domain.verdict import BatchState, BatchStatus, NamedContact, Verdict, VerdictKind

MAX_DETAIL: Final = 200
MAX_BATCH_ID: Final = 200
"""The ids seen have 36 characters; one that is much longer would not fit into an address."""
MIN_RETRY_AFTER_SECONDS: Final = 1.0
MAX_RETRY_AFTER_SECONDS: Final = 900.0

_MARKUP: Final = re.compile(r"<[^>]*>?")
# Looked for at the beginnings of words alone, so that a long text takes no longer than its length.
_ADDRESS: Final = re.compile(r"(?<![^\s@<>\"])(?:[^\s@<>\"%]|%(?!40))+(?:(?:@|%40)[^\s@<>\"]+)+")
_LONG_NUMBER: Final = re.compile(r"\+?\d[\d ().-]{4,}\d")
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f]+")
_STATES: Final = frozenset(BatchState) - {BatchState.NOT_YET}
_THROTTLE: Final = re.compile(r"rate\s*limit", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came. `headers` are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def classify_bulk(answer: Answer, now: datetime) -> Verdict:
    """What the answer to `POST /import/bulk_import` means."""
    content = _json_object(answer)
    if 200 <= answer.status < 300:
        if _is_html(answer):
            return Verdict(VerdictKind.DENIED, "a web page instead of an answer, as for a refused key")
        return _acceptance(answer, content or {})
    if answer.status in {400, 422} and content is not None:
        return _refusal(answer, content, now)
    return classify_failure(answer, now)


def classify_info(answer: Answer, now: datetime) -> BatchStatus | Verdict:
    """What the answer to `GET /import/info` means; `false` and 404 mean: ask again."""
    if answer.status == 404:
        return BatchStatus(BatchState.NOT_YET)
    content = classify_resource(answer, now)
    if isinstance(content, Verdict):
        return content
    status = _text(content.get("status")).lower()
    if status in {"false", ""}:
        return BatchStatus(BatchState.NOT_YET)
    # A status that is not documented is not final either; a batch that never gets final is given up in time.
    state = BatchState(status) if status in _STATES else BatchState.WAITING
    return BatchStatus(state, tuple(_addresses(content.get("failure"))))


def classify_resource(answer: Answer, now: datetime) -> dict[str, Any] | Verdict:
    """The JSON object of a 2xx answer, or what the answer means."""
    if not 200 <= answer.status < 300:
        return classify_failure(answer, now)
    if _is_html(answer):
        return Verdict(VerdictKind.DENIED, "a web page instead of an answer, as for a refused key")
    content = _json_object(answer)
    if content is None:
        return Verdict(VerdictKind.UNKNOWN, f"HTTP {answer.status} without the JSON that belongs there")
    return content


def classify_failure(answer: Answer, now: datetime) -> Verdict:
    """What an answer outside 2xx means, whatever was asked."""
    detail = f"HTTP {answer.status}"
    retry_after = parse_retry_after(_header(answer, "Retry-After"), now)
    match answer.status:
        case 429:
            return Verdict(VerdictKind.THROTTLED, detail, retry_after_seconds=retry_after)
        case 503 if retry_after is not None:
            return Verdict(VerdictKind.THROTTLED, detail, retry_after_seconds=retry_after)
        case 503:
            return Verdict(VerdictKind.UNAVAILABLE, detail)
        case 401 | 403:
            return Verdict(VerdictKind.DENIED, detail)
        case 402:
            return Verdict(VerdictKind.UNPAID, detail)
        case 404 | 405 | 410:
            return Verdict(VerdictKind.MISSING, detail)
        case 413:
            return Verdict(VerdictKind.TOO_LARGE, detail)
        case status if 300 <= status < 400:
            return Verdict(
                VerdictKind.MISSING, f"HTTP {status}: it redirects elsewhere, which is not followed"
            )
    return Verdict(VerdictKind.UNKNOWN, detail)


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait: whole seconds or an HTTP date, clamped to 1 s … 15 min; None for anything else."""
    if text is None:
        return None
    try:
        seconds: float = min(int(text.strip()), 10**9)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(MAX_RETRY_AFTER_SECONDS, max(MIN_RETRY_AFTER_SECONDS, seconds))


def clean(text: str) -> str:
    """A stranger's text, fit for logs and reports: short, one line, no markup, no addresses.

    Nor anything that a terminal would obey, or that turns the direction of a line.
    """
    text = _ADDRESS.sub("<address>", _MARKUP.sub(" ", text))
    text = _LONG_NUMBER.sub("<number>", text)
    short = _SPACES.sub(" ", text).strip()[:MAX_DETAIL].strip()
    return short if short.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in short)


def _refusal(answer: Answer, content: dict[str, Any], now: datetime) -> Verdict:
    """A 400 is either the throttle in disguise or a refusal of the whole body."""
    message = _text(content.get("message") or "")
    reasons = content.get("failureReasons")
    reasons = reasons if isinstance(reasons, list) else []
    texts = [message, *(reason for reason in reasons if isinstance(reason, str))]
    if any(_THROTTLE.search(text) for text in texts):
        retry_after = parse_retry_after(_header(answer, "Retry-After"), now)
        return Verdict(
            VerdictKind.THROTTLED, f"HTTP {answer.status}: rate limit", retry_after_seconds=retry_after
        )
    named = tuple(
        NamedContact(reason["contact"], clean(_text(reason.get("failureReason")) or message))
        for reason in reasons
        if isinstance(reason, dict) and type(reason.get("contact")) is int
    )
    words = clean("; ".join(text for text in texts if text)) or f"HTTP {answer.status}"
    return Verdict(VerdictKind.INVALID, f"HTTP {answer.status}", words, named=named)


def _acceptance(answer: Answer, content: dict[str, Any]) -> Verdict:
    """A 200 counts only with a batch id (text, or a number) and without a word of failure."""
    given = content.get("batchId")
    batch_id = "" if isinstance(given, bool | float) or not given else _text(given)
    success = _text(content.get("success", content.get("Success", 1))).lower()
    if not 0 < len(batch_id) <= MAX_BATCH_ID or not batch_id.isprintable() or success in {"0", "false"}:
        return Verdict(VerdictKind.UNKNOWN, f"HTTP {answer.status} without a batch id")
    queued = content.get("queued_contacts")
    return Verdict(
        VerdictKind.ACCEPTED,
        batch_id=batch_id,
        queued=queued if type(queued) is int else None,
    )


def _text(value: object) -> str:
    """A text, number or truth value as text; "" for anything else, which may be nested without measure."""
    return str(value) if isinstance(value, str | int | float) else ""


def _addresses(failures: object) -> Iterator[str]:
    """The addresses that a batch's `failure` lists: text, or objects that hold one."""
    for entry in failures if isinstance(failures, list) else [failures]:
        address = entry.get("email") if isinstance(entry, dict) else entry
        if isinstance(address, str):
            yield address


def _json_object(answer: Answer) -> dict[str, Any] | None:
    """The body as a JSON object, by its content rather than its declared type."""
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _is_html(answer: Answer) -> bool:
    return answer.body.lstrip()[:1] == b"<"


def _header(answer: Answer, name: str) -> str | None:
    return next((value for key, value in answer.headers.items() if key.lower() == name.lower()), None)
