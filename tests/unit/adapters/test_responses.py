"""Every answer that ActiveCampaign may give is one row of a table."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.adapters.activecampaign.responses import (
    MAX_DETAIL,
    Answer,
    classify_bulk,
    classify_failure,
    classify_info,
    classify_resource,
    clean,
    parse_retry_after,
)
from exporter.domain.verdict import BatchState, BatchStatus, NamedContact, Verdict, VerdictKind

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BATCH_ID = "9b1c3a50-0000-4000-8000-00000000abcd"
LOGIN_PAGE = b"  <!DOCTYPE html><html><title>Sign in</title></html>"


def an_answer(status: int, content: object = b"", **headers: str) -> Answer:
    """An answer; what is not bytes becomes JSON."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


ACCEPTED = {"success": 1, "queued_contacts": 2, "batchId": BATCH_ID, "message": "Contact import queued"}
VALIDATION = "JSON payload did not pass validation."
THROTTLE = {
    "success": 0,
    "message": "Rate limit exceeded.",
    "failureReasons": ["Only 100 imports per minute are allowed. Try again in a minute."],
}

BULK: list[tuple[str, Answer, Verdict]] = [
    ("accepted", an_answer(200, ACCEPTED), Verdict(VerdictKind.ACCEPTED, batch_id=BATCH_ID, queued=2)),
    (
        "accepted, spelled as in the documentation",
        an_answer(200, {"Success": 1, "batchId": BATCH_ID}),
        Verdict(VerdictKind.ACCEPTED, batch_id=BATCH_ID),
    ),
    (
        "accepted as 201",
        an_answer(201, ACCEPTED),
        Verdict(VerdictKind.ACCEPTED, batch_id=BATCH_ID, queued=2),
    ),
    (
        "2xx without a batch id",
        an_answer(200, {"success": 1}),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id"),
    ),
    (
        "accepted under a number",
        an_answer(200, {"success": 1, "queued_contacts": "2", "batchId": 17}),
        Verdict(VerdictKind.ACCEPTED, batch_id="17"),
    ),
    (
        "2xx with a batch id and without success",
        an_answer(200, {"success": 0, "batchId": BATCH_ID}),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id"),
    ),
    (
        "2xx with an empty batch id",
        an_answer(200, {"success": 1, "batchId": ""}),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id"),
    ),
    (
        "2xx with a batch id that is none",
        an_answer(200, {"success": 1, "batchId": {"id": [1]}}),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id"),
    ),
    (
        "2xx with broken JSON",
        an_answer(200, b'{"success":1,"batchId":"9b1c'),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id"),
    ),
    (
        "2xx with a list",
        an_answer(200, [ACCEPTED]),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id"),
    ),
    ("2xx and empty", an_answer(200), Verdict(VerdictKind.UNKNOWN, "HTTP 200 without a batch id")),
    (
        "a login page as 200",
        an_answer(200, LOGIN_PAGE),
        Verdict(VerdictKind.DENIED, "a web page instead of an answer, as for a refused key"),
    ),
    (
        "one contact refused",
        an_answer(
            400,
            {
                "success": 0,
                "message": VALIDATION,
                "failureReasons": [{"contact": 2, "failureReason": "Field 'email' incorrect format"}],
            },
        ),
        Verdict(
            VerdictKind.INVALID,
            "HTTP 400",
            VALIDATION,
            named=(NamedContact(2, "Field 'email' incorrect format"),),
        ),
    ),
    (
        "two contacts refused, one without words",
        an_answer(
            400,
            {
                "success": 0,
                "message": VALIDATION,
                "failureReasons": [{"contact": 2, "failureReason": "bad"}, {"contact": 5}],
            },
        ),
        Verdict(
            VerdictKind.INVALID,
            "HTTP 400",
            VALIDATION,
            named=(NamedContact(2, "bad"), NamedContact(5, VALIDATION)),
        ),
    ),
    (
        "refused with reasons that name nobody",
        an_answer(400, {"success": 0, "message": VALIDATION, "failureReasons": ["empty payload"]}),
        Verdict(VerdictKind.INVALID, "HTTP 400", f"{VALIDATION}; empty payload"),
    ),
    (
        "refused with indexes that are none",
        an_answer(
            400,
            {"message": VALIDATION, "failureReasons": [{"contact": "2"}, {"contact": True}, {}, None, 7]},
        ),
        Verdict(VerdictKind.INVALID, "HTTP 400", VALIDATION),
    ),
    (
        "the specification's example of a 400",
        an_answer(400, {}),
        Verdict(VerdictKind.INVALID, "HTTP 400", "HTTP 400"),
    ),
    (
        "refused as 422",
        an_answer(422, {"message": VALIDATION}),
        Verdict(VerdictKind.INVALID, "HTTP 422", VALIDATION),
    ),
    (
        "throttled as 400",
        an_answer(400, THROTTLE),
        Verdict(VerdictKind.THROTTLED, "HTTP 400: rate limit"),
    ),
    (
        "throttled as 400, said in a reason only, in another case",
        an_answer(400, {"message": "No.", "failureReasons": ["RATE  LIMIT reached"]}),
        Verdict(VerdictKind.THROTTLED, "HTTP 400: rate limit"),
    ),
    (
        "throttled as 400 with a time",
        an_answer(400, THROTTLE, Retry_After="17"),
        Verdict(VerdictKind.THROTTLED, "HTTP 400: rate limit", retry_after_seconds=17),
    ),
    (
        "throttled as 429",
        an_answer(429, b"", Retry_After="30"),
        Verdict(VerdictKind.THROTTLED, "HTTP 429", retry_after_seconds=30),
    ),
    (
        "throttled as 429, the header in small letters",
        an_answer(429, b"", **{"retry-after": "1"}),
        Verdict(VerdictKind.THROTTLED, "HTTP 429", retry_after_seconds=1),
    ),
    ("throttled without a time", an_answer(429), Verdict(VerdictKind.THROTTLED, "HTTP 429")),
    (
        "503 with a time",
        an_answer(503, b"", Retry_After="20"),
        Verdict(VerdictKind.THROTTLED, "HTTP 503", retry_after_seconds=20),
    ),
    ("503 as a web page", an_answer(503, LOGIN_PAGE), Verdict(VerdictKind.UNAVAILABLE, "HTTP 503")),
    ("500", an_answer(500, b"oops"), Verdict(VerdictKind.UNKNOWN, "HTTP 500")),
    ("502 as a web page", an_answer(502, LOGIN_PAGE), Verdict(VerdictKind.UNKNOWN, "HTTP 502")),
    ("504", an_answer(504), Verdict(VerdictKind.UNKNOWN, "HTTP 504")),
    (
        "400 that is no JSON",
        an_answer(400, b"<html>Bad request</html>"),
        Verdict(VerdictKind.UNKNOWN, "HTTP 400"),
    ),
    ("401", an_answer(401), Verdict(VerdictKind.DENIED, "HTTP 401")),
    (
        "403 with words",
        an_answer(403, {"message": "You do not have permission."}),
        Verdict(VerdictKind.DENIED, "HTTP 403"),
    ),
    ("403 as a web page", an_answer(403, LOGIN_PAGE), Verdict(VerdictKind.DENIED, "HTTP 403")),
    (
        "402",
        an_answer(402, {"errors": [{"title": "Payment required"}]}),
        Verdict(VerdictKind.UNPAID, "HTTP 402"),
    ),
    (
        "404",
        an_answer(404, {"errors": [{"status": 404, "title": "Not Found", "detail": "Path not found"}]}),
        Verdict(VerdictKind.MISSING, "HTTP 404"),
    ),
    ("413", an_answer(413, b"<html>Too large</html>"), Verdict(VerdictKind.TOO_LARGE, "HTTP 413")),
    (
        "a redirect",
        an_answer(302, b"", Location="https://evil.example"),
        Verdict(VerdictKind.MISSING, "HTTP 302: it redirects elsewhere, which is not followed"),
    ),
    (
        "an error as text, as of fieldOption/bulk",
        an_answer(500, {"errors": "Bulk operation failed"}),
        Verdict(VerdictKind.UNKNOWN, "HTTP 500"),
    ),
    (
        "an error with detail and code",
        an_answer(
            500,
            {
                "errors": [
                    {
                        "title": "Contact Email Address is not valid.",
                        "detail": "",
                        "code": "email_invalid",
                        "error": "must_be_valid_email_address",
                        "source": {"pointer": "/data/attributes/email"},
                    }
                ]
            },
        ),
        Verdict(VerdictKind.UNKNOWN, "HTTP 500"),
    ),
    (
        "an error as a message",
        an_answer(404, {"message": "No Result found for Subscriber with id 9"}),
        Verdict(VerdictKind.MISSING, "HTTP 404"),
    ),
]


