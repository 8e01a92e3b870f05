"""Whatever lies on a queue or in the landing container: a handler takes it, or refuses it by name."""

import asyncio
import json
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

from exporter.steps.events import Event
from exporter.steps.messages import BadMessageError
from tests.builders import a_connection, addresses, an_export
from tests.canary import KEY, keys_in, people_in
from tests.fakes.clock import SimulatedLoop
from tests.fakes.world import World
from tests.security.names import HOSTILE_NAMES
from tests.security.strangers import AppOfWorker, functions_of, load_function_app

MESSAGES = 10_000
QUEUE_FUNCTIONS = [
    f"on_{kind}_{what}"
    for kind in ("plan", "chunk", "settlement", "receipt")
    for what in ("queued", "poisoned")
]
SCALARS = (
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    1.5,
    10**9,
    10**30,
    "",
    "0",
    "\x00",
    "\ud800",
    KEY,
    addresses(1)[0],
)


class MadeUp:
    """Messages of a stranger: good ones, nearly good ones, and noise."""

    def __init__(self, chance: random.Random, run_ids: list[str]) -> None:
        self._chance = chance
        self._run_ids = [*run_ids, "f" * 32]

    def body(self) -> bytes:
        chance = self._chance
        match chance.randrange(6):
            case 0:
                return chance.randbytes(chance.randrange(80))
            case 1:
                return self._damaged(json.dumps(self._message()).encode())
            case 2:
                return json.dumps(self._nested(chance.randrange(5))).encode("utf-8", "surrogatepass")
            case 3:
                return chance.choice([b"[", b'{"a":', b"9"]) * chance.randrange(2000)
            case _:
                return json.dumps(self._message()).encode("utf-8", "surrogatepass")

    def name(self) -> str:
        chance = self._chance
        parts = [
            "vip",
            "/",
            "..",
            "%2e",
            "_SUCCESS",
            ".done",
            "\n",
            "\x1b[31m",
            "\u202e",
            "\x00",
            "segments/",
            "é",
        ]
        if chance.random() < 0.1:
            return chance.choice(HOSTILE_NAMES)
        if chance.random() < 0.2:
            return "".join(chr(chance.randrange(0xD800)) for _ in range(chance.randrange(1025)))
        return "".join(chance.choice(parts) for _ in range(chance.randrange(12)))

    def _message(self) -> dict[str, Any]:
        """A message, mostly with one part that is strange or too many."""
        chance = self._chance
        message: dict[str, Any] = {"schema": 1, "run_id": chance.choice(self._run_ids)}
        extra = {"chunk": chance.choice((0, 1, 10**6)), "turn": chance.choice((1, 2, 10**9))}
        for name in chance.sample(sorted(extra), chance.randrange(3)):
            message[name] = extra[name]
        if chance.random() < 0.3:
            message["slots"] = {"start": chance.choice((0.0, 1e300)), "count": 1, "gap": 0.0, "token": "t"}
        if chance.random() < 0.3:
            message[chance.choice([*message, "x", KEY])] = chance.choice(SCALARS)
        return message

    def _damaged(self, body: bytes) -> bytes:
        at = self._chance.randrange(len(body))
        return (
            body[:at]
            + self._chance.randbytes(self._chance.randrange(4))
            + body[at + self._chance.randrange(3) :]
        )

    def _nested(self, depth: int) -> Any:
        chance = self._chance
        if not depth:
            return chance.choice(SCALARS)
        if chance.random() < 0.5:
            return [self._nested(depth - 1) for _ in range(chance.randrange(3))]
        return {str(chance.choice(SCALARS)): self._nested(depth - 1) for _ in range(chance.randrange(3))}


async def a_busy_world() -> World:
    """One run that is over, one on its way, one that waits to be planned."""
    world = World(seed=1)
    await world.connect(a_connection(), *(an_export(name) for name in ("vip", "news", "trial")))
    await world.drop(addresses(5))
    await world.until_quiet()
    await world.drop(addresses(5000), "news/monday.csv")
    while not world.queues.messages or world.queues.messages[0].queue == "plans":
        await world.step()
    await world.drop(addresses(5), "trial/monday.csv")
    return world


async def feed(monkeypatch: pytest.MonkeyPatch, function: str) -> tuple[Counter[str], World]:
    """Feed a function of the app; how each call ended, by the name of what it raised."""
    module = load_function_app(monkeypatch)
    world = await a_busy_world()
    worker = world.workers[0]
    monkeypatch.setattr(module, "process", AppOfWorker(worker))
    made_up = MadeUp(random.Random(function), [run.run_id for run in world.runs()])
    ends: Counter[str] = Counter()
    told: list[str] = []
    call = functions_of(module.app)[function].call
    for _ in range(MESSAGES):
        given: dict[str, Any] = (
            {"dropped": SimpleNamespace(blob_name=made_up.name())}
            if function == "on_segment_dropped"
            else {"message": func.QueueMessage(body=made_up.body())}
        )
        try:
            await call(**given)
        except BadMessageError as error:
            ends["refused"] += 1
            told.append(str(error))
        else:
            ends["taken"] += 1
    assert not keys_in("\n".join(told)) + people_in("\n".join(told))
    return ends, world


def run_simulated(monkeypatch: pytest.MonkeyPatch, function: str) -> tuple[Counter[str], World]:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(feed(monkeypatch, function))


def test_every_trigger_is_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = functions_of(load_function_app(monkeypatch).app)

    assert {name: function.kind for name, function in functions.items()} == {
        **dict.fromkeys([*QUEUE_FUNCTIONS, "on_drop_poisoned"], "queueTrigger"),
        "on_segment_dropped": "blobTrigger",
        "sweep_stalled_runs": "timerTrigger",
        "health": "httpTrigger",  # looks at nothing of its request
    }


@pytest.mark.parametrize("function", [name for name in QUEUE_FUNCTIONS if name.endswith("_queued")])
def test_a_message_is_taken_or_refused_by_name(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    ends, _ = run_simulated(monkeypatch, function)

    assert ends.keys() == {"refused", "taken"}
    assert ends.total() == MESSAGES


@pytest.mark.parametrize("function", [name for name in QUEUE_FUNCTIONS if name.endswith("_poisoned")])
def test_a_poisoned_message_is_always_taken(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Nothing comes after a poison queue: whoever raises there is not heard."""
    ends, world = run_simulated(monkeypatch, function)

    assert ends == {"taken": MESSAGES}
    assert world.telemetry.count(Event.MESSAGE_POISONED) == MESSAGES


def test_a_poisoned_event_is_always_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, _ = run_simulated(monkeypatch, "on_drop_poisoned")

    assert ends == {"taken": MESSAGES}


def test_a_blob_of_any_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, _ = run_simulated(monkeypatch, "on_segment_dropped")

    assert ends == {"taken": MESSAGES}
