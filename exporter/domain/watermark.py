"""A watermark: the newest drop of a segment that an export has planned.

It makes an older run give way or wait, so that no request carries values older than ones already sent.
"""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from exporter.domain.configuration import Content
from exporter.domain.run import Run


class Watermark(BaseModel):
    """Whose turn it is, and where its drop stands in time. Kept for good: it holds no people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_number: int = 2
    """2: it tells snapshots from deltas."""
    run_id: str
    dropped_at: datetime
    blob: str
    """Decides between drops of the same moment: the greater name is the newer one."""
    ordered_at: datetime
    """When the run was ordered, or redriven: decides between runs of one drop."""
    content: Content = "snapshot"

    @classmethod
    def of(cls, run: Run) -> Self:
        """The watermark that a run leaves."""
        return cls(
            run_id=run.run_id,
            dropped_at=max((source.last_modified for source in run.sources), default=run.ordered_at),
            blob=max((source.blob for source in run.sources), default=""),
            ordered_at=run.redriven_at or run.ordered_at,
            content=run.content,
        )

    def newer_than(self, other: "Watermark") -> bool:
        """Whether this drop follows another one."""
        mine = (self.dropped_at, self.blob, self.ordered_at)
        return mine > (other.dropped_at, other.blob, other.ordered_at)
