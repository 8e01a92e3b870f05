"""Run reports for people: what became of the rows, why, and what to do next."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exporter.cli.wording import STATE_STYLES, duration, moment, number, plural, share, state_text
from exporter.domain.reject import RejectReason
from exporter.domain.run import SHORT_ID_DIGITS, Counts, RunReport, RunState

_OUTCOMES: Final = (
    ("delivered", "written to ActiveCampaign"),
    ("unchanged", "nothing to send: the same as before, or only gone from the segment"),
    ("duplicates", "another row of the drop has the address"),
    ("suppressed", "not to be sent"),
    ("rejected", "not sent: something is wrong with the row"),
    ("refused", "sent, and refused by ActiveCampaign"),
    ("undelivered", "not sent, or without a final answer"),
)
_REASONS: Final[dict[str, str]] = {
    RejectReason.MISSING_EMAIL: "the e-mail column is empty",
    RejectReason.INVALID_EMAIL: "the address can't exist",
    RejectReason.WRONG_COLUMN_COUNT: "more or fewer columns than the header",
    RejectReason.VALUE_TOO_LONG: "a value is longer than any should be",
    RejectReason.CONTACT_TOO_LARGE: "larger than a request may be",
    RejectReason.NESTED_VALUE: "a mapped value is a list or an object",
    RejectReason.DOUBLED_KEY: "a key stands twice in its object",
    RejectReason.INVALID_VALUE: "a value doesn't fit its field",
    RejectReason.UNKNOWN_OPERATION: "nobody knows the word for what became of the row",
    RejectReason.REFUSED_BY_ACTIVECAMPAIGN: "ActiveCampaign refused the contact",
    RejectReason.FAILED_IN_ACTIVECAMPAIGN: "ActiveCampaign could not import the contact",
    RejectReason.UNDELIVERED: "not sent before the run was stopped, or no answer in all tries",
}


_REDRIVABLE: Final = frozenset({RunState.CANCELLED, RunState.PARTLY_FAILED, RunState.FAILED})


def report_text(report: RunReport, *, hints: bool = True) -> RenderableType:
    """One report: heading, counts that add up, reasons, requests, and what next (`hints`)."""
    parts: list[RenderableType] = [_heading(report), _indented(_sources(report), above=0)]
    if report.error is not None:
        parts.append(_indented(Text(report.error.message, style="yellow")))
    if report.counts.rows:
        parts.append(_indented(counts_table(report.counts)))
    if report.reasons:
        parts.append(_indented(reasons_table(report.reasons)))
    if report.counts.rows:
        parts.append(_indented(_requests(report)))
    if hints:
        parts += [_indented(line) for line in _what_next(report)]
    return Group(*parts)


_PLANNED: Final = ("to send", "would be sent")


def counts_table(counts: Counts, *, planned: bool = False) -> Table:
    """What became of the rows, with their sum; outcomes that nothing had are left out.

    `planned` is for counts of a plan, where nothing was sent yet.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right", style="dim")
    table.add_column(style="dim")
    for name, meaning in _OUTCOMES:
        count = getattr(counts, name)
        if planned and name == "undelivered":
            table.add_row(_PLANNED[0], number(count), share(count, counts.rows), _PLANNED[1])
        elif count or (name == "delivered" and not planned):
            table.add_row(name, number(count), share(count, counts.rows), meaning)
    total = "" if counts.add_up else "the counts do not add up: please report this"
    table.add_row(
        Text("rows", style="bold"), Text(number(counts.rows), style="bold"), "", Text(total, style="red")
    )
    return table


def runs_table(reports: Iterable[RunReport]) -> Table:
    """Many runs, a line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "export", "segment", "state"):
        table.add_column(heading, no_wrap=heading == "run")
    for heading in ("rows", "delivered", "not delivered"):
        table.add_column(heading, justify="right")
    table.add_column("ended")
    for report in reports:
        counts = report.counts
        table.add_row(
            report.run_id[:SHORT_ID_DIGITS],
            Text(report.export_id or "-"),
            Text(report.segment or "-"),
            _state(report),
            number(counts.rows),
            number(counts.delivered),
            number(counts.rejected + counts.refused + counts.undelivered),
            moment(report.completed_at),
        )
    return table


def _heading(report: RunReport) -> Text:
    return Text.assemble(
        (report.export_id or (f"segment {report.segment}" if report.segment else "no segment"), "bold"),
        "  ",
        _state(report),
        (f"  run {report.run_id}", "dim"),
    )


def _state(report: RunReport) -> Text:
    state = report.state.value
    retrying = ", retrying" if report.retrying else ""
    return Text(state_text(state) + retrying, style=STATE_STYLES.get(state, "cyan"))


def _sources(report: RunReport) -> Text:
    shown = [repr(blob)[1:-1] for blob in report.source[:3]]
    more = len(report.source) - len(shown)
    return Text("\n".join([*shown, f"and {plural(more, 'more file')}"] if more else shown), style="dim")


def readings_text(readings: Iterable[str]) -> RenderableType:
    """How the files were read, a line for each way."""
    return _indented(Text.assemble(("read as:", "dim"), *(f"\n  {sentence}" for sentence in readings)))


def reasons_table(reasons: dict[str, int]) -> Table:
    """Why rows did not arrive, the commonest reason first."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(Text(reason), number(count), _REASONS.get(reason, ""))
    return table


def _requests(report: RunReport) -> Text:
    requests = report.requests
    said = [f"{plural(requests.bulk, 'bulk request')}, {plural(requests.status, 'status request')}"]
    said.append(f"{number(requests.throttled)} throttled")
    if report.started_at and report.completed_at:
        said.append(f"took {duration((report.completed_at - report.started_at).total_seconds())}")
    if report.automations_withheld:
        said.append(f"{plural(report.automations_withheld, 'contact')} without automations (sent again)")
    return Text(", ".join(said), style="dim")


def _what_next(report: RunReport) -> list[Text]:
    lines = []
    short_id = report.run_id[:SHORT_ID_DIGITS]
    if report.waiting_for:
        lines.append(Text(f"waiting for: {report.waiting_for}", style="cyan"))
    if not report.state.final:
        lines.append(_hint("follow it", f"exporter run watch {short_id}"))
    elif report.reasons:
        lines.append(_hint("each row", f"exporter run rejects {short_id} > rejects.csv"))
    if report.state in _REDRIVABLE and report.counts.undelivered:
        lines.append(_hint("send the rest", f"exporter run redrive {short_id}"))
    return lines


def _hint(label: str, command: str) -> Text:
    return Text.assemble((f"{label}: ", "dim"), command)


class _Indented:
    """A text or a table two columns in. Where lines are not broken, as in a file, no line of text is cut."""

    def __init__(self, part: RenderableType, above: int) -> None:
        self._part = part
        self._above = above

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.no_wrap and isinstance(self._part, Text):
            lines = self._part.split("\n", allow_blank=True)
            yield from [Text("")] * self._above
            yield from (Text.assemble("  ", line) for line in lines)
        else:
            yield Padding(self._part, (self._above, 0, 0, 2), expand=False)


def _indented(part: RenderableType, *, above: int = 1) -> _Indented:
    return _Indented(part, above)
