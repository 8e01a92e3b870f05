"""The doctor's instruments without a storage: everything is well unless a test says otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.steps.doctor import QueueLook, TroubleError
from exporter.steps.messages import Queue


@dataclass(slots=True)
class FakeInstruments:
    """`troubles` names methods and what they raise; `calls` lists what was called, in order."""

    is_local: bool = True
    shares_account: bool = True
    landing_account: str = "acme"
    troubles: dict[str, Exception] = field(default_factory=dict)
    queues: dict[Queue, QueueLook] = field(default_factory=dict)
    poisoned: dict[Queue, int] = field(default_factory=dict)
    dead_letters: bool = False
    arrives: Callable[[], bool] = lambda: True
    """Whether the test drop has been acknowledged by now."""
    heartbeat: Callable[[], float | None] = lambda: 20.0
    calls: list[str] = field(default_factory=list)
    test_drops: list[str] = field(default_factory=list)
    """The tokens of those that are there."""

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.troubles:
            raise self.troubles[name]

    async def try_state(self) -> None:
        self._call("try_state")

    async def try_landing(self) -> None:
        self._call("try_landing")

    async def try_queues(self) -> None:
        self._call("try_queues")

    async def look_at(self, queue: Queue) -> QueueLook:
        self._call("look_at")
        return self.queues.get(queue, QueueLook(0, None))

    async def has_dead_letters(self) -> bool:
        self._call("has_dead_letters")
        return self.dead_letters

    async def count_poisoned(self, queue: Queue) -> int:
        self._call("count_poisoned")
        return self.poisoned.get(queue, 0)

    async def put_test_drop(self, token: str) -> None:
        self.test_drops.append(token)
        self._call("put_test_drop")

    async def test_drop_arrived(self, token: str) -> bool:
        self._call("test_drop_arrived")
        return self.arrives()

    async def remove_test_drop(self, token: str) -> None:
        self.test_drops.remove(token)
        self._call("remove_test_drop")

    async def heartbeat_age_seconds(self) -> float | None:
        self._call("heartbeat_age_seconds")
        return self.heartbeat()


def a_trouble(code: str) -> TroubleError:
    return TroubleError(code, f"it is {code}", "mend it")
