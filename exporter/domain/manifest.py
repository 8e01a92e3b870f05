"""Manifests: files in which a producer lists the files of its drops, and says how they are written.

Known are `model.json` (Customer Insights, and folders of the Common Data Model), `*.manifest.cdm.json` with
the definitions of its tables in further files, and the `manifest*.json` of Adobe.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.domain.dialect import UNDECLARED, Dialect
from exporter.domain.json_place import JsonPlace, parse_manifest
from exporter.domain.location import blob_of, shown_location
from exporter.domain.partition_format import settings_dialect, traits_dialect
from exporter.domain.wording import shown, shown_list

MODEL: Final = "model.json"
_CDM: Final = ".cdm.json"
_CDM_MANIFEST: Final = ".manifest.cdm.json"
_FILE_LIST: Final = re.compile(r"manifest[^/]*\.json", re.IGNORECASE)
_PART: Final = re.compile(r"(?<=_[0-9]{8}_[0-9]{6})_[0-9]{1,3}(?=\.)")
"""The number at a later part of an export that Adobe has split: `_2`, `_3`, …"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One table of a manifest."""

    name: str
    """The table, which is a segment's name; "" where the files' own names say what they belong to."""
    blobs: tuple[str, ...]
    """The files that it consists of."""
    dialect: Dialect = UNDECLARED
    fault: str = ""
    """Why the list can't be relied on, for people; "" if it can."""


def is_manifest(name: str) -> bool:
    """Whether a file of this name (without folders) says something about others and holds no rows."""
    return name == MODEL or name.endswith(_CDM) or _FILE_LIST.fullmatch(name) is not None


def needed_files(blob: str, data: bytes) -> tuple[str, ...]:
    """The blobs without which the manifest in `blob` can't be read, sorted. Raises StopRunError."""
    if not blob.endswith(_CDM_MANIFEST):
        return ()
    return tuple(sorted({definition for _, definition in _definitions(parse_manifest(blob, data), blob)}))


def read_manifest(
    blob: str, data: bytes, definitions: Mapping[str, bytes | None] | None = None
) -> tuple[Listed, ...]:
    """What the manifest in `blob` lists; `definitions` are its needed files, None for one that is not there.

    Raises StopRunError `bad_manifest` for one that is too large, no JSON, or has a value of the wrong kind.
    """
    name = blob.rpartition("/")[2]
    if name == MODEL:
        return tuple(_model_tables(parse_manifest(blob, data), blob))
    if name.endswith(_CDM_MANIFEST):
        return tuple(_manifest_tables(parse_manifest(blob, data), blob, definitions or {}))
    if name.endswith(_CDM):
        return ()
    return tuple(_listed_files(parse_manifest(blob, data), blob))


# model.json: learn.microsoft.com/common-data-model/model-json


def _model_tables(model: JsonPlace, blob: str) -> Iterator[Listed]:
    for entity in model.items("entities"):
        kind = entity.get("$type")
        if kind is None or kind.value != "LocalEntity":
            continue
        columns = tuple(attribute.need("name").text() for attribute in entity.items("attributes"))
        partitions = [
            (partition.need("location").text(), settings_dialect(partition, columns))
            for partition in entity.items("partitions")
        ]
        yield _table(entity.need("name").text(), partitions, blob)


# *.manifest.cdm.json: learn.microsoft.com/common-data-model/cdm-manifest


def _manifest_tables(
    manifest: JsonPlace, blob: str, definitions: Mapping[str, bytes | None]
) -> Iterator[Listed]:
    needed = dict(_definitions(manifest, blob))
    for number, entity in enumerate(manifest.items("entities")):
        if not _is_local(entity):
            continue
        name = entity.need("entityName").text()
        columns, unnamed = _columns(entity, name, needed.get(number), definitions)
        partitions = [
            (partition.need("location").text(), traits_dialect(partition, columns))
            for partition in entity.items("dataPartitions")
        ]
        if all(dialect.header or dialect.format == "parquet" for _, dialect in partitions):
            unnamed = ""  # the files name their columns themselves
        yield _table(name, partitions, blob, _unlisted(entity) or unnamed)


