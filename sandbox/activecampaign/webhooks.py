"""The account's webhooks."""

from collections.abc import Collection
from dataclasses import dataclass

EVENTS = (
    "subscribe",
    "unsubscribe",
    "update",
    "bounce",
    "contact_tag_added",
    "contact_tag_removed",
)
"""The contact events that the simulator can send (ActiveCampaign knows 25)."""


@dataclass(slots=True)
class Webhook:
    """One registered webhook."""

    id: int
    name: str
    url: str
    events: tuple[str, ...]
    sources: tuple[str, ...]
    list_id: int
    created_at: float
    active: bool = True
    """False for good once the receiver has answered 410."""


class Webhooks:
    """Webhooks by id."""

    def __init__(self) -> None:
        self.by_id: dict[int, Webhook] = {}
        self._last_id = 0

    def add(
        self,
        *,
        name: str,
        url: str,
        events: Collection[str],
        sources: Collection[str],
        list_id: int,
        now: float,
    ) -> Webhook:
        """Register a webhook; list 0 means all lists."""
        self._last_id += 1
        hook = Webhook(self._last_id, name, url, tuple(events), tuple(sources), list_id, now)
        self.by_id[hook.id] = hook
        return hook

    def listening(self, kind: str, source: str, list_id: int) -> list[Webhook]:
        """Return the active webhooks that want an event."""
        return [
            hook
            for hook in self.by_id.values()
            if hook.active and kind in hook.events and source in hook.sources and hook.list_id in {0, list_id}
        ]
