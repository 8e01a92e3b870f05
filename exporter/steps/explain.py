"""Explaining a file: what it is, what its drop waits for, how it is read, and what the exports would do.

Nothing is written, and ActiveCampaign is asked nothing.
"""

import asyncio
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import orjson

from exporter.domain.blob_name import blob_in
from exporter.domain.chunk import Chunk
from exporter.domain.configuration import Export
from exporter.domain.contact import ContactMapping, FieldTarget
from exporter.domain.dialect import Dialect, Reading
from exporter.domain.drop import DropRecord
from exporter.domain.layout import Drop, Junk, Place, Sign, Stray
from exporter.domain.mismatch import mismatch
from exporter.domain.planning import PlanLimits, plan_drop
from exporter.domain.reading import ReadingWatch
from exporter.domain.recipe import Recipe
from exporter.domain.reject import Reject
from exporter.domain.run import Run
from exporter.domain.source_file import SourceFile
from exporter.domain.suppression import Suppressed
from exporter.domain.table import Table, open_table
from exporter.domain.watermark import Watermark
from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError
from exporter.steps.join import is_earlier_state, run_that_has
from exporter.steps.landing import Look, look
from exporter.steps.plan import source_file
from exporter.steps.ports import Ports, Stored, StoredExport
from exporter.steps.preflight import contact_mapping
from exporter.steps.receive import DROP_CAUSE, is_for, why_nobody

MAX_DROPS_READ: Final = 5
"""A manifest may speak of hundreds; of further ones no file is read."""
MAX_FILES_READ: Final = 20
"""Of so many files of a drop the beginning is read, to tell how each is written."""
MAX_REJECTS: Final = 10
MAX_FILES_NAMED: Final = 10
ROWS_LOOKED_AT: Final = 100
READ_SECONDS: Final = 60.0
"""Somebody waits for the answer: reading ends after this, for each export."""


class Kind(StrEnum):
    """What a blob is."""

    DATA = "data"
    SIGN = "sign"
    JUNK = "junk"
    UNRECOGNISED = "unrecognised"


class Outcome(StrEnum):
    """What an export does with a drop."""

    RUN = "run"
    JOIN = "join"
    """Its files go into a run that has the earlier ones."""
    WAIT = "wait"
    RECORDED = "recorded"
    OLDER_THAN_EXPORT = "older_than_export"
    SUPERSEDED = "superseded"
    NO_CONNECTION = "no_connection"


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe that was tried, and why it does not take the blob; "" for the one that does."""

    recipe: Recipe
    why_not: str


@dataclass(frozen=True, slots=True)
class FileReading:
    """How a file is read, or why it can't be."""

    name: str
    reading: Reading | None
    header: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ExportView:
    """What an export would make of a drop."""

    export_id: str
    outcome: Outcome
    detail: str
    """The same for people, with what to do about it."""
    run_ids: tuple[str, ...] = ()
    contacts: tuple[dict[str, Any], ...] = ()
    """The first ones as they would be sent, `fields` by the references of the mapping."""
    rejects: tuple[Reject, ...] = ()
    """What would be rejected before the last of these contacts."""
    problem: str = ""
    """Why there are no contacts: a run would end with this."""


@dataclass(frozen=True, slots=True)
class DropView:
    """A drop that the blob belongs to or speaks of."""

    drop: Drop
    files: tuple[FileReading, ...] = ()
    exports: tuple[ExportView, ...] = ()
    nobody: str = ""
    """Why no export takes it, and what to do."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that can be said of a blob without touching anything."""

    blob: str
    exists: bool
    kind: Kind
    why: str
    """Of what holds no rows, is in no drop or is not known: why."""
    tried: tuple[Tried, ...]
    drops: tuple[DropView, ...]


async def explain(text: str, ports: Ports, *, container: str, rows: int) -> Explanation:
    """What the blob is that a person names; `rows` contacts are shown of each export.

    Raises ConfigurationError for the address of a blob in another container than `container`.
    """
    blob = await _meant(text, container, ports)
    source = await ports.drops.source(blob)
    found = await look(blob, ports)
    kind, why = _kind(found)
    if kind is Kind.DATA and source is not None and not found.drops:
        why = "it is in no drop: it stands for a folder, or what says which files count leaves it out"
    views = [
        await _view(drop, ports, rows=rows if number < MAX_DROPS_READ else 0)
        for number, drop in enumerate(found.drops)
    ]
    return Explanation(blob, source is not None, kind, why, tuple(_tried(found)), tuple(views))


