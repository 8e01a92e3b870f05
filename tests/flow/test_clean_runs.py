from exporter.domain.run import RunState
from tests.builders import a_connection, addresses, an_export
from tests.fakes.world import World


async def test_a_dropped_segment_becomes_its_contacts() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(addresses(1000))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.SUCCEEDED
    assert (report.counts.rows, report.counts.delivered) == (1000, 1000)
    assert world.account.contacts.keys() == set(addresses(1000))
    assert report.requests.bulk == len(world.account.requests) == 4
    assert world.rejects() == []
    world.check_promises()
