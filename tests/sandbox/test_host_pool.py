"""Which workers there are, and how what is put on a queue wakes its listeners."""

import asyncio
import socket
from pathlib import Path
from typing import cast

import pytest
from azure.storage.queue.aio import QueueServiceClient

from sandbox.host.app_process import AppProcess
from sandbox.host.functions import Function, QueueTrigger, TimerTrigger
from sandbox.host.ncrontab import Schedule
from sandbox.host.pool import Instance, Pool, plan_instances
from sandbox.host.queues import QueueListener
from sandbox.host.wire import Wire
from sandbox.host.worker import Assignment, Worker
from tests.sandbox.waiting import DEADLINE_SECONDS, unique

APPS = Path(__file__).parent / "apps"
ASSIGNMENT = Assignment((), "host", 600.0, {}, quiet=True)


def on_queue(queue: str, *, disabled: bool = False) -> Function:
    return Function(f"on-{queue}", QueueTrigger("message", queue, "STORAGE"), disabled=disabled)


def test_queue_functions_have_as_many_instances_as_asked_for_and_others_one() -> None:
    timer = Function("tick", TimerTrigger("timer", Schedule.parse("* * * * * *"), False, None))
    functions = [on_queue("work"), on_queue("work-poison"), on_queue("off", disabled=True), timer]
    wanted = {"on-work": 3, "tick": 2}
    found = [(instance.names, instance.lazy) for instance in plan_instances(functions, wanted)]
    assert found == [
        (["on-work"], False),
        (["on-work"], False),
        (["on-work"], False),
        (["on-work-poison"], True),
        (["on-off"], True),
        (["tick"], False),
    ]


async def _wires() -> tuple[Wire, Wire]:
    ours, theirs = socket.socketpair()
    return await Wire.over(ours), await Wire.over(theirs)


async def _heard(wire: Wire) -> dict[str, object]:
    frame = await asyncio.wait_for(wire.hear(), DEADLINE_SECONDS)
    assert frame is not None
    return frame.header


async def test_what_is_put_on_a_queue_wakes_workers_and_wants_those_that_sleep() -> None:
    running, sleeping = Instance((on_queue("work"),)), Instance((on_queue("work-poison"),), lazy=True)
    disabled = Instance((on_queue("work-poison", disabled=True),), lazy=True)
    pool = Pool(cast("AppProcess", None), [running, sleeping, disabled], {})
    host_end, worker_end = await _wires()
    running.wire = host_end
    hearing = asyncio.create_task(pool._hear(running, host_end))
    for queue in ("work", "work-poison"):
        worker_end.say("put", queue=queue)
        assert await _heard(worker_end) == {"kind": "wake", "queue": queue}
    assert (sleeping.wanted.is_set(), disabled.wanted.is_set()) == (True, False)
    worker_end.close()
    await hearing
    host_end.close()


class Listener:
    """Stands in for a queue's listener."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.woken = asyncio.Event()

    def wake(self) -> None:
        self.woken.set()


async def test_a_worker_says_what_its_outputs_put_and_wakes_the_listener_it_is_told_of(
    azurite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(APPS / "shop")
    monkeypatch.setenv("STORAGE", azurite)
    worker = Worker(ASSIGNMENT, [], asyncio.get_running_loop())
    worker._wire, host_end = await _wires()
    queue = unique("out")
    await worker._put("STORAGE", queue, "text")
    assert await _heard(host_end) == {"kind": "put", "queue": queue}
    async with QueueServiceClient.from_connection_string(azurite) as service:
        [message] = await service.get_queue_client(queue).peek_messages()
        assert message.content == "text"

    listener, other = Listener(queue), Listener("other")
    worker._queues = cast("list[QueueListener]", [listener, other])
    obeying = asyncio.create_task(worker._obey())
    host_end.say("wake", queue=queue)
    await asyncio.wait_for(listener.woken.wait(), DEADLINE_SECONDS)
    assert not other.woken.is_set()
    host_end.close()
    assert await obeying == 0.0
    worker._wire.close()
    await worker._accounts.close()
