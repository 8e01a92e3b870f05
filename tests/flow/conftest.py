"""Flow tests run on a simulated loop: hours pass in milliseconds, and nothing really sleeps."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from exporter.domain.planning import PlanLimits, plan_drop
from tests.fakes.clock import SimulatedLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"simulated": SimulatedLoop}


@pytest.fixture
def two_contacts_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans pack two contacts into a body, so that few rows make many requests."""
    small = partial(plan_drop, limits=PlanLimits(body_contacts=2))
    monkeypatch.setattr("exporter.steps.plan.plan_drop", small)
