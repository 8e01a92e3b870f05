"""The stores against the real emulator."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from azure.storage.blob.aio import BlobClient

from exporter.adapters.budgets import BlobBudgetStore
from exporter.adapters.claims import SKEW, BlobClaimStore
from exporter.adapters.clock import SystemClock
from exporter.adapters.drops import BlobDropStore
from exporter.adapters.facts import BlobFactStore
from exporter.adapters.pauses import BlobPauseStore
from exporter.adapters.plans import BlobPlanStore
from exporter.adapters.registry import BlobRegistry
from exporter.adapters.reports import BlobReportStore
from exporter.adapters.runs import BlobRunStore
from exporter.domain import budget as rules
from exporter.domain.budget import AccountBudget
from exporter.domain.chunk import Body, Chunk
from exporter.domain.configuration import Connection, Export
from exporter.domain.dialect import Dialect
from exporter.domain.drop import DropRecord
from exporter.domain.facts import Receipt, SendResult, Tally
from exporter.domain.pause import Pause, Pauses
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.reject import Reject, RejectReason
from exporter.domain.run import PlanRecord, Run, RunState
from exporter.errors import ConfigurationError, ConflictError, StopRunError
from exporter.steps.ports import Claim
from tests.storage.conftest import Ground

RUN = "0123456789abcdef0123456789abcdef"
EXPORT = Export.model_validate(
    {"id": "vip", "connection": "acme", "list_id": "5", "segments": ["vip"], "mapping": {"email": "Email"}}
)
CONNECTION = Connection.model_validate(
    {
        "id": "acme",
        "host": "acme.api-us1.com",
        "secret": "activecampaign-acme",
        "consent": {"accepted_by": "ann@example.org"},
    }
)


RECIPE = Recipe(
    id="nightly",
    pattern="unload/{segment}/{drop}/data_{part}.csv.gz",
    complete=(Completeness.MARKER, Completeness.QUIET),
    quiet_seconds=120,
    dialect=Dialect(header=False, columns=("Email", "City"), delimiter="\t", null="\\N", quote="none"),
)


class SteppingClock(SystemClock):
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """The system's time and what was added to it."""
        return super().now() + self.ahead


def a_run() -> Run:
    return Run(
        run_id=RUN,
        segment="vip",
        sources=(),
        cause="drop",
        export=EXPORT,
        connection=CONNECTION,
        ordered_at=datetime.now(UTC),
    )


async def test_connections_and_exports_come_back_as_they_were_put(ground: Ground) -> None:
    registry = BlobRegistry(ground.documents)
    await registry.put_connection(CONNECTION, etag=None)
    await registry.put_export(EXPORT, etag=None)

    stored = (await registry.exports())["vip"]

    assert (await registry.connections())["acme"].value == CONNECTION
    assert stored.value == EXPORT
    assert abs(stored.active_since - datetime.now(UTC)) < timedelta(minutes=1)
    renamed = EXPORT.model_copy(update={"name": "Better name"})
    await registry.put_export(renamed, etag=stored.etag)
    assert (await registry.exports())["vip"].value == renamed
    with pytest.raises(ConflictError):
        await registry.put_export(EXPORT, etag=stored.etag)
    await registry.remove_export("vip", etag=(await registry.exports())["vip"].etag)
    assert await registry.exports() == {}


async def test_recipes_come_back_as_they_were_put(ground: Ground) -> None:
    registry = BlobRegistry(ground.documents)
    assert await registry.recipes() == {}
    await registry.put_recipe(RECIPE, etag=None)
    stored = (await registry.recipes())["nightly"]
    assert stored.value == RECIPE
    patient = RECIPE.model_copy(update={"quiet_seconds": 600})
    await registry.put_recipe(patient, etag=stored.etag)
    assert (await BlobRegistry(ground.documents).recipes())["nightly"].value == patient
    with pytest.raises(ConflictError, match="nightly was changed"):
        await registry.put_recipe(RECIPE, etag=stored.etag)
    with pytest.raises(ConflictError):
        await registry.remove_recipe("nightly", etag=stored.etag)
    await registry.remove_recipe("nightly", etag=(await registry.recipes())["nightly"].etag)
    assert await registry.recipes() == {}


