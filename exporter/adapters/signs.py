"""Signs of life: `signs/heartbeat.json`, and `signs/test-drops/<token>` for a test drop that arrived."""

from typing import Final

import orjson
from azure.storage.blob.aio import ContainerClient

from exporter.steps.ports import Clock

SCHEMA: Final = 1
HEARTBEAT: Final = "signs/heartbeat.json"
_SECONDS_BETWEEN_BEATS: Final = 60


def trace_name(token: str) -> str:
    """The blob in the state container that says that a test drop was announced."""
    return f"signs/test-drops/{token}"


class BlobSignsOfLife:
    """Overwrites without a condition: only that somebody wrote matters, and when, by storage's clock."""

    def __init__(self, state: ContainerClient, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._last_minute = -1

    async def beat(self) -> None:
        """Say that the timer fires; at most once in a minute of the clock."""
        now = self._clock.now()
        minute = int(now.timestamp()) // _SECONDS_BETWEEN_BEATS
        if minute != self._last_minute:
            content = orjson.dumps({"schema": SCHEMA, "at": now.isoformat()})
            await self._state.upload_blob(HEARTBEAT, content, overwrite=True)
            self._last_minute = minute

    async def acknowledge(self, token: str) -> None:
        """Say that the test drop with this token was announced."""
        content = orjson.dumps({"schema": SCHEMA, "at": self._clock.now().isoformat()})
        await self._state.upload_blob(trace_name(token), content, overwrite=True)
