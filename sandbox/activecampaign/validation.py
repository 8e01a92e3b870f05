"""What the bulk post checks before it queues anything: all or nothing."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from .settings import SimulatorSettings

# One @ between two parts without spaces, control characters, leading, trailing or doubled dots. A domain
# without a dot and an apostrophe pass here and fail later, in processing.
_ADDRESS = re.compile(
    r"[^\s@.\x00-\x1f\x7f]+(?:\.[^\s@.\x00-\x1f\x7f]+)*@[^\s@.\x00-\x1f\x7f]+(?:\.[^\s@.\x00-\x1f\x7f]+)*"
)


@dataclass(slots=True, frozen=True)
class Refusal:
    """Why a bulk post is refused."""

    kind: str
    """What the counters call it: `json`, `empty`, `bytes`, `contacts` or `validation`."""
    message: str
    reasons: tuple[object, ...]
    oversize: bool = False


@dataclass(slots=True, frozen=True)
class Submission:
    """A bulk post as read; `refusal` is set if its content is not acceptable."""

    contacts: tuple[Any, ...] = ()
    exclude_automations: bool = False
    callback: dict[str, Any] | None = None
    refusal: Refusal | None = None

    @property
    def single(self) -> bool:
        """Whether the post draws on the budget of single-contact posts."""
        return len(self.contacts) == 1


def read_submission(body: bytes, settings: SimulatorSettings) -> Submission:
    """Parse a bulk post and check its size, but not yet its contacts."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Submission(refusal=_unreadable("json", "The request body is not valid JSON."))
    contacts = payload.get("contacts") if isinstance(payload, dict) else None
    if not isinstance(contacts, list) or not contacts:
        return Submission(refusal=_unreadable("empty", "'contacts' must be a non-empty array."))
    callback = payload.get("callback")
    return Submission(
        contacts=tuple(contacts),
        exclude_automations=payload.get("exclude_automations") is True,
        callback=callback if isinstance(callback, dict) else None,
        refusal=_too_big(len(body), len(contacts), settings),
    )


def _unreadable(kind: str, reason: str) -> Refusal:
    return Refusal(kind, "JSON payload could not be read.", (reason,))


def _too_big(size: int, count: int, settings: SimulatorSettings) -> Refusal | None:
    if size >= settings.bytes_per_bulk_request:
        reason = f"The request body must be smaller than {settings.bytes_per_bulk_request} bytes."
        return Refusal("bytes", "Request is too large.", (reason,), oversize=True)
    if count > settings.contacts_per_bulk_request:
        reason = f"No more than {settings.contacts_per_bulk_request} contacts are allowed per request."
        return Refusal("contacts", "Request has too many contacts.", (reason,), oversize=True)
    return None


def check_contacts(contacts: tuple[Any, ...], settings: SimulatorSettings) -> Refusal | None:
    """Refuse the whole post if any contact has no well-formed address."""
    reasons: list[object] = []
    for index, contact in enumerate(contacts):
        problem = _problem(contact, settings)
        if problem:
            reasons.append(_reason(index, len(contacts), problem, settings))
    if not reasons:
        return None
    text = "JSON payload did not pass validation. No contacts were queued for import."
    return Refusal("validation", text, tuple(reasons))


def is_address(email: str) -> bool:
    """Say whether a trimmed address is well formed by ActiveCampaign's loose standard."""
    return _ADDRESS.fullmatch(email) is not None


def _problem(contact: object, settings: SimulatorSettings) -> str:
    if not isinstance(contact, dict):
        return "Contact must be an object"
    email = contact.get("email")
    if email is None or email == "":
        return "Field 'email' not found"
    if not isinstance(email, str) or not is_address(email.strip()) or refuses(email, settings):
        return "Field 'email' incorrect format"
    return ""


def refuses(email: str, settings: SimulatorSettings) -> bool:
    """Say whether a well-formed address was chosen to be refused all the same."""
    if settings.non_ascii_addresses == "refuse" and not email.isascii():
        return True
    if not settings.refused_addresses and settings.refuses is None:
        return False
    key = email.strip().lower()
    return key in settings.refused_addresses or bool(settings.refuses and settings.refuses(key))


def _reason(index: int, count: int, text: str, settings: SimulatorSettings) -> dict[str, object]:
    match settings.refusal_index:
        case "one_based":
            return {"contact": index + 1, "failureReason": text}
        case "zero_based":
            return {"contact": index, "failureReason": text}
        case "wrong":
            wrong = (index + 1) % count if count > 1 else 1
            return {"contact": wrong + 1, "failureReason": text}
        case _:
            return {"failureReason": text}
