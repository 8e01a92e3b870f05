"""Where the files of the landing container belong: to which drop by their names, and what shows it whole.

Pure: the files are given as they were listed, the manifests as they were read.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Final

from exporter.domain.commits import is_commit, read_commits
from exporter.domain.dialect import UNDECLARED, Dialect
from exporter.domain.drop import END_MARKERS, Source, drop_version, is_hidden
from exporter.domain.manifest import Listed, is_manifest
from exporter.domain.recipe import PART, Completeness, Recipe, compile_pattern, fill
from exporter.domain.recipes import BUILT_IN, FOLDER
from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError

ANOTHER_DROP_AFTER: Final = timedelta(hours=1)
"""Files with so long a time between them are not parts of one drop, where quiet alone ends one."""
LISTED: Final = Recipe(id="cdm", pattern="{root:path}/{segment}", complete=(Completeness.MANIFEST,))
"""What stands for a recipe where a manifest alone says which files are a drop, wherever they lie."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data file belongs."""

    recipe: Recipe
    segment: str
    shared: tuple[tuple[str, str], ...]
    """What all files of the drop have in their names: placeholder and value."""
    folder: str
    """Where the drop's files lie, with its trailing slash; "" is the container itself."""
    manifest: str | None
    """The manifest that the recipe expects."""

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The same for all files of one drop, and for no other."""
        return self.recipe.id, self.shared


@dataclass(frozen=True, slots=True)
class Sign:
    """A blob without rows that shows which drops are whole: an end marker, a commit, a manifest."""

    root: str
    """Where the drops lie that it may speak of."""


@dataclass(frozen=True, slots=True)
class Junk:
    """What never holds rows, by rule."""

    why: str


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that no recipe knows: somebody should hear of it."""

    why: str


Meaning = Place | Sign | Junk | Stray


def classify(blob: str, recipes: Sequence[Recipe]) -> Meaning:
    """What a blob is, by its name alone; the first recipe that fits decides."""
    folder, _, name = blob.rpartition("/")
    if not name:
        return Junk("it stands for a folder")
    root = f"{folder}/" if folder else ""
    if folder and (name in END_MARKERS or is_commit(name)) and not _in_hidden_folder(folder):
        return Sign(root)
    if is_hidden(name) or _in_hidden_folder(folder):
        return Junk("hidden files hold no rows for readers")
    if is_manifest(name):
        return Sign(root)
    for recipe in recipes:
        place = place_of(blob, recipe)
        if place is not None:
            return place
    return Stray("it does not lie in a segment's folder, and no recipe knows its name")


def place_of(blob: str, recipe: Recipe) -> Place | None:
    """Where a recipe puts a blob; None where it does not know the name."""
    match = compile_pattern(recipe.pattern).fullmatch(blob)
    if match is None:
        return None
    values = {name: value for name, value in match.groupdict().items() if value is not None}
    shared = tuple((name, value) for name, value in values.items() if not name.startswith(PART))
    first_part = min(
        (match.start(name) for name in values if name.startswith(PART)), default=blob.rfind("/") + 1
    )
    folder = blob[: blob.rfind("/", 0, first_part) + 1]
    manifest = fill(recipe.manifest, values) if recipe.manifest else None
    return Place(recipe, fill(recipe.segment or "{segment}", values), shared, folder, manifest)


def _in_hidden_folder(folder: str) -> bool:
    """Whether a folder below the first one is hidden; the first may be a segment of any name."""
    _, _, below = folder.partition("/")
    return bool(below) and is_hidden(below)


