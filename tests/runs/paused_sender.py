"""A sender's process stands still for longer than its claim lasts, and wakes up when another has gone on."""

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exporter.domain.configuration import Limits
from sandbox.activecampaign import SimulatorSettings
from tests.proxy import Do, Fault, Proxy
from tests.runs.course import BULK, Course, Venue, until
from tests.runs.crash_points import CHUNK_CLAIM
from tests.runs.site import KEY

ROWS: Final = 12_000
STILL_AT: Final = 5
"""The request before which the sender stands still."""
WAKES_AFTER: Final = 5
"""So many requests of its successor."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was sent while the other process stood still, or since."""

    pid: int
    woken: bool
    """Whether the one that stood still had woken up."""
    claimed_by: str
    """Who had the claim on the chunk then; nobody: empty."""


class Pause:
    """Stops whoever sends, and takes down who sent what, and under whose claim."""

    def __init__(self, pids: Iterable[int], before_blobs: Proxy) -> None:
        self._pids = tuple(pids)
        self._before_blobs = before_blobs
        self.stopped = 0
        """The process that stands still, and wakes up again."""
        self.owner = ""
        """Its name in claims."""
        self.woken = False
        self.sent: list[Sent] = []

    def see(self, port: int) -> None:
        """A request arrives: stop the process that sends it, the first time."""
        pid = owner_of(port, self._pids)
        if not self.stopped and pid:
            self.stopped, self.owner = pid, self._claimed_by()
            os.kill(pid, signal.SIGSTOP)
        else:
            self.sent.append(Sent(pid, self.woken, self._claimed_by()))

    def _claimed_by(self) -> str:
        claims = self._before_blobs.passed(CHUNK_CLAIM)
        return str(json.loads(claims[-1].body)["owner"]) if claims else ""

    def successor_has_sent(self, count: int) -> bool:
        """Whether others have sent so many requests since."""
        return sum(sent.pid != self.stopped for sent in self.sent) >= count

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
        pids = await course.host.worker_pids("on_chunk_queued")
        pause = pauses[name] = Pause(pids, course.before_blobs)
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
    """Who woke up again sent nothing under the claim that it had lost, though there was something left.

    It may take up a later message of the run like anybody else, under a claim that it then has anew.
    """
    assert course.run is not None
    woken_since = [sent for sent in pause.sent if sent.woken]
    assert woken_since, "the run was over before the sender woke up"
    assert [sent for sent in woken_since if not sent.pid] == []
    assert [s for s in woken_since if s.pid == pause.stopped and s.claimed_by != pause.owner] == []
