"""What a person has to mend when ActiveCampaign refuses a connection rather than a contact."""

from exporter.domain.configuration import Connection
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import RefusedConnectionError, StopRunError


def refusal(connection: Connection, verdict: Verdict) -> StopRunError:
    """The error for an answer that no second try mends.

    A RefusedConnectionError where all runs of the connection would meet the same: then they wait.
    """
    match verdict.kind:
        case VerdictKind.DENIED:
            return RefusedConnectionError(
                "key_refused",
                f"ActiveCampaign refuses the key of connection '{connection.id}' ({verdict.detail}): put the "
                f"key of {connection.host} (Settings > Developer) into secret '{connection.secret}'",
                key_mark=verdict.key_mark,
            )
        case VerdictKind.UNPAID:
            return RefusedConnectionError(
                "account_unpaid",
                f"ActiveCampaign refuses account {connection.host} for its payment or contract "
                f"({verdict.detail}): settle that there",
                key_mark=verdict.key_mark,
            )
        case VerdictKind.MISSING:
            return StopRunError(
                "host_wrong",
                f"{connection.host} answers, but not as ActiveCampaign does ({verdict.detail}): check the "
                f"host of connection '{connection.id}' (Settings > Developer > API URL)",
            )
    return StopRunError("refused", f"ActiveCampaign refuses the request: {verdict.detail}")


def list_missing(connection: Connection, list_id: str) -> RefusedConnectionError:
    """The error for a list that is not there."""
    return RefusedConnectionError(
        "list_missing",
        f"list {list_id} does not exist in account {connection.host}: correct list_id (the number in the "
        "list's address in ActiveCampaign)",
        list_id=list_id,
    )


def list_denied(connection: Connection, list_id: str, key_mark: str) -> RefusedConnectionError:
    """The error for a list that the key may not use."""
    return RefusedConnectionError(
        "list_denied",
        f"the key of connection '{connection.id}' may not use list {list_id}: let its user's group manage "
        "that list in ActiveCampaign (Settings > Users and Groups)",
        key_mark=key_mark,
        list_id=list_id,
    )
