"""Stored documents carry a schema number, so that a version of the app leaves those of a newer one alone.

While a deployment is under way, instances of both versions are at work.
"""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from exporter.errors import NewerVersionError

Kind = TypeVar("Kind", bound=BaseModel)


def to_bytes(document: BaseModel) -> bytes:
    """The document as it is stored, under the schema number of this version."""
    present = document.model_copy(update={"schema_number": _known(type(document))})
    return present.model_dump_json().encode()


def from_bytes(kind: type[Kind], data: bytes) -> Kind:
    """A stored document. Raises NewerVersionError for one of a newer version of the app."""
    try:
        document = kind.model_validate_json(data)
    except ValidationError:
        if _number_in(data) > _known(kind):
            raise _newer(kind) from None
        raise
    if getattr(document, "schema_number", 0) > _known(kind):
        raise _newer(kind)
    return document


def _newer(kind: type[BaseModel]) -> NewerVersionError:
    return NewerVersionError(f"a {kind.__name__} was stored by a newer version of this app")


def _known(kind: type[BaseModel]) -> int:
    """The schema number that this version writes."""
    return int(kind.model_fields["schema_number"].default)


def _number_in(data: bytes) -> int:
    try:
        number = orjson.loads(data)["schema_number"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 0
    return number if isinstance(number, int) else 0
