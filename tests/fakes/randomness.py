"""Chance that repeats itself."""

import random


class FakeRandomness:
    """Draws from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        return self._random.random()

    def token(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def secret(self) -> bytes:
        return self._random.randbytes(32)
