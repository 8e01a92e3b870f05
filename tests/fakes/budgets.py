"""The accounts' budgets in memory, in their stored form."""

import orjson

from exporter.adapters.budgets import MOST_OFF_SECONDS
from exporter.domain.budget import AccountBudget, Change
from exporter.errors import RetryLaterError
from tests.fakes.storage import Document, Process


class FakeBudgetStore:
    """One document an account, swapped by ETag; remembers which accounts it has seen."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def update(self, account: str, change: Change, *, rebuilt: AccountBudget) -> AccountBudget:
        latest: list[AccountBudget] = []
        start = rebuilt

        def swap(document: Document) -> bytes | None:
            if abs(self._process.clock.off_seconds) > MOST_OFF_SECONDS:
                raise RetryLaterError("the clock of this instance is off")
            before = _decode(document) if document.etag else start
            latest[:] = [change(before)]
            if latest[0] is before and document.etag:
                return None
            return orjson.dumps(latest[0].to_json())

        if (await self._process.read(_path(account))).etag is None and await self._process.create(
            f"budgets/{account}.known", b""
        ):
            start = AccountBudget()
        await self._process.swap(_path(account), swap)
        return latest[0]

    async def load(self, account: str) -> AccountBudget:
        document = await self._process.read(_path(account))
        return _decode(document) if document.etag else AccountBudget()


def _decode(document: Document) -> AccountBudget:
    return AccountBudget.from_json(orjson.loads(document.data))


def _path(account: str) -> str:
    return f"budgets/{account}.json"
