import pytest

from exporter.domain.address import PLAIN_ADDRESS, address_fault, with_ascii_domain

LONG_DOMAIN = ".".join(["d" * 60] * 4)


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com",
        "Ann.Lee@Example.COM",
        "ann+news@example.com",
        "o'hara@example.com",
        "a@b.co",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        "1@1.example",
        "ann@xn--bcher-kva.example",
        "ann@a-b.example.museum",
        "ann@example.c0",
        f"{'a' * 64}@example.com",
        f"{'a' * 10}@{LONG_DOMAIN[: 254 - 11]}",
    ],
)
def test_an_address_that_can_exist_is_sent_as_it_is(address: str) -> None:
    assert PLAIN_ADDRESS.fullmatch(address)


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("n/a", "there is no @"),
        ("two@@example.com", "there is more than one @"),
        ("ann@example.com;bo@example.com", "there is more than one @"),
        ("@example.com", "nothing stands before the @"),
        ("ann@", "nothing stands after the @"),
        ("ann lee@example.com", "a blank or invisible character within"),
        ("ann\n@example.com", "a blank or invisible character within"),
        ("ann@exa\u200bmple", "a blank or invisible character within"),
        (f"{'a' * 65}@example.com", "more than 64 characters before the @"),
        (f"{'a' * 11}@{LONG_DOMAIN}", "longer than 254 characters"),
        ("ann..lee@example.com", "two dots in a row"),
        ("ann@example..com", "two dots in a row"),
        (".ann@example.com", "a dot at the start or the end before the @"),
        ("ann.@example.com", "a dot at the start or the end before the @"),
        ("änn@example.com", "characters before the @ that are not ASCII"),
        ("ann@.example.com", "a dot at the start or the end of the domain"),
        ("ann@example.com.", "a dot at the start or the end of the domain"),
        ("ann@localhost", "the domain has no dot"),
        ("ann@-example.com", "a hyphen at the edge of a domain label"),
        ("ann@example-.com", "a hyphen at the edge of a domain label"),
        ("ann@example.-com", "a hyphen at the edge of a domain label"),
        ("ann@10.0.0.1", "the domain ends in a number"),
        ("ann@example.c", "the domain's last part is too short"),
        ("ann@straße.example", "an international domain that has no safe ASCII form"),
        ("ann@exa_mple.com", "a character that addresses do not have"),
        ("an<n>@example.com", "a character that addresses do not have"),
        ("ann@example,com.org", "a character that addresses do not have"),
        ('"ann"@example.com', "a character that addresses do not have"),
        (f"ann@{'d' * 64}.com", "a character that addresses do not have"),
    ],
)
def test_an_address_that_cannot_exist_is_told_why(address: str, fault: str) -> None:
    assert not PLAIN_ADDRESS.fullmatch(address)
    assert with_ascii_domain(address) is None
    assert address_fault(address) == fault


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("Ann@BÜCHER.example", "Ann@xn--bcher-kva.example"),
        ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("änn@bücher.example", None),
        ("ann@büch er.example", None),
        ("ann@bü_cher.example", None),
        ("ann@bücher", None),
        ("ann@ü..example", None),
        ("a@b@bücher.example", None),
        (f"ann@{'ü' * 64}.example", None),
        # IDNA 2003 would make strasse.example of the first: somebody else's domain.
        ("ann@straße.example", None),
        ("ann@οίκος.example", None),
        ("ann@a\u200dü.example", None),
    ],
)
def test_an_international_domain_is_sent_as_punycode_if_that_is_safe(address: str, sent: str | None) -> None:
    assert with_ascii_domain(address) == sent


def test_a_hostile_address_costs_no_more_than_its_length() -> None:
    for address in ("a." * 60_000, "a@" + "a-" * 60_000, "a@" + "a." * 60_000 + "!", "ü@" + "ü" * 100_000):
        assert not PLAIN_ADDRESS.fullmatch(address)
        assert with_ascii_domain(address) is None
        assert address_fault(address)
