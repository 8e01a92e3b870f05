import asyncio

import pytest

from exporter.cli.recipes import PURPOSES
from exporter.cli.running import ExitCode
from exporter.domain.dialect import Dialect
from exporter.domain.layout import LISTED
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from tests.unit.cli.world import World

OWN = Recipe(
    id="nightly",
    pattern="unload/{segment}/{drop}/data_{part}.csv.gz",
    complete=(Completeness.MARKER, Completeness.QUIET),
    quiet_seconds=120,
    dialect=Dialect(header=False, columns=("Email", "City"), delimiter="\t", null="\\N", quote="none"),
)


@pytest.fixture
def own(world: World) -> World:
    """A world with a recipe of its own."""
    asyncio.run(world.registry.put_recipe(OWN, etag=None))
    return world


def test_the_own_recipes_come_before_the_built_in_ones(own: World) -> None:
    assert own.command("recipe", "list", "--json") == ExitCode.DONE
    assert [recipe["id"] for recipe in own.document] == ["nightly", *(recipe.id for recipe in BUILT_IN)]
    assert [recipe["built_in"] for recipe in own.document] == [False, *[True] * len(BUILT_IN)]
    assert own.command("recipe", "list") == ExitCode.DONE
    assert "from the configuration file" in own.out


def test_each_built_in_recipe_says_what_it_is_for() -> None:
    assert PURPOSES.keys() == {recipe.id for recipe in (*BUILT_IN, LISTED)}


def test_one_recipe_is_shown_with_its_dialect(own: World) -> None:
    assert own.command("recipe", "show", "nightly") == ExitCode.DONE
    lines = dict(line.split("  ", 1) for line in own.out.splitlines())
    said = {name.strip(): value.strip() for name, value in lines.items()}
    assert (
        said["a drop is whole when"] == "_SUCCESS or .done lies in its folder, else no file came for a while"
    )
    assert said["quiet for"] == "120 s"
    assert (said["delimiter"], said["null"], said["header"]) == ("tab", "\\N", "no")
    assert said["columns"] == "Email, City"
    assert own.command("recipe", "show", "nightly", "--json") == ExitCode.DONE
    assert own.document["dialect"]["delimiter"] == "\t"


def test_what_a_manifest_alone_decides_is_shown_as_built_in(world: World) -> None:
    assert world.command("recipe", "show", "cdm", "--json") == ExitCode.DONE
    assert (world.document["built_in"], world.document["complete"]) == (True, ["manifest"])
    assert "Common Data Model" in world.document["purpose"]


def test_a_built_in_recipe_is_shown_and_an_unknown_one_names_those_there_are(own: World) -> None:
    assert own.command("recipe", "show", "file") == ExitCode.DONE
    assert "found out from each file" in own.out
    assert own.command("recipe", "show", "fiel") == ExitCode.ERROR
    assert "there is no recipe 'fiel' (known: " in own.err
