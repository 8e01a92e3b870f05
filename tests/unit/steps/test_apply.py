from typing import Any

import pytest

from exporter.domain.configuration import Configuration, Connection, Consent, Export, Limits, Mapping
from exporter.domain.dialect import Dialect
from exporter.domain.recipe import Recipe
from exporter.errors import ConfigurationError, ConflictError
from exporter.steps.apply import Action, Change, apply_configuration, difference
from tests.fakes.registry import FakeRegistry


def a_connection(name: str = "acme", /, **changes: Any) -> Connection:
    connection = Connection(
        id=name, name=name, host="acme.api-us1.com", secret="key", consent=Consent(accepted_by="Ann")
    )
    return connection.model_copy(update=changes)


def an_export(name: str = "vip", /, **changes: Any) -> Export:
    export = Export(
        id=name, name=name, connection="acme", list_id="5", segments=("vip",), mapping=Mapping(email="Email")
    )
    return export.model_copy(update=changes)


def a_recipe(name: str = "nightly", /, **changes: Any) -> Recipe:
    return Recipe(id=name, pattern="in/{segment}/{drop}/{part}").model_copy(update=changes)


BOTH = Configuration(connections=(a_connection(),), exports=(an_export(),))
NOTHING = Configuration()


def test_everything_is_new_at_first() -> None:
    assert difference(NOTHING, BOTH, prune=False) == (
        Change("connection", "acme", Action.CREATE),
        Change("export", "vip", Action.CREATE),
    )


def test_the_same_again_is_unchanged() -> None:
    assert {change.action for change in difference(BOTH, BOTH, prune=True)} == {Action.UNCHANGED}


def test_a_change_names_its_paths() -> None:
    mapping = Mapping(email="Mail", phone="Phone", fields={"City": "City"})
    wanted = Configuration(
        connections=(a_connection(limits=Limits(share=0.5)),),
        exports=(an_export(mapping=mapping, segments=("vip", "gold")),),
    )
    assert difference(BOTH, wanted, prune=False) == (
        Change("connection", "acme", Action.CHANGE, ("limits.share",)),
        Change(
            "export",
            "vip",
            Action.CHANGE,
            ("mapping.email", "mapping.fields.City", "mapping.phone", "segments"),
        ),
    )


def test_nothing_is_removed_without_prune() -> None:
    assert difference(BOTH, NOTHING, prune=False) == ()
    assert [change.action for change in difference(BOTH, NOTHING, prune=True)] == [Action.REMOVE] * 2


def test_a_connection_in_use_is_not_removed() -> None:
    with pytest.raises(ConfigurationError, match="'acme' is needed by the export 'vip'"):
        difference(BOTH, Configuration(exports=BOTH.exports), prune=True)


def test_an_export_may_use_a_stored_connection() -> None:
    stored = Configuration(connections=BOTH.connections)
    assert difference(stored, Configuration(exports=BOTH.exports), prune=False)[0].action is Action.CREATE


async def test_only_what_differs_is_written_and_connections_come_first_and_go_last() -> None:
    registry = FakeRegistry()
    await apply_configuration(BOTH, registry)
    assert registry.writes == ["put connection acme", "put export vip"]
    registry.writes.clear()

    wanted = Configuration(
        connections=(a_connection("beta"),),
        exports=(an_export(connection="beta"), an_export("gold", connection="beta")),
    )
    result = await apply_configuration(wanted, registry, prune=True)
    assert registry.writes == [
        "put connection beta",
        "put export vip",
        "put export gold",
        "remove connection acme",
    ]
    assert [result.count(action) for action in Action] == [2, 1, 1, 0]

    registry.writes.clear()
    await apply_configuration(wanted, registry, prune=True)
    assert registry.writes == []


async def test_a_dry_run_shows_the_difference_and_writes_nothing() -> None:
    registry = FakeRegistry()
    result = await apply_configuration(BOTH, registry, dry_run=True)
    assert not result.applied
    assert result.changes == difference(NOTHING, BOTH, prune=False)
    assert registry.writes == []


async def test_nothing_is_written_when_the_whole_would_not_hold_together() -> None:
    registry = FakeRegistry()
    with pytest.raises(ConfigurationError):
        await apply_configuration(Configuration(exports=BOTH.exports), registry)
    assert registry.writes == []


async def test_a_concurrent_change_is_not_overwritten() -> None:
    registry = FakeRegistry()
    await apply_configuration(BOTH, registry)

    class Interrupted(FakeRegistry):
        async def connections(self) -> Any:
            stored = await registry.connections()
            await registry.put_connection(a_connection(secret="new"), etag=stored["acme"].etag)
            return stored

        exports = registry.exports
        recipes = registry.recipes
        put_connection = registry.put_connection

    with pytest.raises(ConflictError):
        await apply_configuration(Configuration(connections=(a_connection(name="Acme"),)), Interrupted())
    assert (await registry.connections())["acme"].value.secret == "new"


async def test_recipes_are_there_before_the_exports_and_go_after_them() -> None:
    registry = FakeRegistry()
    await apply_configuration(BOTH.model_copy(update={"recipes": (a_recipe(),)}), registry)
    assert registry.writes == ["put connection acme", "put recipe nightly", "put export vip"]
    assert {name: stored.value for name, stored in (await registry.recipes()).items()} == {
        "nightly": a_recipe()
    }

    registry.writes.clear()
    result = await apply_configuration(NOTHING, registry, prune=True)
    assert registry.writes == ["remove export vip", "remove recipe nightly", "remove connection acme"]
    assert [change.kind for change in result.changes] == ["connection", "recipe", "export"]


async def test_a_recipe_that_changes_is_written_over_the_version_that_was_read() -> None:
    registry = FakeRegistry()
    await apply_configuration(Configuration(recipes=(a_recipe(), a_recipe("other"))), registry)
    registry.writes.clear()
    changed = a_recipe(dialect=Dialect(delimiter=";", encoding="latin-1"), quiet_seconds=60)
    result = await apply_configuration(Configuration(recipes=(changed, a_recipe("other"))), registry)
    assert registry.writes == ["put recipe nightly"]
    assert result.changes == (
        Change(
            "recipe",
            "nightly",
            Action.CHANGE,
            ("dialect.delimiter", "dialect.encoding", "quiet_seconds"),
        ),
        Change("recipe", "other", Action.UNCHANGED),
    )


async def test_a_dry_run_shows_recipes_and_writes_none() -> None:
    registry = FakeRegistry()
    result = await apply_configuration(Configuration(recipes=(a_recipe(),)), registry, dry_run=True)
    assert result.changes == (Change("recipe", "nightly", Action.CREATE),)
    assert registry.writes == []
