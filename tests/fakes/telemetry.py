"""Events kept for a look afterwards."""

from collections import Counter
from collections.abc import Callable

from exporter.steps.events import Event
from tests.canary import keys_in, people_in


class FakeTelemetry:
    """`events` lists what happened, in order, with its fields."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, dict[str, str | float | None]]] = []
        self.on_event: Callable[[Event, dict[str, str | float | None]], None] = lambda event, fields: None

    def event(self, event: Event, **fields: str | float | None) -> None:
        assert not keys_in(str(fields)) + people_in(str(fields)), (event, fields)
        self.events.append((event, fields))
        self.on_event(event, fields)

    def count(self, event: Event) -> int:
        """How often something happened."""
        return Counter(name for name, _ in self.events)[event]

    def text(self) -> str:
        """Everything that was recorded, to look for what should not be there."""
        return "\n".join(f"{event} {fields}" for event, fields in self.events)
