"""Connections, exports and recipes: what is always true of a valid one.

A rule between several values raises an error of the type `RELATION`; `exporter.domain.configuration_file`,
which reads what people write, reports those with their lines.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from exporter.domain.budget import DOCUMENTED_BULK_PER_MINUTE, DOCUMENTED_PER_SECOND
from exporter.domain.hosts import is_local, normalise_host
from exporter.domain.recipe import Recipe
from exporter.errors import ConfigurationError

_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
ID: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,127}", re.ASCII)
_LIKELY_API_KEY: Final = re.compile(r"[0-9a-fA-F]{40,}", re.ASCII)
_LIST_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

EXCESSIVE_LIMITS: Final = (
    f"limits above ActiveCampaign's own ({DOCUMENTED_BULK_PER_MINUTE} bulk requests a minute, "
    f"{DOCUMENTED_PER_SECOND} requests a second) are for local hosts only"
)


def _refuse_unless(pattern: re.Pattern[str], sentence: str) -> Callable[[str], str]:
    """A validator that accepts full matches and says `sentence` otherwise."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(sentence)
        return text

    return check


def _one_line(text: str) -> str:
    if not text.strip():
        raise ValueError("should not be empty")
    if _CONTROL_CHARACTERS.search(text):
        raise ValueError("holds a line break or another control character")
    return text


