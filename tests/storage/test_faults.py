"""Storage falters in the middle of an operation: throttles, errors, connections that are cut.

Each operation of the adapters meets each fault at each of its requests, once and twice in a row. None counts
as done without an answer, and none takes its own first try for another's.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final, Literal, TypeAlias

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from exporter.adapters.budgets import BlobBudgetStore
from exporter.adapters.claims import BlobClaimStore
from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.documents import Documents
from exporter.adapters.drops import BlobDropStore
from exporter.adapters.facts import BlobFactStore
from exporter.adapters.plans import BlobPlanStore
from exporter.adapters.queues import StorageWorkQueue
from exporter.adapters.registry import BlobRegistry
from exporter.adapters.reports import BlobReportStore
from exporter.adapters.runs import BlobRunStore
from exporter.adapters.storage import Storage, open_account
from exporter.adapters.watermarks import BlobWatermarkStore
from exporter.domain.budget import AccountBudget
from exporter.domain.chunk import Body, Chunk
from exporter.domain.drop import DropRecord
from exporter.domain.facts import Tally
from exporter.domain.reject import Reject, RejectReason
from exporter.domain.run import PlanRecord, RunState
from exporter.domain.watermark import Watermark
from exporter.settings import StorageAccount
from exporter.steps.messages import PlanMessage, Queue
from exporter.steps.ports import Claim
from tests.builders import NOON, a_connection, a_run, an_export
from tests.proxy import Answer, Cut, Effect, Fault, Proxy
from tests.storage.conftest import Ground
from tests.storage.test_contention import add_one

SOON: Final[dict[str, Any]] = {"initial_backoff": 0, "increment_base": 0.05, "random_jitter_range": 0}
"""The SDK's pauses, for a test's patience."""
RUN: Final = a_run()


async def documents_are_created_once(ground: Ground) -> None:
    assert await ground.documents.create("new", b"1")
    assert not await ground.documents.create("new", b"2")
    assert (await ground.documents.read("new")).data == b"1"


async def documents_are_written_once(ground: Ground) -> None:
    assert await ground.documents.write_once("fact", b"1") == b"1"
    assert await ground.documents.write_once("fact", b"2") == b"1"


async def documents_are_replaced_and_removed(ground: Ground) -> None:
    first = await ground.documents.replace("doc", b"1", etag=None)
    second = await ground.documents.replace("doc", b"2", etag=first)
    await ground.documents.remove("doc", etag=second)
    assert (await ground.documents.read("doc")).etag is None


async def documents_are_swapped_exactly_once(ground: Ground) -> None:
    for _ in range(3):
        await ground.documents.swap("counter", add_one)
    assert (await ground.documents.read("counter")).data == b"3"


async def documents_are_listed_and_cleared(ground: Ground) -> None:
    await ground.documents.create("below/a", b"")
    assert [name for name, _ in await ground.documents.names("below/")] == ["below/a"]
    await ground.documents.clear("below/a")
    assert await ground.documents.names("below/") == []


async def a_claim_is_had_prolonged_and_given_back(ground: Ground) -> None:
    claims = BlobClaimStore(ground.documents, SystemClock())
    claim = await claims.acquire("work", "me", 60)
    assert isinstance(claim, Claim)
    assert claim.epoch == 1
    renewed = await claims.renew(claim, "me", 60)
    assert renewed is not None
    assert await claims.release(renewed)
    assert await claims.free("work")


async def a_budget_is_charged_once(ground: Ground) -> None:
    budgets = BlobBudgetStore(ground.documents, SystemClock())

    def charge(budget: AccountBudget) -> AccountBudget:
        return AccountBudget(failures=budget.failures + 1)

    await budgets.update("acme", charge, rebuilt=AccountBudget(failures=100))
    await budgets.update("acme", charge, rebuilt=AccountBudget(failures=100))
    assert (await budgets.load("acme")).failures == 2


async def a_run_is_created_and_moves_on(ground: Ground) -> None:
    runs = BlobRunStore(ground.documents)
    assert await runs.create(RUN)
    changed = await runs.update(RUN.run_id, lambda run: run.model_copy(update={"state": RunState.PLANNING}))
    assert [run async for run in runs.open()] == [changed]
    await runs.update(RUN.run_id, lambda run: run.model_copy(update={"state": RunState.FAILED}))
    assert [run async for run in runs.open()] == []


async def the_configuration_is_put_and_read(ground: Ground) -> None:
    registry = BlobRegistry(ground.documents)
    await registry.put_connection(a_connection(), etag=None)
    await registry.put_export(an_export(), etag=None)
    assert (await registry.connections())["acme"].value == a_connection()
    assert (await registry.exports())["vip"].value == an_export()


async def a_plan_is_written_and_read(ground: Ground) -> None:
    plans = BlobPlanStore(ground.storage.state, ground.storage.blocking_state, ground.documents)
    chunk = Chunk(0, (Body(b'[{"email":"a@example.org"}]', ((0, (1,)),)),))
    reject = Reject("vip/a.csv", 2, RejectReason.INVALID_EMAIL, "why", "broken")
    async with plans.writer(RUN.run_id, 1) as writer:
        await asyncio.to_thread(writer.chunk, chunk)
        writer.reject(reject)
    record = PlanRecord(epoch=1, rows=2, rejected=1, duplicates=0, reasons={}, bodies=((1,),))
    assert await plans.finish(RUN.run_id, record) == record
    assert await plans.chunk(RUN.run_id, 1, 0) == chunk
    assert [found async for found in plans.rejects(RUN.run_id, 1)] == [reject]


async def facts_are_written_and_read(ground: Ground) -> None:
    tally = Tally("receipts-1", bulk=1)
    await BlobFactStore(ground.documents).write(RUN.run_id, "receipts-1", [tally])
    assert await BlobFactStore(ground.documents).read(RUN.run_id) == [tally]


async def a_watermark_tells_what_stood_there_before(ground: Ground) -> None:
    marks = BlobWatermarkStore(ground.documents)
    older, newer = (
        Watermark.of(a_run(sources=(source.model_copy(update={"last_modified": at}),)))
        for source, at in zip(RUN.sources * 2, (NOON, NOON + timedelta(hours=1)), strict=True)
    )
    assert await marks.advance("vip", "vip", older) is None
    assert await marks.advance("vip", "vip", newer) == older


async def a_drop_is_put_read_and_recorded(ground: Ground) -> None:
    drops = BlobDropStore(ground.storage.landing, ground.storage.blocking_landing, ground.documents)
    await drops.put("vip/a.csv", [b"Email\n", b"a@example.org\n"])
    (source,) = await drops.folder("vip/")
    assert await drops.source("vip/a.csv") == source
    assert b"".join(await asyncio.to_thread(lambda: list(drops.read(source)))) == b"Email\na@example.org\n"
    record = DropRecord(
        version="v1", segment="vip", sources=(source,), recorded_at=datetime.now(UTC), run_ids=()
    )
    assert await drops.record(record)
    assert await drops.recorded("v1") == record


async def a_rejects_file_is_written_and_read(ground: Ground) -> None:
    reports = BlobReportStore(ground.storage.state)

    async def rejects() -> AsyncIterator[Reject]:
        yield Reject("vip/a.csv", 3, RejectReason.INVALID_EMAIL, "why", "nobody")

    await reports.write_rejects(RUN.run_id, rejects())
    text = b"".join([block async for block in reports.read_rejects(RUN.run_id)])
    assert text.splitlines()[1:] == [b"vip/a.csv,3,invalid_email,why,nobody"]


Operation: TypeAlias = Callable[[Ground], Awaitable[None]]

OPERATIONS: Final[tuple[Operation, ...]] = (
    documents_are_created_once,
    documents_are_written_once,
    documents_are_replaced_and_removed,
    documents_are_swapped_exactly_once,
    documents_are_listed_and_cleared,
    a_claim_is_had_prolonged_and_given_back,
    a_budget_is_charged_once,
    a_run_is_created_and_moves_on,
    the_configuration_is_put_and_read,
    a_plan_is_written_and_read,
    facts_are_written_and_read,
    a_watermark_tells_what_stood_there_before,
    a_drop_is_put_read_and_recorded,
    a_rejects_file_is_written_and_read,
)

FAULTS: Final[tuple[tuple[Literal["before", "after"], Effect], ...]] = (
    ("before", Answer(503)),
    ("before", Answer(500)),
    ("before", Cut()),
    ("after", Answer(500)),
    ("after", Cut()),
)


@dataclass(frozen=True, slots=True)
class Faulty:
    """Grounds behind a proxy, each with containers of its own, so that each can meet a fault of its own."""

    proxy: Proxy
    blobs: AsyncBlobServiceClient
    blocking: BlobServiceClient
    queues: QueueServiceClient

    async def ground(self) -> tuple[Ground, str]:
        """An empty ground and the name that its requests have in common."""
        name = uuid.uuid4().hex
        state = await self.blobs.create_container(f"state-{name}")
        landing = await self.blobs.create_container(f"landing-{name}")
        storage = Storage(
            state=state,
            blocking_state=self.blocking.get_container_client(f"state-{name}"),
            landing=landing,
            blocking_landing=self.blocking.get_container_client(f"landing-{name}"),
            queues=self.queues,
        )
        return Ground(storage, Documents(state, SystemClock(), SystemRandomness())), name

    async def requests_of(self, operation: Operation) -> int:
        """How many requests an operation makes when nothing goes wrong."""
        ground, name = await self.ground()
        before = len(self.proxy.exchanges)
        await operation(ground)
        return sum(name in exchange.call for exchange in self.proxy.exchanges[before:])

    async def try_with(self, operation: Operation, fault: Fault) -> Fault:
        """Let an operation meet a fault; gives the fault back, which knows what it has seen."""
        ground, name = await self.ground()
        fault.call = name
        self.proxy.faults.append(fault)
        await operation(ground)
        return fault


def through(proxies: dict[str, Proxy], connection_string: str) -> str:
    """The connection string with proxies in the places of what they stand for."""
    for address, proxy in proxies.items():
        connection_string = connection_string.replace(address, proxy.url)
    return connection_string


def addresses(connection_string: str) -> list[str]:
    """http://127.0.0.1:PORT of the blob and of the queue service."""
    parts = dict(part.split("=", 1) for part in connection_string.split(";"))
    return [parts[f"{service}Endpoint"].rpartition("/")[0] for service in ("Blob", "Queue")]


