"""Following runs to their end: one loop over the storage, and two ways to show it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.wording import duration, number, state_text
from exporter.domain.run import SHORT_ID_DIGITS, RunReport
from exporter.errors import ConfigurationError
from exporter.steps.aggregate import present_report
from exporter.steps.ports import Ports

PAUSE_SECONDS: Final = 1.0
_BUSY_SHARE: Final = 5
"""A look that takes long is followed by a pause so many times as long: following is not the work."""


class Display(Protocol):
    """Shows how runs come along."""

    def update(self, report: RunReport, moment: float) -> None:
        """Take in what is known of a run at a moment (seconds)."""


async def follow_runs(run_ids: Iterable[str], ports: Ports, display: Display) -> list[RunReport]:
    """Follow runs until all have ended; their reports in the order of the ids."""
    reports: dict[str, RunReport | None] = dict.fromkeys(run_ids)
    while True:
        started = ports.clock.monotonic()
        for run_id, known in reports.items():
            if known is None or not known.state.final:
                report = await _look(run_id, ports)
                reports[run_id] = report
                display.update(report, ports.clock.monotonic())
        ended = [report for report in reports.values() if report is not None and report.state.final]
        if len(ended) == len(reports):
            return ended
        took = ports.clock.monotonic() - started
        await ports.clock.sleep(max(PAUSE_SECONDS, _BUSY_SHARE * took))


async def follow(run_ids: Iterable[str], ports: Ports, output: Output) -> list[RunReport]:
    """Follow runs with a display; whoever interrupts that is told that the runs go on."""
    run_ids = list(run_ids)
    try:
        with display_on(output.progress_console) as display:
            return await follow_runs(run_ids, ports, display)
    except asyncio.CancelledError:
        for run_id in run_ids:
            short_id = run_id[:SHORT_ID_DIGITS]
            output.note(
                f"Run {short_id} goes on without this command: `exporter run watch {short_id}` follows it, "
                f"`exporter run cancel {short_id}` stops it."
            )
        raise


async def _look(run_id: str, ports: Ports) -> RunReport:
    run = await ports.runs.load(run_id)
    if run is None:
        raise ConfigurationError(f"the run {run_id} is gone from the storage")
    return await present_report(run, ports)


def contacts_of(report: RunReport) -> tuple[int, int]:
    """Contacts with an answer, and all that the run is to send."""
    counts = report.counts
    done = counts.delivered + counts.refused
    return done, done + counts.undelivered


class Speed:
    """How fast something grows, over the last minute or so."""

    def __init__(self, window_seconds: float = 75.0) -> None:
        self._window = window_seconds
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, moment: float, done: int) -> None:
        """Note how much was done at a moment."""
        self._samples.append((moment, done))
        while len(self._samples) > 2 and self._samples[1][0] <= moment - self._window:
            self._samples.popleft()

    @property
    def per_minute(self) -> float:
        """How much is done in a minute; 0 while nothing moves."""
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        return 60 * (last - first) / (end - start) if end > start else 0.0

    def seconds_left(self, total: int) -> float | None:
        """How long the rest takes at this speed; None when nobody can say."""
        rate = self.per_minute
        return 60 * (total - self._samples[-1][1]) / rate if rate > 0 else None


class _Figures:
    """What is shown of one run: its latest report and its speed."""

    def __init__(self) -> None:
        self._speed = Speed()

    def describe(self, report: RunReport, moment: float) -> dict[str, str]:
        done, total = contacts_of(report)
        self._speed.add(moment, done)
        left = self._speed.seconds_left(total) if not report.state.final else None
        rate = self._speed.per_minute
        return {
            "contacts": f"{number(done)} of {number(total)} contacts" if total else "",
            "rate": f"{number(rate)}/min" if rate else "",
            "left": f"{duration(left)} left" if left else "",
            "state": _state(report),
        }


def _state(report: RunReport) -> str:
    waiting = f" (waiting: {report.waiting_for})" if report.waiting_for else ""
    return state_text(report.state.value) + (", retrying" if report.retrying else "") + waiting


_ONE_LINE: Final = Column(no_wrap=True, overflow="ellipsis")


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """A progress bar for each run; for terminals."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            *(TextColumn(f"{{task.fields[{key}]}}", markup=False) for key in ("contacts", "rate", "left")),
            TextColumn("{task.fields[state]}", style="cyan", markup=False, table_column=_ONE_LINE),
            console=console,
            refresh_per_second=4,
        )
        self._tasks: dict[str, TaskID] = {}
        self._figures: dict[str, _Figures] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, report: RunReport, moment: float) -> None:
        """Redraw a run's bar."""
        done, total = contacts_of(report)
        figures = self._figures.setdefault(report.run_id, _Figures())
        fields: dict[str, Any] = {**figures.describe(report, moment)}
        task = self._tasks.get(report.run_id)
        if task is None:
            name = report.export_id or report.segment
            task = self._tasks[report.run_id] = self._progress.add_task(name, total=None, **fields)
        settled_total = total or (1 if report.state.final else None)
        self._progress.update(task, total=settled_total, completed=done if total else 1, **fields)


class PlainDisplay(AbstractContextManager["PlainDisplay"]):
    """A line whenever a run's state changes or another tenth is done; for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, tuple[str, int]] = {}
        self._figures: dict[str, _Figures] = {}

    def __exit__(self, *_: object) -> None:
        """Nothing to tidy up."""

    def update(self, report: RunReport, moment: float) -> None:
        """Print a line if there is news."""
        done, total = contacts_of(report)
        figures = self._figures.setdefault(report.run_id, _Figures())
        fields = figures.describe(report, moment)
        news = (fields["state"], 10 * done // total if total else 0)
        if self._shown.get(report.run_id) != news:
            self._shown[report.run_id] = news
            name = report.export_id or report.segment
            said = [fields["state"], fields["contacts"], fields["rate"], fields["left"]]
            self._console.print(Text(f"{name}: {', '.join(filter(None, said))}"))


def display_on(console: Console) -> LiveDisplay | PlainDisplay:
    """The display that suits a console."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)
