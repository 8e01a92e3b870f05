"""The samples as tests take them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.samples.producers.make import ENDPOINT

HERE: Final = Path(__file__).parent
NAMES: Final = tuple(sorted(path.parent.name for path in HERE.glob("*/expected.json")))


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """One sample as it lies on disk."""

    name: str
    expected: dict[str, Any]

    def files(self, endpoint: str = ENDPOINT) -> dict[str, bytes]:
        """Content by blob, what shows that the drop is whole last; `endpoint`: where it is put."""
        landing = HERE / self.name / "landing"
        blobs = [str(path.relative_to(landing)) for path in landing.rglob("*") if path.is_file()]
        last: list[str] = self.expected["written_last"]
        ordered = [*sorted(blob for blob in blobs if blob not in last), *last]
        return {blob: self._content(landing / blob, endpoint) for blob in ordered}

    @staticmethod
    def _content(path: Path, endpoint: str) -> bytes:
        content = path.read_bytes()
        return content.replace(ENDPOINT.encode(), endpoint.encode()) if path.suffix == ".json" else content


def sample(name: str) -> WrittenSample:
    """A sample by its folder's name."""
    return WrittenSample(name, json.loads((HERE / name / "expected.json").read_bytes()))
