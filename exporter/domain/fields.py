"""Which custom field of the account a mapping means."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.domain.contact import FieldTarget


@dataclass(frozen=True, slots=True)
class AccountField:
    """A custom field as `GET /fields` lists it (developers.activecampaign.com/reference/fields)."""

    id: int
    title: str
    tag: str
    """The personalisation tag, without percent signs."""
    type: str


def account_field(entry: Mapping[str, Any]) -> AccountField | None:
    """One entry of the answer's `fields`; ids come as text or numbers, and one without is no field."""
    field_id = str(entry.get("id"))
    if not (field_id.isascii() and field_id.isdecimal()):
        return None
    return AccountField(
        id=int(field_id),
        title=str(entry.get("title") or ""),
        tag=str(entry.get("perstag") or ""),
        type=str(entry.get("type") or "text"),
    )


def resolve_fields(
    mapping: Mapping[str, str], fields: Iterable[AccountField]
) -> tuple[tuple[tuple[str, FieldTarget], ...], list[str]]:
    """The targets of `mapping` (column -> id, personalisation tag or title), and what is wrong with it.

    An id wins over a tag, a tag over a title; tags and titles are compared without regard to case.
    """
    known = list(fields)
    targets = []
    problems = []
    for column, reference in mapping.items():
        matches = _matches(reference, known)
        if len(matches) == 1:
            targets.append((column, FieldTarget(matches[0].id, matches[0].type)))
        elif matches:
            ids = ", ".join(str(match.id) for match in matches)
            problems.append(
                f"'{reference}' (column '{column}') is the title of several fields; use an id: {ids}"
            )
        else:
            problems.append(f"'{reference}' (column '{column}') is no custom field of the account")
    problems += _doubled(targets)
    return tuple(targets), problems


def _matches(reference: str, fields: list[AccountField]) -> list[AccountField]:
    """The fields that a reference may mean, by the strongest of its readings."""
    tag = reference.strip("%").casefold()
    for matches in (
        [field for field in fields if str(field.id) == reference],
        [field for field in fields if tag and field.tag.casefold() == tag],
        [field for field in fields if field.title.casefold() == reference.casefold()],
    ):
        if matches:
            return matches
    return []


def _doubled(targets: list[tuple[str, FieldTarget]]) -> list[str]:
    """A field that two columns would fill, each under another of its names."""
    columns: dict[int, list[str]] = {}
    for column, target in targets:
        columns.setdefault(target.id, []).append(column)
    return [
        f"field {field_id} is filled by several columns: {', '.join(names)}"
        for field_id, names in columns.items()
        if len(names) > 1
    ]
