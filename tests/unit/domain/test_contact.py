import orjson
import pytest

from exporter.domain.contact import ContactMapping, FieldTarget, contact_builder, wrap_values

HEADER = ("Id", "Email", "First", "Last", "Phone", "City", "Likes", "Tier")
MAPPING = ContactMapping(
    email="Email",
    list_id="5",
    first_name="First",
    last_name="Last",
    phone="Phone",
    fields=(("City", FieldTarget(7, "text")), ("Likes", FieldTarget(9, "checkbox"))),
    tags=("from-vip",),
    tag_columns=("Tier",),
)


def test_a_contact_has_the_keys_in_their_order() -> None:
    build = contact_builder(MAPPING, HEADER)
    row = ["1", "ignored", " Ann\t", "Lee", "+4712", "Oslo ", "tea||cake", " gold "]

    assert orjson.dumps(build(row, "ann@example.com")) == (
        b'{"email":"ann@example.com","first_name":"Ann","last_name":"Lee","phone":"+4712",'
        b'"fields":[{"id":7,"value":"Oslo"},{"id":9,"value":"||tea||cake||"}],'
        b'"tags":["from-vip","gold"],"subscribe":[{"listid":5}]}'
    )


def test_empty_values_are_left_out_unless_they_are_to_clear() -> None:
    row = ["1", "", " ", "", "", "", " ||  || ", " "]
    clearing = ContactMapping(
        **{name: getattr(MAPPING, name) for name in MAPPING.__slots__ if name != "clear_empty"},
        clear_empty=True,
    )

    assert contact_builder(MAPPING, HEADER)(row, "ann@example.com") == {
        "email": "ann@example.com",
        "tags": ["from-vip"],
        "subscribe": [{"listid": 5}],
    }
    assert contact_builder(clearing, HEADER)(row, "ann@example.com") == {
        "email": "ann@example.com",
        "first_name": "",
        "last_name": "",
        "phone": "",
        "fields": [{"id": 7, "value": ""}, {"id": 9, "value": ""}],
        "tags": ["from-vip"],
        "subscribe": [{"listid": 5}],
    }


def test_a_mapping_of_the_address_alone_sends_the_address_alone() -> None:
    build = contact_builder(ContactMapping(email="Email", list_id="news"), HEADER)

    assert build([""] * 8, "ann@example.com") == {
        "email": "ann@example.com",
        "subscribe": [{"listid": "news"}],
    }


def test_values_are_text_and_stay_as_they_are() -> None:
    mapping = ContactMapping(
        email="Email", list_id="5", first_name="First", fields=(("City", FieldTarget(1, "")),)
    )
    row = ["", "", "Nin\u0303a", "", "", "NULL", "", ""]

    contact = contact_builder(mapping, HEADER)(row, "ann@example.com")

    assert contact["first_name"] == "Nin\u0303a"
    assert contact["fields"] == [{"id": 1, "value": "NULL"}]


def test_a_tag_is_named_once() -> None:
    mapping = ContactMapping(email="Email", list_id="5", tags=("gold", "vip"), tag_columns=("Tier", "City"))

    contact = contact_builder(mapping, HEADER)(["", "", "", "", "", "Oslo", "", "gold"], "a@b.co")

    assert contact["tags"] == ["gold", "vip", "Oslo"]


def test_a_mapping_names_each_column_once() -> None:
    mapping = ContactMapping(
        "Email", "5", phone="Phone", fields=(("Email", FieldTarget(1, "text")),), tag_columns=("Phone",)
    )

    assert mapping.columns() == ("Email", "Phone")


@pytest.mark.parametrize(
    ("cell", "wrapped"),
    [
        ("tea", "||tea||"),
        ("tea||cake", "||tea||cake||"),
        ("||tea||cake||", "||tea||cake||"),
        ("|| tea || cake ||", "||tea||cake||"),
        ("tea|cake", "||tea|cake||"),
        ("||||", ""),
        ("", ""),
    ],
)
def test_choices_are_always_wrapped(cell: str, wrapped: str) -> None:
    assert wrap_values(cell) == wrapped
