"""A sender's process stands still for longer than its claim lasts, and wakes up when another has gone on."""

import os
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from exporter.domain.configuration import Limits
from sandbox.activecampaign import SimulatorSettings
from tests.proxy import Do, Fault
from tests.runs.course import BULK, Course, Venue, until
from tests.runs.site import KEY

ROWS: Final = 12_000
STILL_AT: Final = 5
"""The request before which the sender stands still."""
WAKES_AFTER: Final = 5
"""So many requests of its successor."""


class Pause:
    """Stops whoever sends, and takes down who sent what."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self.stopped = 0
        """The process that stands still, and wakes up again."""
        self.woken = False
        self.senders: list[tuple[int, bool]] = []
        """Of each request since: its process, and whether the other one had woken up."""

    def see(self, port: int) -> None:
        """A request arrives: stop the process that sends it, the first time."""
        pid = owner_of(port, self._pids)
        if not self.stopped and pid:
            self.stopped = pid
            os.kill(pid, signal.SIGSTOP)
        else:
            self.senders.append((pid, self.woken))

    def successor_has_sent(self, count: int) -> bool:
        """Whether others have sent so many requests since."""
        return sum(pid != self.stopped for pid, _ in self.senders) >= count

    def wake(self) -> None:
        """Let it go on."""
        self.woken = True
        os.kill(self.stopped, signal.SIGCONT)


def owner_of(port: int, pids: Iterable[int]) -> int:
    """The process among `pids` that a connection's port on this machine belongs to, by /proc (Linux).

    0 where it belongs to none of them.
    """
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{line[9]}]" for line in lines if int(line[1].partition(":")[2], 16) == port}
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(descriptor.readlink()) in inodes:
                    return pid
            except FileNotFoundError:  # closed since it was listed
                continue
    return 0


async def pause_a_sender(name: str, venue: Venue, pauses: dict[str, Pause]) -> None:
    """Let the sender stand still in the middle of a lot, and wake it while its successor sends."""
    settings = SimulatorSettings(key=KEY)
    async with venue.course(name, settings, instances={"on_chunk_queued": 2}) as course:
        pause = pauses[name] = Pause(await course.host.worker_pids("on_chunk_queued"))
        seeing = Fault("before", BULK, Do(pause.see, cuts=False), nth=STILL_AT, times=1_000_000)
        course.before_simulator.faults.append(seeing)
        await course.drop(ROWS, limits=Limits())
        try:
            await until(partial(pause.successor_has_sent, WAKES_AFTER), 0.2)
        finally:
            if pause.stopped:
                pause.wake()
        await course.until_over()


def check_pause(course: Course, pause: Pause) -> None:
    """Who woke up again sent nothing more, although there was something left to send."""
    assert course.run is not None
    woken_since = [pid for pid, woken in pause.senders if woken]
    assert woken_since, "the run was over before the sender woke up"
    assert pause.stopped not in woken_since
    assert 0 not in woken_since
