"""E-mail addresses: which ones can exist, and in what form they are sent.

ActiveCampaign refuses a whole request for one malformed address, so the check errs on the strict side; it is
no proof that a mailbox exists.
"""

import re
from typing import Final

MAX_ADDRESS_CHARACTERS: Final = 254
MAX_LOCAL_CHARACTERS: Final = 64

PLAIN_ADDRESS: Final = re.compile(
    r"""
    (?! .{255} ) (?! [^@]{65} )                           # 254 in all, 64 before the @
    [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+                       # the local part: words …
    (?: \. [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+ )*             # … with single dots between them
    @
    (?: (?!-) [A-Za-z0-9-]{1,63} (?<!-) \. )+             # at least one label …
    (?!-) (?! [0-9]+ \Z ) [A-Za-z0-9-]{2,63} (?<!-)       # … and a top level that is no number
    """,
    re.VERBOSE | re.DOTALL,
)
"""Fully matches what is sent as it is: ASCII, trimmed.

What follows each repeated class can't be in it, so there is next to nothing to try again; possessive
quantifiers would say so, but Python 3.11.2 matches them wrongly.
"""

CHANGED_BY_IDNA: Final = "ßς\u200c\u200d"
"""Characters that the encoder below maps away: the result would be somebody else's domain."""


def with_ascii_domain(address: str) -> str | None:
    """`address` with its non-ASCII domain as punycode; None if that gives no address that can exist.

    A second look at what `PLAIN_ADDRESS` does not match: `ann@bücher.example` is `ann@xn--bcher-kva.example`.
    """
    local, at, domain = address.rpartition("@")
    if not at or domain.isascii() or len(address) > MAX_ADDRESS_CHARACTERS:
        return None
    if any(character in domain for character in CHANGED_BY_IDNA):
        return None
    try:
        candidate = f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return None
    return candidate if PLAIN_ADDRESS.fullmatch(candidate) else None


def match_key(address: str) -> str:
    """The form in which addresses of one person are the same: trimmed, ASCII domain, without case.

    What can't be an address is only trimmed and lowered: rejects and files may hold it all the same.
    """
    trimmed = address.strip()
    return (trimmed if trimmed.isascii() else with_ascii_domain(trimmed) or trimmed).lower()


def address_fault(address: str) -> str:
    """What is wrong with a trimmed address that can't be sent, in words that do not repeat it."""
    local, _, domain = address.rpartition("@")
    labels = domain.split(".")
    faults = (
        (address.count("@") == 0, "there is no @"),
        (address.count("@") > 1, "there is more than one @"),
        (len(address) > MAX_ADDRESS_CHARACTERS, f"longer than {MAX_ADDRESS_CHARACTERS} characters"),
        (not local, "nothing stands before the @"),
        (not domain, "nothing stands after the @"),
        (any(c.isspace() or not c.isprintable() for c in address), "a blank or invisible character within"),
        (len(local) > MAX_LOCAL_CHARACTERS, f"more than {MAX_LOCAL_CHARACTERS} characters before the @"),
        (".." in address, "two dots in a row"),
        (local[:1] == "." or local[-1:] == ".", "a dot at the start or the end before the @"),
        (not local.isascii(), "characters before the @ that are not ASCII"),
        (domain[:1] == "." or domain[-1:] == ".", "a dot at the start or the end of the domain"),
        (len(labels) < 2, "the domain has no dot"),
        (
            any(label[:1] == "-" or label[-1:] == "-" for label in labels),
            "a hyphen at the edge of a domain label",
        ),
        (labels[-1].isdecimal(), "the domain ends in a number"),
        (len(labels[-1]) < 2, "the domain's last part is too short"),
        (not domain.isascii(), "an international domain that has no safe ASCII form"),
    )
    return next((words for is_so, words in faults if is_so), "a character that addresses do not have")