@dataclass(frozen=True)
class Drop:
    """A drop as it lies in the landing container, whole or not."""

    recipe: Recipe
    segment: str
    folder: str
    files: tuple[Source, ...]
    """What would be read, sorted by name; what is not committed or not listed is left out."""
    by: Completeness
    """What shows that it is whole, or would."""
    waits_for: str = ""
    """Why it is not whole, for people; "" for one that is."""
    signs: tuple[Source, ...] = ()
    """The markers, commits and manifests that decided."""
    dialect: Dialect = UNDECLARED
    left_behind: bool = False
    """Whether its manifest was written later and lists other files: then it was sent, or never will be."""

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return not self.waits_for and bool(self.files)

    @cached_property
    def version(self) -> str:
        """The drop's version: the same files are the same drop."""
        return drop_version(self.files)

    @property
    def dropped_at(self) -> datetime:
        """When the newest of its files was written."""
        return max(file.last_modified for file in self.files)

    @property
    def order(self) -> tuple[datetime, str]:
        """Where it stands among the drops of its segment: by time, ties by the greater name."""
        last = max(self.files, key=lambda file: (file.last_modified, file.blob))
        markers = [sign.last_modified for sign in self.signs] if self.by is Completeness.MARKER else []
        return max([last.last_modified, *markers]), max(file.blob for file in self.files)


@dataclass(frozen=True)
class Landing:
    """What lies below a folder of the landing container."""

    files: tuple[Source, ...]
    recipes: tuple[Recipe, ...]
    manifests: Mapping[str, tuple[Listed, ...] | str]
    """By blob: the tables that a manifest lists, or why it can't be read."""
    commits: Mapping[str, bytes]
    """By blob: what Databricks wrote of a finished transaction."""
    now: datetime
    quiet: timedelta

    def commits_in(self, folder: str) -> Mapping[str, bytes]:
        """The commits that lie directly in a folder."""
        return self._commits_by_folder.get(folder, {})

    @cached_property
    def _commits_by_folder(self) -> dict[str, dict[str, bytes]]:
        by_folder: dict[str, dict[str, bytes]] = {}
        for blob, content in self.commits.items():
            by_folder.setdefault(blob[: blob.rfind("/") + 1], {})[blob] = content
        return by_folder


@dataclass(slots=True)
class _Group:
    """The files of one drop."""

    place: Place
    files: list[Source] = field(default_factory=list)


def drops_of(landing: Landing) -> list[Drop]:
    """All drops below a folder, whole or not, each file in at most one of them."""
    present = {file.blob: file for file in landing.files}
    drops, listed_blobs = _listed_drops(landing, present)
    groups: dict[object, _Group] = {}
    for file in landing.files:
        if file.blob in listed_blobs or _stands_for_a_folder(file, landing.files):
            continue
        place = classify(file.blob, landing.recipes)
        if isinstance(place, Place):
            groups.setdefault(place.key, _Group(place)).files.append(file)
    for group in _with_closed_folders_whole(groups.values(), present):
        drops += [_judged(part, landing, present) for part in _by_time(group, present)]
    return drops


def _with_closed_folders_whole(groups: Iterable[_Group], present: Mapping[str, Source]) -> Iterable[_Group]:
    """The groups; those of one folder `<segment>/<drop>/` that a marker closes are one drop, whatever the
    names of the files would make of them."""
    closed: dict[str, list[_Group]] = {}
    for group in groups:
        segment, _, below = group.place.folder.partition("/")
        folder = f"{segment}/{below.partition('/')[0]}/"
        is_closed = bool(below) and any(folder + marker in present for marker in END_MARKERS)
        if is_closed and group.place.recipe in BUILT_IN:
            closed.setdefault(folder, []).append(group)
        else:
            yield group
    for folder, members in closed.items():
        place = members[0].place
        is_of_segment = place.segment == folder.partition("/")[0]
        if len(members) == 1 and place.folder == folder and is_of_segment:
            yield from members
            continue
        files = sorted((file for member in members for file in member.files), key=lambda file: file.blob)
        whole = place_of(files[0].blob, FOLDER)
        yield from [_Group(whole, files)] if whole else members


