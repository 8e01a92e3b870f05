"""Messages are small, exact, and tell nothing when they are not understood."""

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from exporter.domain.budget import Slots
from exporter.errors import NewerVersionError
from exporter.steps.messages import (
    KINDS,
    MAX_MESSAGE_BYTES,
    BadMessageError,
    ChunkMessage,
    Message,
    PlanMessage,
    Queue,
    ReceiptsMessage,
    ReservedSlots,
    SettlementMessage,
    parse_message,
)

RUN_ID = "0123456789abcdef0123456789abcdef"
TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
LONGEST_TOKEN = f"{RUN_ID}:204082:single"
"""Of the last chunk of the largest drop that may be planned."""

MESSAGES = [
    PlanMessage(run_id=RUN_ID),
    PlanMessage(run_id=RUN_ID, trace=TRACE),
    ReceiptsMessage(run_id=RUN_ID),
    SettlementMessage(run_id=RUN_ID, turn=1),
    ChunkMessage(run_id=RUN_ID, chunk=0),
    ChunkMessage(
        run_id=RUN_ID,
        trace=TRACE,
        chunk=204_082,
        slots=ReservedSlots(
            start=1_772_366_400.1234567, count=1000, gap=0.35000000000000003, token=LONGEST_TOKEN, single=True
        ),
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert parse_message(type(message), message.to_text()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_has_at_most_512_bytes_and_a_schema_number(message: Message) -> None:
    text = message.to_text()

    assert len(text.encode()) <= MAX_MESSAGE_BYTES
    assert json.loads(text)["schema"] == 2


def test_the_largest_message_leaves_room() -> None:
    assert max(len(message.to_text()) for message in MESSAGES) <= 360


def test_a_message_that_would_be_too_long_is_not_sent() -> None:
    slots = ReservedSlots(start=1.0, count=1, gap=0.0, token="\x01" * 64)

    with pytest.raises(ValueError, match="too long"):
        ChunkMessage(run_id=RUN_ID, chunk=10**200, slots=slots).to_text()


def test_slots_travel_unchanged() -> None:
    slots = Slots(1_772_366_400.1234567, 98, 0.35, f"{RUN_ID}:7", single=True)

    message = ChunkMessage(run_id=RUN_ID, chunk=7, slots=ReservedSlots.of(slots))

    arrived = parse_message(ChunkMessage, message.to_text()).slots
    assert arrived is not None
    assert arrived.to_slots() == slots


def test_every_queue_has_its_message() -> None:
    assert KINDS.keys() == set(Queue)


VALID: dict[str, Any] = {"schema": 1, "run_id": RUN_ID, "chunk": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "1"},
        {"schema": 0},
        {"trace": RUN_ID},
        {"trace": TRACE.upper()},
        {"trace": f"{TRACE}\n"},
        {"trace": f"{TRACE}-ann@example.org"},
        {"run_id": RUN_ID.upper()},
        {"run_id": f"../{RUN_ID}"},
        {"run_id": f"{RUN_ID}\n"},
        {"run_id": None},
        {"chunk": -1},
        {"chunk": "3"},
        {"chunk": 3.5},
        {"chunk": True},
        {"slots": {"start": 1.0, "count": 0, "gap": 0.35, "token": "t"}},
        {"slots": {"start": 1.0, "count": 5, "gap": -1, "token": "t"}},
        {"slots": {"start": 1.0, "count": 5, "gap": 0.35, "token": "t" * 65}},
        {"slots": []},
        {"contacts": ["ann@example.org"]},
    ],
    ids=str,
)
def test_a_message_with_a_strange_part_is_refused(change: dict[str, Any]) -> None:
    assert parse_message(ChunkMessage, json.dumps(VALID)).chunk == 3

    with pytest.raises(BadMessageError):
        parse_message(ChunkMessage, json.dumps({**VALID, **change}))


@pytest.mark.parametrize("kind", [PlanMessage, SettlementMessage, ReceiptsMessage])
def test_a_message_of_another_kind_is_refused(kind: type[Message]) -> None:
    with pytest.raises(BadMessageError):
        parse_message(kind, json.dumps(VALID))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '"text"', "\ud800", "{" * 200, json.dumps({**VALID, "padding": "x" * 600})],
    ids=range(8),
)
def test_a_text_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(BadMessageError):
        parse_message(ChunkMessage, text)


@pytest.mark.parametrize(
    "content",
    [
        {"canary@example.org": 1},
        {**VALID, "canary@example.org": {"canary": "canary"}},
        {**VALID, "run_id": "canary@example.org"},
        {**VALID, "slots": {"canary@example.org": 1}},
        ["canary@example.org"],
    ],
    ids=str,
)
def test_what_is_said_of_a_bad_message_holds_nothing_of_it(content: object) -> None:
    with pytest.raises(BadMessageError) as refused:
        parse_message(ChunkMessage, json.dumps(content))

    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "run_id" in str(refused.value) or "text" in str(refused.value) or "slots" in str(refused.value)


near_messages = st.dictionaries(
    st.sampled_from(["schema", "run_id", "trace", "chunk", "slots", "turn", "canary"]),
    st.sampled_from([1, 2, RUN_ID, "canary", None, True, 1.5, [], {"canary": 1}, {"start": 1, "count": 2}]),
    max_size=5,
).map(json.dumps)


@settings(max_examples=2000)
@given(
    st.sampled_from([PlanMessage, ChunkMessage, SettlementMessage, ReceiptsMessage]),
    st.text(alphabet=st.characters(exclude_categories=())) | near_messages,
)
def test_no_text_raises_anything_but_the_named_error(kind: type[Message], text: str) -> None:
    told = ""
    try:
        parse_message(kind, text)
    except (BadMessageError, NewerVersionError) as error:
        told = str(error)
    assert "canary" not in told
    assert len(told) < 200


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_of_a_newer_version_is_told_from_a_bad_one(message: Message) -> None:
    newer = json.dumps({**json.loads(message.to_text()), "schema": 3, "more": "of it"})
    with pytest.raises(NewerVersionError):
        parse_message(type(message), newer.encode())


def test_a_message_of_the_first_version_is_read() -> None:
    message = parse_message(ChunkMessage, json.dumps({"schema": 1, "run_id": RUN_ID, "chunk": 3}))

    assert (message.run_id, message.chunk, message.trace) == (RUN_ID, 3, None)


class FirstPlanMessage(Message):
    """A message as the first version of the app knows it."""

    schema_number: Literal[1] = Field(default=1, alias="schema")
    trace: None = None


@pytest.mark.parametrize("trace", [TRACE, None])
def test_an_app_of_the_first_version_leaves_a_message_to_newer_ones(
    trace: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.steps.messages.SCHEMA", 1)

    with pytest.raises(NewerVersionError):
        parse_message(FirstPlanMessage, PlanMessage(run_id=RUN_ID, trace=trace).to_text())


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_bytes_of_any_kind_are_a_message_or_refused(text: bytes) -> None:
    for kind in KINDS.values():
        with pytest.raises((BadMessageError, NewerVersionError)):
            parse_message(kind, text)
