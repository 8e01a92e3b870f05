"""What the tests of planning share: a plan and all that it handed over, in one record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from exporter.domain.chunk import Chunk
from exporter.domain.contact import ContactMapping
from exporter.domain.dialect import UNDECLARED, Dialect
from exporter.domain.planning import PlanLimits, PlanSummary, plan_drop
from exporter.domain.reject import Reject
from exporter.domain.source_file import SourceFile

SAMPLES = Path(__file__).parents[2] / "samples" / "drops"
MAPPING = ContactMapping(email="Email", list_id="5", first_name="FirstName")
LIMITS = PlanLimits()


@dataclass(frozen=True)
class Plan:
    chunks: tuple[Chunk, ...]
    rejects: tuple[Reject, ...]
    summary: PlanSummary

    @property
    def contacts(self) -> list[dict[str, Any]]:
        return [
            contact
            for chunk in self.chunks
            for body in chunk.bodies
            for contact in orjson.loads(body.contacts)
        ]

    @property
    def places(self) -> list[tuple[int, int]]:
        return [
            (place.source, place.row)
            for chunk in self.chunks
            for body in chunk.bodies
            for place in body.places()
        ]

    @property
    def body_sizes(self) -> list[int]:
        return [body.contact_count for chunk in self.chunks for body in chunk.bodies]


def plan(
    *sources: bytes | Iterable[bytes],
    mapping: ContactMapping = MAPPING,
    dialect: Dialect = UNDECLARED,
    limits: PlanLimits = LIMITS,
    **options: Any,
) -> Plan:
    """The plan of sources named `0.csv`, `1.csv` and so on, each as bytes or as blocks.

    `options` are further ones of `plan_drop`.
    """
    chunks: list[Chunk] = []
    rejects: list[Reject] = []
    summary = plan_drop(
        [
            a_file(f"{index}.csv", [source] if isinstance(source, bytes) else source)
            for index, source in enumerate(sources)
        ],
        mapping,
        dialect=dialect,
        limits=limits,
        on_chunk=chunks.append,
        on_reject=rejects.append,
        **options,
    )
    return Plan(tuple(chunks), tuple(rejects), summary)


def a_file(name: str, blocks: Iterable[bytes]) -> SourceFile:
    """A file that gives these blocks; one made by a generator can be read once."""
    return SourceFile(name, lambda: blocks, lambda: BytesIO(b"".join(blocks)))


def cut(data: bytes, ends: Sequence[int]) -> list[bytes]:
    """`data` in blocks that end at `ends` (in order) and at its end."""
    borders = [0, *ends, len(data)]
    return [data[start:end] for start, end in pairwise(borders)]
