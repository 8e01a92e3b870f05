"""A contact: what one row of a segment says about a person, in ActiveCampaign's words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

MULTI_VALUE_TYPES: Final = frozenset({"checkbox", "listbox", "multiselect"})
VALUE_SEPARATOR: Final = "||"


@dataclass(frozen=True, slots=True)
class FieldTarget:
    """A custom field, already resolved against the account.

    `type` is ActiveCampaign's word for it, such as "text", "date" or "listbox"; unknown types are text.
    """

    id: int
    type: str


@dataclass(frozen=True, slots=True)
class ContactMapping:
    """Which column fills what. Columns are header names of the file, exactly as written there.

    `list_id` is decimal text; `fields` holds pairs of column and target; `tags` go to everyone, each of
    `tag_columns` adds its value as a tag. An empty value is left out, or, with `clear_empty`, sent as ""
    so that ActiveCampaign forgets the one it has.
    """

    email: str
    list_id: str
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    fields: tuple[tuple[str, FieldTarget], ...] = ()
    tags: tuple[str, ...] = ()
    tag_columns: tuple[str, ...] = ()
    clear_empty: bool = False
    operation: str | None = None
    """The column that says what became of a row, in drops of changes; None: it is known by its name."""

    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping reads, each once, the address first."""
        names = (self.email, self.first_name, self.last_name, self.phone)
        columns = [name for name in names if name is not None]
        columns += [column for column, _ in self.fields]
        columns += self.tag_columns
        if self.operation is not None:
            columns.append(self.operation)
        return tuple(dict.fromkeys(columns))


Contact = dict[str, Any]
"""A contact of the bulk import: {"email", "first_name"?, …, "fields"?, "tags"?, "subscribe"}."""

BuildContact = Callable[[Sequence[str], str], Contact]
"""(a row with all its columns, the address to send) -> its contact."""


def contact_builder(mapping: ContactMapping, header: Sequence[str]) -> BuildContact:
    """The function that turns a row under `header` into a contact.

    Column names become positions here, once, so that a row costs no look-up by name.
    `header` must hold every mapped column.
    """
    position = {name: at for at, name in enumerate(header)}
    named = {"first_name": mapping.first_name, "last_name": mapping.last_name, "phone": mapping.phone}
    values = tuple((key, position[column]) for key, column in named.items() if column is not None)
    fields = tuple(
        (target.id, position[column], target.type in MULTI_VALUE_TYPES) for column, target in mapping.fields
    )
    tag_positions = tuple(position[column] for column in mapping.tag_columns)
    static_tags = mapping.tags
    has_tags = bool(static_tags or tag_positions)
    keep_empty = mapping.clear_empty
    subscribe = [{"listid": _list_number(mapping.list_id)}]

    def build(row: Sequence[str], address: str) -> Contact:
        contact: Contact = {"email": address}
        for key, at in values:
            value = row[at].strip()
            if value or keep_empty:
                contact[key] = value
        filled = []
        for field_id, at, is_multi_value in fields:
            value = row[at].strip()
            if is_multi_value and value:
                value = wrap_values(value)
            if value or keep_empty:
                filled.append({"id": field_id, "value": value})
        if filled:
            contact["fields"] = filled
        if has_tags and (tags := list(_tags(row, static_tags, tag_positions))):
            contact["tags"] = tags
        contact["subscribe"] = subscribe
        return contact

    return build


def wrap_values(cell: str) -> str:
    """A cell of one or more options as ActiveCampaign takes them: `a||b` becomes `||a||b||`.

    Always wrapped, for a bare string is a single value to it. Nothing but separators gives "".
    """
    options = [option for part in cell.split(VALUE_SEPARATOR) if (option := part.strip())]
    return VALUE_SEPARATOR.join(["", *options, ""]) if options else ""


def _tags(row: Sequence[str], static: tuple[str, ...], positions: tuple[int, ...]) -> Iterator[str]:
    """The row's tags, each once, the static ones first."""
    from_columns = (value for at in positions if (value := row[at].strip()))
    return iter(dict.fromkeys((*static, *from_columns)))


def _list_number(list_id: str) -> int | str:
    """The list's id as a number where it is one, which is how ActiveCampaign's own examples send it."""
    return int(list_id) if list_id.isascii() and list_id.isdecimal() else list_id
