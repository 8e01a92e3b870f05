"""What people say to runs under way, each from a machine of their own, which may fail like any other."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from exporter.domain.configuration import Connection, Export
from exporter.domain.pause import Pause
from exporter.domain.run import Run
from exporter.errors import ExporterError
from exporter.steps.control import (
    cancel_run,
    pause_connection,
    pause_everything,
    pause_run,
    redrive_run,
    resume_connection,
    resume_everything,
    resume_run,
)
from exporter.steps.order import order_runs
from exporter.steps.ports import Ports
from tests.simulation.course import Act, Course, Stop


@dataclass(frozen=True, slots=True)
class _Order:
    """One command: what it is about, and what it may use."""

    course: Course
    run: Run
    export: Export
    connection: Connection
    first: int
    ports: Ports

    def stop(self, act: Act, *, run_id: str | None = None, connection_id: str | None = None) -> None:
        """Note that from now on something must not send."""
        now = self.course.world.clock.monotonic()
        self.course.stops.append(Stop(act, now, run_id=run_id, connection_id=connection_id))

    def lift(self, *, run_id: str | None = None, connection_id: str | None = None) -> None:
        """Note that it may send from now on, even if the command fails half way."""
        for stop in self.course.stops:
            same = (stop.run_id, stop.connection_id) == (run_id, connection_id)
            if same and stop.lifted_at is None:
                stop.lifted_at = self.course.world.clock.monotonic()

    def a_pause(self) -> Pause:
        return Pause(since=self.course.world.clock.now(), by="ann")


async def _cancel(order: _Order) -> None:
    if await cancel_run(order.run.run_id, "ann", order.ports):
        order.stop(Act.CANCEL, run_id=order.run.run_id)


async def _pause(order: _Order) -> None:
    await pause_run(order.run.run_id, order.a_pause(), order.ports)
    order.stop(Act.PAUSE, run_id=order.run.run_id)


async def _resume(order: _Order) -> None:
    order.lift(run_id=order.run.run_id)
    await resume_run(order.run.run_id, order.ports)


async def _redrive(order: _Order) -> None:
    order.lift(run_id=order.run.run_id)
    await redrive_run(order.run.run_id, order.ports)


async def _pause_connection(order: _Order) -> None:
    await pause_connection(order.connection.id, order.a_pause(), order.ports)
    order.stop(Act.PAUSE_CONNECTION, connection_id=order.connection.id)


async def _resume_connection(order: _Order) -> None:
    order.lift(connection_id=order.connection.id)
    await resume_connection(order.connection.id, order.ports)


async def _pause_all(order: _Order) -> None:
    await pause_everything(order.a_pause(), order.ports)
    order.stop(Act.PAUSE_ALL)


async def _resume_all(order: _Order) -> None:
    order.lift()
    await resume_everything(order.ports)


async def _order(order: _Order) -> None:
    await order_runs(order.export, order.connection, order.ports)


async def _first_send(order: _Order) -> None:
    await order_runs(order.export, order.connection, order.ports, first=order.first)


_COMMANDS: Final[dict[Act, Callable[[_Order], Awaitable[None]]]] = {
    Act.CANCEL: _cancel,
    Act.PAUSE: _pause,
    Act.RESUME: _resume,
    Act.REDRIVE: _redrive,
    Act.PAUSE_CONNECTION: _pause_connection,
    Act.RESUME_CONNECTION: _resume_connection,
    Act.PAUSE_ALL: _pause_all,
    Act.RESUME_ALL: _resume_all,
    Act.ORDER: _order,
    Act.FIRST_SEND: _first_send,
}


async def command(act: Act, course: Course, seed: int, ports: Ports) -> None:
    """One command about a run or an export that chance chooses; it may be refused."""
    chance, runs = random.Random(seed), [run for run in course.world.runs() if run.export is not None]
    if not runs:
        return
    fitting = [run for run in runs if run.state.final == (act is Act.REDRIVE)]
    run, export = chance.choice(fitting or runs), chance.choice(course.exports)
    (connection,) = [known for known in course.connections if known.id == export.connection]
    course.note(f"-- {act.value} ({run.run_id[:6]}, {export.id})")
    try:
        await _COMMANDS[act](_Order(course, run, export, connection, chance.choice([1, 3]), ports))
    except ExporterError as error:
        course.note(f"-- {act.value} is refused: {error}")
    else:
        course.acts[act] += 1
