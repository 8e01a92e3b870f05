"""The registry in memory, with the same ETag rules as the real one."""

from datetime import UTC, datetime
from typing import TypeVar

from exporter.domain.configuration import Connection, Export
from exporter.domain.recipe import Recipe
from exporter.errors import ConflictError
from exporter.steps.ports import Stored, StoredExport

_Document = TypeVar("_Document", bound=Connection | Export | Recipe)


class FakeRegistry:
    """Holds connections, exports and recipes; `writes` lists what was done to them, in order."""

    def __init__(self, *, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.now = now
        self.writes: list[str] = []
        self._connections: dict[str, Stored[Connection]] = {}
        self._exports: dict[str, StoredExport] = {}
        self._recipes: dict[str, Stored[Recipe]] = {}
        self._version = 0

    async def connections(self) -> dict[str, Stored[Connection]]:
        return dict(self._connections)

    async def exports(self) -> dict[str, StoredExport]:
        return dict(self._exports)

    async def recipes(self) -> dict[str, Stored[Recipe]]:
        return dict(self._recipes)

    async def put_connection(self, connection: Connection, *, etag: str | None) -> None:
        self._check(self._connections.get(connection.id), etag)
        self._connections[connection.id] = Stored(connection, self._next_etag())
        self.writes.append(f"put connection {connection.id}")

    async def put_export(self, export: Export, *, etag: str | None) -> None:
        self._check(self._exports.get(export.id), etag)
        self._exports[export.id] = StoredExport(export, self._next_etag(), self.now)
        self.writes.append(f"put export {export.id}")

    async def put_recipe(self, recipe: Recipe, *, etag: str | None) -> None:
        self._check(self._recipes.get(recipe.id), etag)
        self._recipes[recipe.id] = Stored(recipe, self._next_etag())
        self.writes.append(f"put recipe {recipe.id}")

    async def remove_connection(self, connection_id: str, *, etag: str) -> None:
        self._check(self._connections.get(connection_id), etag)
        del self._connections[connection_id]
        self.writes.append(f"remove connection {connection_id}")

    async def remove_export(self, export_id: str, *, etag: str) -> None:
        self._check(self._exports.get(export_id), etag)
        del self._exports[export_id]
        self.writes.append(f"remove export {export_id}")

    async def remove_recipe(self, recipe_id: str, *, etag: str) -> None:
        self._check(self._recipes.get(recipe_id), etag)
        del self._recipes[recipe_id]
        self.writes.append(f"remove recipe {recipe_id}")

    def _check(self, stored: Stored[_Document] | None, etag: str | None) -> None:
        if (stored.etag if stored else None) != etag:
            raise ConflictError("the document changed meanwhile")

    def _next_etag(self) -> str:
        self._version += 1
        return f'"{self._version}"'
