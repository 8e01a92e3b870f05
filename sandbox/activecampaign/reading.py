"""What routes read from a request: pages, bracketed query parameters, wrapped bodies."""

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from aiohttp import web

from .settings import SimulatorSettings

ItemT = TypeVar("ItemT")


def page_bounds(request: web.Request, settings: SimulatorSettings) -> tuple[int, int]:
    """Return limit and offset; what is no number falls back to the default, too great a limit is clamped."""
    limit = _number(request.query.get("limit"), settings.default_page)
    return min(limit or settings.default_page, settings.largest_page), _number(request.query.get("offset"), 0)


def page(request: web.Request, settings: SimulatorSettings, items: Sequence[ItemT]) -> Sequence[ItemT]:
    """Return the items of the page that the request asks for."""
    limit, offset = page_bounds(request, settings)
    return items[offset : offset + limit]


def bracketed(request: web.Request, name: str) -> dict[str, str]:
    """Return e.g. `{"name": "x"}` for `filters[name]=x`."""
    start = f"{name}["
    return {
        key[len(start) : -1]: value
        for key, value in request.query.items()
        if key.startswith(start) and key.endswith("]")
    }


async def wrapped(request: web.Request, key: str) -> dict[str, Any]:
    """Return the object that a body wraps in a singular key, or an empty one."""
    try:
        payload = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return {}
    inner = payload.get(key) if isinstance(payload, dict) else None
    return inner if isinstance(inner, dict) else {}


def _number(value: str | None, default: int) -> int:
    return int(value) if value and value.isdecimal() else default
