"""Whatever ActiveCampaign answers, by type and by size: a verdict, and words that are fit to show."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.adapters.activecampaign.responses import (
    MAX_BATCH_ID,
    MAX_DETAIL,
    Answer,
    classify_bulk,
    classify_failure,
    classify_info,
    classify_resource,
    clean,
    parse_retry_after,
)
from exporter.domain.verdict import BatchStatus, Verdict, VerdictKind
from tests.builders import NOON

CLASSIFIERS: list[Callable[[Answer, datetime], Any]] = [
    classify_bulk,
    classify_info,
    classify_resource,
    classify_failure,
]
STATUSES = [200, 201, 204, 301, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 599]
KEYS = ["batchId", "success", "Success", "message", "failureReasons", "status", "failure", "queued_contacts"]


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


HUGE: list[bytes] = [
    *(nested(depth) for depth in (200, 990, 1000, 1010, 1020)),
    b'"' + b"a" * 1_000_000 + b'"',
    b'"' + b"<" * 100_000 + b'"',
    b'"' + b"1 " * 100_000 + b'"',
    b'"' + b"a@" * 100_000 + b'"',
    b"[" + b"{}," * 100_000 + b"{}]",
    b"[" + b'"a@example.org",' * 100_000 + b'""]',
    b'[{"contact":' + nested(900) + b',"failureReason":' + nested(1000) + b"}]",
    b'[{"contact":0,"failureReason":' + nested(1005) + b"}]",
    b"18446744073709551615",
    b"1e308",
    b"-0.0",
    b'"\\u001b[2J\\u202e\\u0000"',
    b"null",
    b"true",
    b"{}",
]


def shown(meaning: object) -> list[str]:
    """All that may be logged or shown of a verdict."""
    if not isinstance(meaning, Verdict):
        return []
    return [meaning.detail, meaning.words, *(contact.words for contact in meaning.named)]


def check(meaning: object) -> None:
    assert isinstance(meaning, Verdict | BatchStatus | dict)
    assert all(len(text) <= MAX_DETAIL and (not text or text.isprintable()) for text in shown(meaning))
    if isinstance(meaning, Verdict) and meaning.kind is VerdictKind.ACCEPTED:
        assert 0 < len(meaning.batch_id) <= MAX_BATCH_ID
        assert meaning.batch_id.isprintable()


@pytest.mark.parametrize("classify", CLASSIFIERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_value_of_any_type_and_size_gives_a_verdict(
    classify: Callable[[Answer, datetime], Any], key: str
) -> None:
    for value in HUGE:
        body = b'{"' + key.encode() + b'":' + value + b',"batchId2":1}'
        for status in STATUSES:
            check(classify(Answer(status, {}, body), NOON))


@pytest.mark.parametrize("classify", CLASSIFIERS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00" * 1000,
        b"\xff\xfe" * 1000,
        b"<" * 1_000_000,
        b" " * 1_000_000,
        b"{" * 100_000,
        nested(100_000),
    ],
    ids=range(7),
)
def test_bytes_that_are_no_json_give_a_verdict(
    classify: Callable[[Answer, datetime], Any], body: bytes
) -> None:
    for status in STATUSES:
        check(classify(Answer(status, {}, body), NOON))


@settings(max_examples=500)
@given(
    st.sampled_from(CLASSIFIERS),
    st.integers(0, 999),
    st.dictionaries(
        st.sampled_from([*KEYS, "contact", "failureReason", "email"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.floats()
            | st.text(max_size=300),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*KEYS, "contact", "failureReason", "email"]), inner, max_size=3
                )
            ),
            max_leaves=6,
        ),
    ),
    st.text(max_size=30),
)
def test_no_made_up_answer_raises_or_says_what_is_unfit(
    classify: Callable[[Answer, datetime], Any], status: int, content: dict[str, Any], retry_after: str
) -> None:
    body = json.dumps(content).encode("utf-8", "surrogatepass")

    check(classify(Answer(status, {"Retry-After": retry_after}, body), NOON))


@pytest.mark.parametrize(
    "batch_id", ["", "x" * 201, "a\nb", "a\x1b[2J", "\u202e", [], {}, True, 0, 1.5, None]
)
def test_what_can_be_no_batch_id_is_no_acceptance(batch_id: object) -> None:
    verdict = classify_bulk(Answer(200, {}, orjson.dumps({"success": 1, "batchId": batch_id})), NOON)

    assert verdict.kind is VerdictKind.UNKNOWN


@given(st.text())
def test_a_strangers_words_steer_no_terminal(text: str) -> None:
    assert clean(text).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "1e400",
        "inf",
        "nan",
        "Mon, 99 Foo 99999 99:99:99 GMT",
        "\x00",
        " " * 9000,
    ],
)
def test_a_strange_retry_after_is_within_bounds_or_left_out(text: str) -> None:
    seconds = parse_retry_after(text, NOON)

    assert seconds is None or 1 <= seconds <= 900
