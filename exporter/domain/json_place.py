"""A value within a JSON document from outside, and where it stands, so that an error can say so."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from exporter.domain.wording import shown
from exporter.errors import StopRunError

MAX_MANIFEST_BYTES: Final = 16 * 1024 * 1024
"""A manifest of a hundred thousand partitions has less."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class JsonPlace:
    """One value of a manifest, with the way to it: `entities[2].partitions[0].location`."""

    def __init__(self, value: Any, blob: str, way: str = "") -> None:
        self.value = value
        self._blob = blob
        self.way = way

    def get(self, key: str) -> "JsonPlace | None":
        """The value under a key; None where it is absent or null. Raises StopRunError for no object."""
        if not isinstance(self.value, dict):
            raise self.wrong("keys and values")
        value = self.value.get(key)
        return None if value is None else self._at(value, key)

    def need(self, key: str) -> "JsonPlace":
        """The value under a key. Raises StopRunError where it is absent."""
        place = self.get(key)
        if place is None:
            raise self._at(None, key).wrong("something")
        return place

    def items(self, key: str) -> "Iterator[JsonPlace]":
        """The values of the list under a key, none where it is absent. Raises StopRunError for no list."""
        place = self.get(key)
        if place is None:
            return
        if not isinstance(place.value, list):
            raise place.wrong("a list")
        for number, value in enumerate(place.value):
            yield JsonPlace(value, self._blob, f"{place.way}[{number}]")

    def text(self) -> str:
        """The value as a text that is not empty. Raises StopRunError for anything else."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("a text")
        return self.value

    def wrong(self, expected: str) -> StopRunError:
        """The error for a value that is not what was `expected`; the value itself is not shown."""
        where = f"at {shown(self.way)}" if self.way else "at its beginning"
        return StopRunError("bad_manifest", f"{shown(self._blob)} should have {expected} {where}.")

    def _at(self, value: Any, key: str) -> "JsonPlace":
        return JsonPlace(value, self._blob, f"{self.way}.{key}" if self.way else key)


def parse_manifest(blob: str, data: bytes) -> JsonPlace:
    """The JSON document in a blob, UTF-8. Raises StopRunError for one that is too large, or is no JSON."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise StopRunError(
            "bad_manifest",
            f"{shown(blob)} has {len(data):,} bytes; a manifest may have {MAX_MANIFEST_BYTES:,} at most.",
        )
    try:
        return JsonPlace(orjson.loads(data.removeprefix(_BYTE_ORDER_MARK)), blob)
    except orjson.JSONDecodeError as error:
        raise StopRunError(
            "bad_manifest",
            f"{shown(blob)} is not JSON in UTF-8: {error.msg} (line {error.lineno}, column {error.colno}).",
        ) from error
