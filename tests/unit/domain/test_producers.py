"""The sample of each producer is one whole drop of the files that count, and read as its dialect says."""

import io
import json
from collections.abc import Iterable
from datetime import timedelta

import pytest

from exporter.domain.commits import is_commit
from exporter.domain.drop import Source
from exporter.domain.layout import Drop, Landing, drops_of
from exporter.domain.manifest import is_manifest, needed_files, read_manifest
from exporter.domain.reading import ReadingWatch
from exporter.domain.recipe import Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.domain.source_file import SourceFile
from exporter.domain.table import open_table
from tests.builders import NOON, a_source
from tests.samples.producers import make, samples

QUIET = timedelta(minutes=5)
AZURITE = "http://127.0.0.1:10000/devstoreaccount1"


def drops_in(files: dict[str, bytes], own: Iterable[Recipe] = ()) -> list[Drop]:
    """The drops in a landing container whose files were written one after another, seconds apart."""
    sources = [
        a_source(blob, size=len(content), last_modified=NOON + timedelta(seconds=number))
        for number, (blob, content) in enumerate(files.items())
    ]
    names = {blob: blob.rpartition("/")[2] for blob in files}
    manifests = {
        blob: read_manifest(blob, content, {name: files.get(name) for name in needed_files(blob, content)})
        for blob, content in files.items()
        if is_manifest(names[blob])
    }
    return drops_of(
        Landing(
            files=tuple(sorted(sources, key=lambda source: source.blob)),
            recipes=(*own, *BUILT_IN),
            manifests=manifests,
            commits={blob: content for blob, content in files.items() if is_commit(names[blob])},
            now=sources[-1].last_modified + QUIET,
            quiet=QUIET,
        )
    )


def names_of(sources: Iterable[Source]) -> list[str]:
    return [source.blob for source in sources]


@pytest.mark.parametrize("name", samples.NAMES)
@pytest.mark.parametrize("endpoint", [make.ENDPOINT, AZURITE])
def test_a_sample_is_one_whole_drop_of_its_segment(name: str, endpoint: str) -> None:
    sample = samples.sample(name)
    own = [Recipe.model_validate_json(json.dumps(recipe)) for recipe in sample.expected["own_recipes"]]

    drops = drops_in(sample.files(endpoint), own)

    (drop,) = [drop for drop in drops if drop.segment == sample.expected["segment"] and drop.complete]
    assert names_of(drop.files) == sample.expected["read"]
    assert drop.recipe.id == sample.expected["recipe"]


@pytest.mark.parametrize("name", samples.NAMES)
def test_no_part_of_a_sample_is_a_drop_by_itself(name: str) -> None:
    sample = samples.sample(name)
    last = sample.expected["written_last"] or sample.expected["read"][-1:]
    files = {blob: content for blob, content in sample.files().items() if blob not in last}
    if not files:
        return  # one file is the whole drop

    drops = [drop for drop in drops_in(files) if drop.segment == sample.expected["segment"]]

    for drop in drops:
        waits = drop.recipe.complete[-1].value != "quiet"
        assert not (drop.complete and waits), f"{drop.recipe.id} takes {names_of(drop.files)}"


@pytest.mark.parametrize("name", ["adobe", "snowflake", "cetas-csv"])
def test_names_alone_are_enough_for_a_built_in_recipe(name: str) -> None:
    sample = samples.sample(name)

    (drop,) = drops_in({blob: sample.files()[blob] for blob in sample.expected["read"]})

    assert drop.recipe.id == sample.expected["recipe_by_names"]
    assert names_of(drop.files) == sample.expected["read"]


@pytest.mark.parametrize("make_sample", make.SAMPLES)
def test_samples_are_as_their_script_writes_them(make_sample: make.Maker) -> None:
    sample = make_sample()

    written = samples.sample(sample.name)

    assert written.expected == json.loads(json.dumps(sample.expected()))
    files = written.files()
    assert files.keys() == sample.files.keys()
    for blob, content in sample.files.items():
        # Parquet names its writer's version.
        assert files[blob] == content or blob.endswith(".parquet")


@pytest.mark.parametrize("name", samples.NAMES)
def test_the_rows_of_a_sample_are_its_people(name: str) -> None:
    sample = samples.sample(name)
    files = sample.files()
    own = [Recipe.model_validate_json(json.dumps(recipe)) for recipe in sample.expected["own_recipes"]]
    drops = [drop for drop in drops_in(files, own) if drop.segment == sample.expected["segment"]]
    (drop,) = [drop for drop in drops if drop.complete]
    mapping = sample.expected["mapping"]
    (city,) = mapping["fields"]
    required = [mapping["email"], mapping["first_name"], mapping["last_name"], city]

    read = []
    for file in drop.files:
        watch = ReadingWatch(max_bytes=1_000_000)
        table = open_table(a_file(file.blob, files[file.blob]), drop.dialect, required, watch, max_ratio=200)
        places = [table.header.index(column) for column in required]
        read += [[row[place] for place in places] for row in table.rows if row]

    assert sorted(read) == sorted([*person.values()] for person in sample.expected["contacts"])


def a_file(name: str, content: bytes) -> SourceFile:
    """A file of bytes that are there."""
    return SourceFile(name, blocks=lambda: [content], open=lambda: io.BytesIO(content))
