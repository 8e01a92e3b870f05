"""What the running app leaves for the doctor, and that a test drop leaves nothing else."""

from exporter.domain.testdrop import name_for
from exporter.steps.receive import receive
from exporter.steps.sweep import sweep
from tests.builders import a_connection, an_export
from tests.fakes.world import World

TOKEN = "0123456789ab"


async def test_an_announced_test_drop_is_acknowledged_and_starts_nothing() -> None:
    world = World()
    # A segment of the test drop's own name is the closest that anybody could come.
    await world.connect(a_connection(), an_export(segments=("vip", name_for(TOKEN))))
    blob = name_for(TOKEN)
    await world.workers[0].ports.drops.put(blob, [b""])
    before = dict(world.storage.documents)

    record = await receive(blob, world.workers[0].ports)
    await world.clock.sleep(120)
    await sweep(world.workers[0].ports)

    assert record == []
    assert world.signs.tokens == [TOKEN]
    assert world.storage.documents.keys() - before.keys() == {"control/retention.json"}
    assert world.queues.sent == []


async def test_a_test_drop_that_nobody_waits_for_any_more_is_not_acknowledged() -> None:
    world = World()
    await receive(name_for(TOKEN), world.workers[0].ports)

    assert world.signs.tokens == []


async def test_other_hidden_blobs_are_not_acknowledged() -> None:
    world = World()
    for blob in (".exporter-test-x", "vip/.exporter-test-0123456789ab", "_SUCCESS"):
        await world.workers[0].ports.drops.put(blob, [b""])
        await receive(blob, world.workers[0].ports)

    assert world.signs.tokens == []


async def test_every_sweep_beats() -> None:
    world = World()
    for _ in range(3):
        await sweep(world.workers[0].ports)

    assert world.signs.beat_count == 3