async def test_a_run_is_created_once_and_swapped(ground: Ground) -> None:
    runs = BlobRunStore(ground.documents)
    run = a_run()

    assert await runs.create(run)
    assert not await runs.create(run)
    await runs.update(RUN, lambda current: current.model_copy(update={"state": RunState.PLANNING}))
    loaded = await runs.load(RUN)
    assert loaded is not None
    assert loaded.state is RunState.PLANNING
    assert [found.run_id async for found in runs.all()] == [RUN]
    assert [found.run_id async for found in runs.open()] == [RUN]
    await runs.update(RUN, lambda current: current.model_copy(update={"state": RunState.FAILED}))
    assert [found.run_id async for found in runs.open()] == []
    assert [found.run_id async for found in runs.all()] == [RUN]
    with pytest.raises(StopRunError):
        await runs.update("f" * 32, lambda current: current)


async def test_a_run_that_is_reopened_is_found_among_the_open_ones_again(ground: Ground) -> None:
    runs = BlobRunStore(ground.documents)
    await runs.create(a_run())
    await runs.update(RUN, lambda run: run.model_copy(update={"state": RunState.CANCELLED}))
    assert [run async for run in runs.open()] == []

    def reopen(run: Run) -> Run:
        return run.model_copy(update={"state": RunState.DELIVERING}) if run.state.final else run

    for _ in range(2):
        assert (await runs.reopen(RUN, reopen)).state is RunState.DELIVERING
        assert [run.run_id async for run in runs.open()] == [RUN]


async def test_a_run_that_is_just_being_ordered_keeps_its_mark(ground: Ground) -> None:
    runs = BlobRunStore(ground.documents)
    await ground.documents.create(f"open-runs/{RUN}", b"")
    assert [run async for run in runs.open()] == []

    await ground.documents.create(f"runs/{RUN}.json", a_run().model_dump_json().encode())

    assert [run.run_id async for run in runs.open()] == [RUN]


async def test_a_reopening_that_was_cut_short_is_mended_by_repeating_it(ground: Ground) -> None:
    runs = BlobRunStore(ground.documents)
    await runs.create(a_run())
    await ground.documents.clear(f"open-runs/{RUN}")

    await runs.reopen(RUN, lambda run: run)

    assert [run.run_id async for run in runs.open()] == [RUN]


async def test_pauses_are_swapped_and_seen_by_everybody(ground: Ground) -> None:
    mine, theirs = BlobPauseStore(ground.documents), BlobPauseStore(ground.documents)
    pause = Pause(since=datetime(2026, 3, 1, tzinfo=UTC), by="ann", reason="prices are wrong")
    assert await mine.load() == Pauses()

    await asyncio.gather(
        *(
            store.update(lambda pauses, name=name: pauses.with_connection(name, pause))  # type: ignore[misc]
            for store, name in ((mine, "acme"), (theirs, "beta"), (mine, "gamma"))
        )
    )

    assert (await theirs.load()).connections == {"acme": pause, "beta": pause, "gamma": pause}
    assert (await mine.update(lambda pauses: pauses.with_connection("beta", None))).connections == {
        "acme": pause,
        "gamma": pause,
    }


async def test_a_folder_that_is_kept_as_a_blob_is_no_file(ground: Ground) -> None:
    drops = BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)
    await ground.storage.landing.upload_blob("vip/monday", b"", metadata={"hdi_isfolder": "true"})
    part = await drops.put("vip/monday/part-0.csv", [b"Email\n"])

    assert await drops.folder("vip/") == [part]
    assert await drops.source("vip/monday") is None


async def test_a_drop_is_read_only_in_the_version_that_was_seen(ground: Ground) -> None:
    drops = BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)
    seen = await drops.put("vip/a.csv", [b"Email\n", b"a@example.org\n"])

    assert b"".join(await asyncio.to_thread(lambda: list(drops.read(seen)))) == b"Email\na@example.org\n"
    assert await drops.source("vip/a.csv") == seen
    assert await drops.folder("vip/") == [seen]

    await drops.put("vip/a.csv", [b"Email\nb@example.org\n"])
    with pytest.raises(StopRunError) as changed:
        await asyncio.to_thread(lambda: list(drops.read(seen)))
    assert changed.value.code == "superseded"

    await ground.storage.landing.delete_blob("vip/a.csv")
    with pytest.raises(StopRunError) as gone:
        await asyncio.to_thread(lambda: list(drops.read(seen)))
    assert gone.value.code == "source_gone"
    assert await drops.source("vip/a.csv") is None