def _host(text: str) -> str:
    try:
        return normalise_host(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _secret_name(text: str) -> str:
    if _LIKELY_API_KEY.fullmatch(text):
        raise ValueError(
            "looks like an API key itself: keep the key in the vault and write the secret's name here"
        )
    if not _SECRET_NAME.fullmatch(text):
        raise ValueError("should be the name of a secret: letters, digits and hyphens, at most 127")
    return text


def check_segment_name(text: str) -> str:
    """The name itself. Raises ValueError, which says what it should be, for one that can't be a folder's."""
    _one_line(text)
    if "/" in text or "\\" in text:
        raise ValueError("should be a segment's name, without slashes")
    if text in {".", ".."} or text != text.strip():
        raise ValueError("should be a segment's name, without spaces around it")
    if len(text) > 200:
        raise ValueError("should be at most 200 characters long")
    return text


def _text_of_number(value: object) -> object:
    """YAML reads 5 as a number; ids are text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if _repeated(values):
        raise _relation("the same value is listed twice")
    return values


def field_key(reference: str) -> str:
    """Personalisation tags are the same with and without percent signs, in any case."""
    return reference.strip().strip("%").casefold()


def _one_column_each(fields: dict[str, str]) -> dict[str, str]:
    if _repeated(field_key(reference) for reference in fields.values()):
        raise _relation("more than one column fills the same field")
    return fields


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


RELATION: Final = "relation"


def _relation(sentence: str) -> PydanticCustomError:
    """A broken rule between several values."""
    return PydanticCustomError(RELATION, "{sentence}", {"sentence": sentence})


_ID_RULE = "should be 1 to 63 lower-case letters, digits and hyphens"
Id = Annotated[str, AfterValidator(_refuse_unless(ID, _ID_RULE))]
Line = Annotated[str, AfterValidator(_one_line), Field(max_length=500)]
Host = Annotated[str, AfterValidator(_host)]
SecretName = Annotated[str, AfterValidator(_secret_name)]
SegmentName = Annotated[str, AfterValidator(check_segment_name)]
ListId = Annotated[
    str,
    BeforeValidator(_text_of_number),
    AfterValidator(_refuse_unless(_LIST_ID, "should be the list's number in ActiveCampaign, like 5")),
]
FieldReference = Annotated[Line, BeforeValidator(_text_of_number)]


class _Model(BaseModel):
    """Frozen, and strict: nothing is accepted for something else, no key is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(_Model):
    """What an ActiveCampaign account allows, and how much of that is ours."""

    bulk_requests_per_minute: int = Field(default=DOCUMENTED_BULK_PER_MINUTE, ge=1, le=1_000_000)
    requests_per_second: int = Field(default=DOCUMENTED_PER_SECOND, ge=1, le=100_000)

    share: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    """The part of the budget that we use; the rest is left to the account's other integrations."""


class Consent(_Model):
    """Who confirmed that the customers' data may go to ActiveCampaign."""

    accepted_by: Line


class Connection(_Model):
    """Where and as whom: an ActiveCampaign account."""

    id: Id
    name: Line
    host: Host
    secret: SecretName
    """The name of the secret that holds the API key; never the key."""
    limits: Limits = Limits()
    consent: Consent

    @model_validator(mode="before")
    @classmethod
    def _name_defaults_to_id(cls, data: object) -> object:
        return _with_name(data)

    @model_validator(mode="after")
    def _limits_are_documented(self) -> "Connection":
        excess = (
            self.limits.bulk_requests_per_minute > DOCUMENTED_BULK_PER_MINUTE
            or self.limits.requests_per_second > DOCUMENTED_PER_SECOND
        )
        if excess and not is_local(self.host):
            raise _relation(EXCESSIVE_LIMITS)
        return self


class Mapping(_Model):
    """Which column of the segment file fills which part of a contact."""

    email: Line
    first_name: Line | None = None
    last_name: Line | None = None
    phone: Line | None = None

    fields: Annotated[dict[Line, FieldReference], AfterValidator(_one_column_each)] = Field(
        default_factory=dict
    )
    """Column -> custom field: its id, personalisation tag or title."""
    operation: Line | None = None
    """The column that says what became of a row; only in drops of changes."""


class TagColumn(_Model):
    """Tags that come from a column of the segment file."""

    column: Line


def _tag_kind(value: object) -> str:
    return "column" if isinstance(value, dict | TagColumn) else "static"


ContactTag = Annotated[
    Annotated[Line, Tag("static")] | Annotated[TagColumn, Tag("column")], Discriminator(_tag_kind)
]


Content = Literal["snapshot", "delta"]
"""What a drop holds: everybody in the segment, or what has changed since the drop before."""

OPERATION_OF_SNAPSHOT: Final = "is read in drops of changes only: add `content: delta`, or leave it out"


class Export(_Model):
    """The standing arrangement: these segments go to that list, mapped like this."""

    id: Id
    name: Line
    connection: Id
    list_id: ListId
    segments: Annotated[
        tuple[SegmentName, ...], Field(strict=False, min_length=1), AfterValidator(_without_repeats)
    ]
    mapping: Mapping
    tags: Annotated[tuple[ContactTag, ...], Field(strict=False), AfterValidator(_without_repeats)] = ()
    empty: Literal["keep", "clear"] = "keep"
    """What an empty mapped value does to what ActiveCampaign has."""
    automations: bool = False
    tolerated_reject_percentage: float = Field(default=5, ge=0, le=100, allow_inf_nan=False)
    content: Content = "snapshot"

    @model_validator(mode="before")
    @classmethod
    def _name_defaults_to_id(cls, data: object) -> object:
        return _with_name(data)

    @model_validator(mode="after")
    def _only_changes_have_operations(self) -> "Export":
        if self.mapping.operation is not None and self.content != "delta":
            raise _relation(OPERATION_OF_SNAPSHOT)
        return self


class Configuration(_Model):
    """Connections, exports and a person's own recipes as one file holds them."""

    connections: Annotated[tuple[Connection, ...], Field(strict=False)] = ()
    exports: Annotated[tuple[Export, ...], Field(strict=False)] = ()
    recipes: Annotated[tuple[Recipe, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Configuration":
        for documents in (self.connections, self.exports, self.recipes):
            if _repeated(document.id for document in documents):
                raise _relation("an id is used more than once")
        return self


def fingerprint(export: Export, connection: Connection) -> str:
    """A digest of all that decides what a run does; it changes when either document does."""
    documents = {
        "export": export.model_dump(mode="json"),
        "connection": connection.model_dump(mode="json"),
    }
    text = json.dumps(documents, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_name(data: object) -> object:
    """A document without a display name shows its id."""
    if isinstance(data, dict) and "name" not in data and isinstance(data.get("id"), str):
        return {**data, "name": data["id"]}
    return data
