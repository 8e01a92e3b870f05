"""Planning: the bytes of a drop become chunks of contacts and rejects, every row one or the other."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import Final

import orjson

from exporter.domain.address import PLAIN_ADDRESS, address_fault, with_ascii_domain
from exporter.domain.chunk import MAX_BODY_BYTES, MAX_BODY_CONTACTS, MAX_CHUNK_BODIES, Chunk
from exporter.domain.configuration import Content
from exporter.domain.contact import ContactMapping, contact_builder
from exporter.domain.delta import Changes, in_reading_order
from exporter.domain.dialect import UNDECLARED, Dialect, Reading
from exporter.domain.operations import (
    Operation,
    find_operation_column,
    is_surely_removal,
    may_be_operation,
    refuse_late_removal,
    undecided_columns,
    why_unknown,
)
from exporter.domain.packing import Packer
from exporter.domain.reading import ReadingWatch
from exporter.domain.reject import Reject, RejectReason, UnfitRow
from exporter.domain.source_file import SourceFile
from exporter.domain.suppression import NOBODY, Suppressed
from exporter.domain.table import Table, Wanted, open_table
from exporter.domain.wording import shown
from exporter.errors import StopRunError

MAX_REJECTED_CHARACTERS: Final = 1000
"""So much is listed of what stands in the place of an address; an address has at most 254."""


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What a drop may be, and how large its chunks become.

    `max_rows` and `max_bytes` (uncompressed) are of all sources together; `max_ratio` is how many times its
    size a gzip source may grow, looked at after its first 10 MB. A row with a value of more than
    `value_characters` is rejected: where it is not mapped, it may still have swallowed rows after it.
    """

    max_rows: int = 20_000_000
    max_bytes: int = 4 * 1024**3
    max_ratio: int = 200
    value_characters: int = 131_072
    chunk_bodies: int = MAX_CHUNK_BODIES
    body_contacts: int = MAX_BODY_CONTACTS
    body_bytes: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What became of the rows: `rows = rejected + duplicates + suppressed + unchanged + contacts`.

    The two tuples have one number per chunk, in order; `reasons` counts the rejects by reason.
    """

    rows: int
    rejected: int
    duplicates: int
    contacts: int
    bodies_per_chunk: tuple[int, ...]
    contacts_per_chunk: tuple[int, ...]
    reasons: dict[str, int]
    suppressed: int = 0
    unchanged: int = 0
    """Rows of a delta drop that ask to leave, which nothing is sent for, or that say how somebody was."""
    readings: tuple[Reading, ...] = ()
    """How the files were read, each different way once."""


def plan_drop(
    files: Sequence[SourceFile],
    mapping: ContactMapping,
    *,
    content: Content = "snapshot",
    dialect: Dialect = UNDECLARED,
    limits: PlanLimits = PlanLimits(),
    on_chunk: Callable[[Chunk], None],
    on_reject: Callable[[Reject], None],
    keep_going: Callable[[], None] | None = None,
    first: int | None = None,
    suppressed: Suppressed = NOBODY,
) -> PlanSummary:
    """Read, check and pack a drop as it streams by, each chunk handed on as soon as it is full.

    The files are read in the order of their names. Of several rows for one address the first that can be
    sent counts in a snapshot. In a `delta` the last one counts whose operation is known, and the drop is
    read twice.

    `dialect` is what is declared of the files. `keep_going` is called every some thousand rows; what it
    raises ends the plan. The same bytes, mapping and limits give the same chunks and rejects, however the
    blocks are cut. With `first` the plan ends, and counts, at the row that gives the contact of that number
    (from 1); what follows is not packed. Every row of a person whom `suppressed` holds is counted and
    left out.

    Raises StopRunError for a drop that can't be read whole; chunks handed on before that are void.
    """
    planner = _Planner(mapping, limits, on_chunk, on_reject, suppressed, first)
    changes = Changes(mapping.operation) if content == "delta" else None
    mapped = mapping.columns()

    def tables(wanted: Wanted | None = None) -> Iterator[tuple[int, Table]]:
        watch = ReadingWatch(limits.max_bytes, keep_going)
        for index, file in in_reading_order(files):
            table = open_table(
                file,
                dialect,
                changes.columns_of(index, mapped) if changes else mapped,
                watch,
                max_ratio=limits.max_ratio,
                max_rows=limits.max_rows,
                wanted=wanted,
            )
            if table.header:
                yield index, table

    if changes is not None:
        for index, table in tables(may_be_operation if changes.declared is None else None):
            planner.look_over(index, table, changes)
        changes.looked_over()
        planner.rows = 0
    open_headers = []
    for index, table in tables():
        if table.at_open_end:
            open_headers.append(table.name)
        if changes is None:
            planner.take(index, table)
            planner.note(table.reading)
        else:
            planner.take_changes(index, table, changes)
            planner.note(replace(table.reading, found=(*table.reading.found, *changes.found(index))))
        if planner.enough:
            return planner.finish()
    if not planner.rows:
        raise StopRunError(
            "empty_drop", "The drop has no data rows. Nothing was sent, and no contact was changed."
        )
    if open_headers:
        raise StopRunError(
            "cut_off",
            f"{shown(open_headers[0])} ends within its header line, while other files of the drop have rows."
            " It is cut off. Drop the whole file again.",
        )
    return planner.finish()


def judge_size(stored_bytes: int, limits: PlanLimits = PlanLimits()) -> None:
    """Refuse a drop whose files, as stored, are too large already: nothing of it needs to be read.

    Raises StopRunError("too_large").
    """
    if stored_bytes > limits.max_bytes:
        raise StopRunError(
            "too_large",
            f"The files of the drop have {stored_bytes:,} bytes; a drop may have {limits.max_bytes:,}"
            " (uncompressed). Nothing was read or sent. Split the segment into several smaller ones.",
        )


class _EnoughError(Exception):
    """The contacts that were asked for are packed: nothing more needs to be read."""


@dataclass(slots=True)
class _Planner:
    """What a plan remembers from one source to the next."""

    mapping: ContactMapping
    limits: PlanLimits
    on_chunk: Callable[[Chunk], None]
    on_reject: Callable[[Reject], None]
    suppressed: Suppressed
    first: int | None = None
    enough: bool = False
    """Whether the first contacts that were asked for are there."""
    rows: int = 0
    duplicates: int = 0
    suppressed_count: int = 0
    unchanged: int = 0
    packed: int = 0
    """Contacts until now, where only the first ones are asked for."""
    reasons: Counter[str] = field(default_factory=Counter)
    seen: set[bytes] = field(default_factory=set)
    """A digest of 16 bytes for each address, so that memory is bounded by their number, not their length."""
    packer: Packer = field(init=False)
    readings: dict[tuple[Dialect, tuple[str, ...]], Reading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.packer = Packer(
            self.on_chunk,
            chunk_bodies=self.limits.chunk_bodies,
            body_contacts=self.limits.body_contacts,
            body_bytes=self.limits.body_bytes,
        )

    def note(self, reading: Reading) -> None:
        """Remember how a file is read, or that one more is read like one before it."""
        way = (reading.dialect, reading.found)
        alike = self.readings.get(way)
        self.readings[way] = replace(alike, files=alike.files + 1) if alike else reading

    def take(self, source: int, table: Table) -> None:
        """Every row of `table`, the drop's source number `source`, becomes a contact, a reject or a repeat.

        The one loop that runs per row: it keeps what it uses in local names.
        """
        width, email_at = len(table.header), table.header.index(self.mapping.email)
        build, to_json = contact_builder(self.mapping, table.header), orjson.dumps
        is_plain, digest = PLAIN_ADDRESS.fullmatch, blake2b
        seen, remember = self.seen, self.seen.add
        pack = self.packer.add if self.first is None else self._pack_first
        max_contact_bytes = self.packer.max_contact_bytes
        max_characters, joined = self.limits.value_characters, "".join
        max_number = self.limits.max_rows - self.rows
        number = duplicates = suppressed_count = 0
        is_suppressed = self.suppressed.question
        reject = partial(self._reject, table.name, email_at)
        try:
            for row in table.rows:
                number += 1
                if number > max_number:
                    raise self._too_many_rows(table)
                if len(row) != width or len(joined(row)) > max_characters:
                    misfit = self._misfit(table, number, row)
                    if misfit:
                        reject(number, row, *misfit)
                        continue
                address = row[email_at].strip()
                if not is_plain(address) and not (address := _second_look(address, number, row, reject)):
                    continue
                key = digest(address.lower().encode(), digest_size=16).digest()
                if key in seen:
                    duplicates += 1
                    continue
                if is_suppressed is not None and is_suppressed(address):
                    suppressed_count += 1
                    continue
                contact = to_json(build(row, address))
                if len(contact) > max_contact_bytes:
                    reject(number, row, *_too_large(len(contact)))
                    continue
                remember(key)
                pack(contact, source, number)
        except csv.Error as error:
            raise table.unreadable(error, number + 1) from error
        except _EnoughError:
            self.enough = True
        self.rows += number
        self.duplicates += duplicates
        self.suppressed_count += suppressed_count

    def look_over(self, source: int, table: Table, changes: Changes) -> None:
        """Find out which row of each address is the last one that says anything."""
        column, column_at = None, 0
        undecided: dict[str, int] = {}
        for _, row, address in self._addressed(table, _pass_over):
            if source not in changes.columns:
                column = find_operation_column(table.name, table.header, row, changes.declared)
                changes.columns[source] = column
                column_at = table.header.index(column.name) if column else 0
                names = undecided_columns(table.header) if column is None else []
                undecided = {name: table.header.index(name) for name in names}
            for name, at in undecided.items():
                if is_surely_removal(row[at]):
                    raise refuse_late_removal(table.name, name)
            operation = Operation.UPSERT if column is None else column.read(row[column_at])
            if operation not in {None, Operation.NOTHING}:
                changes.note(_key(address), self.rows)

    def take_changes(self, source: int, table: Table, changes: Changes) -> None:
        """Every row of `table` becomes a contact, a reject, a repeat, or changes nothing."""
        email_at = table.header.index(self.mapping.email)
        build = contact_builder(self.mapping, table.header)
        pack = self.packer.add if self.first is None else self._pack_first
        reject = partial(self._reject, table.name, email_at)
        column, most = changes.columns.get(source), self.packer.max_contact_bytes
        column_at = table.header.index(column.name) if column else 0
        holds = self.suppressed.question
        try:
            for number, row, address in self._addressed(table, reject):
                if holds is not None and holds(address):
                    self.suppressed_count += 1
                    continue
                operation = Operation.UPSERT if column is None else column.read(row[column_at])
                if column is not None and operation is None:
                    why = why_unknown(column.name, row[column_at])
                    reject(number, row, RejectReason.UNKNOWN_OPERATION, why)
                elif operation is Operation.NOTHING:
                    self.unchanged += 1
                elif not changes.is_last(_key(address), self.rows):
                    self.duplicates += 1
                elif operation is Operation.LEAVE:
                    self.unchanged += 1
                elif (size := len(contact := orjson.dumps(build(row, address)))) > most:
                    reject(number, row, *_too_large(size))
                else:
                    pack(contact, source, number)
        except _EnoughError:
            self.enough = True

    def _addressed(
        self, table: Table, reject: Callable[..., None]
    ) -> Iterator[tuple[int, Sequence[str], str]]:
        """The rows that have the right shape and an address that can be sent: (number, row, address).

        `rows` has counted all of them, also those of the files before.
        """
        width, email_at = len(table.header), table.header.index(self.mapping.email)
        number = 0
        try:
            for row in table.rows:
                number += 1
                self.rows += 1
                if self.rows > self.limits.max_rows:
                    raise self._too_many_rows(table)
                if len(row) != width or sum(map(len, row)) > self.limits.value_characters:
                    misfit = self._misfit(table, number, row)
                    if misfit:
                        reject(number, row, *misfit)
                        continue
                address = row[email_at].strip()
                if PLAIN_ADDRESS.fullmatch(address) or (
                    address := _second_look(address, number, row, reject)
                ):
                    yield number, row, address
        except csv.Error as error:
            raise table.unreadable(error, number + 1) from error

    def _misfit(self, table: Table, number: int, row: Sequence[str]) -> tuple[RejectReason, str] | None:
        """What is wrong with the shape of a row that may be too short, too wide or too long, if anything.

        Raises StopRunError for one that is cut off.
        """
        if isinstance(row, UnfitRow):
            return row.reason, row.detail
        width, longest, most = len(table.header), max(map(len, row)), self.limits.value_characters
        if len(row) < width and table.at_open_end:
            raise table.cut_off(number, len(row))
        if len(row) != width:
            return RejectReason.WRONG_COLUMN_COUNT, f"{width} columns expected, {len(row)} found"
        if longest > most:
            return (
                RejectReason.VALUE_TOO_LONG,
                f"{longest:,} characters in a value, {most:,} at most; has a stray quote joined lines?",
            )
        return None

    def _pack_first(self, contact: bytes, source: int, row: int) -> None:
        self.packer.add(contact, source, row)
        self.packed += 1
        if self.packed == self.first:
            raise _EnoughError

    def finish(self) -> PlanSummary:
        """Hand over the last chunk, and say what there was."""
        self.packer.finish()
        return PlanSummary(
            rows=self.rows,
            rejected=self.reasons.total(),
            duplicates=self.duplicates,
            contacts=sum(self.packer.contacts_per_chunk),
            bodies_per_chunk=tuple(self.packer.bodies_per_chunk),
            contacts_per_chunk=tuple(self.packer.contacts_per_chunk),
            reasons=dict(self.reasons),
            suppressed=self.suppressed_count,
            unchanged=self.unchanged,
            readings=tuple(self.readings.values()),
        )

    def _reject(
        self, source: str, email_at: int, number: int, row: Sequence[str], reason: RejectReason, detail: str
    ) -> None:
        self.reasons[reason.value] += 1
        email = row[email_at] if email_at < len(row) else ""
        if len(email) > MAX_REJECTED_CHARACTERS:
            email = f"{email[:MAX_REJECTED_CHARACTERS]}…"
        self.on_reject(Reject(source, number, reason, detail, email))

    def _too_many_rows(self, table: Table) -> StopRunError:
        return StopRunError(
            "too_large",
            f"{shown(table.name)} takes the drop over {self.limits.max_rows:,} rows, the most that a drop"
            " may have. Split the segment into several smaller ones.",
        )


def _pass_over(*_: object) -> None:
    """Takes rejects of the first reading, which the second one lists."""


def _key(address: str) -> bytes:
    return blake2b(address.lower().encode(), digest_size=16).digest()


def _too_large(size: int) -> tuple[RejectReason, str]:
    return RejectReason.CONTACT_TOO_LARGE, f"{size:,} bytes as JSON"


def _second_look(address: str, number: int, row: Sequence[str], reject: Callable[..., None]) -> str:
    """An unusual address as it can be sent; "" for one that can't, whose row is rejected."""
    ascii_address = with_ascii_domain(address)
    if not ascii_address:
        reject(number, row, *_why_unsendable(address))
    return ascii_address or ""


def _why_unsendable(address: str) -> tuple[RejectReason, str]:
    if not address:
        return RejectReason.MISSING_EMAIL, "the e-mail column is empty"
    return RejectReason.INVALID_EMAIL, address_fault(address)
