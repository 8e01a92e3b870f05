"""Signs of life: `signs/heartbeat.json`, and `signs/test-drops/<token>` for a test drop that arrived."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from exporter.steps.ports import Clock

SCHEMA: Final = 1
HEARTBEAT: Final = "signs/heartbeat.json"
_SECONDS_BETWEEN_BEATS: Final = 60


def trace_name(token: str) -> str:
    """The blob in the state container that says that a test drop was announced."""
    return f"signs/test-drops/{token}"


def note_date(dates: list[datetime]) -> Any:
    """A hook that keeps the moment of an answer by storage's clock."""

    def note(response: Any) -> None:
        dates.append(parsedate_to_datetime(response.http_response.headers["Date"]))

    return note


async def heartbeat_age_seconds(state: ContainerClient) -> float | None:
    """How long ago the app's timer last fired, by storage's clock alone; None where it never did."""
    dates: list[datetime] = []
    blob = state.get_blob_client(HEARTBEAT)
    try:
        properties = await blob.get_blob_properties(raw_response_hook=note_date(dates))
    except ResourceNotFoundError:
        return None
    return max(0.0, (dates[-1] - properties.last_modified).total_seconds())


class BlobSignsOfLife:
    """Overwrites without a condition: only that somebody wrote matters, and when, by storage's clock."""

    def __init__(self, state: ContainerClient, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._last_minute = -1

    async def beat(self) -> bool:
        """Say that the timer fires; at most once in a minute of the clock. True where it was written."""
        now = self._clock.now()
        minute = int(now.timestamp()) // _SECONDS_BETWEEN_BEATS
        if minute == self._last_minute:
            return False
        content = orjson.dumps({"schema": SCHEMA, "at": now.isoformat()})
        await self._state.upload_blob(HEARTBEAT, content, overwrite=True)
        self._last_minute = minute
        return True

    async def acknowledge(self, token: str) -> None:
        """Say that the test drop with this token was announced."""
        content = orjson.dumps({"schema": SCHEMA, "at": self._clock.now().isoformat()})
        await self._state.upload_blob(trace_name(token), content, overwrite=True)

    async def heartbeat_age_seconds(self) -> float | None:
        """How long ago the timer last fired, in whole seconds; None where it never did."""
        return await heartbeat_age_seconds(self._state)
