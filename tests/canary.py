"""Marked keys and marked people, and a watch over everything that the suite puts out.

A key of the tests has `canary-key` in it, and everybody in a segment has an address in a domain that is
reserved for examples (rfc-editor.org/rfc/rfc6761), so both are known wherever they turn up: as they are, in
the escapes of an address, or, for keys, in base64. Names and phones are those of `sandbox.segment`.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from sandbox.segment import FIRST_NAMES, LAST_NAMES

KEY: Final = "canary-key-5f0c2d9e71"
OPERATOR: Final = "ann@example.org"
"""Who has accepted a connection's consent: an operator, who is named in the configuration."""

_KEYS: Final = re.compile(r"canary-key|Y2FuYXJ5LWtle", re.IGNORECASE)
_ADDRESSES: Final = re.compile(
    r"[\w.+%'-]{1,64}(?:@|%40)(?:(?:[\w-]+\.)*example\.(?:com|org|net)|[\w-]+\.example)\b", re.IGNORECASE
)
_PHONES: Final = re.compile(r"(?:\+|%2B)47\d{8}")
_MARKED: Final = ("Canaria", "Birdwood", "Canarytown")
_MADE_UP: Final = [name for name, _ in FIRST_NAMES + LAST_NAMES if not (name.isascii() and name.isalpha())]
_NAMES: Final = re.compile("|".join(map(re.escape, [*_MARKED, *_MADE_UP])))
"""Marked names, and of the made-up ones those that are no words of anything else."""


def keys_in(text: str) -> list[str]:
    """The marked keys in a text."""
    return _KEYS.findall(text)


def people_in(text: str) -> list[str]:
    """What tells of a made-up person in a text."""
    addresses = [found for found in _ADDRESSES.findall(text) if found.lower() != OPERATOR]
    return [*addresses, *_PHONES.findall(text), *_NAMES.findall(text)]


@dataclass(slots=True)
class Watch:
    """Remembers where something was found that should not be there, and what, each place once."""

    findings: dict[str, str] = field(default_factory=dict)

    def look(self, where: str, text: str, *, people: bool = True) -> None:
        """Search a text for keys and, unless the place is one for people, for people."""
        found = keys_in(text) or (people_in(text) if people else [])
        if found:
            at = text.find(found[0])
            around = text[max(0, at - 100) : at + 100]
            self.findings.setdefault(where, f"{found[0]!r} ({len(found)} in all) in {around!r}")


WATCH: Final = Watch()
"""The watch over this session: `conftest.py` fails it when there are findings."""
