"""Which contacts `GET /contacts` finds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .contacts import Contact, ContactStore

if TYPE_CHECKING:
    from .account import Account

_ANY_STATUS = "-1"
_DATE_FILTERS = ("created_after", "created_before", "updated_after", "updated_before")
_NOT_MODELLED = (
    "exclude",
    "formid",
    "in_group_lists",
    "organization",
    "phone",
    "segmentid",
    "seriesid",
    "waitid",
)

Check = Callable[[Contact], bool]


class QueryError(ValueError):
    """A filter that the simulator cannot read or does not know."""


@dataclass(slots=True, frozen=True)
class ContactQuery:
    """The conditions of a query, paging aside."""

    email: str = ""
    ids: frozenset[int] | None = None
    """The ids asked for; none means any."""
    email_like: str = ""
    search: str = ""
    list_id: int = 0
    tag_id: int = 0
    status: int | None = None
    """The list status asked for; none means any."""
    dates: tuple[tuple[str, float], ...] = ()
    """Date filters as simulated seconds."""

    def candidates(self, store: ContactStore) -> list[Contact] | None:
        """Return the few contacts that can be meant, or nothing if it may be any."""
        if self.email:
            contact = store.find(self.email)
            return [] if contact is None else [contact]
        if self.ids is not None:
            return [contact for contact_id in self.ids if (contact := store.get(contact_id)) is not None]
        return None

    def check(self) -> Check:
        """Return the test that says whether a contact is found."""
        checks = tuple(self._checks())
        if not checks:
            return lambda _: True
        return checks[0] if len(checks) == 1 else lambda contact: all(check(contact) for check in checks)

    def _checks(self) -> Iterable[Check]:
        if self.list_id or self.status is not None:
            yield self._on_list
        if self.tag_id:
            yield lambda contact: self.tag_id in contact.tag_ids
        if self.ids is not None:
            ids = self.ids
            yield lambda contact: contact.id in ids
        for name, moment in self.dates:
            yield _in_time(name, moment)
        if self.email_like:
            yield lambda contact: self.email_like in contact.email
        if self.search:
            yield self._mentions

    def _on_list(self, contact: Contact) -> bool:
        for list_id, status, *_ in contact.memberships:
            if self.list_id in (0, list_id) and self.status in (None, status):
                return True
        return False

    def _mentions(self, contact: Contact) -> bool:
        details = contact.details
        values = (contact.email, details.first_name, details.last_name, details.phone)
        return any(self.search in value.lower() for value in values)


def _in_time(name: str, moment: float) -> Check:
    match name:
        case "created_after":
            return lambda contact: contact.created_at > moment
        case "created_before":
            return lambda contact: contact.created_at < moment
        case "updated_after":
            return lambda contact: contact.updated_at > moment
        case _:
            return lambda contact: contact.updated_at < moment


def read_query(
    account: "Account", query: Mapping[str, str], ids: Iterable[str], filters: Mapping[str, str]
) -> ContactQuery:
    """Read the parameters of `GET /contacts`; a filter that is not modelled is an error, not ignored."""
    unknown = sorted(
        {*(set(filters) - {*_DATE_FILTERS, "email"}), *(name for name in _NOT_MODELLED if name in query)}
    )
    if unknown:
        raise QueryError(f"not modelled: {', '.join(unknown)}")
    status = query.get("status", _ANY_STATUS)
    wanted = frozenset(read_integer("ids[]", contact_id) for contact_id in ids)
    return ContactQuery(
        email=(query.get("email") or filters.get("email", "")).strip().lower(),
        ids=wanted or None,
        email_like=query.get("email_like", "").lower(),
        search=query.get("search", "").lower(),
        list_id=read_integer("listid", query.get("listid", "0")),
        tag_id=read_integer("tagid", query.get("tagid", "0")),
        status=None if status == _ANY_STATUS else read_integer("status", status),
        dates=tuple((name, _moment(account, filters[name])) for name in _DATE_FILTERS if name in filters),
    )


def read_integer(name: str, value: str) -> int:
    """Read a parameter that is a number.

    Raises:
        QueryError: if it is none.
    """
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
