"""Cuts Microsoft's types down to the resources that infra/ uses, and writes them to tests/infra/types/.

    git clone https://github.com/Azure/bicep-types-az && git -C bicep-types-az checkout 1f896de2
    python -m tests.infra.trim_types bicep-types-az/generated

What is there now was made from commit 1f896de2 of 20 August 2026. A kept type keeps all its properties, and
all types that it refers to are kept with it; descriptions go. Run it again when a template uses a new type of
resource or a newer version of one, and name the commit here. The file that is written by hand is left alone.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.infra.resource_types import TYPES, references_in
from tests.infra.template import read_template

INFRA = Path(__file__).resolve().parents[2] / "infra"
BY_HAND = "network.json"


def used_types(infra: Path) -> set[str]:
    """`type@version` of all resources in a folder's templates."""
    return {
        resource.versioned_type
        for path in infra.rglob("*.bicep")
        for resource in read_template(path).resources.values()
    }


def trimmed(types: list[dict[str, Any]], wanted: Iterable[str]) -> list[dict[str, Any]]:
    """The resource types that are wanted and all that they refer to, numbered anew."""
    names = {name.lower() for name in wanted}
    open_indices = [
        index
        for index, content in enumerate(types)
        if content["$type"] == "ResourceType" and content["name"].lower() in names
    ]
    kept: set[int] = set()
    while open_indices:
        index = open_indices.pop()
        if index not in kept:
            kept.add(index)
            open_indices += references_in(types[index])
    numbers = {old: new for new, old in enumerate(sorted(kept))}
    return [_renumbered(types[index], numbers) for index in sorted(kept)]


def _renumbered(content: Any, numbers: dict[int, int]) -> Any:
    """The same content with its references to the new numbers, without descriptions."""
    if isinstance(content, dict):
        if set(content) == {"$ref"}:
            return {"$ref": f"#/{numbers[next(references_in(content))]}"}
        described = isinstance(content.get("description"), str)
        return {
            key: _renumbered(value, numbers)
            for key, value in content.items()
            if not (described and key == "description")
        }
    if isinstance(content, list):
        return [_renumbered(value, numbers) for value in content]
    return content


def main(generated: Path) -> None:
    """Write the types anew, a file for each of Microsoft's that something is used of."""
    for old in TYPES.glob("*.json"):
        if old.name != BY_HAND:
            old.unlink()
    wanted = used_types(INFRA)
    for path in sorted(generated.rglob("types.json")):
        types = trimmed(json.loads(path.read_text(encoding="utf-8")), wanted)
        if types:
            service, _, version = path.parts[-4:-1]
            lines = ",\n".join(json.dumps(content, separators=(",", ":")) for content in types)
            (TYPES / f"{service}@{version}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
