"""Those of Bicep's functions that need no platform, on known values.

learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-functions
"""

import json
from collections.abc import Callable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Final


def _union(*values: Any) -> Any:
    """Arrays without repeats, or objects merged in depth; the later one wins."""
    if isinstance(values[0], list):
        every = [item for value in values for item in value]
        return [item for number, item in enumerate(every) if item not in every[:number]]
    merged: dict[str, Any] = {}
    for value in values:
        for key, item in value.items():
            both = isinstance(item, dict) and isinstance(merged.get(key), dict)
            merged[key] = _union(merged[key], item) if both else item
    return merged


def _concat(*values: Any) -> Any:
    return "".join(values) if isinstance(values[0], str) else list(chain(*values))


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, dict):
        return item.lower() in {key.lower() for key in container}
    return item in container


def _replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


def _bool(value: Any) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "bool": _bool,
        "concat": _concat,
        "contains": _contains,
        "empty": lambda value: not value,
        "endsWith": lambda text, end: text.lower().endswith(end.lower()),
        "first": lambda value: value[0] if value else None,
        "format": lambda text, *values: text.format(*values),
        "int": int,
        "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
        "join": lambda values, between: between.join(values),
        "json": json.loads,
        "last": lambda value: value[-1] if value else None,
        "length": len,
        "max": max,
        "min": min,
        "range": lambda start, count: list(range(start, start + count)),
        "replace": _replace,
        "split": lambda text, between: text.split(between),
        "startsWith": lambda text, start: text.lower().startswith(start.lower()),
        "string": _string,
        "substring": lambda text, start, *count: text[start:][: count[0] if count else None],
        "take": lambda value, count: value[:count],
        "toLower": str.lower,
        "toUpper": str.upper,
        "trim": str.strip,
        "union": _union,
    }
)

SHAPE_ALONE: Final = frozenset(
    {"concat", "empty", "first", "items", "last", "length", "range", "take", "union"}
)
"""What looks at how a value is put together, so that unknown values within do not matter."""
