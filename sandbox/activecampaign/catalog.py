"""What an account has besides contacts: lists, custom fields, tags and exclusions."""

from collections.abc import Collection
from dataclasses import dataclass, field

from .settings import SimulatorSettings


@dataclass(slots=True)
class Field:
    """A custom field; a choice field has options."""

    id: int
    title: str
    type: str
    perstag: str
    option_ids: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class FieldOption:
    """One choice of a dropdown, radio, checkbox or listbox field."""

    id: int
    field_id: int
    value: str
    order: int


@dataclass(slots=True, frozen=True)
class Exclusion:
    """A phrase that keeps addresses out of the account, on all lists or on some."""

    id: int
    phrase: str
    match_type: str
    """`exact`, `begins` or `end`."""
    list_ids: frozenset[int] = frozenset()
    """The lists it holds for; empty means all."""

    def matches(self, email: str) -> bool:
        """Say whether a lower-case address is meant."""
        if self.match_type == "exact":
            return email == self.phrase
        return email.startswith(self.phrase) if self.match_type == "begins" else email.endswith(self.phrase)


_FIRST_FIELDS = (
    ("City", "text", ()),
    ("Tier", "dropdown", ("Gold", "Silver", "Bronze")),
    ("LifetimeValue", "text", ()),
)
_LAST_FIELDS = (
    ("Preferences", "textarea", ()),
    ("Birthday", "date", ()),
    ("Interests", "checkbox", ("Sports", "Music", "Travel", "Food")),
)


@dataclass(slots=True)
class Exclusions:
    """The account's exclusions, arranged for quick matching."""

    items: list[Exclusion] = field(default_factory=list)
    _exact: dict[str, list[Exclusion]] = field(default_factory=dict)
    _others: list[Exclusion] = field(default_factory=list)

    def add(self, phrase: str, match_type: str, list_ids: Collection[int] = ()) -> Exclusion:
        """Exclude what matches from all lists, or from some."""
        exclusion = Exclusion(len(self.items) + 1, phrase.strip().lower(), match_type, frozenset(list_ids))
        self.items.append(exclusion)
        if match_type == "exact":
            self._exact.setdefault(exclusion.phrase, []).append(exclusion)
        else:
            self._others.append(exclusion)
        return exclusion

    def excludes(self, email: str, list_ids: Collection[int]) -> bool:
        """Say whether an address may not be imported into these lists."""
        if not self.items:
            return False
        found = [*self._exact.get(email, ()), *(e for e in self._others if e.matches(email))]
        return any(not e.list_ids or not e.list_ids.isdisjoint(list_ids) for e in found)


class Catalog:
    """Lists, fields, options, tags and exclusions by id."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.lists: dict[int, str] = dict(enumerate(settings.lists, start=1))
        self.fields: dict[int, Field] = {}
        self.options: dict[int, FieldOption] = {}
        self.tags: dict[int, str] = {}
        self._tag_ids: dict[str, int] = {}
        self.accounts: set[str] = set()
        """Names of CRM accounts that imports created through `customer_acct_name`."""
        self.exclusions = Exclusions()
        fillers = ((f"Filler {n}", "text", ()) for n in range(1, settings.filler_fields + 1))
        for title, kind, options in (*_FIRST_FIELDS, *fillers, *_LAST_FIELDS):
            self.add_field(title, kind, options)

    def add_field(self, title: str, kind: str, options: Collection[str] = ()) -> Field:
        """Add a custom field under the next id."""
        perstag = title.upper().replace(" ", "_")
        created = Field(len(self.fields) + 1, title, kind, perstag)
        for order, value in enumerate(options, start=1):
            option = FieldOption(len(self.options) + 1, created.id, value, order)
            self.options[option.id] = option
            created.option_ids = (*created.option_ids, option.id)
        self.fields[created.id] = created
        return created

    def field_named(self, title: str) -> Field:
        """Return the field with a title; tests use it to learn ids."""
        return next(field for field in self.fields.values() if field.title == title)

    def find_tag(self, name: str) -> int | None:
        """Return the id of a tag, whatever its case."""
        return self._tag_ids.get(name.lower())

    def tag(self, name: str) -> int:
        """Return the id of a tag and create it if need be; names differ only by more than case."""
        tag_id = self.find_tag(name)
        if tag_id is None:
            tag_id = len(self.tags) + 1
            self.tags[tag_id] = name
            self._tag_ids[name.lower()] = tag_id
        return tag_id