async def test_what_many_manifests_hold_is_fetched_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)
    seen = [await drops.put(f"vip/{number}/_committed_1", [b"%d" % number]) for number in range(120)]
    fetched: list[str] = []
    download_blob = BlobClient.download_blob

    async def noting(blob: BlobClient, **options: Any) -> Any:
        fetched.append(blob.blob_name)
        return await download_blob(blob, **options)

    monkeypatch.setattr(BlobClient, "download_blob", noting)
    for _ in range(2):
        contents = [await drops.content(source, 100) for source in seen]
        assert contents == [b"%d" % number for number in range(120)]

    assert fetched == [source.blob for source in seen]


@pytest.mark.parametrize("most_bytes", [0, 3])
async def test_what_a_manifest_holds_is_that_of_its_version_however_much_is_kept(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr("exporter.adapters.drops._MAX_BYTES_KEPT_IN_ALL", most_bytes)
    drops = BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)
    for content in (b"1", b"22", b"333", b"1"):
        seen = await drops.put("vip/_committed_1", [content])
        other = await drops.put("vip/_committed_2", [content])
        for _ in range(2):
            assert await drops.content(seen, 100) == content
            assert await drops.content(other, 100) == content


async def test_a_drop_is_recorded_once(ground: Ground) -> None:
    drops = BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)
    record = DropRecord(
        version="v1", segment="vip", sources=(), recorded_at=datetime.now(UTC), run_ids=(RUN,)
    )

    assert await drops.recorded("v1") is None
    assert await drops.record(record)
    assert not await drops.record(record)
    assert await drops.recorded("v1") == record


async def test_a_plan_comes_back_and_the_first_one_holds(ground: Ground) -> None:
    plans = BlobPlanStore(ground.storage.state, ground.storage.blocking_state, ground.documents)
    chunk = Chunk(0, (Body(b'[{"email":"a@example.org"}]', ((0, (1,)),)),))
    reject = Reject("vip/a.csv", 2, RejectReason.INVALID_EMAIL, "why", "broken")
    async with plans.writer(RUN, 1) as writer:
        writer.chunk(chunk)
        writer.reject(reject)
    record = PlanRecord(epoch=1, rows=2, rejected=1, duplicates=0, reasons={}, bodies=((1,),))

    assert await plans.record(RUN) is None
    assert await plans.finish(RUN, record) == record
    assert await plans.finish(RUN, record.model_copy(update={"epoch": 2})) == record
    assert await plans.record(RUN) == record
    assert await plans.chunk(RUN, 1, 0) == chunk
    assert [found async for found in plans.rejects(RUN, 1)] == [reject]
    assert [found async for found in plans.rejects(RUN, 2)] == []
    with pytest.raises(StopRunError) as lost:
        await plans.chunk(RUN, 1, 7)
    assert lost.value.code == "state_lost"


async def test_facts_are_written_once_and_read_by_everybody(ground: Ground) -> None:
    writer, reader = BlobFactStore(ground.documents), BlobFactStore(ground.documents)
    receipt = Receipt(0, 0, 1, 0b11, SendResult.ACCEPTED, 1.5, batch_id="b1")
    tally = Tally("receipts-1", bulk=1)

    await writer.write(RUN, "receipts-1", [receipt, tally])
    await writer.write(RUN, "receipts-1", [receipt, tally])

    assert await reader.read(RUN) == [receipt, tally]
    assert await writer.read(RUN) == [receipt, tally]
    with pytest.raises(ConflictError):
        await reader.write(RUN, "receipts-1", [tally])


