"""Plays the course of a seed: draws its scenes and its faults, one after the other."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from unittest import mock

from exporter.domain.configuration import Connection
from exporter.domain.planning import PlanLimits, plan_drop
from exporter.steps.control import resume_connection, resume_everything, resume_run
from exporter.steps.sweep import sweep
from tests.builders import a_connection, an_export
from tests.fakes.activecampaign import FIRST_KEY
from tests.fakes.clock import SimulatedLoop
from tests.fakes.world import World
from tests.simulation.course import Act, Course, Drop
from tests.simulation.faults import Trouble
from tests.simulation.history import History
from tests.simulation.operator import command

SKEW_SECONDS: Final = 0.25
LONGEST_HOURS: Final = 60.0
"""A batch without a final state is given up after a day; twice that is for ever."""
MISSED_SECONDS: Final = 200.0
"""So long after a drop, or after an outage, the sweep has found it."""


def play(seed: int, judge: Callable[[Course], None], *, lines: list[str] | None = None) -> Course:
    """Play the course of a seed and let it be judged; `lines` is told what happens, as it happens.

    Raises what the judge raises, or AssertionError where a run does not end.
    """
    chance = random.Random(f"course {seed}")
    with small_bodies(chance), asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(_play(seed, chance, judge, lines if lines is not None else []))


@contextmanager
def small_bodies(chance: random.Random) -> Iterator[None]:
    """Plans pack two contacts into a body, and few bodies into a chunk, so that few rows make a long run."""
    limits = PlanLimits(body_contacts=2, chunk_bodies=chance.choice([3, 8, 98]))
    with mock.patch("exporter.steps.plan.plan_drop", partial(plan_drop, limits=limits)):
        yield


async def _play(
    seed: int, chance: random.Random, judge: Callable[[Course], None], lines: list[str]
) -> Course:
    world = World(
        seed=chance.getrandbits(32),
        worker_count=chance.choice([1, 2, 3]),
        skew_seconds=chance.choice([0.0, SKEW_SECONDS]),
    )

    def note(text: str) -> None:
        lines.append(f"{world.clock.monotonic():9.2f}  {text}")

    course = Course(seed, world, Trouble(chance, note), lines, note, History(world.clock))
    world.storage.on_write.append(course.history.take)
    world.telemetry.on_event = lambda event, fields: note(
        f"{event} {' '.join(f'{key}={_shown(value)}' for key, value in fields.items())}"
    )
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # of processes that died
    await _Director(course, chance).direct()
    judge(course)
    return course


def _shown(value: object) -> str:
    """A field's value, no longer than needed."""
    text = str(value)
    return text[:6] if len(text) == 32 and " " not in text else text[:60]


