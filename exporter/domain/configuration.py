"""Connections and exports: the models, and the file that a person writes them in.

The models hold what is always true of a valid document. `load_configuration` reads a file and reports all
that is wrong with it at once; reading the file's text lies in `exporter.domain.document`.
"""

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from exporter.domain.document import Document, Path, Problem, parse_document, report_problems
from exporter.domain.hosts import HostPolicy, is_local, normalise_host
from exporter.errors import ConfigurationError

DOCUMENTED_BULK_REQUESTS_PER_MINUTE: Final = 100
DOCUMENTED_REQUESTS_PER_SECOND: Final = 5

_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ID: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,127}", re.ASCII)
_LIKELY_API_KEY: Final = re.compile(r"[0-9a-fA-F]{40,}", re.ASCII)
_LIST_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

_EXCESS: Final = (
    f"limits above ActiveCampaign's own ({DOCUMENTED_BULK_REQUESTS_PER_MINUTE} bulk requests a minute, "
    f"{DOCUMENTED_REQUESTS_PER_SECOND} requests a second) are for local hosts only"
)
_CONSENT_MISSING: Final = (
    "is missing: a connection needs `consent: {accepted_by: …}`, the person who confirms that these "
    "customers' data may be sent to ActiveCampaign"
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


def _field_key(reference: str) -> str:
    """Personalisation tags are the same with and without percent signs, in any case."""
    return reference.strip().strip("%").casefold()


def _one_column_each(fields: dict[str, str]) -> dict[str, str]:
    if _repeated(_field_key(reference) for reference in fields.values()):
        raise _relation("more than one column fills the same field")
    return fields


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


_RELATION: Final = "relation"


def _relation(sentence: str) -> PydanticCustomError:
    """A broken rule between several values; files have it reported with exact lines by `_relations`."""
    return PydanticCustomError(_RELATION, "{sentence}", {"sentence": sentence})


_ID_RULE = "should be 1 to 63 lower-case letters, digits and hyphens"
Id = Annotated[str, AfterValidator(_refuse_unless(_ID, _ID_RULE))]
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

    bulk_requests_per_minute: int = Field(default=DOCUMENTED_BULK_REQUESTS_PER_MINUTE, ge=1, le=1_000_000)
    requests_per_second: int = Field(default=DOCUMENTED_REQUESTS_PER_SECOND, ge=1, le=100_000)

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
            self.limits.bulk_requests_per_minute > DOCUMENTED_BULK_REQUESTS_PER_MINUTE
            or self.limits.requests_per_second > DOCUMENTED_REQUESTS_PER_SECOND
        )
        if excess and not is_local(self.host):
            raise _relation(_EXCESS)
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


class TagColumn(_Model):
    """Tags that come from a column of the segment file."""

    column: Line


def _tag_kind(value: object) -> str:
    return "column" if isinstance(value, dict | TagColumn) else "static"


ContactTag = Annotated[
    Annotated[Line, Tag("static")] | Annotated[TagColumn, Tag("column")], Discriminator(_tag_kind)
]


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

    @model_validator(mode="before")
    @classmethod
    def _name_defaults_to_id(cls, data: object) -> object:
        return _with_name(data)


