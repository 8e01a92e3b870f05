"""Which contacts recent queries find: one byte a contact, brought up to date by what changed since.

A query reads every contact once. After that a page costs little however deep it lies, and also while an
import goes on, since only the contacts that changed are looked at again.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from .contact_query import Check, ContactQuery
from .contacts import Contact, ContactStore

_QUERIES_KEPT = 8
_MOST_STALE = 100_000
"""A query with more changed contacts than this is forgotten; it is as quick to read all contacts again."""
_BLOCK = 4_096


class Window(NamedTuple):
    """The part of a query's contacts that a request asks for."""

    limit: int
    offset: int = 0
    greater: int = 0
    """Only ids beyond this."""
    less: int | None = None
    """Only ids below this."""
    descending: bool = False


@dataclass(slots=True)
class _Found:
    """A query's contacts; `flags[id - 1]` says whether it finds one."""

    check: Check
    flags: bytearray
    stale: set[int] = field(default_factory=set)

    def refresh(self, store: ContactStore) -> None:
        """Look again at the contacts that changed."""
        self.flags.extend(bytes(store.last_id - len(self.flags)))
        for contact_id in self.stale:
            contact = store.get(contact_id)
            self.flags[contact_id - 1] = contact is not None and self.check(contact)
        self.stale.clear()

    def ids(self, low: int, high: int, skip: int, count: int) -> list[int]:
        """Return so many ids from the flags between two positions, in rising order, after skipping some."""
        position = low
        while skip and position < high:
            end = min(position + _BLOCK, high)
            in_block = self.flags.count(1, position, end)
            if in_block > skip:
                break
            skip -= in_block
            position = end
        found: list[int] = []
        while len(found) < count and (position := self.flags.find(1, position, high)) >= 0:
            position += 1
            if skip:
                skip -= 1
            else:
                found.append(position)
        return found


class ContactIndex:
    """The contacts that recent queries found; the store tells it what changes."""

    def __init__(self, store: ContactStore) -> None:
        self._store = store
        self._kept: dict[ContactQuery, _Found] = {}

    def note(self, contact_id: int) -> None:
        """Mark a contact as changed."""
        for query, found in tuple(self._kept.items()):
            found.stale.add(contact_id)
            if len(found.stale) > _MOST_STALE:
                del self._kept[query]

    def find(self, query: ContactQuery, window: Window) -> tuple[list[Contact], int]:
        """Return the contacts of one page, and how many there are between the window's ids."""
        few = query.candidates(self._store)
        if few is not None:
            return _page_of_few(filter(query.check(), few), window)
        found = self._found(query)
        low, high = window.greater, len(found.flags)
        if window.less is not None:
            # A slice's end below zero would count from the back.
            high = min(max(window.less - 1, 0), high)
        total = found.flags.count(1, low, high)
        if window.descending:
            end = max(total - window.offset, 0)
            start = max(end - window.limit, 0)
            ids = found.ids(low, high, start, end - start)[::-1]
        else:
            ids = found.ids(low, high, window.offset, window.limit)
        contacts = [contact for contact_id in ids if (contact := self._store.get(contact_id)) is not None]
        return contacts, total

    def count(self, query: ContactQuery) -> int:
        """Return how many contacts a query finds."""
        return self.find(query, Window(limit=0))[1]

    def _found(self, query: ContactQuery) -> _Found:
        found = self._kept.pop(query, None) or self._read(query)
        # The query asked last stands last, so that the first one is the longest unused.
        self._kept[query] = found
        if len(self._kept) > _QUERIES_KEPT:
            del self._kept[next(iter(self._kept))]
        found.refresh(self._store)
        return found

    def _read(self, query: ContactQuery) -> _Found:
        check = query.check()
        flags = bytearray(contact is not None and check(contact) for contact in self._store.slots())
        return _Found(check, flags)


def _page_of_few(found: Iterable[Contact], window: Window) -> tuple[list[Contact], int]:
    less = math.inf if window.less is None else window.less
    inside = [contact for contact in found if window.greater < contact.id < less]
    inside.sort(key=attrgetter("id"), reverse=window.descending)
    return inside[window.offset : window.offset + window.limit], len(inside)
