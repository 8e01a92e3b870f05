"""Connections, exports and recipes as documents: `configuration/<kind>/<id>.json`."""

from datetime import datetime
from typing import Any

import orjson

from exporter.adapters.documents import DocumentBytes, Documents
from exporter.domain.configuration import Connection, Export
from exporter.domain.recipe import Recipe
from exporter.domain.schema import check_schema
from exporter.errors import ConflictError
from exporter.steps.ports import Stored, StoredExport

SCHEMA = 2
"""2: exports may declare changes, and there are recipes. Documents of 1 are read."""
_FIRST_SCHEMA = 1
_CONNECTIONS = "configuration/connections/"
_EXPORTS = "configuration/exports/"
_RECIPES = "configuration/recipes/"


class BlobRegistry:
    """Keeps what it has read by ETag, so that a look at unchanged documents costs one listing."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: dict[str, DocumentBytes] = {}

    async def connections(self) -> dict[str, Stored[Connection]]:
        """All connections by id."""
        found = {}
        for document in await self._read_all(_CONNECTIONS):
            connection = Connection.model_validate_json(_part(document, "connection"))
            found[connection.id] = Stored(connection, document.etag or "")
        return found

    async def exports(self) -> dict[str, StoredExport]:
        """All exports by id."""
        found = {}
        for document in await self._read_all(_EXPORTS):
            export = Export.model_validate_json(_part(document, "export"))
            active_since = datetime.fromisoformat(orjson.loads(document.data)["active_since"])
            found[export.id] = StoredExport(export, document.etag or "", active_since)
        return found

    async def recipes(self) -> dict[str, Stored[Recipe]]:
        """The user's own recipes by id."""
        found = {}
        for document in await self._read_all(_RECIPES):
            recipe = Recipe.model_validate_json(_part(document, "recipe"))
            found[recipe.id] = Stored(recipe, document.etag or "")
        return found

    async def put_connection(self, connection: Connection, *, etag: str | None) -> None:
        """Write a connection over the version `etag`."""
        await self._put(
            f"{_CONNECTIONS}{connection.id}.json",
            {"connection": connection.model_dump(mode="json")},
            etag,
        )

    async def put_export(self, export: Export, *, etag: str | None) -> None:
        """Write an export over the version `etag`; storage's clock says since when it is active."""
        name = f"{_EXPORTS}{export.id}.json"
        read_at = (await self._documents.read(name)).read_at
        await self._put(
            name, {"export": export.model_dump(mode="json"), "active_since": read_at.isoformat()}, etag
        )

    async def put_recipe(self, recipe: Recipe, *, etag: str | None) -> None:
        """Write a recipe over the version `etag`."""
        await self._put(f"{_RECIPES}{recipe.id}.json", {"recipe": recipe.model_dump(mode="json")}, etag)

    async def remove_connection(self, connection_id: str, *, etag: str) -> None:
        """Remove a connection's version `etag`."""
        await self._documents.remove(f"{_CONNECTIONS}{connection_id}.json", etag=etag)

    async def remove_export(self, export_id: str, *, etag: str) -> None:
        """Remove an export's version `etag`."""
        await self._documents.remove(f"{_EXPORTS}{export_id}.json", etag=etag)

    async def remove_recipe(self, recipe_id: str, *, etag: str) -> None:
        """Remove a recipe's version `etag`."""
        await self._documents.remove(f"{_RECIPES}{recipe_id}.json", etag=etag)

    async def _put(self, name: str, content: dict[str, Any], etag: str | None) -> None:
        try:
            await self._documents.replace(name, orjson.dumps({"schema": SCHEMA, **content}), etag=etag)
        except ConflictError as error:
            raise ConflictError(
                f"{name.rsplit('/', 1)[1].removesuffix('.json')} was changed by somebody else at the same "
                "time: look at it and try again"
            ) from error

    async def _read_all(self, prefix: str) -> list[DocumentBytes]:
        listed = await self._documents.names(prefix)
        missing = [
            name for name, etag in listed if name not in self._known or not _same(self._known[name], etag)
        ]
        async for name, document in self._documents.read_many(missing):
            self._known[name] = document
        return [self._known[name] for name, _ in listed if self._known[name].etag is not None]


def _same(document: DocumentBytes, etag: str) -> bool:
    """A listing gives ETags without the quotes that an answer's header has."""
    return (document.etag or "").strip('"') == etag.strip('"')


def _part(document: DocumentBytes, key: str) -> bytes:
    content = orjson.loads(document.data)
    if content["schema"] != _FIRST_SCHEMA:
        check_schema("configuration", content["schema"], SCHEMA)
    return orjson.dumps(content[key])
