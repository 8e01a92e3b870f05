"""Suppression: people who must not be sent, known by keyed digests of their addresses alone.

Without the key nobody can try out addresses against the list; with it, an address gives one digest.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from exporter.domain.address import match_key

SCHEMA: Final = 1


def suppression_digest(key: bytes, address: str) -> str:
    """HMAC-SHA256 over the match key of an address, as 64 hex digits."""
    return hmac.digest(key, match_key(address).encode(), "sha256").hex()


class SuppressionList(BaseModel):
    """The stored list of one connection: per digest the moment from which on the person is not sent.

    An entry is also the proof that somebody was erased, and when. It is never deleted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_number: int = SCHEMA
    since: dict[str, datetime] = {}

    def with_digest(self, digest: str, since: datetime) -> "SuppressionList":
        """The list with one person more; itself where the digest was there before."""
        if digest in self.since:
            return self
        return self.model_copy(update={"since": {**self.since, digest: since}})


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Whom a plan leaves out."""

    key: bytes
    digests: frozenset[str]

    @property
    def question(self) -> Callable[[str], bool] | None:
        """`holds`, or None where nobody is on the list, so that a million rows need not ask."""
        return self.holds if self.digests else None

    def holds(self, address: str) -> bool:
        """Whether the person with this address must not be sent."""
        return suppression_digest(self.key, address) in self.digests


NOBODY: Final = Suppressed(b"", frozenset())
"""The list of a connection on which nobody was ever erased."""