class Configuration(_Model):
    """Connections and exports as one file holds them."""

    connections: Annotated[tuple[Connection, ...], Field(strict=False)] = ()
    exports: Annotated[tuple[Export, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Configuration":
        for documents in (self.connections, self.exports):
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


def load_configuration(
    text: str, *, filename: str, host_policy: HostPolicy, known_connections: Collection[str] = ()
) -> Configuration:
    """The configuration that a YAML or JSON file holds.

    `known_connections` are the ids of those already stored, which exports of the file may use.
    Raises ConfigurationError that lists all problems, a line each: ``file:line: where: what``.
    """
    document = parse_document(text, filename=filename)
    problems = [*document.problems, *_relations(document, host_policy, known_connections)]
    configuration = None
    try:
        configuration = Configuration.model_validate(document.value)
    except ValidationError as error:
        problems += _model_problems(error, document)
    if problems or configuration is None:
        raise report_problems(document, problems)
    return configuration


def _with_name(data: object) -> object:
    """A document without a display name shows its id."""
    if isinstance(data, dict) and "name" not in data and isinstance(data.get("id"), str):
        return {**data, "name": data["id"]}
    return data


# Problems between several values, or with the surroundings


class _Entry(NamedTuple):
    """One connection or export as the file has it, perhaps with faults."""

    path: Path
    document: AnyMapping[str, Any]


def _relations(
    document: Document, host_policy: HostPolicy, known_connections: Collection[str]
) -> Iterator[Problem]:
    connections = _entries(document.value, "connections")
    exports = _entries(document.value, "exports")
    yield from _doubled_ids(connections, document)
    yield from _doubled_ids(exports, document)
    for connection in connections:
        yield from _forbidden_host(connection, host_policy)
        yield from _excessive_limits(connection)
    names = (entry.document.get("id") for entry in connections)
    known = {*known_connections, *(name for name in names if isinstance(name, str))}
    for export in exports:
        yield from _unknown_connection(export, known)
        yield from _repeated_values(export)
        yield from _doubled_fields(export)


def _entries(value: object, key: str) -> list[_Entry]:
    entries = value.get(key) if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return []
    return [_Entry((key, i), entry) for i, entry in enumerate(entries) if isinstance(entry, dict)]


def _doubled_ids(entries: list[_Entry], document: Document) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for entry in entries:
        name = entry.document.get("id")
        if not isinstance(name, str):
            continue
        path = (*entry.path, "id")
        if name in first:
            yield Problem(path, f"the id {name!r} is already used in line {document.line(first[name])}")
        first.setdefault(name, path)


def _forbidden_host(connection: _Entry, host_policy: HostPolicy) -> Iterator[Problem]:
    host = _valid_host(connection)
    if host is None:
        return  # the model reports it
    try:
        host_policy.check(host)
    except ConfigurationError as error:
        yield Problem((*connection.path, "host"), str(error))


def _excessive_limits(connection: _Entry) -> Iterator[Problem]:
    host = _valid_host(connection)
    limits = connection.document.get("limits")
    if not isinstance(limits, dict) or (host is not None and is_local(host)):
        return
    for key, documented in (
        ("bulk_requests_per_minute", DOCUMENTED_BULK_REQUESTS_PER_MINUTE),
        ("requests_per_second", DOCUMENTED_REQUESTS_PER_SECOND),
    ):
        value = limits.get(key)
        if isinstance(value, int) and value > documented:
            yield Problem((*connection.path, "limits", key), _EXCESS)


def _valid_host(connection: _Entry) -> str | None:
    host = connection.document.get("host")
    try:
        return normalise_host(host) if isinstance(host, str) else None
    except ConfigurationError:
        return None


def _unknown_connection(export: _Entry, known: set[str]) -> Iterator[Problem]:
    wanted = export.document.get("connection")
    if isinstance(wanted, str) and _ID.fullmatch(wanted) and wanted not in known:
        yield Problem(
            (*export.path, "connection"), f"there is no connection {wanted!r}{_near_miss(wanted, known)}"
        )


def _repeated_values(export: _Entry) -> Iterator[Problem]:
    for key in ("segments", "tags"):
        values = export.document.get(key)
        seen: list[object] = []
        for i, value in enumerate(values if isinstance(values, list) else ()):
            if value in seen:
                yield Problem((*export.path, key, i), "is listed before")
            seen.append(value)


def _doubled_fields(export: _Entry) -> Iterator[Problem]:
    mapping = export.document.get("mapping")
    fields = mapping.get("fields") if isinstance(mapping, dict) else None
    first: dict[str, str] = {}
    for column, reference in fields.items() if isinstance(fields, dict) else ():
        key = _field_key(str(reference))
        if key in first:
            path = (*export.path, "mapping", "fields", column)
            yield Problem(path, f"the column {first[key]!r} fills the same field")
        first.setdefault(key, column)


# Problems that the models find

_NOT_YET: Final = {
    "connections": frozenset({"may_use", "suppression"}),
    "mapping": frozenset({"profile_id", "consent"}),
    "exports": frozenset({"trigger", "content", "on_leave", "brakes"}),
}
_KEYS: Final[AnyMapping[str, type[BaseModel]]] = {
    "connections": Connection,
    "exports": Export,
    "mapping": Mapping,
    "limits": Limits,
    "consent": Consent,
    "tags": TagColumn,
}
_MESSAGES: Final = {
    "missing": "is missing",
    "string_type": "should be text (put it in quotes)",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be keys and values",
    "model_type": "should be keys and values",
    "too_short": "should not be empty",
    "literal_error": "should be {expected}",
    "string_too_long": "should be at most {max_length} characters long",
    "greater_than": "should be greater than {gt:g}",
    "greater_than_equal": "should be at least {ge:g}",
    "less_than_equal": "should be at most {le:g}",
    "finite_number": "should be a number",
}


def _model_problems(error: ValidationError, document: Document) -> Iterator[Problem]:
    """What pydantic found, in our words; the values themselves are never shown."""
    for fault in error.errors(include_url=False):
        kind, location = fault["type"], fault["loc"]
        if kind == _RELATION:
            continue
        path = document.existing(location)
        if kind == "missing":
            yield Problem((*path, location[-1]), _message(kind, {}, location))
        elif fault["input"] is None:
            yield Problem(path, "should not be empty")
        else:
            yield Problem(path, _message(kind, fault.get("ctx", {}), location))


def _message(kind: str, context: AnyMapping[str, Any], location: Path) -> str:
    key = str(location[-1]) if location else ""
    parents = [part for part in location[:-1] if isinstance(part, str) and part in _KEYS]
    parent = parents[-1] if parents else ""
    if kind == "extra_forbidden":
        return _unknown_key(key, parent)
    if kind == "missing" and key == "consent" and parent == "connections":
        return _CONSENT_MISSING
    if kind == "value_error":
        return str(context["error"])
    if kind in _MESSAGES:
        return _MESSAGES[kind].format_map(context)
    return f"is not valid ({kind})"


def _unknown_key(key: str, parent: str) -> str:
    if key in _NOT_YET.get(parent, ()):
        return "is not yet supported: leave it out"
    known = _KEYS.get(parent, Configuration).model_fields
    return f"is not a known key{_near_miss(key, known)}"


def _near_miss(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    matches = difflib.get_close_matches(word, known, n=1)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    return f" (known: {', '.join(known)})" if known else ""
