"""A plan that is too large or too slow ends by itself, with a clear error, and nothing of it is sent."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from exporter.domain.drop import Source
from exporter.domain.run import RunState
from exporter.steps.plan import PLAN_SECONDS
from sandbox.host.host_json import parse_time_span
from tests.builders import a_connection, addresses, an_export
from tests.fakes.clock import SimulatedLoop
from tests.fakes.drops import FakeDropStore
from tests.fakes.world import World
from tests.runs.site import ROOT

SECONDS_A_MEGABYTE = 60.0


@pytest.fixture
def slow_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that takes a minute for each megabyte."""
    read = FakeDropStore.read

    def slowly(self: FakeDropStore, source: Source) -> Iterator[bytes]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        data = b"".join(read(self, source))
        for start in range(0, len(data), 1_000_000):
            loop._jump(SECONDS_A_MEGABYTE)
            yield data[start : start + 1_000_000]

    monkeypatch.setattr(FakeDropStore, "read", slowly)


def a_file_of(megabytes: int) -> bytes:
    """So many megabytes, most of it in a column that nobody maps."""
    rows = (f"ann{n}@example.org,{'x' * 9_970}\r\n" for n in range(100 * megabytes))
    return ("Email,Note\r\n" + "".join(rows)).encode()


@pytest.mark.usefixtures("slow_storage")
async def test_a_plan_that_takes_too_long_ends_before_the_platform_ends_it() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(a_file_of(12))
    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.FAILED
    assert report.error is not None
    assert report.error.code == "too_slow"
    assert "9 minutes" in report.error.message
    assert world.account.requests == []
    assert world.errors == []
    assert report.started_at is not None
    assert report.completed_at is not None
    assert (report.completed_at - report.started_at).total_seconds() < function_timeout()
    world.check_promises()


@pytest.mark.usefixtures("slow_storage")
async def test_a_plan_that_is_just_quick_enough_is_sent() -> None:
    world = World()
    await world.connect(a_connection(), an_export())

    await world.drop(a_file_of(7))
    await world.until_quiet()

    assert world.report().state is RunState.SUCCEEDED
    assert world.report().counts.delivered == 700
    world.check_promises()


async def test_a_drop_that_is_too_large_as_it_lies_there_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(self: FakeDropStore, source: Source) -> Iterator[bytes]:
        raise AssertionError

    world = World()
    await world.connect(a_connection(), an_export())
    monkeypatch.setattr(FakeDropStore, "read", read)
    world.announces = False
    source = await world.drop(addresses(3))
    huge = source.model_copy(update={"size": 5 * 1024**3})
    world.landed[source.blob] = huge, world.landed[source.blob][1]
    await world.announce(source.blob)

    await world.until_quiet()

    report = world.report()
    assert report.state is RunState.FAILED
    assert report.error is not None
    assert report.error.code == "too_large"
    assert world.account.requests == []
    world.check_promises()


def function_timeout() -> float:
    """When the platform ends a function, in seconds."""
    return parse_time_span(json.loads((ROOT / "host.json").read_text())["functionTimeout"])


def test_a_plan_leaves_the_platform_some_time() -> None:
    """Between two looks at the clock lie some thousand rows and the upload of a chunk."""
    assert function_timeout() - 60 >= PLAN_SECONDS
