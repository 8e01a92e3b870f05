"""Microsoft's types of resources, as tests/infra/types/ has them (see NOTICE there).

A file is an array of types. One refers to another of its file by `{"$ref": "#/<index>"}`, or has it in place.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

TYPES: Final = Path(__file__).parent / "types"

REQUIRED: Final = 1
READ_ONLY: Final = 2
DEPLOY_TIME_CONSTANT: Final = 8
"""Flags of a property (Azure/bicep-types, TypePropertyFlags)."""


@dataclass(frozen=True)
class Type:
    """One type, which finds the others of its file."""

    file: tuple[Mapping[str, Any], ...]
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`ObjectType`, `StringType` and so on."""
        return str(self.content["$type"])

    def of(self, reference: Mapping[str, Any]) -> "Type":
        """The type that a reference in this one means, or that stands in its place."""
        return Type(self.file, reference if "$type" in reference else self.file[index_of(reference)])

    def members(self, key: str) -> list["Type"]:
        """The types in an array of references."""
        return [self.of(reference) for reference in self.content[key]]

    @cached_property
    def properties(self) -> dict[str, tuple["Type", int]]:
        """Type and flags of each property."""
        found = self.content.get("properties") or self.content.get("baseProperties") or {}
        return {name: (self.of(one["type"]), int(one["flags"])) for name, one in found.items()}

    def variant(self, value: str) -> "Type | None":
        """The object that this value of the discriminator stands for."""
        reference = self.content["elements"].get(value)
        if reference is None:
            return None
        chosen = self.of(reference)
        properties = {**self.content["baseProperties"], **chosen.content["properties"]}
        return Type(self.file, {**chosen.content, "properties": properties})


def index_of(reference: Mapping[str, str]) -> int:
    """The index that a reference points to."""
    return int(reference["$ref"].rpartition("/")[2])


def references_in(content: Any) -> Iterator[int]:
    """The indices of all types that one type's content refers to."""
    if isinstance(content, dict):
        if set(content) == {"$ref"}:
            yield index_of(content)
        for value in content.values():
            yield from references_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from references_in(value)


class ResourceTypes:
    """The types of all resources that the files in a folder and those below it describe."""

    def __init__(self, directory: Path) -> None:
        self._by_name: dict[str, tuple[str, Type]] = {}
        for path in sorted(directory.rglob("*.json")):
            file = tuple(json.loads(path.read_text(encoding="utf-8")))
            for content in file:
                if content["$type"] == "ResourceType":
                    self._by_name[content["name"].lower()] = (content["name"], Type(file, content))

    @property
    def names(self) -> set[str]:
        """`type@version` of every resource."""
        return {name for name, _ in self._by_name.values()}

    def resource(self, versioned_type: str) -> Type | None:
        """The resource type of this `type@version`, in whatever letters; None if there is none."""
        found = self._by_name.get(versioned_type.lower())
        return found[1] if found else None

    def body(self, versioned_type: str) -> Type | None:
        """The type of a resource's body."""
        found = self.resource(versioned_type)
        return found.of(found.content["body"]) if found else None
