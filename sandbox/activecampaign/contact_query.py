"""Which contacts `GET /contacts` finds."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .contacts import Contact

if TYPE_CHECKING:
    from .account import Account

_ANY_STATUS = "-1"
_DATE_FILTERS = ("created_after", "created_before", "updated_after", "updated_before")


class QueryError(ValueError):
    """A filter that the simulator cannot read or does not know."""


@dataclass(slots=True, frozen=True)
class ContactQuery:
    """The conditions of a query, paging aside."""

    email: str = ""
    email_like: str = ""
    search: str = ""
    list_id: int = 0
    tag_id: int = 0
    status: int | None = None
    """The list status asked for; none means any."""
    dates: tuple[tuple[str, float], ...] = ()
    """Date filters as simulated seconds."""

    @property
    def unconditional(self) -> bool:
        """Whether every contact is found."""
        return self == ContactQuery()

    def holds(self, contact: Contact) -> bool:
        """Say whether a contact is found."""
        if self.email and contact.email != self.email:
            return False
        if self.email_like and self.email_like not in contact.email:
            return False
        if self.tag_id and self.tag_id not in contact.tag_ids:
            return False
        if (self.list_id or self.status is not None) and not self._on_list(contact):
            return False
        if self.search and not self._mentions(contact):
            return False
        return all(_in_time(contact, name, moment) for name, moment in self.dates)

    def _on_list(self, contact: Contact) -> bool:
        return any(
            (not self.list_id or membership.list_id == self.list_id)
            and (self.status is None or membership.status == self.status)
            for membership in contact.memberships
        )

    def _mentions(self, contact: Contact) -> bool:
        details = contact.details
        values = (contact.email, details.first_name, details.last_name, details.phone)
        return any(self.search in value.lower() for value in values)


def _in_time(contact: Contact, name: str, moment: float) -> bool:
    value = contact.created_at if name.startswith("created") else contact.updated_at
    return value > moment if name.endswith("after") else value < moment


def read_query(account: "Account", query: Mapping[str, str], filters: Mapping[str, str]) -> ContactQuery:
    """Read the parameters of `GET /contacts`; a filter that is not modelled is an error, not ignored."""
    if "segmentid" in query or "in_group_lists" in query:
        raise QueryError("segmentid and in_group_lists are not modelled")
    unknown = set(filters) - {*_DATE_FILTERS, "email"}
    if unknown:
        raise QueryError(f"filters {sorted(unknown)} are not modelled")
    status = query.get("status", _ANY_STATUS)
    return ContactQuery(
        email=(query.get("email") or filters.get("email", "")).strip().lower(),
        email_like=query.get("email_like", "").lower(),
        search=query.get("search", "").lower(),
        list_id=_integer(query, "listid"),
        tag_id=_integer(query, "tagid"),
        status=None if status == _ANY_STATUS else _integer(query, "status"),
        dates=tuple((name, _moment(account, filters[name])) for name in _DATE_FILTERS if name in filters),
    )


def _integer(query: Mapping[str, str], name: str) -> int:
    value = query.get(name, "0")
    if not value.isdecimal():
        raise QueryError(f"{name} is not a number")
    return int(value)


def _moment(account: "Account", text: str) -> float:
    try:
        date = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError as problem:
        raise QueryError(f"{text} is not a date") from problem
    if date.tzinfo is None:
        date = date.replace(tzinfo=account.zone)
    return (date - account.epoch).total_seconds()


class QueryCache:
    """The ids found by the last query, so that a sweep page by page reads the contacts once."""

    def __init__(self) -> None:
        self._key: tuple[ContactQuery, int] | None = None
        self._ids: list[int] = []

    def find(self, account: "Account", query: ContactQuery) -> list[int]:
        """Return the ids of the contacts found, in rising order."""
        if query.email:
            contact = account.contacts.find(query.email)
            return [contact.id] if contact is not None and query.holds(contact) else []
        key = (query, account.contacts.version)
        if key != self._key:
            holds: Callable[[Contact], bool] = (lambda _: True) if query.unconditional else query.holds
            self._ids = [contact.id for contact in account.contacts if holds(contact)]
            self._key = key
        return self._ids


def between(ids: list[int], greater: int | None, less: int | None) -> list[int]:
    """Keep the ids beyond `id_greater` and below `id_less`."""
    start = 0 if greater is None else bisect_right(ids, greater)
    end = len(ids) if less is None else bisect_left(ids, less)
    return ids[start:end]