@pytest.fixture
async def faulty(azurite: str) -> AsyncIterator[Faulty]:
    """A proxy before the emulator's blobs, and clients that try again soon."""
    async with AsyncExitStack() as stack:
        blob_address, _ = addresses(azurite)
        proxy = await stack.enter_async_context(Proxy(blob_address))
        proxied = through({blob_address: proxy}, azurite)
        yield Faulty(
            proxy,
            await stack.enter_async_context(AsyncBlobServiceClient.from_connection_string(proxied, **SOON)),
            stack.enter_context(BlobServiceClient.from_connection_string(proxied, **SOON)),
            await stack.enter_async_context(QueueServiceClient.from_connection_string(proxied, **SOON)),
        )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_an_operation_outlasts_a_storage_that_falters_once_and_twice(
    operation: Operation, faulty: Faulty
) -> None:
    request_count = await faulty.requests_of(operation)

    met = await asyncio.gather(
        *(
            faulty.try_with(operation, Fault(when, "", effect, nth=nth, times=times))
            for (when, effect), nth, times in product(FAULTS, range(1, request_count + 1), (1, 2))
        )
    )

    assert len(met) == len(FAULTS) * 2 * request_count
    assert all(fault.struck for fault in met)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_a_storage_that_refuses_the_key_is_asked_once_and_not_again(
    operation: Operation, faulty: Faulty
) -> None:
    request_count = await faulty.requests_of(operation)

    for nth in range(1, request_count + 1):
        fault = Fault("before", "", Answer(403), nth=nth, times=1_000_000)
        with pytest.raises(HttpResponseError) as refused:
            await faulty.try_with(operation, fault)
        assert refused.value.status_code == 403
        assert fault.seen == nth