@pytest.mark.parametrize(("answer", "verdict"), [row[1:] for row in BULK], ids=[row[0] for row in BULK])
def test_an_answer_to_a_bulk_import_has_one_meaning(answer: Answer, verdict: Verdict) -> None:
    assert classify_bulk(answer, NOON) == verdict


INFO: list[tuple[str, Answer, BatchStatus | Verdict]] = [
    ("false in the first second", an_answer(200, {"status": False}), BatchStatus(BatchState.NOT_YET)),
    ("no status", an_answer(200, {"success": []}), BatchStatus(BatchState.NOT_YET)),
    ("not known", an_answer(404, {"message": "No Result found"}), BatchStatus(BatchState.NOT_YET)),
    *[
        (
            state,
            an_answer(200, {"status": state, "success": [], "failure": []}),
            BatchStatus(BatchState(state)),
        )
        for state in ("waiting", "claimed", "active", "completed", "failed", "interrupted")
    ],
    (
        "completed with failures",
        an_answer(200, {"status": "completed", "success": ["501"], "failure": ["bad@nowhere", "o'x@y.org"]}),
        BatchStatus(BatchState.COMPLETED, ("bad@nowhere", "o'x@y.org")),
    ),
    (
        "completed with failures of a strange kind",
        an_answer(200, {"status": "completed", "failure": [None, 7, {"email": "x@y"}, {}, "bad@nowhere"]}),
        BatchStatus(BatchState.COMPLETED, ("x@y", "bad@nowhere")),
    ),
    (
        "completed with one failure that is no list",
        an_answer(200, {"status": "Completed", "failure": "bad@nowhere"}),
        BatchStatus(BatchState.COMPLETED, ("bad@nowhere",)),
    ),
    (
        "completed without lists",
        an_answer(200, {"status": "completed", "failure": None}),
        BatchStatus(BatchState.COMPLETED),
    ),
    (
        "a status that nobody knows",
        an_answer(200, {"status": "sideways"}),
        BatchStatus(BatchState.WAITING),
    ),
    (
        "no batch id asked for",
        an_answer(400, {"success": 0, "message": "'batchId' is a required field."}),
        Verdict(VerdictKind.UNKNOWN, "HTTP 400"),
    ),
    (
        "a login page",
        an_answer(200, LOGIN_PAGE),
        Verdict(VerdictKind.DENIED, "a web page instead of an answer, as for a refused key"),
    ),
    (
        "empty",
        an_answer(200),
        Verdict(VerdictKind.UNKNOWN, "HTTP 200 without the JSON that belongs there"),
    ),
    (
        "throttled",
        an_answer(429, b"", Retry_After="2"),
        Verdict(VerdictKind.THROTTLED, "HTTP 429", retry_after_seconds=2),
    ),
    ("503", an_answer(503), Verdict(VerdictKind.UNAVAILABLE, "HTTP 503")),
    ("403", an_answer(403), Verdict(VerdictKind.DENIED, "HTTP 403")),
]


