"""Health: whether the sweep runs, which nothing else does without the app, its storage and its timer."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.steps.ports import Ports

LONGEST_SILENCE_SECONDS: Final = 180.0
"""The sweep runs twice a minute and writes its sign of life once: two in a row are missing."""

ANSWER_SECONDS: Final = 10.0
"""Whoever watches the app waits no longer: a storage that takes a call and says nothing is no answer."""


class Ailment(StrEnum):
    """Why the app is not well."""

    NEVER_SWEPT = "never_swept"
    SWEEP_OVERDUE = "sweep_overdue"
    STORAGE_UNREACHABLE = "storage_unreachable"
    STORAGE_REFUSES = "storage_refuses"


@dataclass(frozen=True, slots=True)
class Health:
    """What the app can say of itself; holds nothing but figures."""

    version: str
    heartbeat_age_seconds: float | None
    """How long ago the sweep last began; None where that is not known."""
    code: Ailment | None = None
    """Why the app is not well, or None."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.code is None


async def health(version: str, ports: Ports) -> Health:
    """How the app is. Raises nothing: a storage that can't be asked is an answer too."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            age = await ports.signs.heartbeat_age_seconds()
    except TimeoutError:
        return Health(version, None, Ailment.STORAGE_UNREACHABLE)
    except Exception as error:  # whatever storage says, the caller gets a code and no stack
        is_outage = ports.is_outage(error)
        return Health(version, None, Ailment.STORAGE_UNREACHABLE if is_outage else Ailment.STORAGE_REFUSES)
    if age is None:
        return Health(version, None, Ailment.NEVER_SWEPT)
    return Health(version, age, Ailment.SWEEP_OVERDUE if age > LONGEST_SILENCE_SECONDS else None)
