import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.domain.hosts import DEFAULT_PATTERNS, HostPolicy, account_key, is_local, normalise_host
from exporter.errors import ConfigurationError

POLICY = HostPolicy(local_hosts=("127.0.0.1:8025",))
ALLOWED = re.compile(r"https://[a-z0-9-]+\.(api-[a-z]{2}\d+|activehosted)\.com")


@pytest.mark.parametrize(
    "text",
    [
        "acme.api-us1.com",
        "ACME.api-US1.com",
        "https://acme.api-us1.com",
        "HTTPS://Acme.Api-us1.com/",
        "https://acme.api-us1.com/api/3",
        "https://acme.api-us1.com/api/3/",
        "acme.api-us1.com/api/3/contacts",
        "  acme.api-us1.com ",
    ],
)
def test_a_host_is_accepted_in_every_form_a_person_pastes(text: str) -> None:
    assert normalise_host(text) == "acme.api-us1.com"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "acme",
        "evil.com#.api-us1.com",
        "evil.com?.api-us1.com",
        "evil.com\\.api-us1.com",
        "evil.com%2f.api-us1.com",
        "evil.com%00.api-us1.com",
        "user@acme.api-us1.com",
        "https://acme.api-us1.com@evil.com",
        "acme.api-us1.com@169.254.169.254",
        "acme.api-us1.com:443",
        "acme.api-us1.com:22",
        "acme.api-us1.com.",
        ".acme.api-us1.com",
        "acme..api-us1.com",
        "-acme.api-us1.com",
        "acme_x.api-us1.com",
        "http://acme.api-us1.com",
        "ftp://acme.api-us1.com",
        "//acme.api-us1.com",
        "https:///acme.api-us1.com",
        "https://https://acme.api-us1.com",
        "localhost",
        "localhost:8025",
        "10.0.0.1",
        "169.254.169.254",
        "2130706433",
        "0x7f.0.0.1",
        "127.1:80",
        "127.0.0.1",
        "127.0.0.01:8025",
        "127.0.0.1:0",
        "127.0.0.1:08025",
        "127.0.0.1:65536",
        "127.0.0.256:80",
        "10.0.0.1:8025",
        "[::1]:8025",
        "[::ffff:169.254.169.254]",
        "acme.api-us1.com\r\nApi-Token: x",
        "acme.api-us1.com\n",
        "acme.api-us1.com\x00",
        "acmé.api-us1.com",
        "acme。api-us1。com",
        "аcme.api-us1.com",  # noqa: RUF001 - a Cyrillic letter is the trick
        "acme.api-us1.com evil.com",
        "acme.api-us1.com,evil.com",
    ],
)
def test_tricks_are_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"host|https"):
        normalise_host(text)


@pytest.mark.parametrize(
    "host", ["acme.api-us1.com", "acme.api-eu1.com", "a-1.api-au12.com", "acme.activehosted.com"]
)
def test_hosts_of_activecampaign_are_allowed(host: str) -> None:
    assert POLICY.base_url(host) == f"https://{host}"


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "api-us1.com",
        "a.b.api-us1.com",
        "acme.api-us1.com.evil.com",
        "acme-api-us1.com",
        "acme.api-us.com",
        "acme.api-usa1.com",
        "acme.xapi-us1.com",
        "acme.api-us1.org",
        "acme.evilactivehosted.com",
    ],
)
def test_other_hosts_are_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(ConfigurationError, match="Settings > Developer"):
        POLICY.check(host)


def test_a_host_that_was_not_normalised_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="plain form"):
        POLICY.check("Acme.api-us1.com")


def test_only_listed_loopback_addresses_are_reached_over_plain_http() -> None:
    assert normalise_host("http://127.0.0.1:8025/") == "127.0.0.1:8025"
    assert POLICY.base_url("127.0.0.1:8025") == "http://127.0.0.1:8025"
    with pytest.raises(ConfigurationError, match="EXPORTER_LOCAL_HOSTS"):
        POLICY.base_url("127.0.0.1:8026")
    with pytest.raises(ConfigurationError, match="EXPORTER_LOCAL_HOSTS"):
        HostPolicy().base_url("127.0.0.1:8025")


@pytest.mark.parametrize("host", ["10.0.0.1:80", "localhost:80", "127.0.0.1", "acme.api-us1.com", "", "::1"])
def test_nothing_but_loopback_can_be_listed_as_local(host: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        HostPolicy(local_hosts=(host,))


@pytest.mark.parametrize(
    "pattern", ["*", "*.com", "*.*.com", "a*.com", "", "com", "https://*.x.com", "*.X.com", "x.*.com"]
)
def test_a_pattern_that_lets_strangers_in_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="pattern"):
        HostPolicy((pattern,))


def test_an_operator_may_allow_a_host_of_their_own() -> None:
    policy = HostPolicy(("ac.example.org",))
    assert policy.base_url("ac.example.org") == "https://ac.example.org"
    with pytest.raises(ConfigurationError):
        policy.check("x.ac.example.org")


def test_the_default_patterns_are_safe() -> None:
    assert HostPolicy().patterns == DEFAULT_PATTERNS


def test_the_budget_belongs_to_the_account() -> None:
    assert account_key("acme.api-us1.com") == account_key("acme.activehosted.com") == "acme"
    assert account_key("127.0.0.1:8025") == "127-0-0-1-8025"


def test_local_hosts_are_told_apart() -> None:
    assert is_local("127.0.0.1:8025")
    assert not is_local("acme.api-us1.com")
    assert not is_local("10.0.0.1:80")


PIECES = [
    *("acme", "evil.com", ".api-us1.com", ".activehosted.com", "127.0.0.1", "169.254.169.254", "[::1]"),
    *(":80", ":8025", "http://", "https://", "%2e", "%00", "..", "\r\n", *"@#?/\\.\t éA-"),
]
TRICKY = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@given(TRICKY | st.text(max_size=80))
@example("evil.com#.api-us1.com")
def test_whatever_is_typed_leads_nowhere_but_to_activecampaign(text: str) -> None:
    """Either it is refused, or the request goes to an allowed host and to nothing else."""
    try:
        base = POLICY.base_url(normalise_host(text))
    except ConfigurationError:
        return
    assert base == "http://127.0.0.1:8025" or ALLOWED.fullmatch(base)


@given(TRICKY | st.text(max_size=80))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        host = normalise_host(text)
    except ConfigurationError:
        return
    assert normalise_host(host) == host
    assert re.fullmatch(r"[a-z0-9.:-]+", host)
    assert re.fullmatch(r"[a-z0-9-]+", account_key(host))
