import re
from pathlib import Path

import pytest

from exporter.domain.configuration_file import load_configuration
from exporter.domain.dialect import Dialect
from exporter.domain.hosts import HostPolicy
from exporter.domain.mismatch import mismatch
from exporter.domain.own_recipe import RESERVED
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.errors import ConfigurationError

FILE = r"""
recipes:
  - id: nightly-unload
    pattern: "unload/{segment}/{drop}/data_{part}.csv.gz"
    complete: [marker, quiet]
    quiet_seconds: 120
    dialect: {header: false, columns: [Email, City], delimiter: "|", null: \N, quote: none, escape: backslash}
"""
PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
YAML_BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
AT_ONCE_AND_PARTS = "`at_once` says that each file is a drop, and {part} that several are: choose one"
DIALECT_LINE = FILE.rstrip().splitlines()[-1]


def load(text: str) -> tuple[Recipe, ...]:
    return load_configuration(text, filename="acme.yaml", host_policy=HostPolicy()).recipes


def problems(text: str) -> list[str]:
    """What is said about a text, without the file's name."""
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    return [line.removeprefix("acme.yaml:") for line in str(caught.value).splitlines()]


def changed(before: str, after: str) -> str:
    """The sample file with one place changed."""
    assert FILE.count(before) == 1
    return FILE.replace(before, after)


def with_dialect(dialect: str) -> str:
    """The sample file with another dialect."""
    return changed(DIALECT_LINE, f"    dialect: {dialect}")


def test_a_recipe_with_all_its_keys_is_read() -> None:
    assert load(FILE) == (
        Recipe(
            id="nightly-unload",
            pattern="unload/{segment}/{drop}/data_{part}.csv.gz",
            complete=(Completeness.MARKER, Completeness.QUIET),
            quiet_seconds=120,
            dialect=Dialect(
                header=False,
                columns=("Email", "City"),
                delimiter="|",
                null="\\N",
                quote="none",
                escape="backslash",
            ),
        ),
    )


def test_what_has_a_default_may_be_left_out() -> None:
    (recipe,) = load('recipes: [{id: mine, pattern: "in/{segment}/{drop}/{part}"}]')
    assert (recipe.complete, recipe.quiet_seconds, recipe.dialect) == (
        (Completeness.MARKER,),
        None,
        Dialect(),
    )


@pytest.mark.parametrize("spelling", ["null", '"null"', "'null'"])
def test_null_is_a_key_however_it_is_written(spelling: str) -> None:
    (recipe,) = load(with_dialect(rf"{{{spelling}: \N}}"))
    assert recipe.dialect.null == "\\N"


def test_null_as_a_value_says_how_to_mean_the_word() -> None:
    (problem,) = problems(with_dialect("{null: null}"))
    assert problem.startswith(
        "7: recipes[nightly-unload].dialect.null: should not be empty: for files that say"
    )
    (recipe,) = load(with_dialect('{null: "null"}'))
    assert recipe.dialect.null == "null"


@pytest.mark.parametrize(
    ("written", "sign"),
    [
        ("tab", "\t"),
        ("comma", ","),
        ("semicolon", ";"),
        ("bar", "|"),
        ('"\\t"', "\t"),
        ("^", "^"),
        ("¦", "¦"),
    ],
)
def test_a_delimiter_is_a_sign_or_its_word(written: str, sign: str) -> None:
    (recipe,) = load(with_dialect(f"{{delimiter: {written}}}"))
    assert recipe.dialect.delimiter == sign


@pytest.mark.parametrize(
    ("dialect", "key", "message"),
    [
        ("{delimiter: tabs}", "delimiter", "should be one character"),
        ("{delimiter: ''}", "delimiter", "should be one character"),
        (r"{delimiter: '\t'}", "delimiter", r'should be one character (a tab is "\t"), or one of the words'),
        ("{delimiter: x}", "delimiter", "should be a sign that values seldom hold, not a letter"),
        ("{delimiter: '7'}", "delimiter", "should be a sign that values seldom hold, not a letter"),
        ('{delimiter: "\\n"}', "delimiter", "should be a sign that values seldom hold, not a letter"),
        ('{delimiter: "\\r"}', "delimiter", "should be a sign that values seldom hold, not a letter"),
        ('{delimiter: "\\0"}', "delimiter", "should be a sign that values seldom hold, not a letter"),
        ("""{delimiter: '"'}""", "delimiter", "should be a sign that values seldom hold"),
        ("""{delimiter: "'", quote: "'"}""", "delimiter", "should be a sign that values seldom hold"),
        (r"{delimiter: '\', escape: backslash}", "delimiter", "should be a sign that values seldom hold"),
        (r"{delimiter: '\'}", "delimiter", "should be a sign that values seldom hold"),
        ("{delimiter: 5}", "delimiter", "should be text (put it in quotes)"),
        ("{quote: none, escape: double}", "escape", "doubles quotes, and `quote: none` says"),
        ("{quote: '`'}", "quote", "should be"),
        ("{escape: slash}", "escape", "should be 'double' or 'backslash'"),
        ("{encoding: utf8}", "encoding", "should be 'utf-8', 'utf-16', 'latin-1' or 'windows-1252'"),
        ("{header: no}", "header", "should be true or false"),
        ("{header: true, columns: [Email]}", "columns", "with `header: true` the files name their columns"),
        ("{columns: [Email, City, Email]}", "columns", "lists 'Email' twice"),
        ("{columns: [Email, '']}", "columns", "holds an empty name"),
        ("{columns: [Email, ' City']}", "columns", "has a name with blanks around it"),
        ("{columns: Email}", "columns", "should be a list"),
        ("{format: parquet, delimiter: tab}", "delimiter", "says nothing about Parquet: leave it out"),
        ("{format: parquet, encoding: latin-1}", "encoding", "says nothing about Parquet: leave it out"),
        ("{format: jsonl, header: true}", "header", "says nothing about JSON Lines: leave it out"),
        ("{format: jsonl, columns: [Email]}", "columns", "says nothing about JSON Lines: leave it out"),
        ("{delimeter: tab}", "delimeter", "is not a known key; did you mean 'delimiter'?"),
    ],
)
def test_a_dialect_that_nobody_can_mean_is_refused(dialect: str, key: str, message: str) -> None:
    (problem,) = problems(with_dialect(dialect))
    assert problem.startswith(f"7: recipes[nightly-unload].dialect.{key}: {message}")


