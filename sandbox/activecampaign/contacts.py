"""The contacts of the account, packed so that a million of them fit in modest memory.

A contact's names, phone and field values lie in one JSON byte string, `[first, last, phone, id, value, …]`,
which is decoded when somebody looks. Tuples of memberships and of tags are shared between contacts.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

import orjson

SharedT = TypeVar("SharedT", bound=tuple[object, ...])

_SHARED_LIMIT = 10_000


class ListStatus(IntEnum):
    """A contact's standing on a list."""

    UNCONFIRMED = 0
    SUBSCRIBED = 1
    UNSUBSCRIBED = 2
    BOUNCED = 3


class Membership(NamedTuple):
    """A contact's standing on one list."""

    list_id: int
    status: int
    subscribed_at: float | None
    """When the contact last became subscribed (`sdate`)."""
    unsubscribed_at: float | None
    """When the contact last left (`udate`)."""
    source_id: int = 0
    reason: str = ""


class Details(NamedTuple):
    """The values of a contact, decoded."""

    first_name: str
    last_name: str
    phone: str
    fields: dict[int, str]

    def pack(self) -> bytes:
        """Encode for storage."""
        row: list[str | int] = [self.first_name, self.last_name, self.phone]
        for item in self.fields.items():
            row.extend(item)
        # A copy, because the bytes that orjson returns keep the room of its larger working buffer.
        return bytes(memoryview(orjson.dumps(row)))


class Contact:
    """One contact; `packed` holds what `details` returns."""

    __slots__ = ("bounced", "created_at", "email", "id", "memberships", "packed", "tag_ids", "updated_at")

    def __init__(self, contact_id: int, email: str, packed: bytes, now: float) -> None:
        self.id = contact_id
        self.email = email
        self.packed = packed
        self.memberships: tuple[Membership, ...] = ()
        self.tag_ids: tuple[int, ...] = ()
        self.created_at = now
        self.updated_at = now
        self.bounced = ""

    @property
    def details(self) -> Details:
        """The contact's values, decoded."""
        row = orjson.loads(self.packed)
        return Details(row[0], row[1], row[2], dict(zip(row[3::2], row[4::2], strict=True)))

    def membership(self, list_id: int) -> Membership | None:
        """Return the standing on a list, if there is any."""
        for membership in self.memberships:
            if membership.list_id == list_id:
                return membership
        return None


EMPTY = Details("", "", "", {}).pack()


class ContactStore:
    """Contacts by address and by id; ids are given out in order and never again."""

    def __init__(self) -> None:
        self.by_email: dict[str, Contact] = {}
        self._by_id: list[Contact | None] = []
        self._shared: dict[Any, Any] = {}
        self.changed: Callable[[int], None] = lambda _: None
        """Hears the id of every contact that changes; the account sets it."""

    def __len__(self) -> int:
        return len(self.by_email)

    def __iter__(self) -> Iterator[Contact]:
        """Go through the contacts in the order of their ids."""
        return (contact for contact in self._by_id if contact is not None)

    @property
    def last_id(self) -> int:
        """The greatest id given out."""
        return len(self._by_id)

    def slots(self) -> Sequence[Contact | None]:
        """Return the contacts by id, the first id being 1, with nothing in place of deleted ones."""
        return self._by_id

    def after(self, contact_id: int, count: int) -> list[Contact]:
        """Return the next contacts by id, for a reader that pauses between portions."""
        found: list[Contact] = []
        position = contact_id
        while position < len(self._by_id) and len(found) < count:
            contact = self._by_id[position]
            if contact is not None:
                found.append(contact)
            position += 1
        return found

    def find(self, email: str) -> Contact | None:
        """Look up an address, trimmed and without regard to case."""
        return self.by_email.get(email.strip().lower())

    def get(self, contact_id: int) -> Contact | None:
        """Look up an id."""
        return self._by_id[contact_id - 1] if 0 < contact_id <= len(self._by_id) else None

    def create(self, email: str, now: float, packed: bytes = EMPTY) -> Contact:
        """Add a contact under an address that is already trimmed and lower-case."""
        contact = Contact(len(self._by_id) + 1, email, packed, now)
        self._by_id.append(contact)
        self.by_email[email] = contact
        self.changed(contact.id)
        return contact

    def rename(self, contact: Contact, email: str) -> None:
        """Give a contact another address."""
        del self.by_email[contact.email]
        contact.email = email
        self.by_email[email] = contact
        self.changed(contact.id)

    def delete(self, contact: Contact) -> None:
        """Remove a contact; the same address later gets a new id."""
        del self.by_email[contact.email]
        self._by_id[contact.id - 1] = None
        self.changed(contact.id)

    def set_tags(self, contact: Contact, tag_ids: tuple[int, ...]) -> None:
        """Replace the contact's tags."""
        contact.tag_ids = self._share(tag_ids)
        self.changed(contact.id)

    def set_memberships(self, contact: Contact, memberships: tuple[Membership, ...]) -> None:
        """Replace the contact's standing on all lists."""
        contact.memberships = self._share(memberships)
        self.changed(contact.id)

    def set_membership(self, contact: Contact, membership: Membership) -> None:
        """Replace the contact's standing on one list."""
        others = tuple(m for m in contact.memberships if m.list_id != membership.list_id)
        self.set_memberships(contact, (*others, membership))

    def touch(self, contact: Contact, now: float) -> None:
        """Note that a contact changed."""
        contact.updated_at = now
        self.changed(contact.id)

    def _share(self, value: SharedT) -> SharedT:
        """Return an equal tuple seen recently, so that contacts imported together hold one object."""
        if len(self._shared) > _SHARED_LIMIT:
            self._shared.clear()
        shared: SharedT = self._shared.setdefault(value, value)
        return shared
