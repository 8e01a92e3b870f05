"""Facts: what is known to have happened to the bodies of a run.

A fact is written once and never changed; the state of a run is a fold over its facts
(`exporter.domain.progress`), in any order, repeats included. Facts hold numbers and ids, never people:
contacts are named by their positions in a body.

Positions of a body's contacts are kept as bit masks (bit i = contact i) and stored as
`[start, stop]` ranges.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

import orjson

from exporter.domain.schema import check_schema

SCHEMA: Final = 1

Mask: TypeAlias = int
"""A set of positions in a body: bit i stands for its i-th contact."""


def mask_of(positions: range | list[int] | tuple[int, ...]) -> Mask:
    """The mask that holds the given positions."""
    mask = 0
    for position in positions:
        mask |= 1 << position
    return mask


def positions_of(mask: Mask) -> list[int]:
    """The positions in a mask, ascending."""
    positions = []
    while mask:
        lowest = mask & -mask
        positions.append(lowest.bit_length() - 1)
        mask ^= lowest
    return positions


def whole(contact_count: int) -> Mask:
    """The mask of all contacts of a body."""
    return (1 << contact_count) - 1


def to_ranges(mask: Mask) -> list[list[int]]:
    """The mask as ascending `[start, stop]` pairs, stop excluded."""
    ranges: list[list[int]] = []
    for position in positions_of(mask):
        if ranges and ranges[-1][1] == position:
            ranges[-1][1] = position + 1
        else:
            ranges.append([position, position + 1])
    return ranges


def from_ranges(ranges: list[list[int]]) -> Mask:
    """The mask that `to_ranges` wrote."""
    mask = 0
    for start, stop in ranges:
        mask |= (1 << stop) - (1 << start)
    return mask


class SendResult(StrEnum):
    """How one sending of (a part of) a body ended."""

    ACCEPTED = "accepted"
    """ActiveCampaign queued it under a batch id."""
    UNKNOWN = "unknown"
    """Sent, but the answer got lost: it may have been taken. Counts as a try."""
    INVALID = "invalid"
    """Refused whole because of the contacts in it; nothing was taken."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came back for one sending of a part of a body."""

    chunk: int
    body: int
    epoch: int
    """Which claim of the chunk sent it."""
    part: Mask
    """The contacts that were in the request."""
    result: SendResult
    at: float
    """Seconds since the epoch."""
    batch_id: str = ""
    automations: bool = False
    """Whether the request let automations start."""
    named: tuple[tuple[int, str], ...] = ()
    """Of a refusal: positions (in the body) that ActiveCampaign named, with its words."""
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """The stored form; what is empty is left out."""
        data: dict[str, Any] = {
            "chunk": self.chunk,
            "body": self.body,
            "epoch": self.epoch,
            "part": to_ranges(self.part),
            "result": self.result.value,
            "at": self.at,
            "batch_id": self.batch_id,
            "automations": self.automations,
            "named": self.named,
            "detail": self.detail,
        }
        return {key: value for key, value in data.items() if value or key in {"chunk", "body", "epoch"}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Receipt":
        """The receipt that `to_json` wrote."""
        return cls(
            chunk=data["chunk"],
            body=data["body"],
            epoch=data["epoch"],
            part=from_ranges(data["part"]),
            result=SendResult(data["result"]),
            at=data["at"],
            batch_id=data.get("batch_id", ""),
            automations=data.get("automations", False),
            named=tuple((position, words) for position, words in data.get("named", ())),
            detail=data.get("detail", ""),
        )


class BatchEnd(StrEnum):
    """How an accepted batch ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    """ActiveCampaign gave it up; sent again."""
    INTERRUPTED = "interrupted"
    """ActiveCampaign stopped half way; sent again."""
    LOST = "lost"
    """ActiveCampaign does not know it a quarter of an hour later; sent again once."""
    UNSETTLED = "unsettled"
    """No final state within a day; not sent again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The final state of one accepted batch."""

    chunk: int
    body: int
    batch_id: str
    end: BatchEnd
    at: float
    """Seconds since the epoch."""
    failed: Mask = 0
    """The contacts that ActiveCampaign listed as failures."""

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "chunk": self.chunk,
            "body": self.body,
            "batch_id": self.batch_id,
            "end": self.end.value,
            "at": self.at,
            "failed": to_ranges(self.failed),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Outcome":
        """The outcome that `to_json` wrote."""
        return cls(
            chunk=data["chunk"],
            body=data["body"],
            batch_id=data["batch_id"],
            end=BatchEnd(data["end"]),
            at=data["at"],
            failed=from_ranges(data["failed"]),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests made by one sender or settler between two writes, for the report.

    `name` is unique, so that a tally read twice counts once.
    """

    name: str
    bulk: int = 0
    status: int = 0
    throttled: int = 0


@dataclass(frozen=True, slots=True)
class Erased:
    """Contacts of one body that must not be sent any more, because a person was erased.

    `plan_epoch` says of whose plan: plans of one run may put people at different positions.
    """

    plan_epoch: int
    chunk: int
    body: int
    positions: Mask

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "plan_epoch": self.plan_epoch,
            "chunk": self.chunk,
            "body": self.body,
            "positions": to_ranges(self.positions),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Erased":
        """The fact that `to_json` wrote."""
        return cls(data["plan_epoch"], data["chunk"], data["body"], from_ranges(data["positions"]))


Fact: TypeAlias = Receipt | Outcome | Tally | Erased


def encode_facts(name: str, facts: Iterable[Fact]) -> bytes:
    """One stored document of facts; `name` is the document's own, unique in its run."""
    document: dict[str, Any] = {"schema": SCHEMA, "name": name, "receipts": [], "outcomes": []}
    for fact in facts:
        match fact:
            case Receipt():
                document["receipts"].append(fact.to_json())
            case Outcome():
                document["outcomes"].append(fact.to_json())
            case Erased():
                document.setdefault("erased", []).append(fact.to_json())
            case Tally():
                document["tally"] = [fact.bulk, fact.status, fact.throttled]
    return orjson.dumps(document)


def decode_facts(data: bytes) -> list[Fact]:
    """The facts of one stored document. Raises NewerVersionError or ValueError for another schema."""
    document = orjson.loads(data)
    check_schema("fact", document["schema"], SCHEMA)
    facts: list[Fact] = [
        *(Receipt.from_json(entry) for entry in document["receipts"]),
        *(Outcome.from_json(entry) for entry in document["outcomes"]),
        *(Erased.from_json(entry) for entry in document.get("erased", ())),
    ]
    if "tally" in document:
        facts.append(Tally(document["name"], *document["tally"]))
    return facts