async def test_a_claim_has_one_owner_until_it_ends(ground: Ground) -> None:
    clock = SteppingClock()
    claims = BlobClaimStore(ground.documents, clock)

    won = await asyncio.gather(*(claims.acquire("work", f"owner-{i}", 60) for i in range(8)))

    (claim,) = [result for result in won if isinstance(result, Claim)]
    assert (claim.epoch, claim.clean) == (1, True)
    assert not await claims.free("work")
    clock.ahead = timedelta(seconds=61) + SKEW
    assert await claims.free("work")
    taken_over = await claims.acquire("work", "other", 60)
    assert isinstance(taken_over, Claim)
    assert (taken_over.epoch, taken_over.clean) == (2, False)
    assert await claims.renew(claim, "owner", 60) is None
    assert not await claims.release(claim)
    assert not await claims.free("work")


async def test_a_claim_that_was_given_back_is_free_at_once_and_clean(ground: Ground) -> None:
    claims = BlobClaimStore(ground.documents, SystemClock())
    claim = await claims.acquire("work", "one", 60)
    assert isinstance(claim, Claim)
    renewed = await claims.renew(claim, "one", 60)
    assert renewed is not None

    assert await claims.release(renewed)

    again = await claims.acquire("work", "two", 60)
    assert isinstance(again, Claim)
    assert (again.epoch, again.clean) == (2, True)
    await claims.release(again, clean=False)
    suspicious = await claims.acquire("work", "three", 60)
    assert isinstance(suspicious, Claim)
    assert (suspicious.epoch, suspicious.clean) == (3, False)


async def test_a_new_account_starts_empty_and_a_lost_budget_waits(ground: Ground) -> None:
    budgets = BlobBudgetStore(ground.documents, SystemClock())
    pace = rules.pace_for(100, 5)
    rebuilt = rules.rebuilt(pace, 1000.0)

    def reserve(budget: AccountBudget) -> AccountBudget:
        return rules.reserve_bulk(budget, pace, 1000.0, count=1, token="t")[0]

    first = await budgets.update("acme", reserve, rebuilt=rebuilt)
    assert first.bulk[0].start == 1000.0
    assert await budgets.load("acme") == first

    await ground.storage.state.delete_blob("budgets/acme.json")
    after = await budgets.update("acme", reserve, rebuilt=rebuilt)
    assert after.bulk[0].start == 1062.0


async def test_many_reservations_at_once_never_share_a_slot(ground: Ground) -> None:
    budgets = BlobBudgetStore(ground.documents, SystemClock())
    pace = rules.pace_for(100, 5)

    async def reserve(number: int) -> None:
        await budgets.update(
            "acme",
            lambda budget: rules.reserve_bulk(budget, pace, 1000.0, count=3, token=str(number))[0],
            rebuilt=AccountBudget(),
        )

    await asyncio.gather(*(reserve(number) for number in range(12)))

    times = sorted(t for slots in (await budgets.load("acme")).bulk for t in slots.times())
    assert len(times) == 36
    assert all(later - earlier > 0.34 for earlier, later in pairwise(times))


async def test_the_rejects_file_is_csv_that_a_spreadsheet_does_not_run(ground: Ground) -> None:
    reports = BlobReportStore(ground.storage.state)

    async def rejects() -> AsyncIterator[Reject]:
        yield Reject("vip/a.csv", 3, RejectReason.INVALID_EMAIL, "why, exactly", '=cmd|"x"')

    with pytest.raises(ConfigurationError):
        _ = [block async for block in reports.read_rejects(RUN)]
    await reports.write_rejects(RUN, rejects())

    text = b"".join([block async for block in reports.read_rejects(RUN)]).decode()
    assert text == (
        'source,row,reason,detail,email\r\nvip/a.csv,3,invalid_email,"why, exactly","\'=cmd|""x"""\r\n'
    )


async def test_a_mark_that_is_cleared_while_its_run_is_reopened_is_made_anew(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = BlobRunStore(ground.documents)
    await runs.create(a_run())
    clear = ground.documents.clear
    reopenings = [lambda run: run.model_copy(update={"state": RunState.DELIVERING})]

    async def clear_after_a_reopening(name: str) -> None:
        if reopenings:
            await runs.reopen(RUN, reopenings.pop())
        await clear(name)

    monkeypatch.setattr(ground.documents, "clear", clear_after_a_reopening)
    await runs.update(RUN, lambda run: run.model_copy(update={"state": RunState.CANCELLED}))

    assert [run.run_id async for run in runs.open()] == [RUN]
