"""ActiveCampaign's answers as they are, for whoever asks how it behaves rather than what it holds."""

from dataclasses import dataclass
from typing import Any, Protocol

from exporter.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    """By names in lower case."""
    content: dict[str, Any] | None
    """The body, if it is a JSON object; may hold people."""
    is_page: bool
    """Whether the body is a page for browsers."""
    words: str
    """What an answer outside 2xx says, short and without addresses."""
    stop: Verdict | None
    """Set if nothing more should be asked for now: a limit was met, or the account is not served."""

    @property
    def form(self) -> str:
        """Status and kind of the body: `403 with JSON`."""
        body = "a page" if self.is_page else "JSON" if self.content is not None else "no JSON"
        return f"{self.status} with {body}"


class RawDestination(Protocol):
    """One account through one connection. Nothing here paces itself, tries again or reads a key anew."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        parameters: dict[str, str] | None = None,
        body: bytes | None = None,
        wrong_key: bool = False,
    ) -> Reply:
        """Make a request below /api/3, with a key that is certainly wrong if `wrong_key` says so.

        Raises RetryLaterError when there is no answer.
        """
