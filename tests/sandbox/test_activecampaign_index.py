"""The index of contacts finds what a look at every contact would find, whatever has changed in between."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sandbox.activecampaign.contact_index import ContactIndex, Window
from sandbox.activecampaign.contact_query import ContactQuery
from sandbox.activecampaign.contacts import Contact, ContactStore, Membership


def a_store(count: int) -> tuple[ContactStore, ContactIndex]:
    """Return a store of so many contacts on list 1, and its index."""
    store = ContactStore()
    index = ContactIndex(store)
    store.changed = index.note
    for number in range(count):
        join(store, store.create(f"p{number}@example.org", 0.0), 1)
    return store, index


def join(store: ContactStore, contact: Contact, list_id: int) -> None:
    store.set_memberships(contact, (Membership(list_id, 1, 0.0, None),))


def plainly(store: ContactStore, query: ContactQuery, window: Window) -> tuple[list[int], int]:
    """Find without an index."""
    check = query.check()
    ids = [contact.id for contact in store if check(contact) and contact.id > window.greater]
    ids = [contact_id for contact_id in ids if window.less is None or contact_id < window.less]
    ids.sort(reverse=window.descending)
    return ids[window.offset : window.offset + window.limit], len(ids)


def indexed(index: ContactIndex, query: ContactQuery, window: Window) -> tuple[list[int], int]:
    contacts, total = index.find(query, window)
    return [contact.id for contact in contacts], total


QUERIES = (
    ContactQuery(),
    ContactQuery(list_id=1),
    ContactQuery(list_id=2, status=1),
    ContactQuery(email_like="p1"),
)
CHANGES: tuple[Callable[[ContactStore, Contact], None], ...] = (
    lambda store, contact: join(store, contact, 2),
    lambda store, contact: store.delete(contact),
    lambda store, contact: store.rename(contact, f"new{contact.id}@example.org"),
    lambda store, contact: join(store, store.create(f"added{store.last_id}@example.org", 0.0), 1),
)
WINDOWS = st.builds(
    Window,
    limit=st.integers(1, 8),
    offset=st.integers(0, 25),
    greater=st.integers(0, 25),
    less=st.none() | st.integers(0, 30),
    descending=st.booleans(),
)


@given(
    steps=st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 40), st.sampled_from(QUERIES), WINDOWS))
)
def test_a_page_holds_what_a_look_at_every_contact_finds(
    steps: list[tuple[Callable[[ContactStore, Contact], None], int, ContactQuery, Window]],
) -> None:
    store, index = a_store(20)
    for change, number, query, window in steps:
        present = list(store)
        if present:
            change(store, present[number % len(present)])
        assert indexed(index, query, window) == plainly(store, query, window)


def test_a_deep_page_of_many_contacts_is_the_right_one() -> None:
    store, index = a_store(20_000)
    for contact in list(store)[::3]:
        store.delete(contact)
    for window in (Window(5, 12_345), Window(5, 12_345, descending=True), Window(5, 9_000, greater=5_000)):
        assert indexed(index, ContactQuery(list_id=1), window) == plainly(
            store, ContactQuery(list_id=1), window
        )


def test_many_queries_and_many_changes_forget_the_old_ones_only() -> None:
    store, index = a_store(30)
    for tag_id in range(1, 21):
        index.count(ContactQuery(tag_id=tag_id))
    store.set_tags(next(iter(store)), tuple(range(1, 21)))
    assert [index.count(ContactQuery(tag_id=tag_id)) for tag_id in range(1, 21)] == [1] * 20


def test_the_greatest_id_is_never_given_again() -> None:
    store, index = a_store(3)
    for contact in list(store):
        store.delete(contact)
    assert indexed(index, ContactQuery(), Window(10)) == ([], 0)
    assert store.create("again@example.org", 0.0).id == 4
    assert indexed(index, ContactQuery(), Window(10)) == ([4], 1)
