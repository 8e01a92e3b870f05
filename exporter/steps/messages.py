"""What travels on the queues: ids, never people; at most 512 bytes, with a schema number."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.domain.budget import Slots
from exporter.domain.trace import Traceparent
from exporter.errors import ExporterError, NewerVersionError

MAX_MESSAGE_BYTES: Final = 512
SCHEMA: Final = 2
"""2: a message may name its trace. Messages of 1 are read; an instance that knows only 1 puts these back."""


class Queue(StrEnum):
    """The queues, in the order of the flow."""

    PLANS = "plans"
    CHUNKS = "chunks"
    SETTLEMENTS = "settlements"
    RECEIPTS = "receipts"


class BadMessageError(ExporterError):
    """A message that this version can't understand; it ends in the poison queue, where it can be seen."""


RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Message(BaseModel):
    """What all messages share."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_number: Literal[1, 2] = Field(default=SCHEMA, alias="schema")
    run_id: RunId
    trace: Traceparent | None = None
    """The place under which the work on it belongs: the run's own."""

    def ids(self) -> dict[str, str | int]:
        """What the message is about."""
        return self.model_dump(include={"run_id", "chunk", "turn"})

    def to_text(self) -> str:
        """The text that is put on the queue."""
        text = self.model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(text)} characters is too long")
        return text


class PlanMessage(Message):
    """Plan this run."""


class ReservedSlots(BaseModel):
    """Slots as they travel with a message that waits for them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    start: float
    count: int = Field(ge=1, le=1000)
    gap: float = Field(ge=0)
    token: str = Field(max_length=64)
    single: bool = False

    @classmethod
    def of(cls, slots: Slots) -> "ReservedSlots":
        """The slots, ready to travel."""
        return cls(
            start=slots.start, count=slots.count, gap=slots.gap, token=slots.token, single=slots.single
        )

    def to_slots(self) -> Slots:
        """The slots, arrived."""
        return Slots(self.start, self.count, self.gap, self.token, self.single)


class ChunkMessage(Message):
    """Send what is left of this chunk, then see to the next one."""

    chunk: int = Field(ge=0)
    slots: ReservedSlots | None = None


class SettlementMessage(Message):
    """Ask what became of the run's batches; a turn runs once."""

    turn: int = Field(ge=1)


class ReceiptsMessage(Message):
    """Something of the run was settled: fold, and complete the run if that was the last."""


KINDS: Final[Mapping[Queue, type[Message]]] = MappingProxyType(
    {
        Queue.PLANS: PlanMessage,
        Queue.CHUNKS: ChunkMessage,
        Queue.SETTLEMENTS: SettlementMessage,
        Queue.RECEIPTS: ReceiptsMessage,
    }
)
"""What travels on which queue."""

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse_message(kind: type[AnyMessage], text: str | bytes) -> AnyMessage:
    """The message in a queue's text.

    Raises NewerVersionError or BadMessageError; their texts hold nothing of the content.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise BadMessageError(f"a {kind.__name__} has at most {MAX_MESSAGE_BYTES} bytes")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        if _is_newer(text):
            raise NewerVersionError(f"a {kind.__name__} of a newer version of this app") from None
        places = ", ".join(sorted({_place(problem["loc"]) for problem in error.errors()}))
        raise BadMessageError(f"not a {kind.__name__}; wrong: {places}") from None


def _is_newer(text: str | bytes) -> bool:
    """Whether a text is a message with a schema number that this version does not know yet."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    number = content.get("schema") if isinstance(content, dict) else None
    return isinstance(number, int) and number > SCHEMA


def _place(location: tuple[int | str, ...]) -> str:
    """Where a problem lies, in our own words: a stranger's keys are content, too."""
    known = {"schema", *ChunkMessage.model_fields, *SettlementMessage.model_fields}
    return str(location[0]) if location and location[0] in known else "text"
