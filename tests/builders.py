"""Valid objects of the domain, of which a test spells out only what matters to it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from exporter.domain.configuration import Connection, Consent, Export, Limits, Mapping
from exporter.domain.drop import Source, drop_version
from exporter.domain.facts import BatchEnd, Mask, Outcome, Receipt, SendResult
from exporter.domain.run import Run, RunState, run_id_for

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_connection(id: str = "acme", *, limits: dict[str, Any] | None = None, **changes: Any) -> Connection:  # noqa: A002
    """A connection at the documented limits."""
    return Connection(
        **{
            "id": id,
            "host": f"{id}.api-us1.com",
            "secret": f"activecampaign-{id}",
            "limits": Limits(**(limits or {})),
            "consent": Consent(accepted_by="ann@example.org"),
            **changes,
        }
    )


def an_export(id: str = "vip", *, mapping: dict[str, Any] | None = None, **changes: Any) -> Export:  # noqa: A002
    """An export of the segment of its own name, of addresses alone."""
    return Export(
        **{
            "id": id,
            "connection": "acme",
            "list_id": "5",
            "segments": (id,),
            "mapping": Mapping(**{"email": "Email", **(mapping or {})}),
            **changes,
        }
    )


def a_source(blob: str = "vip/monday.csv", **changes: Any) -> Source:
    """A file in the landing container."""
    return Source(**{"blob": blob, "etag": "0x1", "size": 100, "last_modified": NOON, **changes})


def a_drop(*blobs: str) -> tuple[Source, ...]:
    """The files of a drop; one of the segment `vip` where none is named."""
    return tuple(a_source(blob) for blob in blobs or ("vip/monday.csv",))


def a_run(state: RunState = RunState.QUEUED, *, export: Export | None = None, **changes: Any) -> Run:
    """A run of a drop."""
    export = export or an_export()
    sources = changes.get("sources", a_drop())
    return Run(
        **{
            "run_id": run_id_for(export.id, drop_version(sources), "drop"),
            "segment": export.segments[0],
            "sources": sources,
            "cause": "drop",
            "export": export,
            "connection": a_connection(export.connection),
            "ordered_at": NOON,
            "state": state,
            **changes,
        }
    )


def a_receipt(
    result: SendResult = SendResult.ACCEPTED,
    *,
    part: Mask = 0b1111,
    batch_id: str = "",
    at: float = 1000.0,
    **changes: Any,
) -> Receipt:
    """A receipt of the first body of the first chunk, which holds four contacts."""
    if result is SendResult.ACCEPTED and not batch_id:
        batch_id = "batch-1"
    return Receipt(
        **{
            "chunk": 0,
            "body": 0,
            "epoch": 1,
            "part": part,
            "result": result,
            "at": at,
            "batch_id": batch_id,
            **changes,
        }
    )


def an_outcome(
    end: BatchEnd = BatchEnd.COMPLETED, *, batch_id: str = "batch-1", at: float = 1010.0, **changes: Any
) -> Outcome:
    """The end of a batch of the first body of the first chunk."""
    return Outcome(**{"chunk": 0, "body": 0, "batch_id": batch_id, "end": end, "at": at, **changes})


def a_segment(addresses: Sequence[str]) -> bytes:
    """A segment file of addresses alone."""
    return "".join(f"{line}\r\n" for line in ("Email", *addresses)).encode()


def addresses(count: int, name: str = "ann") -> list[str]:
    """So many different addresses."""
    return [f"{name}{number}@example.org" for number in range(count)]
