"""A person is erased: from files, plans, rejects and dead messages, and kept from coming back.

Suppression comes first: a plan that begins after it leaves the person out. Then the files, so that nobody
reads the person any more; then what planners that had begun before left behind. Whoever is killed in the
middle asks again: each part looks for what is still there.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from exporter.domain.address import match_key
from exporter.domain.configuration import Connection
from exporter.domain.drop import Source
from exporter.domain.erasing import Person, chunk_without, is_persons
from exporter.domain.erasing_files import Found, found_in, without_person
from exporter.domain.facts import Erased, Mask
from exporter.domain.layout import Sign, classify
from exporter.domain.refusal import refusal
from exporter.domain.reject import Reject
from exporter.domain.rejects_file import from_file
from exporter.domain.run import Run
from exporter.domain.source_file import SourceFile
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import StopRunError
from exporter.steps.account_reader import AccountReader, entries_of
from exporter.steps.accounts import open_account
from exporter.steps.deliver import chunk_claim
from exporter.steps.events import Event
from exporter.steps.ports import ChunkPlace, PlanParts, Ports
from exporter.steps.run_progress import read_progress

LOOK_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 900.0
"""So long a planner or a sender that had begun before is waited for."""
REWRITES = 3
RESTORABLE_DAYS = 30
"""So long an administrator of ActiveCampaign can restore a deleted contact
(help.activecampaign.com/hc/en-us/articles/115000349564)."""
UNCOMMITTED_DAYS = 7
"""So long storage keeps blocks of a write that did not come to its end
(learn.microsoft.com/rest/api/storageservices/put-block)."""


@dataclass(frozen=True, slots=True)
class Left:
    """Something that could not be erased here and now."""

    what: str
    until: datetime | None = None
    """When it is gone by itself; None where a person has to do something."""


@dataclass(slots=True)
class Erasure:
    """What was found and erased."""

    at: datetime
    suppressed_since: dict[str, datetime] = field(default_factory=dict)
    """By connection."""
    counts: Counter[str] = field(default_factory=Counter)
    """Files, their rows, contacts of plans, rejects, messages, and contacts deleted in ActiveCampaign."""
    left: list[Left] = field(default_factory=list)


async def erase(
    address: str,
    connections: Sequence[Connection],
    ports: Ports,
    *,
    in_activecampaign: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Erasure:
    """Erase a person everywhere but from the connections that are not named. Safe to repeat.

    `say` is told what takes long. Raises StopRunError and RetryLaterError where ActiveCampaign does not do
    what it is asked to; all else is erased by then.
    """
    person = Person(match_key(address))
    erasure = Erasure(ports.clock.now())
    for connection in connections:
        since = await ports.suppression.add(connection.id, address, erasure.at)
        erasure.suppressed_since[connection.id] = since
    eraser = _Eraser(person, erasure, ports, say)
    await eraser.from_files()
    await eraser.from_plans()
    await eraser.from_reports()
    for delete in (ports.remains.delete_dead_messages, ports.poison.delete):
        erasure.counts["messages"] += await delete(lambda text: person.key in text.lower())
    await eraser.note_what_is_left(in_activecampaign=in_activecampaign)
    ports.telemetry.event(Event.PERSON_ERASED, **erasure.counts)
    if in_activecampaign:
        for connection in {connection.host: connection for connection in connections}.values():
            say(f"Asking {connection.host}.")
            erasure.counts["activecampaign"] += await _delete_there(connection, person, ports)
    return erasure


@dataclass(frozen=True, slots=True)
class _Eraser:
    """Goes through storage; what it finds is counted in `erasure`."""

    person: Person
    erasure: Erasure
    ports: Ports
    say: Callable[[str], None]

    async def from_files(self) -> None:
        """Rewrite every file of the landing container that has rows of the person."""
        for source in await self.ports.drops.folder(""):
            if self.person.key in source.blob.lower():
                self._leave(f"the name of file {source.blob!r} is the address: delete the file")
            if source.size and not isinstance(classify(source.blob, ()), Sign):  # these hold no people
                await self._from_file(source)

    async def _from_file(self, source: Source) -> None:
        present: Source | None = source
        for _ in range(REWRITES):
            if present is None:
                return
            try:
                file = self._file(present)
                found = await asyncio.to_thread(found_in, file, self.person)
                if not found.row_count or await self.ports.drops.rewrite(
                    present, without_person(file, self.person)
                ):
                    self._note(source, found)
                    return
            except StopRunError as error:
                if error.code not in {"superseded", "source_gone"}:
                    self._leave(
                        f"file {source.blob!r} could not be read ({error.code}): look whether the person is "
                        "in it, and delete it then"
                    )
                    return
            present = await self.ports.drops.source(source.blob)
        self._leave(f"file {source.blob!r} is overwritten again and again: erase once more, later")

    def _file(self, source: Source) -> SourceFile:
        drops = self.ports.drops
        return SourceFile(source.blob, partial(drops.read, source), partial(drops.open, source))

    def _note(self, source: Source, found: Found) -> None:
        if found.row_count:
            self.erasure.counts.update(files=1, rows=found.row_count)
        if found.named_in:
            self._leave(
                f"file {source.blob!r} names the person within a longer text, first in line (in Parquet: row)"
                f" {', '.join(map(str, found.named_in))}: look there, and delete the file if it has to go"
            )

    async def from_plans(self) -> None:
        """Take the person out of every chunk and every rejected row that a planner left."""
        async for run in self.ports.runs.open():
            if run.plan_epoch is None:  # whoever reads the drop now may have begun before the suppression
                await self._until_free(f"{run.run_id}/plan", "a plan that is being made")
        async for parts in self.ports.plans.parts():
            run_of_parts = await self.ports.runs.load(parts.run_id)
            places = [place for place in parts.chunks if await self._from_chunk(parts.run_id, place)]
            await self._from_plan_rejects(parts)
            if places and run_of_parts is not None and not run_of_parts.state.final:
                await self._look_who_was_sent(run_of_parts)

    async def _from_chunk(self, run_id: str, place: ChunkPlace) -> bool:
        """Write down who must not be sent; then, when nobody has the chunk in hand, blank it."""
        try:
            chunk = await self.ports.plans.chunk(run_id, place.epoch, place.number)
        except StopRunError:  # retention was quicker
            return False
        left, found = chunk_without(chunk, self.person)
        if not found:
            return False
        facts = [Erased(place.epoch, place.number, body, mask) for body, mask in found.items()]
        await self.ports.facts.write(run_id, _fact_name(place, found), facts)
        # Whoever took the chunk before that may send the person for as long as the claim lasts.
        await self._until_free(chunk_claim(run_id, place.number), "a chunk that is being sent")
        await self.ports.plans.replace_chunk(run_id, place.epoch, left)
        self.erasure.counts["contacts"] += sum(mask.bit_count() for mask in found.values())
        return True

    async def _from_plan_rejects(self, parts: PlanParts) -> None:
        for epoch in parts.rejects:
            rejects = [reject async for reject in self.ports.plans.rejects(parts.run_id, epoch)]
            kept = [reject for reject in rejects if not is_persons(reject, self.person)]
            if len(kept) < len(rejects):
                await self.ports.plans.replace_rejects(parts.run_id, epoch, kept)
                self.erasure.counts["rejects"] += len(rejects) - len(kept)

    async def _look_who_was_sent(self, run: Run) -> None:
        """Say so where ActiveCampaign may still be importing the person."""
        record = await self.ports.plans.record(run.run_id)
        if record is None:
            return
        facts = await self.ports.facts.read(run.run_id)
        gone = [fact for fact in facts if isinstance(fact, Erased) and fact.plan_epoch == record.epoch]
        progress = await read_progress(run, record, self.ports)
        if any(fact.positions & progress.bodies[fact.chunk][fact.body].in_flight for fact in gone):
            self._leave(
                f"run {run.short_id} sent the person to ActiveCampaign, which has not finished the import: "
                "erase once more, with --in-activecampaign, when the run has ended"
            )

    async def from_reports(self) -> None:
        """Write every rejects file anew that lists the person."""
        async for run_id in self.ports.reports.run_ids():
            text = b"".join([block async for block in self.ports.reports.read_rejects(run_id)]).decode()
            rejects = list(from_file(text))
            kept = [reject for reject in rejects if not is_persons(reject, self.person)]
            if len(kept) < len(rejects):
                await self.ports.reports.write_rejects(run_id, _each(kept))
                self.erasure.counts["rejects"] += len(rejects) - len(kept)

    async def note_what_is_left(self, *, in_activecampaign: bool) -> None:
        """Name what goes by itself, with its day."""
        left, at = self.erasure.left, self.erasure.at
        soft_days = await self.ports.remains.soft_delete_days()
        if soft_days:
            left.append(
                Left(
                    f"storage keeps what was deleted or overwritten for {soft_days} days (soft delete)",
                    at + timedelta(days=soft_days),
                )
            )
        left.append(
            Left(
                "blocks of writes that did not come to their end, if there were any",
                at + timedelta(days=UNCOMMITTED_DAYS),
            )
        )
        if in_activecampaign:
            left.append(
                Left(
                    "an administrator of ActiveCampaign can restore a deleted contact until then",
                    at + timedelta(days=RESTORABLE_DAYS),
                )
            )

    async def _until_free(self, claim: str, what: str) -> None:
        """Wait until nobody has a claim, or for a quarter of an hour."""
        waited_seconds = 0.0
        while not await self.ports.claims.free(claim):
            if not waited_seconds:
                self.say(f"Waiting for {what}.")
            if waited_seconds >= LONGEST_WAIT_SECONDS:
                self._leave(f"{what} does not come to its end: erase once more when the run has ended")
                return
            await self.ports.clock.sleep(LOOK_SECONDS)
            waited_seconds += LOOK_SECONDS

    def _leave(self, what: str) -> None:
        self.erasure.left.append(Left(what))


async def _delete_there(connection: Connection, person: Person, ports: Ports) -> int:
    """Delete the contacts with the person's address, and ask again whether they are gone.

    Raises StopRunError("not_deleted") where ActiveCampaign still shows one.
    """
    account = await open_account(connection, ports)
    async with ports.destinations.open(connection) as destination:
        reader = AccountReader(destination, account, connection, holds_account=False)
        found = await _contacts(reader, person)
        for contact_id in found:
            answer = await reader.read(f"contacts/{contact_id}", ask=destination.delete)
            if isinstance(answer, Verdict) and answer.kind is not VerdictKind.MISSING:
                raise refusal(connection, answer)
        if found and await _contacts(reader, person):
            raise StopRunError(
                "not_deleted",
                f"{connection.host} took the deletion and still shows the contact: look there, and mind the "
                "account's monthly limit of deletions",
            )
    return len(found)


async def _contacts(reader: AccountReader, person: Person) -> list[str]:
    """The ids of the contacts with the person's address; the filter is an exact match
    (developers.activecampaign.com/reference/list-all-contacts)."""
    answer = await reader.need("contacts", {"email": person.key, "limit": "100"})
    return [
        str(entry["id"])
        for entry in entries_of(answer, "contacts")
        if match_key(str(entry.get("email", ""))) == person.key and str(entry.get("id", "")).isdecimal()
    ]


def _fact_name(place: ChunkPlace, found: dict[int, Mask]) -> str:
    """The same people give the same name: whoever is killed after it writes it again."""
    digest = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:12]
    return f"erased-{place.epoch:04d}-{place.number:05d}-{digest}"


async def _each(rejects: Sequence[Reject]) -> AsyncIterator[Reject]:
    for reject in rejects:
        yield reject