@pytest.mark.parametrize(
    "dialect",
    [
        "{quote: none, escape: backslash}",
        "{format: jsonl, encoding: utf-16}",
        "{format: parquet}",
        "{header: true}",
        "{columns: [Email]}",
    ],
)
def test_a_dialect_that_holds_together_is_taken(dialect: str) -> None:
    assert load(with_dialect(dialect))


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("{part}", "{part", "4: recipes[nightly-unload].pattern: a placeholder should look like {name}"),
        ("{drop}/", "[{drop}/", "4: recipes[nightly-unload].pattern: square brackets should come in pairs"),
        ("{drop}", "{drop:many}", "4: recipes[nightly-unload].pattern: {…:many} is not known (known: "),
        ("{drop}", "{segment}", "4: recipes[nightly-unload].pattern: each placeholder should have a name"),
        (
            "{segment}",
            "all",
            "3: recipes[nightly-unload]: the pattern needs {segment}, or the recipe a segment",
        ),
        ("unload/", "segments/", "4: recipes[nightly-unload].pattern: begins with the container's name"),
        ("unload/", "/", "4: recipes[nightly-unload].pattern: has an empty folder in it"),
        ("data_{part}", "_data_{part}", "4: recipes[nightly-unload].pattern: asks for names that begin with"),
        ("nightly-unload", "Nightly", "3: recipes[0].id: should be 1 to 63 lower-case letters, digits and"),
        (
            "nightly-unload",
            "snowflake",
            "3: recipes[snowflake].id: 'snowflake' is built in, or kept for that",
        ),
        ("[marker, quiet]", "[]", "5: recipes[nightly-unload].complete: should not be empty"),
        ("[marker, quiet]", "quiet", "5: recipes[nightly-unload].complete: should be a list"),
        ("[marker, quiet]", "[quiet, marker]", "5: recipes[nightly-unload].complete: `quiet` always decides"),
        ("[marker, quiet]", "[marker, marker, quiet]", "5: recipes[nightly-unload].complete: lists the same"),
        ("[marker, quiet]", "[marker]", "6: recipes[nightly-unload].quiet_seconds: counts only where"),
        ("[marker, quiet]", "[manifest, quiet]", "5: recipes[nightly-unload].complete: `manifest` needs the"),
        (
            "[marker, quiet]",
            "[at_once]",
            "5: recipes[nightly-unload].complete: `at_once` says that each file",
        ),
        (
            "quiet_seconds: 120",
            "quiet_seconds: 0",
            "6: recipes[nightly-unload].quiet_seconds: should be at least",
        ),
        ("quiet_seconds: 120", "manifest: m.json", "6: recipes[nightly-unload].manifest: is read only where"),
        (
            "quiet_seconds: 120",
            "segment: a/b",
            "6: recipes[nightly-unload].segment: should be a segment's name",
        ),
        ("quiet_seconds: 120", "segment: '{x}'", "3: recipes[nightly-unload]: {x} is no placeholder of the"),
        (
            "columns: [Email, City], ",
            "",
            "7: recipes[nightly-unload].dialect: files without a header need",
        ),
    ],
)
def test_a_recipe_that_nobody_can_mean_is_refused(before: str, after: str, problem: str) -> None:
    found = problems(changed(before, after))
    assert [line for line in found if line.startswith(problem)], found


def test_an_unknown_way_to_be_complete_is_told_with_the_known_ones() -> None:
    (problem,) = problems(changed("[marker, quiet]", "[done, quiet]"))
    assert "complete[0]: should be 'manifest', 'committed', 'marker', 'quiet' or 'at_once'" in problem


def test_ids_are_unique_and_problems_of_all_recipes_are_told_together() -> None:
    twice = FILE + FILE.split("recipes:\n")[1].replace("[marker, quiet]", "[quiet, at_once]")
    assert problems(twice) == [
        "8: recipes[nightly-unload].id: the id 'nightly-unload' is already used in line 3",
        f"10: recipes[nightly-unload].complete: {AT_ONCE_AND_PARTS}",
        "10: recipes[nightly-unload].complete: `quiet` always decides: put it last",
    ]


def test_no_recipe_takes_the_id_of_a_built_in_one() -> None:
    assert {recipe.id for recipe in BUILT_IN} <= RESERVED


def test_the_examples_of_the_page_are_right() -> None:
    (example,) = [block for block in YAML_BLOCKS if block.startswith("recipes:")]
    unload, crm = load(example)
    assert (unload.dialect.null, crm.dialect.delimiter, crm.dialect.encoding) == ("\\N", ";", "latin-1")
    assert mismatch(crm, "crm/vip_20260301.txt") == ""


@pytest.mark.parametrize("key", [*Recipe.model_fields, *Dialect.model_fields])
def test_each_key_is_on_the_page(key: str) -> None:
    assert f"\n| `{key}` |" in PAGE


@pytest.mark.parametrize("way", Completeness)
def test_each_way_to_be_complete_is_on_the_page(way: Completeness) -> None:
    assert f"\n| `{way.value}` |" in PAGE
