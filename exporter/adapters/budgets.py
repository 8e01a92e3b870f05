"""The accounts' budgets: `budgets/<account>.json`, and a mark that says that there was one."""

import orjson

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.domain.budget import AccountBudget, Change


class BlobBudgetStore:
    """One small document an account, swapped by ETag."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def update(self, account: str, change: Change, *, rebuilt: AccountBudget) -> AccountBudget:
        """Swap an account's budget for its changed self; no write where nothing changes."""
        latest = AccountBudget()
        start: AccountBudget | None = None

        def swap(document: DocumentBytes) -> bytes | None:
            nonlocal latest
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

    async def load(self, account: str) -> AccountBudget:
        """The budget as it is now, empty when there is none."""
        document = await self._documents.read(_path(account))
        return _decode(document) if document.etag else AccountBudget()


def _path(account: str) -> str:
    return f"budgets/{account}.json"


def _decode(document: DocumentBytes) -> AccountBudget:
    return AccountBudget.from_json(orjson.loads(document.data))