async def _meant(text: str, container: str, ports: Ports) -> str:
    """The blob that a person means, who may have put the container's name in front."""
    blob = blob_in(container, text)
    in_front = f"{container}/"
    if blob != text or not blob.startswith(in_front) or await ports.drops.source(blob) is not None:
        return blob
    return blob.removeprefix(in_front)


def _kind(found: Look) -> tuple[Kind, str]:
    match found.meaning:
        case Junk(why):
            return Kind.JUNK, why
        case Stray(why):
            return Kind.UNRECOGNISED, why
        case Sign():
            entries = found.manifests.get(found.blob, ())
            if isinstance(entries, str):
                return Kind.SIGN, f"a manifest {entries}"
            faults = [f"table {shown(entry.name)}: {entry.fault}" for entry in entries if entry.fault]
            listed = [blob for entry in entries for blob in entry.blobs]
            if listed and not found.drops:
                faults.append(
                    f"of the files that it lists none is there: {shown_list(listed, MAX_FILES_NAMED)}"
                )
            return Kind.SIGN, "; ".join(faults)
        case Place():
            return Kind.DATA, ""


def _tried(found: Look) -> Iterator[Tried]:
    """The recipes in their order, up to the one that takes the blob."""
    if not isinstance(found.meaning, Place | Stray):
        return
    for recipe in found.recipes:
        why_not = mismatch(recipe, found.blob)
        yield Tried(recipe, why_not)
        if not why_not:
            return


async def _view(drop: Drop, ports: Ports, *, rows: int) -> DropView:
    """A drop, and what the exports of its segment would do with it; with no `rows` no file is read."""
    exports = await ports.registry.exports()
    connections = await ports.registry.connections()
    wanting = [stored for stored in exports.values() if drop.segment in stored.value.segments]
    record = await ports.drops.recorded(drop.version) if drop.files else None
    files = [source_file(source, ports) for source in drop.files]
    columns = _mapping(wanting[0].value).columns() if wanting else ()
    readings = [
        await asyncio.to_thread(_read_beginning, file, drop.dialect, columns, _deadline(ports))
        for file in (files[:MAX_FILES_READ] if rows else ())
    ]
    views = []
    for stored in wanting:
        outcome = await _outcome(drop, stored, connections, record, ports)
        if rows and files:
            suppressed = await ports.suppression.load(stored.value.connection)
            first = await asyncio.to_thread(
                _first_rows, stored.value, files, drop.dialect, suppressed, rows, _deadline(ports)
            )
        else:
            first = _FirstRows()
        views.append(
            ExportView(
                stored.value.id,
                *outcome,
                contacts=tuple(first.contacts),
                rejects=tuple(first.rejects),
                problem=first.problem,
            )
        )
    nobody = "" if wanting else why_nobody(drop.segment, [], exports).message
    return DropView(drop, tuple(readings), tuple(views), nobody)


async def _outcome(
    drop: Drop,
    stored: StoredExport,
    connections: dict[str, Stored[Any]],
    record: DropRecord | None,
    ports: Ports,
) -> tuple[Outcome, str, tuple[str, ...]]:
    """What an export would do, or has done, in a word, a sentence and the ids of runs."""
    export = stored.value
    sends_it = f"`exporter export run {export.id}` sends the newest drop of the segment"
    if record is not None:
        return await _recorded(export, record, sends_it, ports)
    if export.connection not in connections:
        return (
            Outcome.NO_CONNECTION,
            f"does nothing: its connection '{export.connection}' is not there",
            (),
        )
    if not drop.complete:
        return Outcome.WAIT, f"waits until the drop is whole: {drop.waits_for}", ()
    if not is_for(drop, stored):
        older = "does nothing: the drop is older than its last change, which waits for a new one"
        return Outcome.OLDER_THAN_EXPORT, f"{older}; {sends_it}", ()
    joined = await _run_to_join(export, drop, ports)
    if joined is not None:
        return Outcome.JOIN, f"adds the files to run {joined.short_id}", (joined.run_id,)
    had = await run_that_has(export, drop, ports)
    if had is not None:
        return Outcome.RECORDED, f"does nothing: run {had.short_id} has all of the files", (had.run_id,)
    newer = await ports.watermarks.load(export.id, drop.segment)
    if newer is not None and _is_older(drop, newer, export, ports):
        return (
            Outcome.SUPERSEDED,
            f"sends nothing: run {newer.run_id[:12]} has a newer drop of the segment",
            (newer.run_id,),
        )
    held = (await ports.pauses.load()).over(export.connection)
    return Outcome.RUN, f"runs; nothing is sent while {held}" if held else "runs", ()


