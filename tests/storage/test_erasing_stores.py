"""What retention and erasure ask of the stores, against the real emulator."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import ContentSettings

from exporter.adapters.clock import SystemRandomness
from exporter.adapters.drops import BlobDropStore
from exporter.adapters.plans import BlobPlanStore
from exporter.adapters.reports import BlobReportStore
from exporter.adapters.retention import BlobRetentionLog
from exporter.adapters.runs import BlobRunStore
from exporter.adapters.suppression import BlobSuppressionStore
from exporter.domain.chunk import Body, Chunk
from exporter.domain.drop import DropRecord, drop_version
from exporter.domain.reject import Reject, RejectReason
from exporter.domain.suppression import NOBODY
from exporter.errors import ConflictError, RetryLaterError, StopRunError
from exporter.steps.ports import ChunkPlace, PlanParts
from tests.builders import NOON, a_drop, a_run
from tests.storage.conftest import Ground

RUN = "0123456789abcdef0123456789abcdef"
OTHER_RUN = "f" * 32
BLOB = "vip/monday.csv"


@pytest.fixture
def drops(ground: Ground) -> BlobDropStore:
    return BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)


@pytest.fixture
def plans(ground: Ground) -> BlobPlanStore:
    return BlobPlanStore(ground.storage.state, ground.storage.blocking_state, ground.documents)


async def test_a_rewritten_file_stands_for_the_version_it_replaced(drops: BlobDropStore) -> None:
    first = await drops.put(BLOB, [b"Email\nann@example.org\n"])

    assert await drops.rewrite(first, [b"Email\n"])
    assert await drops.rewrite(first, [b"Email\nbo@example.org\n"])

    assert await drops.source(BLOB) == first
    assert await drops.folder("vip/") == [first]
    assert drop_version(await drops.folder("")) == drop_version([first])
    assert b"".join(drops.read(first)) == b"Email\nbo@example.org\n"


async def test_a_file_that_is_dropped_over_a_rewritten_one_is_a_new_version(drops: BlobDropStore) -> None:
    first = await drops.put(BLOB, [b"old"])
    assert await drops.rewrite(first, [b"rewritten"])

    second = await drops.put(BLOB, [b"new"])

    assert (await drops.source(BLOB)) == second
    assert not await drops.rewrite(first, [b"too late"])
    with pytest.raises(ConflictError):
        await drops.remove(first)
    with pytest.raises(StopRunError, match="overwritten"):
        list(drops.read(first))
    assert b"".join(drops.read(second)) == b"new"


async def test_a_file_that_is_rewritten_while_it_is_read_is_read_again_later(
    ground: Ground, drops: BlobDropStore
) -> None:
    # The SDK fetches the first 32 MiB at once; the next request meets the other version.
    large = bytes(40 * 1024 * 1024)
    await asyncio.to_thread(ground.storage.blocking_landing.upload_blob, BLOB, large)
    first = await drops.source(BLOB)
    assert first is not None
    blocks = drops.read(first)
    next(blocks)

    assert await drops.rewrite(first, [b"rewritten"])

    with pytest.raises(RetryLaterError, match="erased"):
        list(blocks)


async def test_what_a_file_has_beside_its_bytes_stays(ground: Ground, drops: BlobDropStore) -> None:
    await ground.storage.landing.upload_blob(
        BLOB,
        b"old",
        metadata={"made_by": "upstream"},
        content_settings=ContentSettings(content_type="text/csv"),
    )
    first = await drops.source(BLOB)
    assert first is not None

    assert await drops.rewrite(first, [b"rewritten"])

    properties = await ground.storage.landing.get_blob_client(BLOB).get_blob_properties()
    assert properties.metadata["made_by"] == "upstream"
    assert properties.content_settings.content_type == "text/csv"


async def test_a_rewritten_file_can_be_removed(drops: BlobDropStore) -> None:
    first = await drops.put(BLOB, [b"old"])
    assert await drops.rewrite(first, [b"rewritten"])

    await drops.remove(first)
    await drops.remove(first)

    assert await drops.source(BLOB) is None


async def test_old_records_of_drops_are_found_and_forgotten(drops: BlobDropStore) -> None:
    record = DropRecord(version="1" * 32, segment="vip", sources=a_drop(), recorded_at=NOON, run_ids=())
    await drops.record(record)
    now = datetime.now(UTC)

    assert [old async for old in drops.records_untouched_since(now - timedelta(days=1))] == []
    assert [old async for old in drops.records_untouched_since(now + timedelta(days=1))] == [record]

    await drops.forget(record.version)
    assert await drops.recorded(record.version) is None


async def test_the_parts_of_plans_are_listed_replaced_and_removed(plans: BlobPlanStore) -> None:
    chunk = Chunk(1, (Body(b'[{"email":"ann@example.org"}]', ((0, (1,)),)),))
    reject = Reject("vip/a.csv", 1, RejectReason.INVALID_EMAIL, "no", "ann")
    for epoch in (1, 2):
        async with plans.writer(RUN, epoch) as writer:
            writer.chunk(chunk)
            writer.reject(reject)
    async with plans.writer(OTHER_RUN, 1) as writer:
        writer.chunk(chunk)

    assert [parts async for parts in plans.parts()] == [
        PlanParts(RUN, (ChunkPlace(1, 1), ChunkPlace(2, 1)), (1, 2)),
        PlanParts(OTHER_RUN, (ChunkPlace(1, 1),), ()),
    ]

    blank = Chunk(1, (Body(b'[{"email":""}]', ((0, (1,)),)),))
    await plans.replace_chunk(RUN, 2, blank)
    await plans.replace_rejects(RUN, 2, [])
    assert await plans.chunk(RUN, 2, 1) == blank
    assert [found async for found in plans.rejects(RUN, 2)] == []
    assert [found async for found in plans.rejects(RUN, 1)] == [reject]

    await plans.remove_chunks(RUN, [ChunkPlace(1, 1), ChunkPlace(1, 1)])
    await plans.remove_rejects(RUN, [1])
    await plans.remove(OTHER_RUN)
    assert [parts async for parts in plans.parts()] == [PlanParts(RUN, (ChunkPlace(2, 1),), (2,))]


async def test_runs_that_were_not_touched_for_long_are_found_and_removed(ground: Ground) -> None:
    runs = BlobRunStore(ground.documents)
    run = a_run()
    await runs.create(run)
    now = datetime.now(UTC)

    assert [old async for old in runs.untouched_since(now - timedelta(days=1))] == []
    assert [old async for old in runs.untouched_since(now + timedelta(days=1))] == [run]

    await runs.remove(run.run_id)
    assert await runs.load(run.run_id) is None


async def test_rejects_files_are_listed_and_removed(ground: Ground) -> None:
    reports = BlobReportStore(ground.storage.state)

    await ground.storage.state.upload_blob(f"reports/{RUN}/rejects.csv", b"")
    assert [run_id async for run_id in reports.run_ids()] == [RUN]

    await reports.remove(RUN)
    await reports.remove(RUN)
    assert [run_id async for run_id in reports.run_ids()] == []


async def test_retention_remembers_when_it_last_looked(ground: Ground) -> None:
    log = BlobRetentionLog(ground.documents)
    assert await log.last_at() is None

    await log.note(NOON)
    await log.note(NOON + timedelta(hours=1))

    assert await log.last_at() == NOON + timedelta(hours=1)


async def test_a_suppressed_person_is_kept_as_a_digest_alone(ground: Ground) -> None:
    store = BlobSuppressionStore(ground.documents, SystemRandomness())
    assert await store.load("acme") is NOBODY

    assert await store.add("acme", "Ann@example.org", NOON) == NOON
    assert await store.add("acme", "ann@example.org", NOON + timedelta(days=1)) == NOON

    assert (await store.load("acme")).holds("ANN@example.org")
    assert not (await store.load("acme")).holds("bo@example.org")
    assert await store.load("other") is NOBODY
    names = [name for name, _ in await ground.documents.names("suppression/")]
    assert names == ["suppression/acme.json", "suppression/key"]
    stored = [(await ground.documents.read(name)).data.lower() for name in names]
    assert not any(b"ann" in data or b"example" in data for data in stored)
    assert len((await ground.documents.read("suppression/key")).data) == 32
