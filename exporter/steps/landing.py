"""Looking into the landing container: which drops lie there, which are whole, and what a blob is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.domain.commits import is_commit
from exporter.domain.drop import END_MARKERS, Source
from exporter.domain.json_place import MAX_MANIFEST_BYTES
from exporter.domain.layout import Drop, Landing, Meaning, Place, Sign, classify, drops_of
from exporter.domain.manifest import Listed, is_manifest, needed_files, read_manifest
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.errors import StopRunError
from exporter.steps.ports import Ports


@dataclass(frozen=True, slots=True)
class Look:
    """What a blob is, and the drops that it belongs to or speaks of."""

    blob: str
    meaning: Meaning
    recipes: tuple[Recipe, ...]
    """In the order in which they were tried."""
    drops: tuple[Drop, ...]
    """Whole or not; one for a data file, any number for an end marker or a manifest."""
    manifests: Mapping[str, tuple[Listed, ...] | str]
    """What lies around it: by blob the tables that a manifest lists, or why it can't be read."""


async def known_recipes(ports: Ports) -> tuple[Recipe, ...]:
    """The user's own recipes, then the built-in ones: the order in which they are tried."""
    own = await ports.registry.recipes()
    return (*(own[name].value for name in sorted(own)), *BUILT_IN)


async def survey(ports: Ports, root: str = "") -> list[Drop]:
    """All drops below a folder of the landing container, whole or not, in the order of their time."""
    landing = await _landing(root, await known_recipes(ports), ports)
    drops = await asyncio.to_thread(drops_of, landing)  # seconds where many thousands of files lie there
    return sorted((drop for drop in drops if drop.files), key=lambda drop: drop.order)


async def look(blob: str, ports: Ports) -> Look:
    """What a blob is by its name, and the drops around it as they are now."""
    recipes = await known_recipes(ports)
    return await _look(blob, classify(blob, recipes), recipes, ports)


async def _look(blob: str, meaning: Meaning, recipes: tuple[Recipe, ...], ports: Ports) -> Look:
    if not isinstance(meaning, Place | Sign):
        return Look(blob, meaning, recipes, (), {})
    landing = await _landing_around(blob, meaning, recipes, ports)
    drops = tuple(drop for drop in drops_of(landing) if drop.files and _has(drop, blob))
    return Look(blob, meaning, recipes, drops, landing.manifests)


async def _landing_around(
    blob: str, meaning: Place | Sign, recipes: tuple[Recipe, ...], ports: Ports
) -> Landing:
    """What a look at one blob needs, which may be a thousandth of what lies around it."""
    if isinstance(meaning, Sign):
        return await _landing(meaning.root, recipes, ports)
    if meaning.recipe.complete[0] is Completeness.AT_ONCE:  # only what may lie below its name
        return await _landing(blob, recipes, ports)
    return await _landing(meaning.folder, recipes, ports, manifest=meaning.manifest)


async def look_at_arrival(blob: str, ports: Ports) -> Look:
    """As `look`, but without drops where a data file that arrives can't make its drop whole.

    A folder of thousands of files would be listed for each of them. Where quiet decides the sweep comes, a
    commit is announced itself, and without a marker none has come yet.
    """
    recipes = await known_recipes(ports)
    meaning = classify(blob, recipes)
    if isinstance(meaning, Place) and not _DECIDE_AT_ARRIVAL & {*meaning.recipe.complete}:
        markers = [await ports.drops.source(meaning.folder + marker) for marker in sorted(END_MARKERS)]
        if not any(markers):
            return Look(blob, meaning, recipes, (), {})
    return await _look(blob, meaning, recipes, ports)


_DECIDE_AT_ARRIVAL: Final = frozenset({Completeness.AT_ONCE, Completeness.MANIFEST})


def _has(drop: Drop, blob: str) -> bool:
    """Whether a blob is one of a drop's files or signs."""
    return any(file.blob == blob for file in (*drop.files, *drop.signs))


async def newest_drop(segment: str, ports: Ports) -> Drop | None:
    """The newest complete drop of a segment; None where there is none.

    Drops of one segment follow one another by time, ties by the greater name.
    """
    whole = [drop for drop in await survey(ports) if drop.segment == segment and drop.complete]
    return whole[-1] if whole else None


async def _landing(
    root: str, recipes: tuple[Recipe, ...], ports: Ports, *, manifest: str | None = None
) -> Landing:
    """What lies below a folder, and the manifest above it, with what the manifests and commits in it say."""
    files = await ports.drops.folder(root)
    above = await ports.drops.source(manifest) if manifest and not manifest.startswith(root) else None
    if above is not None:
        files = sorted([*files, above], key=lambda file: file.blob)
    manifests: dict[str, tuple[Listed, ...] | str] = {}
    commits = {}
    for sign in files:
        name = sign.blob.rpartition("/")[2]
        may_be_read = is_manifest(name) or is_commit(name)
        if not may_be_read or not isinstance(classify(sign.blob, recipes), Sign):
            continue
        if is_manifest(name):
            manifests[sign.blob] = await _entries(sign, files, ports)
        else:
            content = await ports.drops.content(sign, MAX_MANIFEST_BYTES) if sign.size else b""
            commits[sign.blob] = content or b""
    return Landing(tuple(files), recipes, manifests, commits, ports.clock.now(), ports.quiet)


async def _entries(manifest: Source, files: list[Source], ports: Ports) -> tuple[Listed, ...] | str:
    """What a manifest lists; why it can't be read."""
    data = await ports.drops.content(manifest, MAX_MANIFEST_BYTES)
    if data is None:
        return "which is too large, or is being written"
    try:
        definitions = {}
        for needed in needed_files(manifest.blob, data):
            found = next((file for file in files if file.blob == needed), None)
            found = found or await ports.drops.source(needed)
            definitions[needed] = await ports.drops.content(found, MAX_MANIFEST_BYTES) if found else None
        return read_manifest(manifest.blob, data, definitions)
    except StopRunError as error:
        return f"which can't be read: {error}"
