"""Which hosts may be called as ActiveCampaign: the guard against requests going astray.

A host is what a person typed or pasted, so it is taken apart by one strict pattern and never
by a URL parser: parsers disagree about ``evil.com#.acme.api-us1.com``, and the disagreement is the attack.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from exporter.errors import ConfigurationError

DEFAULT_PATTERNS: Final = ("*.api-{region}.com", "*.activehosted.com")
"""`*` is exactly one label, `{region}` two letters and digits: `*.api-us1.com` and its regional kin."""

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = rf"(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]"
_LOOPBACK: Final = r"127(?:\.[0-9]{1,3}){3}:[0-9]{1,5}"
_PASTED: Final = re.compile(
    rf"(?P<scheme>https?://)?(?P<host>{_LOOPBACK}|{_NAME})(?:/[a-z0-9._~/-]*)?", re.ASCII | re.IGNORECASE
)
_PATTERN: Final = re.compile(rf"(?:\*\.)?(?:(?:{_LABEL}|api-\{{region\}})\.)+[a-z]{{2,63}}", re.ASCII)
_WHAT_TO_WRITE: Final = "write the host alone, for example acme.api-us1.com"


def normalise_host(text: str) -> str:
    """The bare lower-case host in what a person typed or pasted; loopback addresses keep their port.

    Raises ConfigurationError, which says what to write, for anything that is not plainly one host.
    """
    problem = _trick_in(text)
    if problem:
        raise ConfigurationError(f"the host {problem}: {_WHAT_TO_WRITE}")
    match = _PASTED.fullmatch(text.strip(" "))
    if match is None:
        raise ConfigurationError(f"this is not a host: {_WHAT_TO_WRITE}")
    host = match["host"].lower()
    if _looks_local(host):
        return _checked_loopback(host)
    if (match["scheme"] or "").lower() == "http://":
        raise ConfigurationError("plain http:// would show the API key to anyone on the way: use https://")
    if len(host) > 253:
        raise ConfigurationError("the host is longer than a host name may be")
    return host


def is_local(host: str) -> bool:
    """Whether a normalised host is a loopback address with a port, which stands in for ActiveCampaign."""
    if not _looks_local(host):
        return False
    try:
        return _checked_loopback(host) == host
    except ConfigurationError:
        return False


def account_key(host: str) -> str:
    """The key of the account's budget: the host's first label; for a loopback address, all of it."""
    if is_local(host):
        return host.replace(".", "-").replace(":", "-")
    return host.partition(".")[0]


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """Which hosts a connection may name.

    Construction raises ConfigurationError when a pattern is too wide or a local host isn't loopback.
    """

    patterns: tuple[str, ...] = DEFAULT_PATTERNS
    """Host names; a leading `*` stands for exactly one label, `{region}` for a region like us1."""

    local_hosts: tuple[str, ...] = ()
    """Loopback addresses with port, reached over plain http: development only."""

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            _compile(pattern)
        for host in self.local_hosts:
            if not is_local(host):
                raise ConfigurationError(
                    f"{host!r} is not a loopback address with a port, like 127.0.0.1:8025"
                )

    def check(self, host: str) -> None:
        """Raise ConfigurationError, with what to do, unless the normalised host may be called."""
        if normalise_host(host) != host:
            raise ConfigurationError(f"the host is not in its plain form: {_WHAT_TO_WRITE}")
        if is_local(host):
            if host not in self.local_hosts:
                raise ConfigurationError(
                    f"{host} is a local address that EXPORTER_LOCAL_HOSTS does not list: "
                    "add it there (development only), or use the account's own host"
                )
            return
        if not any(_compile(pattern).fullmatch(host) for pattern in self.patterns):
            raise ConfigurationError(
                f"{host} is not an allowed ActiveCampaign host (allowed: {', '.join(self.patterns)}): copy "
                "the API URL from Settings > Developer in ActiveCampaign, or let an operator add the host "
                "to EXPORTER_HOST_PATTERNS"
            )

    def base_url(self, host: str) -> str:
        """Where requests to an allowed host go, without a closing slash. Raises like `check`."""
        self.check(host)
        return f"http://{host}" if is_local(host) else f"https://{host}"


def _trick_in(text: str) -> str | None:
    """What makes the text unsafe to take apart, if anything does."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        return "holds a line break or another control character"
    if not text.isascii():
        return "holds letters outside a-z"
    if "@" in text:
        return "holds a user name (an @)"
    if any(mark in text for mark in "#?\\%"):
        return "holds one of # ? % \\"
    if not text.strip(" "):
        return "is empty"
    return None


def _looks_local(host: str) -> bool:
    return ":" in host


def _checked_loopback(host: str) -> str:
    """The address as every parser reads it: no leading zeros, a port within range."""
    address, _, port = host.partition(":")
    try:
        loopback = IPv4Address(address).is_loopback
    except AddressValueError:
        loopback = False
    if not loopback or not port.isdecimal() or port.startswith("0") or int(port) > 65535:
        raise ConfigurationError("a local host is a loopback address with a port, like 127.0.0.1:8025")
    return host


def _compile(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression; refuses those that would let strangers in."""
    fixed_labels = [label for label in pattern.split(".") if label != "*"]
    if not _PATTERN.fullmatch(pattern) or len(fixed_labels) < 2:
        raise ConfigurationError(
            f"{pattern!r} is not a host pattern: write a host name whose first label may be *, "
            "like *.api-us1.com"
        )
    expression = (
        re.escape(pattern).replace(r"\*", _LABEL).replace(re.escape("{region}"), "[a-z]{2}[0-9]{1,3}")
    )
    return re.compile(expression, re.ASCII)