async def _recorded(
    export: Export, record: DropRecord, sends_it: str, ports: Ports
) -> tuple[Outcome, str, tuple[str, ...]]:
    """What became of a drop that was taken up before."""
    runs = [run for run_id in record.run_ids if (run := await ports.runs.load(run_id)) is not None]
    own = [run for run in runs if run.export_id == export.id]
    if own:
        told = ", ".join(f"{run.short_id} ({run.state.value.replace('_', ' ')})" for run in own)
        return Outcome.RECORDED, f"has taken the drop up: run {told}", tuple(run.run_id for run in own)
    return Outcome.RECORDED, f"does nothing: the drop was taken up before without it; {sends_it}", ()


async def _run_to_join(export: Export, drop: Drop, ports: Ports) -> Run | None:
    """The open run of an export that has fewer files of the drop and would still take the others."""
    async for run in ports.runs.open():
        is_exports = run.export_id == export.id and run.cause == DROP_CAUSE
        if is_exports and run.takes_late_parts and is_earlier_state(run.sources, drop):
            return run
    return None


def _is_older(drop: Drop, newer: Watermark, export: Export, ports: Ports) -> bool:
    mark = Watermark(
        run_id="",
        dropped_at=drop.dropped_at,
        blob=max(file.blob for file in drop.files),
        ordered_at=ports.clock.now(),
        content=export.content,
    )
    return newer.newer_than(mark)


def _deadline(ports: Ports) -> Callable[[], None]:
    """What raises once reading has taken too long for somebody who waits."""
    ends_at = ports.clock.monotonic() + READ_SECONDS

    def check() -> None:
        if ports.clock.monotonic() > ends_at:
            raise StopRunError(
                "too_slow",
                f"no row was shown within {READ_SECONDS:g} s; a run has more time to read the drop",
            )

    return check


def _read_beginning(
    file: SourceFile, dialect: Dialect, columns: tuple[str, ...], keep_going: Callable[[], None]
) -> FileReading:
    """How a file is read, from its first rows; blocking."""
    limits = PlanLimits()
    watch = ReadingWatch(limits.max_bytes, keep_going)
    try:
        table = open_table(
            file, dialect, columns, watch, max_ratio=limits.max_ratio, max_rows=limits.max_rows
        )
        _look_at_rows(table)
    except StopRunError as error:
        return FileReading(file.name, None, problem=str(error))
    return FileReading(file.name, table.reading, tuple(table.header))


def _look_at_rows(table: Table) -> None:
    """Read some rows, so that what only they show is found out. Raises StopRunError for an unreadable one."""
    row_number = 1
    try:
        for _ in islice(table.rows, ROWS_LOOKED_AT):
            row_number += 1
    except csv.Error as error:
        raise table.unreadable(error, row_number) from error


@dataclass(slots=True)
class _FirstRows:
    """What the beginning of a plan gives."""

    contacts: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    problem: str = ""

    def reject(self, reject: Reject) -> None:
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(reject)


def _first_rows(
    export: Export,
    files: list[SourceFile],
    dialect: Dialect,
    suppressed: Suppressed,
    rows: int,
    keep_going: Callable[[], None],
) -> _FirstRows:
    """The first contacts as a plan makes them; blocking."""
    first = _FirstRows()
    references = [*export.mapping.fields.values()]

    def take(chunk: Chunk) -> None:
        for body in chunk.bodies:
            first.contacts += [_by_reference(contact, references) for contact in orjson.loads(body.contacts)]

    try:
        plan_drop(
            files,
            _mapping(export),
            content=export.content,
            dialect=dialect,
            on_chunk=take,
            on_reject=first.reject,
            keep_going=keep_going,
            first=rows,
            suppressed=suppressed,
        )
    except StopRunError as error:
        first.problem = str(error)
    return first


def _mapping(export: Export) -> ContactMapping:
    """The export's mapping with its fields numbered: nobody asks ActiveCampaign for their ids and types."""
    columns = enumerate(export.mapping.fields)
    return contact_mapping(export, tuple((column, FieldTarget(number, "text")) for number, column in columns))


def _by_reference(contact: dict[str, Any], references: list[str]) -> dict[str, Any]:
    """A contact with its fields by the mapping's references, and without the list, which is the export's."""
    values = {key: value for key, value in contact.items() if key not in {"fields", "subscribe"}}
    if "fields" in contact:
        values["fields"] = {references[each["id"]]: each["value"] for each in contact["fields"]}
    return values
