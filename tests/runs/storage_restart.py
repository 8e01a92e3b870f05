"""Storage goes away in the middle of a run and comes back with what it had."""

import asyncio
from typing import Final

from exporter.domain.configuration import Limits
from sandbox.activecampaign import SimulatorSettings
from tests.proxy import Cut, Do, Fault
from tests.runs.course import BULK, Venue
from tests.runs.site import KEY

ROWS: Final = 8_000
AWAY_AT: Final = 6
"""The request at which storage is told to end."""


async def restart_storage(name: str, venue: Venue) -> None:
    """End the emulator with SIGTERM while bodies are sent, and start it again on the same data.

    Meanwhile the proxies turn everybody away: whoever knocked at the emulator's ports might be given them.
    """
    async with venue.course(name, SimulatorSettings(key=KEY), all_through_proxies=True) as course:
        leaving = asyncio.Event()
        telling = Fault("before", BULK, Do(lambda _port: leaving.set(), cuts=False), nth=AWAY_AT)
        course.before_simulator.faults.append(telling)
        await course.drop(ROWS, limits=Limits())
        await leaving.wait()
        away = Fault("before", "", Cut(), times=1_000_000)
        for proxy in (course.before_blobs, course.before_queues):
            proxy.faults.append(away)
        await asyncio.to_thread(venue.azurite.stop)
        await asyncio.to_thread(venue.azurite.start)
        for proxy in (course.before_blobs, course.before_queues):
            proxy.faults.remove(away)
        await course.until_over()
