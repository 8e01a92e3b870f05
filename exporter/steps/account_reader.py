"""Reading what an account holds, within its general budget and with the errors that a person understands."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from exporter.domain.configuration import Connection
from exporter.domain.fields import AccountField, account_field
from exporter.domain.refusal import refusal
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import RetryLaterError
from exporter.steps.accounts import Account
from exporter.steps.ports import Destination

PAGE_SIZE = 100
"""`limit` above 100 is clamped (developers.activecampaign.com/reference/pagination)."""
MAX_PAGES = 100
TRIES = 3
NEAR_SECONDS = 10.0
"""A moment that is further away is not waited for here, if the account's pace allows nearer ones."""


Ask: TypeAlias = Callable[[str, dict[str, str] | None], Awaitable[dict[str, Any] | Verdict]]
"""One request to a destination, by path and parameters."""


@dataclass(frozen=True, slots=True)
class AccountReader:
    """Reads resources within the account's general budget, trying again where that makes sense."""

    destination: Destination
    account: Account
    connection: Connection
    holds_account: bool = True
    """Whether an outage that is met makes everybody on the account pause."""

    async def read(
        self, path: str, parameters: dict[str, str] | None = None, *, ask: Ask | None = None
    ) -> dict[str, Any] | Verdict:
        """The resource; a Verdict for what a person has to mend. Raises RetryLaterError for the rest.

        `ask` is another way to ask for it than to get it, such as to delete it.
        """
        last: Verdict | None = None
        busy = False
        for _ in range(TRIES):
            (moment,) = await self.account.reserve_general(1)
            near_seconds = max(NEAR_SECONDS, 2 * self.account.pace.busy_general_gap_seconds)
            if moment - self.account.now() > near_seconds:
                await self.account.return_general((moment,))
                busy = True
                break
            await self.account.wait_until(moment)
            answer = await (ask or self.destination.get)(path, parameters)
            if isinstance(answer, dict):
                await self.account.note_service()
                return answer
            if answer.kind is VerdictKind.THROTTLED:
                await self.account.note_throttle(answer)
            elif answer.kind in {VerdictKind.UNAVAILABLE, VerdictKind.UNKNOWN}:
                if self.holds_account:
                    await self.account.note_outage(answer)
                last = answer
                break
            elif answer.kind is not VerdictKind.REKEYED and (
                answer.kind is not VerdictKind.DENIED or last is not None
            ):
                return answer
            last = answer  # a good key was seen refused now and then: it gets a second look
        held = (await self.account.load()).hold_reason
        host = self.connection.host
        said = f"{host} does not answer as ActiveCampaign should" + (f" ({last.detail})" if last else "")
        if last is None and held:  # nothing was asked: the account waits
            said = f"{held} ({host})"
        elif last is None and busy:
            raise RetryLaterError(f"other requests to {host} go first")
        raise RetryLaterError(
            f"{said}; if this lasts, check the host of connection '{self.connection.id}' and that this app "
            "may reach it"
        )

    async def need(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any]:
        """The resource. Raises StopRunError for what a person has to mend, RetryLaterError for the rest."""
        answer = await self.read(path, parameters)
        if isinstance(answer, Verdict):
            raise refusal(self.connection, answer)
        return answer


async def read_fields(reader: AccountReader) -> list[AccountField]:
    """The account's custom fields, all pages."""
    fields: list[AccountField] = []
    for page in range(MAX_PAGES):
        entries = entries_of(
            await reader.need("fields", {"limit": str(PAGE_SIZE), "offset": str(page * PAGE_SIZE)}), "fields"
        )
        fields += [field for entry in entries if (field := account_field(entry)) is not None]
        # A short page is the last one; the total that the answer gives is not needed, and may be missing.
        if len(entries) < PAGE_SIZE:
            break
    return fields


def entries_of(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a list of an answer; what is no object is left out."""
    entries = answer.get(key)
    return [object_of(entry) for entry in entries] if isinstance(entries, list) else []


def object_of(value: object) -> dict[str, Any]:
    """A part of an answer that should be an object."""
    return value if isinstance(value, dict) else {}
