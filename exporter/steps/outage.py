"""Waiting an outage out within a call: to give up would count as one of the five tries of its message."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from exporter.steps.ports import Clock

NEXT_TRY_SECONDS: Final = 5.0

logger = logging.getLogger("exporter")

Result = TypeVar("Result")


async def outlast(
    attempt: Callable[[], Awaitable[Result]],
    is_outage: Callable[[BaseException], bool],
    clock: Clock,
    give_up_at: float,
) -> Result:
    """What an attempt gives; one that meets an outage is made again, until `give_up_at` (monotonic clock).

    Raises what the last attempt raised, and at once what is no outage.
    """
    while True:
        try:
            return await attempt()
        except Exception as error:
            if not is_outage(error) or clock.monotonic() >= give_up_at:
                raise
            logger.warning("storage can't be reached (%s): trying again", type(error).__name__)
        await clock.sleep(NEXT_TRY_SECONDS)
