"""The system's clock and randomness."""

import asyncio
import random
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """Real time."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SystemRandomness:
    """The system's randomness."""

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()

    def token(self) -> str:
        """12 hex digits that no other process makes."""
        return secrets.token_hex(6)

    def secret(self) -> bytes:
        """32 bytes that nobody can guess."""
        return secrets.token_bytes(32)
