"""Whether values fit Microsoft's types: a resource's body, and what is read of a resource."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.infra.deployment import DeployedResource
from tests.infra.resource_types import DEPLOY_TIME_CONSTANT, READ_ONLY, REQUIRED, ResourceTypes, Type
from tests.infra.template import Template
from tests.infra.uses import reads
from tests.infra.values import Reference, Unknown, Value

_PYTHON_TYPES: Final[dict[str, type]] = {
    "StringType": str,
    "StringLiteralType": str,
    "IntegerType": int,
    "BooleanType": bool,
    "ObjectType": dict,
    "DiscriminatedObjectType": dict,
    "ArrayType": list,
}
_GIVEN_BY_DECLARATION: Final = frozenset({"type", "apiVersion", "id"})


def resource_problems(resource: DeployedResource, types: ResourceTypes) -> list[str]:
    """What is wrong with a resource by its type."""
    versioned_type = resource.declared.versioned_type
    body = types.body(versioned_type)
    if body is None:
        return [f"{resource.place}: no type {versioned_type}"]
    if resource.declared.existing:
        return []
    found = value_problems(body, resource.body, resource.declared.symbol)
    return [f"{resource.template.path.name}:{resource.declared.line} {problem}" for problem in found]


def read_problems(template: Template, types: ResourceTypes) -> Iterator[str]:
    """Properties of resources that expressions read and that the types do not have."""
    for line, symbol, way in reads(template.root):
        resource = template.resources.get(symbol)
        body = types.body(resource.versioned_type) if resource else None
        if resource is None or body is None:
            continue
        is_one_of_many = resource.body.items is not None and way[:1] == ("[]",)
        if not _can_be_read(body, way[1:] if is_one_of_many else way):
            yield f"{template.path.name}:{line} {symbol} has no '{'.'.join(way)}'"


def _can_be_read(held: Type, way: tuple[str, ...]) -> bool:
    """Whether a type has what lies this way; in variants, whether one of them has it."""
    if not way or held.kind in {"AnyType", "UnionType"}:
        return True
    if held.kind == "ArrayType":
        return way[0] == "[]" and _can_be_read(held.of(held.content["itemType"]), way[1:])
    if held.kind == "DiscriminatedObjectType" and way[0] not in held.properties:
        variants = [held.variant(value) for value in held.content["elements"]]
        return any(variant is not None and _can_be_read(variant, way) for variant in variants)
    if way[0] in held.properties:
        return _can_be_read(held.properties[way[0]][0], way[1:])
    return "additionalProperties" in held.content or (way[0].startswith("list") and len(way) == 1)


def value_problems(wanted: Type, value: Value, where: str) -> Iterator[str]:
    """What does not fit a type in a value; what is unknown fits, but that it is text where it is."""
    if value is None or isinstance(value, Reference):
        return
    if isinstance(value, Unknown):
        if value.is_text and wanted.kind in {"IntegerType", "BooleanType", "ObjectType", "ArrayType"}:
            yield f"{where}: text given, {wanted.kind} wanted"
        return
    python_type = _PYTHON_TYPES.get(wanted.kind)
    if python_type and type(value) is not python_type:
        yield f"{where}: {type(value).__name__} given, {wanted.kind} wanted"
        return
    rule = _RULES.get(wanted.kind)
    if rule:
        yield from rule(wanted, value, where)


def _object_problems(wanted: Type, value: dict[str, Value], where: str) -> Iterator[str]:
    known = {name.lower(): name for name in wanted.properties}
    for name, inner in value.items():
        right_name = known.get(name.lower())
        if right_name is None:
            yield from _additional_problems(wanted, name, inner, where)
            continue
        if right_name != name:
            yield f"{where}: '{name}' should be written '{right_name}'"
        inner_type, flags = wanted.properties[right_name]
        if flags & READ_ONLY and not flags & DEPLOY_TIME_CONSTANT:
            yield f"{where}: '{name}' is read-only"
        yield from value_problems(inner_type, inner, f"{where}.{name}")
    for name, (_, flags) in wanted.properties.items():
        if flags & REQUIRED and name not in value and name not in _GIVEN_BY_DECLARATION:
            yield f"{where}: required '{name}' is missing"


def _additional_problems(wanted: Type, name: str, value: Value, where: str) -> Iterator[str]:
    additional = wanted.content.get("additionalProperties")
    if additional is None:
        yield f"{where}: unknown property '{name}'"
    else:
        yield from value_problems(wanted.of(additional), value, f"{where}.{name}")


def _variant_problems(wanted: Type, value: dict[str, Value], where: str) -> Iterator[str]:
    discriminator = wanted.content["discriminator"]
    choice = value.get(discriminator)
    if choice is None:
        yield f"{where}: required '{discriminator}' is missing"
    elif isinstance(choice, str):
        variant = wanted.variant(choice)
        if variant is None:
            yield f"{where}: {discriminator} '{choice}' is none of {sorted(wanted.content['elements'])}"
        else:
            yield from _object_problems(variant, value, where)


def _array_problems(wanted: Type, value: list[Value], where: str) -> Iterator[str]:
    item_type = wanted.of(wanted.content["itemType"])
    for index, item in enumerate(value):
        yield from value_problems(item_type, item, f"{where}[{index}]")


def _union_problems(wanted: Type, value: Value, where: str) -> Iterator[str]:
    """An enumeration that also takes any string is open: new values come without a new version."""
    members = wanted.members("elements")
    if all(any(value_problems(member, value, where)) for member in members):
        literals = [member.content["value"] for member in members if "value" in member.content]
        yield f"{where}: {value!r} is none of {literals}"


def _literal_problems(wanted: Type, value: str, where: str) -> Iterator[str]:
    if value != wanted.content["value"]:
        yield f"{where}: '{value}' should be '{wanted.content['value']}'"


def _text_problems(wanted: Type, value: str, where: str) -> Iterator[str]:
    least, most = wanted.content.get("minLength", 0), wanted.content.get("maxLength", len(value))
    if not least <= len(value) <= most:
        yield f"{where}: '{value}' has {len(value)} characters, {least} to {most} wanted"
    if "pattern" in wanted.content and not re.search(wanted.content["pattern"], value):
        yield f"{where}: '{value}' does not fit {wanted.content['pattern']}"


def _number_problems(wanted: Type, value: int, where: str) -> Iterator[str]:
    least, most = wanted.content.get("minValue", value), wanted.content.get("maxValue", value)
    if not least <= value <= most:
        yield f"{where}: {value} is not from {least} to {most}"


_RULES: Final[dict[str, Any]] = {
    "ObjectType": _object_problems,
    "DiscriminatedObjectType": _variant_problems,
    "ArrayType": _array_problems,
    "UnionType": _union_problems,
    "StringLiteralType": _literal_problems,
    "StringType": _text_problems,
    "IntegerType": _number_problems,
}
