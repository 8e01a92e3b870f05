"""A storage with nothing beside the exporter's own documents."""

from collections.abc import Callable


class FakeRemains:
    """No dead messages, no soft delete."""

    async def delete_dead_messages(self, unwanted: Callable[[str], bool]) -> int:
        return 0

    async def soft_delete_days(self) -> int | None:
        return None
