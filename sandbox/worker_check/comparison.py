"""The differences between what the worker and the local host made of an app."""

from dataclasses import asdict, dataclass
from typing import Any

from sandbox.host.functions import read_functions
from sandbox.host.problems import StartProblemsError
from sandbox.worker_check.calls import Plan
from sandbox.worker_check.trial import Side, Trial, without_chance


@dataclass
class Row:
    """What became of one function."""

    function: str
    indexed: bool = False
    loaded: bool = False
    invoked: int = 0
    same: bool = True


@dataclass(frozen=True)
class Verdict:
    """The outcome: a row for each function, and what is not as it should be."""

    python: str
    rows: tuple[Row, ...]
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every function was called, and nothing differs."""
        return bool(self.rows) and not self.differences

    def to_document(self) -> dict[str, Any]:
        """Return the verdict as JSON has it."""
        return {
            "ok": self.ok,
            "python": self.python,
            "functions": [asdict(row) for row in self.rows],
            "differences": list(self.differences),
        }


def compare(trial: Trial, plan: Plan) -> Verdict:
    """Compare both reports, function by function and call by call."""
    return _Comparison(trial, plan).verdict()


class _Comparison:
    def __init__(self, trial: Trial, plan: Plan) -> None:
        self._trial = trial
        self._plan = plan
        self._worker = _by_name(trial.worker)
        self._local = _by_name(trial.local)
        names = list(dict.fromkeys([*self._worker, *self._local, *(call.function for call in plan.calls)]))
        self._rows = {name: Row(name) for name in names}
        self._differences: list[str] = []

    def verdict(self) -> Verdict:
        self._compare_refusals()
        for row in self._rows.values():
            self._compare_function(row)
        if not self._differences:
            self._compare_reading()
            self._compare_calls()
            self._compare("what is left in storage", self._trial.worker.left, self._trial.local.left)
        for row in self._rows.values():
            row.same = row.same and row.indexed and row.invoked > 0
        return Verdict(
            self._trial.worker.report["python"], tuple(self._rows.values()), tuple(self._differences)
        )

    def _compare_refusals(self) -> None:
        for name, side in (("worker", self._trial.worker), ("local host", self._trial.local)):
            if side.report["refused"]:
                self._differences.append(f"the {name} refuses the app: {side.report['refused']}")

    def _compare_function(self, row: Row) -> None:
        ours, theirs = self._local.get(row.function), self._worker.get(row.function)
        row.indexed = theirs is not None
        if ours is None or theirs is None:
            missing = [name for name, found in (("worker", theirs), ("local host", ours)) if found is None]
            self._differ(row, f"not known to the {' nor the '.join(missing)}")
            return
        row.loaded = not theirs["problems"]
        for problem in theirs["problems"]:
            self._differ(row, f"the worker does not load it: {problem}")
        for fact in ("bindings", "declared", "deferred"):
            self._compare(fact, theirs[fact], ours[fact], row)
        if not any(call.function == row.function for call in self._plan.calls):
            self._differ(row, "is never called: add a call")

    def _compare_reading(self) -> None:
        """Compare what the local host would start: triggers, queues, connections, routes, retries."""
        settings = self._trial.settings
        try:
            theirs = read_functions(self._trial.worker.report["functions"], settings)
            ours = read_functions(self._trial.local.report["functions"], settings)
        except StartProblemsError as error:
            self._differences.extend(error.problems)
            return
        for function, other in zip(sorted(theirs, key=_name), sorted(ours, key=_name), strict=True):
            self._compare("as the host reads it", function, other, self._rows[function.name])

    def _compare_calls(self) -> None:
        both = zip(self._trial.worker.report["calls"], self._trial.local.report["calls"], strict=True)
        for number, (call, (theirs, ours)) in enumerate(zip(self._plan.calls, both, strict=True), 1):
            row = self._rows[call.function]
            row.invoked += 1
            if (end := _end(theirs)) != call.ends:
                self._differ(row, f"call {number} ended with {end!r}, not {call.ends!r}: {theirs['error']}")
            for fact in ("error", "http", "outputs", "log"):
                self._compare(f"{fact} of call {number}", _plain(theirs[fact]), _plain(ours[fact]), row)

    def _compare(self, what: str, theirs: object, ours: object, row: Row | None = None) -> None:
        if theirs != ours:
            text = f"{what}: worker {theirs!r}, local host {ours!r}"
            if row is None:
                self._differences.append(text)
            else:
                self._differ(row, text)

    def _differ(self, row: Row, text: str) -> None:
        row.same = False
        self._differences.append(f"{row.function}: {text}")


def _by_name(side: Side) -> dict[str, dict[str, Any]]:
    return {function["name"]: function for function in side.report["functions"]}


def _name(function: Any) -> str:
    return str(function.name)


def _end(ending: dict[str, Any]) -> str | int:
    if ending["error"] is not None:
        return str(ending["error"]).partition(":")[0]
    return int(ending["http"]["status"]) if ending["http"] else "ok"


def _plain(value: Any) -> Any:
    """What does not differ by chance."""
    if isinstance(value, str):
        return without_chance(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
