"""What the simulator saw and did: counters, audit trails and a log of recent requests."""

from collections import Counter, deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from .limits import Window


@dataclass(slots=True)
class Visit:
    """One request, filled in while it is answered."""

    seconds: float
    """Simulated seconds since the start."""
    real_at: float
    """Real time, in seconds since 1970."""
    method: str
    path: str
    query: str
    status: int = 0
    contacts: int | None = None
    body_bytes: int = 0
    exclude_automations: bool | None = None
    batch_id: str | None = None
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the line that `GET /_sandbox/requests` prints."""
        return {
            "seconds": self.seconds,
            "real_at": self.real_at,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "contacts": self.contacts,
            "bytes": self.body_bytes,
            "exclude_automations": self.exclude_automations,
            "batch_id": self.batch_id,
            "fault": self.fault,
        }


class _Peak:
    """The most events ever seen in one sliding window."""

    __slots__ = ("_window", "highest")

    def __init__(self, seconds: float) -> None:
        self._window = Window(seconds)
        self.highest = 0

    def note(self, now: float) -> None:
        self._window.take(now)
        self.highest = max(self.highest, self._window.used(now))


class Counters:
    """Counts since the start or the last reset; peaks are per simulated second and minute."""

    def __init__(self, log_size: int) -> None:
        self.requests: deque[Visit] = deque(maxlen=log_size)
        self.statuses: Counter[int] = Counter()
        self.request_count = 0
        self.bulk_requests = 0
        self.bulk_accepted = 0
        self.bulk_rejected: Counter[str] = Counter()
        self.throttled_bulk = 0
        self.throttled_single = 0
        self.throttled_general = 0
        self.faults: Counter[str] = Counter()
        self.contacts_accepted = 0
        self.contacts_failed = 0
        self.contacts_created = 0
        self.contacts_updated = 0
        self.automation_runs = 0
        self.automations: deque[dict[str, Any]] = deque(maxlen=log_size)
        self.resubscriptions: list[dict[str, Any]] = []
        self.deliveries: deque[dict[str, Any]] = deque(maxlen=log_size)
        self._per_second = _Peak(1.0)
        self._per_minute = _Peak(60.0)
        self._largest_body = 0
        self._sizes: list[int] = []
        self._size_sum = 0
        self._duplicates: list[int] = []
        self._bodies: Counter[bytes] = Counter()
        self._repeated = 0
        self._accepted_bodies: set[bytes] = set()
        self._accepted_again = 0

    def note_request(self, visit: Visit) -> None:
        """Count a request as it arrives."""
        self.requests.append(visit)
        self.request_count += 1
        self._per_second.note(visit.seconds)

    def note_bulk(self, now: float, body: bytes, contacts: tuple[Any, ...]) -> bytes:
        """Count a bulk post, whatever becomes of it, and return its digest."""
        self.bulk_requests += 1
        self._per_minute.note(now)
        self._largest_body = max(self._largest_body, len(body))
        if contacts:
            self._note_contacts(contacts)
        digest = blake2b(body, digest_size=16).digest()
        self._bodies[digest] += 1
        self._repeated += self._bodies[digest] > 1
        return digest

    def _note_contacts(self, contacts: tuple[Any, ...]) -> None:
        count = len(contacts)
        low, high, total, posts = self._sizes or (count, count, 0, 0)
        self._sizes = [min(low, count), max(high, count), total + count, posts + 1]
        addresses = {c["email"].strip().lower() for c in contacts if _has_address(c)}
        addressed = sum(1 for c in contacts if _has_address(c))
        if addressed > len(addresses):
            self._duplicates.append(addressed - len(addresses))

    def note_accepted(self, digest: bytes, contact_count: int) -> None:
        """Count a bulk post that was queued."""
        self.bulk_accepted += 1
        self.contacts_accepted += contact_count
        self._accepted_again += digest in self._accepted_bodies
        self._accepted_bodies.add(digest)

    def as_json(self) -> dict[str, Any]:
        """Return what `GET /_sandbox/counters` answers."""
        low, high, total, posts = self._sizes or (0, 0, 0, 0)
        moves = Counter(f"{entry['from']}->{entry['to']}" for entry in self.resubscriptions)
        return {
            "requests": self.request_count,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "bulk_requests": self.bulk_requests,
            "bulk_accepted": self.bulk_accepted,
            "bulk_rejected": dict(self.bulk_rejected),
            "throttled_bulk": self.throttled_bulk,
            "throttled_single": self.throttled_single,
            "throttled_general": self.throttled_general,
            "peak_requests_per_second": self._per_second.highest,
            "peak_bulk_per_minute": self._per_minute.highest,
            "largest_bulk_bytes": self._largest_body,
            "contacts_per_bulk": {"min": low, "max": high, "mean": total / posts if posts else 0},
            "duplicate_addresses": {
                "total": sum(self._duplicates),
                "most_in_a_batch": max(self._duplicates, default=0),
                "batches": len(self._duplicates),
            },
            "contacts_accepted": self.contacts_accepted,
            "contacts_created": self.contacts_created,
            "contacts_updated": self.contacts_updated,
            "contacts_failed": self.contacts_failed,
            "resubscriptions": {"2->1": moves["2->1"], "3->1": moves["3->1"]},
            "automation_runs": self.automation_runs,
            "repeated_bodies": self._repeated,
            "repeated_accepted_bodies": self._accepted_again,
            "faults": dict(self.faults),
        }


def _has_address(contact: object) -> bool:
    return isinstance(contact, dict) and isinstance(contact.get("email"), str)