@pytest.mark.parametrize(("when", "effect"), FAULTS, ids=str)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_message_that_met_a_fault_lies_on_the_queue(
    azurite: str, when: Literal["before", "after"], effect: Effect, times: int
) -> None:
    _, queue_address = addresses(azurite)
    async with Proxy(queue_address) as proxy:
        proxied = through({queue_address: proxy}, azurite)
        async with QueueServiceClient.from_connection_string(proxied, **SOON) as queues:
            name = f"faulty-{uuid.uuid4().hex}"
            client = await queues.create_queue(name)
            work_queue = StorageWorkQueue(queues)
            work_queue._clients[Queue.PLANS] = client
            proxy.faults.append(Fault(when, f"POST .*/{name}/messages", effect, times=times))

            await work_queue.send(Queue.PLANS, PlanMessage(run_id=RUN.run_id))

            found = [message.content async for message in client.receive_messages()]
            # What was put although its answer got lost is put again: at least once, as queues do.
            assert set(found) == {PlanMessage(run_id=RUN.run_id).to_text()}
            assert len(found) == (1 + times if when == "after" else 1)


async def test_the_apps_own_clients_outlast_two_failures_and_give_up_at_a_refusal(azurite: str) -> None:
    blob_address, _ = addresses(azurite)
    async with Proxy(blob_address) as proxy:
        settings = StorageAccount(connection_string=through({blob_address: proxy}, azurite))
        async with open_account(settings) as account:
            name = f"apps-{uuid.uuid4().hex}"
            container = await account.blobs.create_container(name)
            documents = Documents(container, SystemClock(), SystemRandomness())
            proxy.faults += [Fault("before", f"PUT .*/{name}/a$", Answer(503), times=2)]
            assert await documents.create("a", b"1")

            proxy.faults = [Fault("before", name, Answer(403), times=1_000_000)]
            with pytest.raises(AzureError) as refused:
                await documents.read("a")
            assert isinstance(refused.value, ClientAuthenticationError | HttpResponseError)
            assert proxy.faults[0].seen == 1
