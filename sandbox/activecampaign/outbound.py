"""Calls that the account makes itself: batch callbacks and webhooks, at most once and to loopback only."""

import asyncio
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson

from .batches import Batch
from .contacts import Contact
from .settings import SimulatorSettings
from .webhooks import Webhook

if TYPE_CHECKING:
    from .account import Account

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_GONE = 410


@dataclass(slots=True)
class Delivery:
    """One call on its way; there is no second try."""

    kind: str
    """`callback` or `webhook`."""
    method: str
    url: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None


def callback_of(batch: Batch, settings: SimulatorSettings) -> Delivery | None:
    """Return the call that tells of a batch's end, unless it is lost on the way.

    ActiveCampaign documents neither keys nor encoding of the body; these are made up.
    """
    callback = batch.callback or {}
    url = callback.get("url")
    if settings.callbacks_lost or not isinstance(url, str):
        return None
    params = _pairs(callback.get("params"))
    headers = dict(_pairs(callback.get("headers")))
    if str(callback.get("requestType", "POST")).upper() == "GET":
        separator = "&" if "?" in url else "?"
        return Delivery(
            "callback", "GET", url + (separator + urlencode(params) if params else ""), b"", headers
        )
    body: dict[str, Any] = {**dict(params), "batchId": batch.id, "status": batch.end}
    if str(callback.get("detailed_results", "true")).lower() == "true":
        body |= {"success": batch.contact_count - len(batch.failure), "failure": len(batch.failure)}
        body["errors"] = [f"{email}: could not be imported" for email in batch.failure]
    if settings.callback_body == "form":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return Delivery("callback", "POST", url, urlencode(body, doseq=True).encode(), headers)
    headers["Content-Type"] = "application/json"
    return Delivery("callback", "POST", url, orjson.dumps(body), headers)


def _pairs(value: object) -> list[tuple[str, str]]:
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return [(str(item["key"]), str(item.get("value", ""))) for item in items if "key" in item]


def webhook_delivery(
    account: "Account",
    hook: Webhook,
    kind: str,
    source: str,
    contact: Contact,
    list_id: int,
    extra: dict[str, str],
) -> Delivery:
    """Return an event as ActiveCampaign sends it: form-encoded with PHP-style keys."""
    details = contact.details
    form = {
        "type": kind,
        "date_time": account.date(account.clock.now()).isoformat(timespec="seconds"),
        "initiated_from": source,
        "initiated_by": source,
        "list": str(list_id),
        "contact[id]": str(contact.id),
        "contact[email]": contact.email,
        "contact[first_name]": details.first_name,
        "contact[last_name]": details.last_name,
        "contact[phone]": details.phone,
        "contact[tags]": ",".join(account.catalog.tags[tag_id] for tag_id in contact.tag_ids),
        **extra,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Delivery("webhook", "POST", hook.url, urlencode(form).encode(), headers, hook)


def is_loopback(url: str) -> bool:
    """Say whether a URL points to this machine; nothing else is ever called."""
    try:
        host = urlsplit(url).hostname or ""
        if host == "localhost":
            return True
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Sender:
    """Makes the calls, one after the other, and records what became of each."""

    def __init__(self, account: "Account") -> None:
        self._account = account
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()

    def put(self, delivery: Delivery) -> None:
        """Queue a call."""
        self._queue.put_nowait(delivery)

    async def drained(self) -> None:
        """Wait until every queued call has been made."""
        await self._queue.join()

    async def run(self) -> None:
        """Make calls until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                delivery = await self._queue.get()
                outcome = await _deliver(session, delivery)
                if outcome == _GONE and delivery.webhook is not None:
                    delivery.webhook.active = False
                self._account.counters.deliveries.append(
                    {
                        "kind": delivery.kind,
                        "method": delivery.method,
                        "url": delivery.url,
                        "outcome": outcome,
                    }
                )
                self._queue.task_done()


async def _deliver(session: aiohttp.ClientSession, delivery: Delivery) -> int | str:
    if not is_loopback(delivery.url):
        return "not called: only loopback addresses are"
    try:
        async with session.request(
            delivery.method,
            delivery.url,
            data=delivery.body or None,
            headers=delivery.headers,
            allow_redirects=False,
        ) as answer:
            return answer.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
        return type(problem).__name__
