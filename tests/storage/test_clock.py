"""Moments that instances share are those of storage's clock: who has another time writes none."""

from datetime import datetime, timedelta

import pytest

from exporter.adapters.budgets import MOST_OFF_SECONDS, BlobBudgetStore
from exporter.adapters.clock import SystemClock
from exporter.domain.budget import AccountBudget, hold
from exporter.errors import RetryLaterError
from tests.storage.conftest import Ground


class WrongClock(SystemClock):
    """A clock that is so many seconds off."""

    def __init__(self, off_seconds: float) -> None:
        self._off = timedelta(seconds=off_seconds)

    def now(self) -> datetime:
        return super().now() + self._off


@pytest.mark.parametrize("off_seconds", [-2 * MOST_OFF_SECONDS, 2 * MOST_OFF_SECONDS])
async def test_an_instance_whose_clock_differs_from_storages_writes_no_budget(
    ground: Ground, off_seconds: float
) -> None:
    right = BlobBudgetStore(ground.documents, SystemClock())
    wrong = BlobBudgetStore(ground.documents, WrongClock(off_seconds))
    before = await right.update("acme", lambda budget: hold(budget, 1000.0, "held"), rebuilt=AccountBudget())

    sign = "-" if off_seconds < 0 else "[+]"
    for account in ("acme", "new"):
        with pytest.raises(RetryLaterError, match=f"clock of this instance is {sign}1"):
            await wrong.update(account, lambda budget: hold(budget, 2000.0, "held"), rebuilt=AccountBudget())

    assert await right.load("acme") == before
    assert await right.load("new") == AccountBudget()


async def test_half_a_minute_is_no_wrong_clock(ground: Ground) -> None:
    store = BlobBudgetStore(ground.documents, WrongClock(MOST_OFF_SECONDS / 2))

    held = await store.update("acme", lambda budget: hold(budget, 1000.0, "held"), rebuilt=AccountBudget())

    assert await store.load("acme") == held