@pytest.mark.parametrize(("answer", "meaning"), [row[1:] for row in INFO], ids=[row[0] for row in INFO])
def test_an_answer_about_a_batch_has_one_meaning(answer: Answer, meaning: BatchStatus | Verdict) -> None:
    assert classify_info(answer, NOON) == meaning


def test_a_resource_is_the_object_of_its_answer() -> None:
    assert classify_resource(an_answer(200, {"list": {"id": "5"}}), NOON) == {"list": {"id": "5"}}


@pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"{", b"\xff"])
def test_a_resource_that_is_no_object_is_not_understood(content: bytes) -> None:
    verdict = classify_resource(an_answer(200, content), NOON)

    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNKNOWN


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("1", 1.0),
        ("0", 1.0),
        ("-5", 1.0),
        ("1000000000", 900.0),
        ("9" * 400, 900.0),
        ("9" * 5000, None),
        ("Sun, 01 Mar 2026 12:00:45 GMT", 45.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 1.0),
        ("Mon, 01 Mar 2027 12:00:00 GMT", 900.0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        ("Sun, 01 Mar 2026 12:00:45", None),
        ("Sun, 99 Mar 2026 12:00:45 GMT", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_understood_or_left_out_and_always_within_bounds(
    text: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(text, NOON) == seconds


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} [\d:]{1,9}( [A-Z+\-\d]{1,6})?"),
    )
)
def test_no_text_in_retry_after_raises(text: str) -> None:
    seconds = parse_retry_after(text, NOON)

    assert seconds is None or 1 <= seconds <= 900


