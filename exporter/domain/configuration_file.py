"""The configuration file: reads what a person wrote, and reports all that is wrong with it at once."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from exporter.domain import configuration as models
from exporter.domain.budget import DOCUMENTED_BULK_PER_MINUTE, DOCUMENTED_PER_SECOND
from exporter.domain.configuration import (
    EXCESSIVE_LIMITS,
    ID,
    OPERATION_OF_SNAPSHOT,
    RELATION,
    Configuration,
    check_segment_name,
    field_key,
)
from exporter.domain.dialect import Dialect
from exporter.domain.document import Document, Path, Problem, parse_document, report_problems
from exporter.domain.hosts import HostPolicy, is_local, normalise_host
from exporter.domain.own_recipe import dialect_faults, recipe_faults
from exporter.domain.recipe import Recipe
from exporter.errors import ConfigurationError

_CONSENT_MISSING: Final = (
    "is missing: a connection needs `consent: {accepted_by: …}`, the person who confirms that these "
    "customers' data may be sent to ActiveCampaign"
)


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


# Problems between several values, or with the surroundings


class _Entry(NamedTuple):
    """One connection, export or recipe as the file has it, perhaps with faults."""

    path: Path
    document: Mapping[str, Any]


def _relations(
    document: Document, host_policy: HostPolicy, known_connections: Collection[str]
) -> Iterator[Problem]:
    connections = _entries(document.value, "connections")
    exports = _entries(document.value, "exports")
    yield from _doubled_ids(connections, document)
    yield from _doubled_ids(exports, document)
    recipes = _entries(document.value, "recipes")
    yield from _doubled_ids(recipes, document)
    for recipe in recipes:
        yield from _recipe_faults(recipe)
        yield from _dialect_faults(recipe)
    for connection in connections:
        yield from _forbidden_host(connection, host_policy)
        yield from _excessive_limits(connection)
    names = (entry.document.get("id") for entry in connections)
    known = {*known_connections, *(name for name in names if isinstance(name, str))}
    for export in exports:
        yield from _unknown_connection(export, known)
        yield from _repeated_values(export)
        yield from _doubled_fields(export)
        yield from _operation_of_snapshot(export)


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
        ("bulk_requests_per_minute", DOCUMENTED_BULK_PER_MINUTE),
        ("requests_per_second", DOCUMENTED_PER_SECOND),
    ):
        value = limits.get(key)
        if isinstance(value, int) and value > documented:
            yield Problem((*connection.path, "limits", key), EXCESSIVE_LIMITS)


def _valid_host(connection: _Entry) -> str | None:
    host = connection.document.get("host")
    try:
        return normalise_host(host) if isinstance(host, str) else None
    except ConfigurationError:
        return None


def _unknown_connection(export: _Entry, known: set[str]) -> Iterator[Problem]:
    wanted = export.document.get("connection")
    if isinstance(wanted, str) and ID.fullmatch(wanted) and wanted not in known:
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
        key = field_key(str(reference))
        if key in first:
            path = (*export.path, "mapping", "fields", column)
            yield Problem(path, f"the column {first[key]!r} fills the same field")
        first.setdefault(key, column)


def _operation_of_snapshot(export: _Entry) -> Iterator[Problem]:
    mapping = export.document.get("mapping")
    named = isinstance(mapping, dict) and mapping.get("operation") is not None
    if named and export.document.get("content", "snapshot") == "snapshot":
        yield Problem((*export.path, "mapping", "operation"), OPERATION_OF_SNAPSHOT)


def _recipe_faults(recipe: _Entry) -> Iterator[Problem]:
    segment = recipe.document.get("segment")
    if isinstance(segment, str):
        try:
            check_segment_name(segment)
        except ValueError as error:
            yield Problem((*recipe.path, "segment"), str(error))
    try:
        valid = Recipe.model_validate(recipe.document)
    except ValidationError:
        return  # the model reports it
    for fault in recipe_faults(valid):
        yield Problem((*recipe.path, fault.key), fault.message)


def _dialect_faults(recipe: _Entry) -> Iterator[Problem]:
    dialect, path = recipe.document.get("dialect"), (*recipe.path, "dialect")
    if not isinstance(dialect, dict):
        return
    for key in (key for key, value in dialect.items() if value is None):
        advice = ': for files that say null write `null: "null"`' if key == "null" else ""
        yield Problem((*path, key), f"should not be empty{advice}")
    try:
        valid = Dialect.model_validate(dialect)
    except ValidationError:
        return  # the model reports it
    for fault in dialect_faults(valid):
        yield Problem((*path, fault.key), fault.message)


# Problems that the models find

_NOT_YET: Final = {
    "connections": frozenset({"may_use", "suppression"}),
    "mapping": frozenset({"profile_id", "consent"}),
    "exports": frozenset({"trigger", "on_leave", "brakes"}),
}
_KEYS: Final[Mapping[str, type[BaseModel]]] = {
    "connections": models.Connection,
    "exports": models.Export,
    "mapping": models.Mapping,
    "limits": models.Limits,
    "consent": models.Consent,
    "tags": models.TagColumn,
    "recipes": Recipe,
    "dialect": Dialect,
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
    "enum": "should be {expected}",
    "string_pattern_mismatch": "should be 1 to 63 lower-case letters, digits and hyphens",
    "string_too_short": "should not be empty",
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
        if kind == RELATION:
            continue
        path = document.existing(location)
        if kind == "missing":
            yield Problem((*path, location[-1]), _message(kind, {}, location))
        elif fault["input"] is None:
            yield Problem(path, "should not be empty")
        else:
            yield Problem(path, _message(kind, fault.get("ctx", {}), location))


def _message(kind: str, context: Mapping[str, Any], location: Path) -> str:
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
