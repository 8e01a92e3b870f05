"""Signs of life in memory; writing them takes no time and kills no process."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class FakeSigns:
    """What the app left behind; shared by all processes."""

    beat_count: int = 0
    tokens: list[str] = field(default_factory=list)
    """Of the test drops that were announced."""
    age_seconds: float | None = None
    """What is said of the last beat."""
    error: Exception | None = None
    """Raised instead of an answer."""

    async def beat(self) -> bool:
        self.beat_count += 1
        return True

    async def acknowledge(self, token: str) -> None:
        self.tokens.append(token)

    async def heartbeat_age_seconds(self) -> float | None:
        if self.error is not None:
            raise self.error
        return self.age_seconds
