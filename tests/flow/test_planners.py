"""A planner dies or stands still anywhere: one plan holds, and what is sent is that plan."""

import json

import pytest

from exporter.domain.chunk import Chunk, decode_chunk
from exporter.domain.run import PlanRecord, RunState
from exporter.steps.events import Event
from tests.builders import a_connection, addresses, an_export
from tests.fakes.activecampaign import FakeActiveCampaign
from tests.fakes.plans import FakePlanStore, FakePlanWriter
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import World

pytestmark = pytest.mark.usefixtures("two_contacts_a_body")

ROWS = 600


def chunks(world: World) -> dict[tuple[int, int], bytes]:
    """Every stored chunk by epoch and number."""
    return {
        (int(name.split("/")[2]), int(name.split("/")[3])): document.data
        for name, document in world.storage.documents.items()
        if name.startswith("plans/") and not name.endswith("plan.json")
    }


def plan_record(world: World) -> PlanRecord:
    (name,) = (
        name for name in world.storage.documents if name.startswith("plans/") and name.endswith("plan.json")
    )
    return PlanRecord.model_validate_json(world.storage.documents[name].data)


def check_one_plan_was_sent(world: World, account: FakeActiveCampaign) -> None:
    """No lot has two contents, and each accepted request is a body of the plan that holds."""
    assert world.report().state is RunState.SUCCEEDED
    stored, holds = chunks(world), plan_record(world).epoch
    for (_, number), data in stored.items():
        assert data == stored[holds, number]
    planned = {
        tuple(contact["email"] for contact in json.loads(body.contacts))
        for (epoch, _), data in stored.items()
        if epoch == holds
        for body in decode_chunk(data).bodies
    }
    assert account.accepted_bodies.keys() == planned
    assert account.contacts.keys() == set(addresses(ROWS))
    world.check_promises()


@pytest.mark.parametrize("before_chunk", range(4))
async def test_a_planner_that_dies_between_its_chunks_is_followed_by_one_that_plans_the_same(
    monkeypatch: pytest.MonkeyPatch, before_chunk: int
) -> None:
    world = World(worker_count=1)
    account = await world.connect(a_connection(), an_export())
    write, process = FakePlanWriter.chunk, world.workers[0].process

    def die_before(writer: FakePlanWriter, chunk: Chunk) -> None:
        if chunk.number == before_chunk and not process.is_dead:
            process.die()
            raise ProcessDiedError(process.owner)
        write(writer, chunk)

    monkeypatch.setattr(FakePlanWriter, "chunk", die_before)
    await world.drop(addresses(ROWS))
    await world.until_quiet()

    assert process.is_dead
    assert plan_record(world).epoch == 2
    assert account.repeated_count == 0
    check_one_plan_was_sent(world, account)


@pytest.mark.parametrize("moment", ["before its record", "after its record"])
async def test_a_planner_that_stands_still_for_five_minutes_finds_another_plan_in_force(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    world = World(worker_count=2)
    account = await world.connect(a_connection(), an_export())
    finish, frozen = FakePlanStore.finish, set[str]()

    async def stand_still(store: FakePlanStore, run_id: str, record: PlanRecord) -> PlanRecord:
        (planner,) = (worker for worker in world.workers if worker.ports.plans is store)
        first = not frozen
        frozen.add(planner.process.owner)
        if moment == "after its record":
            record = await finish(store, run_id, record)
        if first:
            planner.process.stand_still(300)
            await planner.ports.clock.sleep(0.001)
        return record if moment == "after its record" else await finish(store, run_id, record)

    monkeypatch.setattr(FakePlanStore, "finish", stand_still)
    await world.drop(addresses(ROWS))
    await world.until_quiet()

    assert len(frozen) == 2
    assert plan_record(world).epoch == world.run().plan_epoch == (2 if moment == "before its record" else 1)
    assert account.requests[0].at < 250
    assert account.repeated_count == account.throttled_count == 0
    check_one_plan_was_sent(world, account)


async def test_how_the_files_were_read_is_kept_and_told_in_closed_words() -> None:
    world = World(worker_count=1)
    await world.connect(a_connection(), an_export())
    await world.drop(b"Email;City\r\nann@example.org;Oslo\r\n", "vip/secret plan.csv")
    await world.until_quiet()

    (sentence,) = plan_record(world).readings
    assert sentence.startswith("vip/secret plan.csv: CSV in UTF-8, delimited by semicolons,")
    (told,) = [fields for event, fields in world.telemetry.events if event is Event.PLAN_COMPLETED]
    assert told["reading"] == "csv/utf-8/semicolon"
