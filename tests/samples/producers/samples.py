"""The samples as tests take them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from exporter.domain.commits import is_commit
from exporter.domain.manifest import is_manifest
from tests.samples.producers.make import ENDPOINT

HERE: Final = Path(__file__).parent
NAMES: Final = tuple(sorted(path.parent.name for path in HERE.glob("*/expected.json")))


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """One sample as it lies on disk."""

    name: str
    expected: dict[str, Any]
    renamed: Mapping[str, str] = field(default_factory=dict)
    """What stands for what in names and contents, where it is a copy."""

    @property
    def is_listed(self) -> bool:
        """Whether a manifest or a commit lists its files, so that they may come after it, too."""
        return any(_is_list(blob) for blob in self.expected["written_last"])

    def files(self, endpoint: str = ENDPOINT) -> dict[str, bytes]:
        """Content by blob, what shows that the drop is whole last; `endpoint`: where it is put."""
        landing = HERE / self.name / "landing"
        contents = {
            self._as_named(str(path.relative_to(landing))): self._content(path, endpoint)
            for path in landing.rglob("*")
            if path.is_file()
        }
        last: list[str] = self.expected["written_last"]
        return {blob: contents[blob] for blob in [*sorted(contents.keys() - {*last}), *last]}

    def copy(self, ending: str) -> "WrittenSample":
        """The same drop of other people, with another segment in another folder; only for files of text."""
        segment = self.expected["segment"]
        top = self.expected["read"][0].partition("/")[0]
        renamed = {segment: segment + ending, "@example.com": f"@{ending.strip('-')}.example.com"}
        if top != segment:
            renamed[f"{top}/"] = f"{top}{ending}/"
        expected = _replaced(json.dumps(self.expected, ensure_ascii=False), renamed)
        return WrittenSample(self.name, json.loads(expected), renamed)

    def _content(self, path: Path, endpoint: str) -> bytes:
        content = path.read_bytes()
        if path.suffix == ".json":
            content = content.replace(ENDPOINT.encode(), endpoint.encode())
        return self._as_named(content.decode()).encode() if self.renamed else content

    def _as_named(self, text: str) -> str:
        return _replaced(text, self.renamed)


def sample(name: str) -> WrittenSample:
    """A sample by its folder's name."""
    return WrittenSample(name, json.loads((HERE / name / "expected.json").read_bytes()))


def _replaced(text: str, renamed: Mapping[str, str]) -> str:
    for old, new in renamed.items():
        text = text.replace(old, new)
    return text


def _is_list(blob: str) -> bool:
    name = blob.rpartition("/")[2]
    return is_manifest(name) or is_commit(name)