def _by_time(group: _Group, present: Mapping[str, Source]) -> list[_Group]:
    """The group, cut where so long a time lies between its files that the later ones are another drop.

    Where quiet alone tells when a drop is whole, tomorrow's files may be named like further parts of today's.
    """
    is_marked = any(group.place.folder + marker in present for marker in END_MARKERS)
    if Completeness.QUIET not in group.place.recipe.complete or is_marked:
        return [group]
    cut: list[_Group] = []
    last: datetime | None = None
    for file in sorted(group.files, key=lambda file: file.last_modified):
        if last is None or file.last_modified - last > ANOTHER_DROP_AFTER:
            cut.append(_Group(group.place))
        cut[-1].files.append(file)
        last = file.last_modified
    return [_Group(part.place, sorted(part.files, key=lambda file: file.blob)) for part in cut]


def _listed_drops(landing: Landing, present: Mapping[str, Source]) -> tuple[list[Drop], set[str]]:
    """The drops that manifests list, and the blobs in them."""
    drops = []
    blobs: set[str] = set()
    for manifest, entries in landing.manifests.items():
        for entry in () if isinstance(entries, str) else entries:
            for place, names in _by_place(entry, manifest, landing.recipes):
                blobs.update(names)
                drops.append(_listed_drop(manifest, entry, place, names, present))
    return drops, blobs


def _by_place(
    entry: Listed, manifest: str, recipes: Sequence[Recipe]
) -> Iterable[tuple[Place | None, list[str]]]:
    """What a manifest lists of one table, cut into the drops that the recipe which expects it there makes."""
    parts: dict[object, tuple[Place | None, list[str]]] = {}
    for blob in entry.blobs:
        meaning = classify(blob, recipes)
        is_its = isinstance(meaning, Place) and (meaning.manifest == manifest or not entry.name)
        place = meaning if isinstance(meaning, Place) and is_its else None
        parts.setdefault(place.key if place else None, (place, []))[1].append(blob)
    return parts.values()


def _listed_drop(
    manifest: str, entry: Listed, place: Place | None, names: Sequence[str], present: Mapping[str, Source]
) -> Drop:
    """One drop as a manifest lists it."""
    missing = [name for name in names if name not in present]
    root = manifest[: manifest.rfind("/") + 1]
    waits_for = ""
    if missing:
        waits_for = (
            f"{len(missing)} of {len(names)} files that {shown(manifest)} lists: {shown_list(missing)}"
        )
    elif entry.fault:
        waits_for = f"a readable manifest: {entry.fault}"
    return Drop(
        recipe=place.recipe if place else LISTED,
        segment=place.segment if place else entry.name,
        folder=place.folder if place else root,
        files=tuple(present[name] for name in sorted(set(names)) if name in present),
        by=Completeness.MANIFEST,
        waits_for=waits_for,
        signs=tuple(present[sign] for sign in (manifest,) if sign in present),
        dialect=entry.dialect.under(place.recipe.dialect) if place else entry.dialect,
    )


def _judged(group: _Group, landing: Landing, present: Mapping[str, Source]) -> Drop:
    """A drop that no manifest lists."""
    place = group.place
    files = tuple(group.files)
    drop = Drop(
        recipe=place.recipe,
        segment=place.segment,
        folder=place.folder,
        files=files,
        by=place.recipe.complete[-1],
        dialect=place.recipe.dialect,
    )
    drop = _without_uncommitted(drop, landing)
    if drop.waits_for or not drop.files:
        return replace(drop, by=Completeness.COMMITTED)
    for way in place.recipe.complete:
        found = _WAYS[way](drop, place, landing, present)
        if found is not None:
            return found
    return replace(drop, waits_for=_what_is_missing(place))


def _by_manifest(drop: Drop, place: Place, landing: Landing, present: Mapping[str, Source]) -> Drop | None:
    """The manifest is there and does not list the drop: it is older, or can't be read."""
    manifest = place.manifest
    if manifest is None or manifest not in present:
        return None
    entries = landing.manifests.get(manifest, ())
    is_later = present[manifest].last_modified > drop.dropped_at + landing.quiet
    if isinstance(entries, str):
        why = entries
    elif is_later:
        why = "which was written later and lists other files"
    else:
        why = "which does not list these files yet"
    return replace(
        drop,
        by=Completeness.MANIFEST,
        signs=(present[manifest],),
        waits_for=f"{shown(manifest)}, {why}",
        left_behind=is_later and not isinstance(entries, str),
    )


