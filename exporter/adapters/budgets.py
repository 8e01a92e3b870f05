"""The accounts' budgets: `budgets/<account>.json`, and a mark that says that there was one."""

from typing import Final

import orjson

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.domain.budget import AccountBudget, Change
from exporter.errors import RetryLaterError
from exporter.steps.ports import Clock

MOST_OFF_SECONDS: Final = 60.0
"""A clock that differs more from storage's is wrong; the budget's margins allow for half a second."""


class BlobBudgetStore:
    """One small document an account, swapped by ETag."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def update(self, account: str, change: Change, *, rebuilt: AccountBudget) -> AccountBudget:
        """Swap an account's budget for its changed self; no write where nothing changes.

        Raises RetryLaterError where this process has a wrong clock: its moments would mean nothing to others.
        """
        latest = AccountBudget()
        start: AccountBudget | None = None

        def swap(document: DocumentBytes) -> bytes | None:
            nonlocal latest
            self._check_clock(document)
            before = _decode(document) if document.etag else (start or AccountBudget())
            latest = change(before)
            if latest is before and document.etag:
                return None
            return orjson.dumps(latest.to_json())

        if (await self._documents.read(_path(account))).etag is None:
            is_new = await self._documents.create(f"budgets/{account}.known", b"{}")
            start = AccountBudget() if is_new else rebuilt
        await self._documents.swap(_path(account), swap)
        return latest

    def _check_clock(self, document: DocumentBytes) -> None:
        """Raises RetryLaterError where storage's clock, which everybody shares, says otherwise."""
        off_seconds = (self._clock.now() - document.read_at).total_seconds()
        if abs(off_seconds) > MOST_OFF_SECONDS:
            raise RetryLaterError(f"the clock of this instance is {off_seconds:+.0f} s off storage's")

    async def load(self, account: str) -> AccountBudget:
        """The budget as it is now, empty when there is none."""
        document = await self._documents.read(_path(account))
        return _decode(document) if document.etag else AccountBudget()


def _path(account: str) -> str:
    return f"budgets/{account}.json"


def _decode(document: DocumentBytes) -> AccountBudget:
    return AccountBudget.from_json(orjson.loads(document.data))
