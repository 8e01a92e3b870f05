"""What is written about runs and claims, one version after the other, and what no version may do."""

from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from exporter.domain.run import Run, RunState
from tests.fakes.clock import FakeClock
from tests.fakes.runs import decode_run

CLOCKS_DIFFER: Final = timedelta(seconds=0.5)
_ORDER: Final = (RunState.QUEUED, RunState.PLANNING, RunState.DELIVERING, RunState.SETTLING)


class History:
    """Takes each write to storage; `faults` tells what should not have been written."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._claims: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self.completions: dict[str, int] = {}
        """How often each run has reached a final state."""
        self.rounds: dict[str, int] = {}
        """How often each run was put on its way: once, and once more with each redrive."""

    def take(self, name: str, data: bytes) -> None:
        """Compare a document with its version before."""
        if name.startswith("runs/"):
            self._take_run(decode_run(data))
        elif name.startswith("claims/"):
            self._take_claim(name, orjson.loads(data))

    def _take_run(self, run: Run) -> None:
        before = self._runs.get(run.run_id)
        self._runs[run.run_id] = run
        if before is None or before.redriven_at != run.redriven_at:
            self.rounds[run.run_id] = self.rounds.get(run.run_id, 0) + 1
        elif _rank(run.state) < _rank(before.state):
            self.faults.append(f"run {run.short_id} goes from {before.state} back to {run.state}")
        elif before.state.final and (before.state, before.report) != (run.state, run.report):
            self.faults.append(f"the report of run {run.short_id} changes after its end")
        elif before.settle_turn > run.settle_turn:
            self.faults.append(f"turn {before.settle_turn} of run {run.short_id} becomes {run.settle_turn}")
        if run.state.final and not (before is not None and before.state.final):
            self.completions[run.run_id] = self.completions.get(run.run_id, 0) + 1

    def _take_claim(self, name: str, claim: dict[str, Any]) -> None:
        before = self._claims.get(name)
        self._claims[name] = claim
        if before is None:
            return
        ends_at = datetime.fromisoformat(before["until"])
        ended = before["returned"] or ends_at <= self._clock.now() + CLOCKS_DIFFER
        if claim["epoch"] < before["epoch"] or (claim["epoch"] > before["epoch"] and not ended):
            self.faults.append(f"{name} has a second owner: {before}, then {claim}")


def _rank(state: RunState) -> int:
    return len(_ORDER) if state.final else _ORDER.index(state)
