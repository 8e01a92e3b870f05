"""Stand-in until the real one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.domain.dialect import UNDECLARED, Dialect

MAX_MANIFEST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    blobs: tuple[str, ...]
    dialect: Dialect = UNDECLARED
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Commits:
    files: frozenset[str]
    waits_for: str


def is_manifest(name: str) -> bool:
    return name == "model.json" or name.endswith(".manifest.cdm.json")


def is_commit(name: str) -> bool:
    return name.startswith("_committed_") and not name.startswith("_committed_vacuum")


def read_commits(signs: Mapping[str, bytes], files: Iterable[str]) -> Commits:
    return Commits(frozenset(files), "")


def needed_files(blob: str, data: bytes) -> tuple[str, ...]:
    return ()


def read_manifest(blob: str, data: bytes, definitions: Mapping[str, bytes | None]) -> tuple[Listed, ...]:
    return ()