def _unlisted(entity: JsonPlace) -> str:
    """Why a table may have more files than are listed; "" if it has no others."""
    keys = ("dataPartitionPatterns", "incrementalPartitions", "incrementalPartitionPatterns")
    found = [key for key in keys if any(True for _ in entity.items(key))]
    return f"it has {found[0]}, which do not say when all files are there" if found else ""


def _is_local(entity: JsonPlace) -> bool:
    kind = entity.get("type")
    return kind is not None and isinstance(kind.value, str) and kind.value.startswith("LocalEntity")


def _definitions(manifest: JsonPlace, blob: str) -> Iterator[tuple[int, str]]:
    """The number of each table in the manifest, and the blob that has the table's columns."""
    for number, entity in enumerate(manifest.items("entities")):
        path = entity.get("entityPath") if _is_local(entity) else None
        if path is not None:
            document, found, _ = path.text().partition(_CDM)
            definition = blob_of(document + found, blob) if found else None
            if definition is not None:
                yield number, definition


def _columns(
    entity: JsonPlace, name: str, needed: str | None, definitions: Mapping[str, bytes | None]
) -> tuple[tuple[str, ...], str]:
    """The columns of a table in their order, and why they are not known."""
    data = definitions.get(needed) if needed is not None else None
    if needed is None or data is None:
        path = entity.get("entityPath")
        where = shown(needed or (str(path.value) if path else "a definition"))
        return (), f"{where}, which names the columns of {shown(name)}, is not there"
    document = parse_manifest(needed, data)
    wanted = str(entity.need("entityPath").value).rpartition("/")[2]
    for definition in document.items("definitions"):
        found = definition.get("entityName") if isinstance(definition.value, dict) else None
        if found is not None and found.value in (wanted, name):
            return tuple(_attribute_names(definition, "hasAttributes")), ""
    return (), f"{shown(needed)} does not define {shown(name)}"


def _attribute_names(place: JsonPlace, key: str) -> Iterator[str]:
    """The names of attributes, those in groups in the groups' place."""
    for attribute in place.items(key):
        group = attribute.get("attributeGroupReference") if isinstance(attribute.value, dict) else attribute
        if group is None:
            yield attribute.need("name").text()
        elif isinstance(group.value, dict):
            yield from _attribute_names(group, "members")
        else:
            raise group.wrong("an attribute (those defined in other documents are not looked up)")


# Adobe's manifest, whose form is not documented: where files are listed, they are the list.

_LISTS: Final = ("exportResults", "files", "entries")
_NAMES: Final = ("name", "fileName", "filename", "file", "path", "url")


def _listed_files(manifest: JsonPlace, blob: str) -> Iterator[Listed]:
    """The exports in a list of files, those split into parts as one each; nothing where no list is found."""
    folder = blob[: blob.rfind("/") + 1]
    exports: dict[str, list[str]] = {}
    for name in _names(manifest):
        file = shown_location(name).rpartition("/")[2]
        if file and not is_manifest(file):
            exports.setdefault(_PART.sub("", file), []).append(folder + file)
    for files in exports.values() if folder else ():
        yield Listed("", tuple(dict.fromkeys(files)))


def _names(manifest: JsonPlace) -> Iterator[str]:
    if not isinstance(manifest.value, dict):
        return
    for key in _LISTS:
        if not isinstance(manifest.value.get(key), list):
            continue
        for file in manifest.items(key):
            if isinstance(file.value, str):
                yield file.value
            elif isinstance(file.value, dict):
                yield from _first_name(file.value)


def _first_name(entry: dict[str, object]) -> Iterable[str]:
    names = (entry.get(key) for key in _NAMES)
    return [next((name for name in names if isinstance(name, str)), "")]


# What all tables have


def _table(name: str, partitions: list[tuple[str, Dialect]], manifest: str, fault: str = "") -> Listed:
    """A table of its partitions' locations and dialects."""
    blobs = [(blob_of(location, manifest), location) for location, _ in partitions]
    outside = [shown_location(location) for blob, location in blobs if blob is None]
    dialects = {dialect for _, dialect in partitions}
    if outside:
        fault = f"files outside of the folder of {shown(manifest)}: {shown_list(outside, 3)}"
    elif len(dialects) > 1:
        fault = f"its files are written in {len(dialects)} different ways"
    listed = tuple(dict.fromkeys(blob for blob, _ in blobs if blob is not None))
    return Listed(name, listed, partitions[0][1] if partitions else UNDECLARED, fault)
