"""Health: the age of the sweep's sign of life, or why there is none."""

import asyncio

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from exporter.steps import health as steps_health
from exporter.steps.health import LONGEST_SILENCE_SECONDS, Ailment, Health, health
from tests.fakes.world import World


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (None, Ailment.NEVER_SWEPT),
        (0.0, None),
        (LONGEST_SILENCE_SECONDS, None),
        (LONGEST_SILENCE_SECONDS + 1, Ailment.SWEEP_OVERDUE),
    ],
)
async def test_the_app_is_well_as_long_as_the_sweep_runs(age: float | None, code: Ailment | None) -> None:
    world = World()
    world.signs.age_seconds = age

    assert await health("1.2.3", world.workers[0].ports) == Health("1.2.3", age, code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceRequestError("nobody there"), Ailment.STORAGE_UNREACHABLE),
        (HttpResponseError("a key that is wrong"), Ailment.STORAGE_REFUSES),
    ],
)
async def test_a_storage_that_can_not_be_asked_is_an_answer(error: Exception, code: Ailment) -> None:
    world = World()
    world.signs.error = error

    assert await health("1.2.3", world.workers[0].ports) == Health("1.2.3", None, code)


async def test_a_storage_that_takes_the_call_and_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def silence(_: object) -> float | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(type(world.signs), "heartbeat_age_seconds", silence)
    monkeypatch.setattr(steps_health, "ANSWER_SECONDS", 0.01)

    unreachable = Health("1.2.3", None, Ailment.STORAGE_UNREACHABLE)
    assert await asyncio.wait_for(health("1.2.3", world.workers[0].ports), 5) == unreachable