ADDRESS = "ann.canary+x@mail.example.org"


@pytest.mark.parametrize(
    "text",
    [
        f"The contact {ADDRESS} is bad",
        f"The contact '{ADDRESS}' is bad",
        f'The contact "{ADDRESS}" is bad',
        f"<p>The contact <b>{ADDRESS}</b> is bad</p>",
        f"The contact <{ADDRESS}> is bad",
        f"({ADDRESS}), [{ADDRESS}]; mailto:{ADDRESS}",
        f"email={ADDRESS}&x=1",
        f"{ADDRESS},{ADDRESS}",
        f"?email={ADDRESS.replace('@', '%40')}",
        ADDRESS.replace("+", "%"),
    ],
)
def test_a_cleaned_text_holds_no_address(text: str) -> None:
    assert "canary" not in clean(text)
    assert "example.org" not in clean(text)


@given(st.text())
def test_a_cleaned_text_is_one_short_line_without_markup(text: str) -> None:
    cleaned = clean(text)

    assert len(cleaned) <= MAX_DETAIL
    assert cleaned == cleaned.strip()
    assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029]", cleaned)
    assert not re.search(r"<(?!address>)[^>]*>", cleaned)


def test_a_text_of_megabytes_is_cleaned_in_one_pass() -> None:
    assert clean("a" * 8_000_000) == "a" * MAX_DETAIL


@given(st.text(max_size=60), st.text(max_size=60))
def test_an_address_in_whatever_surroundings_is_taken_out(before: str, after: str) -> None:
    assert "ann.canary" not in clean(f"{before} {ADDRESS} {after}")


classifiers: list[Callable[[Answer, datetime], Any]] = [
    classify_bulk,
    classify_info,
    classify_resource,
    classify_failure,
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    ["batchId", "success", "message", "failureReasons", "errors", "status", "failure", "contact"]
)
near_answers = st.dictionaries(
    known_keys, json_values | st.lists(st.dictionaries(known_keys, json_values, max_size=3), max_size=3)
)


@given(
    st.sampled_from(classifiers),
    st.integers(100, 599),
    st.binary(max_size=200) | near_answers.map(orjson.dumps),
    st.dictionaries(
        st.sampled_from(["Retry-After", "retry-after", "Server"]), st.text(max_size=20), max_size=2
    ),
)
def test_no_answer_whatsoever_raises_and_every_detail_is_fit_to_show(
    classify: Callable[[Answer, datetime], Any], status: int, body: bytes, headers: dict[str, str]
) -> None:
    meaning = classify(Answer(status, headers, body), NOON)

    if isinstance(meaning, Verdict):
        shown = [meaning.detail, meaning.words, *(contact.words for contact in meaning.named)]
        assert all(len(text) <= MAX_DETAIL and "\n" not in text for text in shown)
        assert meaning.kind is not VerdictKind.ACCEPTED or meaning.batch_id
