"""A configuration file becomes what is stored: the difference first, then the writes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel

from exporter.domain.configuration import Configuration, Connection, Export
from exporter.domain.recipe import Recipe
from exporter.errors import ConfigurationError
from exporter.steps.ports import Registry

_Document = TypeVar("_Document", Connection, Export, Recipe)


class Action(StrEnum):
    """What becomes of a stored document."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """One document's part of the difference."""

    kind: str
    """`connection`, `recipe` or `export`."""
    id: str
    action: Action
    paths: tuple[str, ...] = ()
    """What changes within the document: ``limits.share``, ``mapping.fields.City``."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What applying a file did, or would do."""

    changes: tuple[Change, ...]
    applied: bool
    """False after a dry run."""

    def count(self, action: Action) -> int:
        """How many documents have this action."""
        return sum(change.action is action for change in self.changes)


def difference(stored: Configuration, wanted: Configuration, *, prune: bool) -> tuple[Change, ...]:
    """What it takes to turn the stored configuration into the wanted one: connections, recipes, exports.

    Without `prune` nothing is removed. Raises ConfigurationError when a connection
    would be removed, or is not there, that an export needs.
    """
    changes = (
        *_changes("connection", _by_id(stored.connections), _by_id(wanted.connections), prune=prune),
        *_changes("recipe", _by_id(stored.recipes), _by_id(wanted.recipes), prune=prune),
        *_changes("export", _by_id(stored.exports), _by_id(wanted.exports), prune=prune),
    )
    _check_connections(stored, wanted, prune=prune)
    return changes


async def apply_configuration(
    configuration: Configuration, registry: Registry, *, prune: bool = False, dry_run: bool = False
) -> Differences:
    """Write what differs, and only that: an export that is written waits for its next drop.

    Raises ConfigurationError before the first write when the result would not hold together, and
    ConflictError when someone else writes at the same time; applying again then completes it.
    """
    connections = await registry.connections()
    exports = await registry.exports()
    recipes = await registry.recipes()
    stored = Configuration(
        connections=tuple(document.value for document in connections.values()),
        exports=tuple(document.value for document in exports.values()),
        recipes=tuple(document.value for document in recipes.values()),
    )
    changes = difference(stored, configuration, prune=prune)
    if dry_run:
        return Differences(changes, applied=False)
    wanted_connections, wanted_exports = _by_id(configuration.connections), _by_id(configuration.exports)
    wanted_recipes = _by_id(configuration.recipes)
    # At every moment each stored export has its connection, and drops of a recipe find their export only
    # when both are there: exports come last and go first.
    for change in _writes(changes, "connection"):
        known = connections.get(change.id)
        await registry.put_connection(wanted_connections[change.id], etag=known.etag if known else None)
    for change in _writes(changes, "recipe"):
        before = recipes.get(change.id)
        await registry.put_recipe(wanted_recipes[change.id], etag=before.etag if before else None)
    for change in _writes(changes, "export"):
        earlier = exports.get(change.id)
        await registry.put_export(wanted_exports[change.id], etag=earlier.etag if earlier else None)
    for change in _removals(changes, "export"):
        await registry.remove_export(change.id, etag=exports[change.id].etag)
    for change in _removals(changes, "recipe"):
        await registry.remove_recipe(change.id, etag=recipes[change.id].etag)
    for change in _removals(changes, "connection"):
        await registry.remove_connection(change.id, etag=connections[change.id].etag)
    return Differences(changes, applied=True)


def _by_id(documents: Iterable[_Document]) -> dict[str, _Document]:
    return {document.id: document for document in documents}


def _changes(
    kind: str, stored: Mapping[str, _Document], wanted: Mapping[str, _Document], *, prune: bool
) -> Iterator[Change]:
    for name, document in wanted.items():
        if name not in stored:
            yield Change(kind, name, Action.CREATE)
        elif paths := changed_paths(stored[name], document):
            yield Change(kind, name, Action.CHANGE, paths)
        else:
            yield Change(kind, name, Action.UNCHANGED)
    if prune:
        yield from (Change(kind, name, Action.REMOVE) for name in stored if name not in wanted)


def changed_paths(stored: BaseModel, wanted: BaseModel) -> tuple[str, ...]:
    """Which parts of a document differ, in alphabetical order."""
    before, after = _flat(stored.model_dump(mode="json")), _flat(wanted.model_dump(mode="json"))
    return tuple(
        ".".join(path)
        for path in sorted(before.keys() | after.keys())
        if before.get(path, _ABSENT) != after.get(path, _ABSENT)
    )


_ABSENT = object()


def _flat(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Nested keys as paths; lists stay whole."""
    flat: dict[tuple[str, ...], Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, (*path, key))
        else:
            flat[(*path, key)] = value
    return flat


def _check_connections(stored: Configuration, wanted: Configuration, *, prune: bool) -> None:
    """Every export that will be stored has its connection."""
    connections = {document.id for document in wanted.connections}
    exports = _by_id(wanted.exports)
    if not prune:
        connections |= {document.id for document in stored.connections}
        exports = _by_id(stored.exports) | exports
    lost = [
        f"the connection {export.connection!r} is needed by the export {export.id!r}: keep the connection "
        "in the file, or let the export use another"
        for export in exports.values()
        if export.connection not in connections
    ]
    if lost:
        raise ConfigurationError("\n".join(lost))


def _writes(changes: Iterable[Change], kind: str) -> Iterator[Change]:
    wanted = (Action.CREATE, Action.CHANGE)
    return (change for change in changes if change.kind == kind and change.action in wanted)


def _removals(changes: Iterable[Change], kind: str) -> Iterator[Change]:
    return (change for change in changes if change.kind == kind and change.action is Action.REMOVE)
