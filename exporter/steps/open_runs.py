"""Which other runs are under way for the same export and segment."""

from collections.abc import AsyncIterator

from exporter.domain.run import Run
from exporter.steps.ports import Ports


async def open_runs_beside(run: Run, ports: Ports) -> AsyncIterator[Run]:
    """The other runs of the same export and segment that are not over, planned or not."""
    async for other in ports.runs.open():
        same = (other.export_id, other.segment) == (run.export_id, run.segment)
        if same and other.run_id != run.run_id:
            yield other
