"""The fold of a run's recorded facts, as every step that decides something needs it."""

from exporter.domain.progress import RunProgress, fold
from exporter.domain.run import PlanRecord, Run
from exporter.steps.ports import Ports


async def read_progress(run: Run, record: PlanRecord, ports: Ports) -> RunProgress:
    """What the facts recorded until now make of the run's plan."""
    facts = await ports.facts.read(run.run_id)
    return fold(record.bodies, facts, plan_epoch=record.epoch, tries_since=run.tries_since)