def _without_uncommitted(drop: Drop, landing: Landing) -> Drop:
    """The drop without files of transactions that did not end, as Databricks tells in each of its folders."""
    files: list[Source] = []
    folders: dict[str, list[Source]] = {}
    for file in drop.files:
        folders.setdefault(file.blob[: file.blob.rfind("/") + 1], []).append(file)
    waits_for = ""
    for folder, members in folders.items():
        marks = landing.commits_in(folder)
        if not marks:
            files += members
            continue
        try:
            commits = read_commits(marks, [file.blob for file in members])
        except StopRunError as error:
            waits_for = f"a commit that can be read: {error}"
            continue
        files += [file for file in members if file.blob in commits.files]
        waits_for = waits_for or commits.waits_for
    return replace(drop, files=tuple(files), waits_for=waits_for)


def _by_commits(drop: Drop, place: Place, landing: Landing, present: Mapping[str, Source]) -> Drop | None:
    """Databricks says in the drop's own folder which files belong to finished transactions."""
    marks = landing.commits_in(place.folder)
    if not marks:
        return None
    return replace(drop, by=Completeness.COMMITTED, signs=tuple(present[blob] for blob in marks))


def _by_marker(drop: Drop, place: Place, landing: Landing, present: Mapping[str, Source]) -> Drop | None:
    """An end marker in the drop's folder; files that are newer than it have to become quiet.

    They are late parts, or the first of another drop over a marker that was left lying there, or a copy of
    the folder that wrote the marker too early.
    """
    markers = tuple(present[name] for end in sorted(END_MARKERS) if (name := place.folder + end) in present)
    if not markers:
        return None
    drop = replace(drop, by=Completeness.MARKER, signs=markers)
    is_closed = drop.dropped_at <= max(marker.last_modified for marker in markers)
    return drop if is_closed else _by_quiet(drop, place, landing, present)


def _by_quiet(drop: Drop, place: Place, landing: Landing, present: Mapping[str, Source]) -> Drop | None:
    """Nothing of the drop was written for a while."""
    del present
    quiet = place.recipe.quiet(landing.quiet)
    ends_at = drop.dropped_at + quiet
    if landing.now >= ends_at:
        return replace(drop, by=Completeness.QUIET)
    return replace(
        drop,
        by=Completeness.QUIET,
        waits_for=f"{quiet.total_seconds():g} s without another file, which end at {ends_at:%H:%M:%S} UTC",
    )


def _at_once(drop: Drop, place: Place, landing: Landing, present: Mapping[str, Source]) -> Drop | None:
    """One file is the whole drop."""
    del place, landing, present
    return replace(drop, by=Completeness.AT_ONCE)


_WAYS: Final[Mapping[Completeness, Callable[[Drop, Place, Landing, Mapping[str, Source]], Drop | None]]] = (
    MappingProxyType(
        {
            Completeness.MANIFEST: _by_manifest,
            Completeness.COMMITTED: _by_commits,
            Completeness.MARKER: _by_marker,
            Completeness.QUIET: _by_quiet,
            Completeness.AT_ONCE: _at_once,
        }
    )
)


def _what_is_missing(place: Place) -> str:
    """What would show that a drop is whole."""
    waited_for = []
    for way in place.recipe.complete:
        if way is Completeness.MANIFEST and place.manifest:
            waited_for.append(shown(place.manifest))
        elif way is Completeness.MARKER:
            waited_for.append(f"an empty _SUCCESS or .done in {shown(place.folder)}")
    return " or ".join(waited_for) or "what shows that it is whole"


def _stands_for_a_folder(file: Source, files: Sequence[Source]) -> bool:
    """An empty blob that has others below its name: some clients make one for each folder."""
    if file.size:
        return False
    below = f"{file.blob}/"
    at = bisect_left(files, below, key=lambda other: other.blob)
    return at < len(files) and files[at].blob.startswith(below)