@dataclass
class _Director:
    """Draws and plays the scenes of a course."""

    course: Course
    chance: random.Random

    @property
    def _world(self) -> World:
        return self.course.world

    async def direct(self) -> None:
        """Play the whole course."""
        await self._set_up()
        for at, scene in sorted(self._scenes(), key=lambda entry: entry[0]):
            self._world.busy_until = max(self._world.busy_until, at)
            await self._world.until_quiet(until=at)
            await scene()
        await self._world.until_quiet(until=self._keep_busy(MISSED_SECONDS))
        self._calm_down()
        await self._lift_all_stops()
        self._keep_busy(MISSED_SECONDS)
        await self._world.until_quiet(hours=LONGEST_HOURS)
        await sweep(self._world.workers[0].ports)  # whoever stood still until just now may have left a mark
        await self._world.until_quiet()

    def _keep_busy(self, seconds: float) -> float:
        """Let sweeps go on for so long, whether there is anything to do or not; the moment when that ends."""
        self._world.busy_until = self._world.clock.monotonic() + seconds
        return self._world.busy_until

    # Before the first drop

    async def _set_up(self) -> None:
        chance, trouble = self.chance, self.course.trouble
        has_faults = chance.random() < 0.9
        if has_faults:
            trouble.draw_odds(most=8)
            if chance.random() < 0.1:
                start = chance.uniform(0, 120)
                trouble.outages.append((start, start + chance.choice([20.0, 120.0, 400.0])))
        trouble.calm = True  # nothing goes wrong while the scene is set
        for name in ("acme", "bolt")[: chance.choice([1, 1, 2])]:
            await self._connect(name, has_faults=has_faults)
        trouble.calm = False
        self._world.storage.nemesis = trouble
        self._world.queues.fate = trouble.fate_of_a_message

    async def _connect(self, name: str, *, has_faults: bool) -> None:
        chance, course = self.chance, self.course
        bulk_per_minute = chance.choice([10, 100])
        connection = a_connection(name, limits={"bulk_requests_per_minute": bulk_per_minute})
        segments = chance.choice([("vip",), ("news",), ("vip", "news")])
        exports = [
            an_export(
                f"{name}-{list_id}",
                connection=name,
                list_id=list_id,
                segments=segments,
                mapping={column: "Name"},
                automations=chance.random() < 0.7,
                tolerated_reject_percentage=50,
            )
            for list_id, column in (("5", "first_name"), ("6", "last_name"))[: chance.choice([1, 1, 2])]
        ]
        account = await self._world.connect(connection, *exports)
        account.lists = {"5": "Customers", "6": "Readers"}
        account.bulk_per_minute = bulk_per_minute
        account.single_per_minute = max(2, bulk_per_minute // 5)
        account.answer_seconds = chance.choice([(0.15, 0.6), (2.0, 6.0), (5.0, 9.0)])
        account.settle_seconds = chance.choice([1.0, 5.0, 40.0])
        if has_faults:
            account.late_share = chance.choice([0.0, 0.01, 0.05])
            account.naming = chance.choice(["all", "first", "nobody"])
            if chance.random() < 0.5:
                account.refused = frozenset(chance.sample(_pool("vip") + _pool("news"), 4))
            if chance.random() < 0.3:
                account.failing = frozenset(chance.sample(_pool("vip") + _pool("news"), 4))
            course.trouble.settle_on(account)
        for segment in segments:
            for address in chance.sample(_pool(segment), 3):
                self._opt_out(connection, address, chance.choice(exports).list_id)
        course.connections.append(connection)
        course.exports += exports

    def _opt_out(self, connection: Connection, address: str, list_id: str) -> None:
        account = self._world.accounts[connection.host]
        account.contacts.setdefault(address, {"email": address})
        account.members[address, list_id] = self.chance.choice(["unsubscribed", "bounced"])
        self.course.opted_out.add((connection.id, address, list_id))

    # What happens

    def _scenes(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        """The scenes with their moments: drops, people's acts, the end of the faults."""
        chance = self.chance
        segments = sorted({segment for export in self.course.exports for segment in export.segments})
        moment = 1.0
        for segment in [*segments, *chance.choices(segments, k=chance.choice([0, 0, 1, 1, 2]))]:
            yield moment, partial(self._drop, segment)
            moment += chance.choice([2.0, 15.0, 60.0, 200.0]) * chance.uniform(1, 1.5)
        if self.course.trouble.odds and chance.random() < 0.5:
            for _ in range(chance.randint(1, 7)):
                at = chance.choice([5.0, 10.0, 20.0, 80.0, 300.0]) * chance.uniform(0.5, 1.5)
                yield at, partial(self._interfere, chance.choice(sorted(Act)))
                if chance.random() < 0.3:
                    yield at + chance.choice([30.0, 200.0, 600.0]), partial(self._interfere, Act.REDRIVE)
        if self.course.trouble.odds and chance.random() < 0.5:
            yield chance.uniform(3, 60), partial(self._interfere, Act.UNSUBSCRIBE)

    async def _drop(self, segment: str, blob: str | None = None) -> None:
        """A file lands; its event comes, or not, or twice."""
        course, chance = self.course, self.chance
        number = len(course.drops) + 1
        addresses = chance.sample(_pool(segment), chance.choice([2, 2, 3, 6, 12, 12, 24, 60]))
        rows = list(addresses)
        for _ in range(min(len(addresses) // 2, chance.choice([0, 0, 1, 3]))):
            rows.insert(chance.randint(0, len(rows)), chance.choice(["", "nobody", rows[0]]))
        content = "".join(f"{line}\r\n" for line in ("Email,Name", *(f"{row},v{number}" for row in rows)))
        blob = blob or f"{segment}/{number:03d}.csv"
        source = await self._world.workers[0].ports.drops.put(blob, [content.encode()])
        course.drops[source.etag] = Drop(number, segment, source, tuple(rows))
        course.note(f"-- {blob} lands with {len(rows)} rows")
        for seconds in course.trouble.fate_of_an_event():
            self._world.announce_after(blob, seconds)

    async def _interfere(self, act: Act) -> None:
        """Somebody does something, on a machine of their own."""
        course, chance = self.course, self.chance
        if act is Act.OVERWRITE:
            newest = max(course.drops.values(), key=lambda drop: drop.number)
            seconds_since = self._world.clock.now() - newest.source.last_modified
            if seconds_since.total_seconds() > 1:  # storage's times have whole seconds
                course.acts[act] += 1
                await self._drop(newest.segment, newest.source.blob)
        elif act is Act.UNSUBSCRIBE:
            export = chance.choice(course.exports)
            (connection,) = [known for known in course.connections if known.id == export.connection]
            address = chance.choice(_pool(chance.choice(export.segments)))
            course.acts[act] += 1
            course.note(f"-- somebody unsubscribes from list {export.list_id} of {connection.id}")
            self._opt_out(connection, address, export.list_id)
        elif act in {Act.REVOKE_KEY, Act.REPLACE_KEY}:
            course.acts[act] += 1
            self._change_key(act, chance.choice(course.connections))
        else:
            self._world.start(partial(command, act, course, chance.getrandbits(32)))

    def _change_key(self, act: Act, connection: Connection) -> None:
        """The key that a connection's secret holds ends, or the secret gets another one."""
        self.course.note(f"-- {act.value}, of {connection.id}")
        if act is Act.REVOKE_KEY:
            key = self._world.keys.get(connection.secret, FIRST_KEY)
            self._world.accounts[connection.host].refused_keys.add(key)
        else:
            self._world.keys[connection.secret] = f"key-{self.chance.getrandbits(32):08x}"

    # The end

    def _calm_down(self) -> None:
        """From now on nothing goes wrong, and whatever was begun must come to its end."""
        self.course.note("-- nothing goes wrong any more")
        if self.course.acts[Act.REVOKE_KEY]:
            for connection in self.course.connections:
                self._change_key(Act.REPLACE_KEY, connection)
        self.course.trouble.calm = True

    async def _lift_all_stops(self) -> None:
        ports = self._world.workers[0].ports
        now = self._world.clock.monotonic()
        for stop in self.course.stops:
            if stop.what is not Act.CANCEL and stop.lifted_at is None:
                stop.lifted_at = now
        await resume_everything(ports)
        for connection in self.course.connections:
            await resume_connection(connection.id, ports)
        for run in self._world.runs():
            if run.pause is not None and not run.state.final and run.stopped is None:
                await resume_run(run.run_id, ports)


def _pool(segment: str) -> list[str]:
    """Everybody who may be in a segment."""
    return [f"{segment}{number}@example.org" for number in range(64)]
