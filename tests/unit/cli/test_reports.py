import io

import pytest
from rich.console import Console, RenderableType

from exporter.cli.console import Output
from exporter.cli.reports import report_text, runs_table
from exporter.cli.wording import duration, number, plural, share
from exporter.domain.run import RunError, RunReport
from tests.unit.cli.world import a_report


def rendered(part: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    console.print(part)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_a_report_shows_counts_that_add_up_reasons_and_what_next() -> None:
    report = a_report("partly_failed", rows=1000, delivered=990, duplicates=1, rejected=9)
    assert rendered(report_text(report)) == [
        f"vip  partly failed  run {'a' * 32}",
        "  vip/customers.csv",
        "",
        "  delivered     990  99.0 %  written to ActiveCampaign",
        "  duplicates      1   0.1 %  another row of the drop has the address",
        "  rejected        9   0.9 %  not sent: something is wrong with the row",
        "  rows        1,000",
        "",
        "  invalid_email  9  the address can't exist",
        "",
        "  4 bulk requests, 1 status request, 0 throttled, took 1 min 5 s",
        "",
        f"  each row: exporter run rejects {'a' * 12} > rejects.csv",
    ]


@pytest.mark.parametrize(
    ("state", "undelivered", "offered"),
    [("cancelled", 5, True), ("failed", 5, True), ("partly_failed", 0, False), ("superseded", 5, False)],
)
def test_a_run_that_left_something_says_how_to_send_it(state: str, undelivered: int, offered: bool) -> None:
    report = a_report(state, delivered=1, undelivered=undelivered)

    assert (f"exporter run redrive {'a' * 12}" in "\n".join(rendered(report_text(report)))) is offered


def test_a_run_under_way_says_what_it_waits_for() -> None:
    report = a_report("delivering", delivered=1, undelivered=9).model_copy(
        update={"waiting_for": "slots on account acme", "retrying": True}
    )
    text = "\n".join(rendered(report_text(report)))
    assert "delivering, retrying" in text
    assert "waiting for: slots on account acme" in text
    assert "exporter run watch" in text


def test_an_error_is_shown_and_nothing_empty() -> None:
    text = rendered(report_text(a_report("failed", error="list 5 does not exist")))
    assert text[3:] == ["  list 5 does not exist"]


def test_counts_that_do_not_add_up_are_pointed_out() -> None:
    text = "\n".join(rendered(report_text(a_report(rows=5, delivered=4))))
    assert "do not add up" in text


def test_names_from_outside_can_neither_style_nor_move_the_terminal() -> None:
    report = a_report(delivered=1).model_copy(update={"source": ("vip/[red]\x1b[2J.csv", "b", "c", "d")})
    text = rendered(report_text(report))
    assert text[1] == "  vip/[red]\\x1b[2J.csv"
    assert text[4] == "  and 1 more file"


def test_the_table_of_runs_has_a_line_each() -> None:
    lines = rendered(runs_table([a_report(delivered=1234), a_report("failed", rejected=2)]))
    assert [line.split()[3:7] for line in lines[1:]] == [
        ["succeeded", "1,234", "1,234", "0"],
        ["failed", "2", "0", "2"],
    ]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (number(1234567), "1,234,567"),
        (plural(1, "row"), "1 row"),
        (plural(2000, "row"), "2,000 rows"),
        (duration(0.4), "0 s"),
        (duration(59.6), "1 min 0 s"),
        (duration(3725), "1 h 2 min"),
        (share(1, 0), ""),
        (share(0, 10), "0.0 %"),
        (share(1, 100_000), "<0.1 %"),
        (share(99_999, 100_000), ">99.9 %"),
        (share(1, 3), "33.3 %"),
    ],
)
def test_numbers_read_well(said: str, text: str) -> None:
    assert said == text


def test_the_report_type_is_the_contract() -> None:
    assert [*RunReport.model_fields] == [
        "run_id",
        "export_id",
        "segment",
        "source",
        "cause",
        "state",
        "retrying",
        "waiting_for",
        "counts",
        "reasons",
        "requests",
        "automations_withheld",
        "started_at",
        "completed_at",
        "error",
    ]


@pytest.mark.parametrize("columns", [None, "60"])
def test_nothing_of_a_long_error_is_lost_in_a_pipe(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no width of its own, and may be given one."""
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    message = " ".join(f"word{number}" for number in range(100))
    report = a_report("failed").model_copy(update={"error": RunError(code="bad_file", message=message)})

    Output().show(report_text(report))

    written = capsys.readouterr().out
    assert message in " ".join(written.split())
    assert any(message in line for line in written.splitlines()) == (columns is None)


def test_a_file_that_no_recipe_knows_has_neither_export_nor_segment() -> None:
    report = a_report("skipped").model_copy(update={"export_id": None, "segment": ""})

    assert rendered(report_text(report))[0] == f"no segment  skipped  run {'a' * 32}"
    assert rendered(runs_table([report]))[1].split()[1:4] == ["-", "-", "skipped"]
