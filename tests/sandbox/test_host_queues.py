import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient
from hypothesis import given
from hypothesis import strategies as st

from sandbox.host.host_json import QueueOptions
from sandbox.host.invocation import queue_items
from sandbox.host.options import Options
from sandbox.host.queues import LEASE_SECONDS, Message, PollingPause, QueueListener, decode, encode, put
from tests.sandbox.waiting import eventually_async, unique

OPTIONS = QueueOptions(
    batch_size=4, new_batch_threshold=2, max_dequeue_count=3, max_polling_seconds=0.2, encoding="none"
)


class Bench:
    """A queue, its poison queue, and a record of what a listener did with them."""

    def __init__(self, service: QueueServiceClient) -> None:
        name = unique("work")
        self.queue: QueueClient = service.get_queue_client(name)
        self.poison: QueueClient = service.get_queue_client(f"{name}-poison")
        self.ran: list[tuple[str, int]] = []
        self.messages: list[Message] = []
        self.running = 0
        self.most_running = 0
        self.fail = False
        self.break_after_copy = False
        self.ends: list[asyncio.Event] = []  # of each call; the gate ends all
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, message: Message) -> bool:
        self.ran.append((message.body, message.dequeue_count))
        self.messages.append(message)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        end = asyncio.Event()
        self.ends.append(end)
        waits = [asyncio.create_task(event.wait()) for event in (self.gate, end)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self.running -= 1
        return not self.fail

    async def bury(self, message: Message) -> None:
        await put(self.poison, message.text)
        if self.break_after_copy:
            self.break_after_copy = False
            raise RuntimeError("as a crash between copy and deletion")

    @asynccontextmanager
    async def listening(
        self, options: QueueOptions = OPTIONS, *, lease_seconds: float = LEASE_SECONDS, bury: bool = True
    ) -> AsyncIterator[QueueListener]:
        listener = QueueListener(
            self.queue,
            run=self.run,
            bury=self.bury if bury else None,
            options=options,
            lease_seconds=lease_seconds,
        )
        task = asyncio.create_task(listener.listen())
        try:
            yield listener
        finally:
            self.gate.set()
            listener.stop()
            await task

    async def depth(self) -> int:
        return int((await self.queue.get_queue_properties()).approximate_message_count or 0)

    async def poisoned(self) -> list[str]:
        try:
            return [message.content async for message in self.poison.receive_messages()]
        except ResourceNotFoundError:
            return []


@pytest.fixture
async def bench(azurite: str) -> AsyncIterator[Bench]:
    async with QueueServiceClient.from_connection_string(azurite) as service:
        bench = Bench(service)
        await bench.queue.create_queue()
        yield bench


async def _until(condition: object, what: str) -> None:
    async def probe() -> bool:
        return bool(condition() if callable(condition) else condition)

    await eventually_async(probe, what)


async def test_a_message_that_goes_well_is_deleted(bench: Bench) -> None:
    await bench.queue.send_message("a")
    async with bench.listening():
        await _until(lambda: bench.ran, "the run")

        async def empty() -> bool:
            return await bench.depth() == 0

        await eventually_async(empty, "the deletion")
    assert bench.ran == [("a", 1)]


async def test_the_last_failure_moves_a_message_to_the_poison_queue(bench: Bench) -> None:
    bench.fail = True
    await bench.queue.send_message("bad")
    async with bench.listening():
        assert await eventually_async(bench.poisoned, "the poison message") == ["bad"]
    assert bench.ran == [("bad", 1), ("bad", 2), ("bad", 3)]
    assert await bench.depth() == 0


async def test_a_failed_message_comes_back_after_the_visibility_timeout(bench: Bench) -> None:
    bench.fail = True
    await bench.queue.send_message("bad")
    async with bench.listening(replace(OPTIONS, visibility_seconds=3600.0)):

        async def released() -> bool:
            # Taken for 600 s, then put back for 3,600: a message that is only held would be due before that.
            return bool(bench.ran) and not bench.running

        await eventually_async(released, "the release")
    assert bench.ran == [("bad", 1)]
    assert await bench.depth() == 1
    assert [message async for message in bench.queue.receive_messages()] == []
    assert await bench.poisoned() == []


async def test_a_message_tried_too_often_is_not_run(bench: Bench) -> None:
    await bench.queue.send_message("crashed its worker")
    for _ in range(OPTIONS.max_dequeue_count):
        message = await bench.queue.receive_message()
        assert message is not None
        await bench.queue.update_message(message, visibility_timeout=0)
    async with bench.listening():
        assert await eventually_async(bench.poisoned, "the poison message") == ["crashed its worker"]
    assert bench.ran == []


async def test_a_crash_between_copy_and_deletion_leaves_two_poison_messages(bench: Bench) -> None:
    bench.fail = bench.break_after_copy = True
    await bench.queue.send_message("bad")
    async with bench.listening(replace(OPTIONS, max_dequeue_count=1), lease_seconds=1):

        async def gone() -> bool:
            return not bench.break_after_copy and await bench.depth() == 0

        await eventually_async(gone, "the second copy and the deletion")
    assert await bench.poisoned() == ["bad", "bad"]
    assert bench.ran == [("bad", 1)]


async def test_without_a_poison_queue_a_message_comes_back_for_ever_and_is_run_a_few_times(
    bench: Bench,
) -> None:
    """It stays hidden for the whole lease; beyond maxDequeueCount it is taken and left alone."""
    bench.fail = True
    await bench.queue.send_message("bad")
    async with bench.listening(replace(OPTIONS, max_dequeue_count=2), lease_seconds=1, bury=False):

        async def taken_again() -> bool:
            return any((m.dequeue_count or 0) >= 4 for m in await bench.queue.peek_messages())

        await eventually_async(taken_again, "the fourth taking")
    assert bench.ran == [("bad", 1), ("bad", 2)]
    assert await bench.depth() == 1
    assert await bench.poisoned() == []


async def test_a_message_is_renewed_while_it_runs(bench: Bench) -> None:
    bench.gate.clear()
    await bench.queue.send_message("long")
    async with bench.listening(lease_seconds=2):
        await _until(lambda: bench.ran, "the run")
        receipts: set[str] = set()

        async def outlived() -> bool:
            """Whether it was renewed three times, once a second: without, it would have been taken again."""
            receipts.add(bench.messages[0].receipt)
            return len(receipts) == 4

        await eventually_async(outlived, "the third renewal")
        assert bench.ran == [("long", 1)]
        bench.gate.set()
    assert await bench.depth() == 0


async def test_a_message_is_taken_for_ten_minutes(bench: Bench) -> None:
    assert Options().lease_seconds == LEASE_SECONDS
    await bench.queue.send_message("a")
    before = datetime.now(UTC)
    async with bench.listening(replace(OPTIONS, visibility_seconds=3.0)):
        await _until(lambda: bench.ran, "the run")
    back = bench.messages[0].stored.next_visible_on
    assert back is not None
    # Storage tells whole seconds.
    assert before - timedelta(seconds=1) <= back - timedelta(minutes=10) <= datetime.now(UTC)


async def test_a_message_of_a_dead_worker_comes_back_when_its_time_is_over(bench: Bench) -> None:
    await bench.queue.send_message("orphan")
    await bench.queue.receive_message(visibility_timeout=1)  # taken by someone who dies
    async with bench.listening():
        await _until(lambda: bench.ran, "the run")
    assert bench.ran == [("orphan", 2)]


async def test_no_more_run_at_once_than_batch_and_threshold(bench: Bench) -> None:
    bench.gate.clear()
    for number in range(14):
        await bench.queue.send_message(str(number))
    in_hand: list[int] = []  # whenever messages are asked for
    async with bench.listening() as listener:
        receive = listener._receive

        async def counted() -> list[Message]:
            in_hand.append(len(listener._tasks))
            return await receive()

        await _until(lambda: bench.running == 4, "the first batch")
        listener._receive = counted  # type: ignore[method-assign]  # sees the batches after the first
        for end in bench.ends[:2]:
            end.set()
        await _until(lambda: bench.running == 6, "the second batch, with two of the first running")
        bench.gate.set()
        await _until(lambda: len(bench.ran) == 14, "the other messages")
    assert bench.most_running == 6
    assert max(in_hand) <= OPTIONS.new_batch_threshold
    assert sorted(int(body) for body, _ in bench.ran) == list(range(14))


async def test_a_function_may_have_deleted_the_message_itself(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.queue.send_message("mine")
    bench.gate.clear()
    async with bench.listening():
        await _until(lambda: bench.ran, "the run")
        await bench.queue.clear_messages()
        bench.gate.set()
        await _until(lambda: bench.running == 0, "the end")
    assert caplog.records == []


async def test_a_message_that_another_has_touched_is_left_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.queue.send_message("mine")
    bench.gate.clear()
    async with bench.listening():
        await _until(lambda: bench.ran, "the run")
        message = bench.messages[0]
        # The pop receipt in the listener's hand is stale from here on.
        await bench.queue.update_message(message.id, message.receipt, visibility_timeout=3600)
        bench.gate.set()
    assert await bench.depth() == 1
    assert caplog.records == []


async def test_a_queue_that_is_missing_is_waited_for(bench: Bench) -> None:
    await bench.queue.delete_queue()
    async with bench.listening():
        await put(bench.queue, "first")  # makes the queue, as an output binding does
        await _until(lambda: bench.ran, "the run")


async def test_a_listener_that_is_woken_looks_at_once(bench: Bench) -> None:
    async with bench.listening(replace(OPTIONS, max_polling_seconds=3600.0)) as listener:
        listener._pause._exponent = 30  # as after a long quiet time

        def resting() -> bool:
            return listener._pause.next() == 3600.0 and bool(listener._woken._waiters)

        await _until(resting, "the sleep of an hour")
        await bench.queue.send_message("a")
        assert bench.ran == []  # sending it alone wakes nobody
        listener.wake()
        await _until(lambda: bench.ran, "the run")


async def test_what_is_not_base64_is_poison_at_once(bench: Bench) -> None:
    await bench.queue.send_message("plain text!")
    await bench.queue.send_message(base64.b64encode(b"fine").decode())
    async with bench.listening(replace(OPTIONS, encoding="base64")):
        assert await eventually_async(bench.poisoned, "the poison message") == ["plain text!"]
        await _until(lambda: bench.ran, "the run")
    assert bench.ran == [("fine", 1)]


async def test_a_poison_message_keeps_its_encoding(bench: Bench) -> None:
    bench.fail = True
    text = base64.b64encode(b"bad").decode()
    await bench.queue.send_message(text)
    async with bench.listening(replace(OPTIONS, encoding="base64")):
        assert await eventually_async(bench.poisoned, "the poison message") == [text]
    assert bench.ran[0] == ("bad", 1)


def test_polling_pauses_are_random() -> None:
    def third() -> float:
        pause = PollingPause(60.0)
        return [pause.next() for _ in range(3)][2]

    found = [third() for _ in range(20)]
    assert len(set(found)) > 1
    assert all(0.1 + 0.8 * 0.2 <= pause <= 0.1 + 1.2 * 0.2 for pause in found)


def test_polling_pauses_grow_from_100_ms_to_the_longest() -> None:
    pause = PollingPause(2.0)
    pauses = [pause.next() for _ in range(20)]
    assert pauses[0] == 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 2.0
    pause.reset()
    assert pause.next() == 0.1


@given(st.text(), st.sampled_from(["none", "base64"]))
def test_encodings_round_trip(body: str, encoding: str) -> None:
    assert decode(encode(body, encoding), encoding) == body


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (None, []),
        ("one", ["one"]),
        ('["not", "split"]', ['["not", "split"]']),
        (b"bytes", [b"bytes"]),
        ([], []),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_what_an_output_is_given_becomes_messages(value: object, items: list[str]) -> None:
    assert queue_items(value) == items
