"""Facts: `facts/<run id>/<name>.json`, written once and never changed."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from exporter.adapters.documents import Documents
from exporter.domain.facts import Fact, decode_facts, encode_facts
from exporter.errors import ConflictError

_RUNS_AT_HAND: Final = 8


class BlobFactStore:
    """Since a fact never changes, a process reads each once and keeps those of the latest runs."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._at_hand: OrderedDict[str, dict[str, list[Fact]]] = OrderedDict()

    async def write(self, run_id: str, name: str, facts: Sequence[Fact]) -> None:
        """Write one document of facts; the same again is fine, another under its name is an error."""
        path = f"{_prefix(run_id)}{name}.json"
        data = encode_facts(name, facts)
        if await self._documents.write_once(path, data) != data:
            raise ConflictError(f"facts {name} of run {run_id} exist with other content")
        self._known(run_id)[path] = list(facts)

    async def read(self, run_id: str) -> list[Fact]:
        """All facts of a run."""
        known = self._known(run_id)
        names = [name for name, _ in await self._documents.names(_prefix(run_id))]
        missing = [name for name in names if name not in known]
        async for name, document in self._documents.read_many(missing):
            if document.etag is not None:
                known[name] = decode_facts(document.data)
        return [fact for facts in known.values() for fact in facts]

    async def remove(self, run_id: str) -> None:
        """Delete all facts of a run."""
        await self._documents.clear_all([name for name, _ in await self._documents.names(_prefix(run_id))])
        self._at_hand.pop(run_id, None)

    def _known(self, run_id: str) -> dict[str, list[Fact]]:
        known = self._at_hand.setdefault(run_id, {})
        self._at_hand.move_to_end(run_id)
        while len(self._at_hand) > _RUNS_AT_HAND:
            self._at_hand.popitem(last=False)
        return known


def _prefix(run_id: str) -> str:
    return f"facts/{run_id}/"
