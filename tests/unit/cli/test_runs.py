from exporter.cli.running import ExitCode
from exporter.domain.run import PlanRecord
from tests.unit.cli.world import World, a_report

REJECTS = b'source,row,reason,detail,email\r\nvip/a.csv,7,invalid_email,there is no @,"\'=x, y"\r\n'


def test_runs_are_listed_newest_first(world: World) -> None:
    for number in range(3):
        world.clock.seconds = number
        world.has_run(a_report(delivered=number, run_id=f"{number}" * 32))
    assert world.command("run", "list", "--json", "--limit", "2") == ExitCode.DONE
    assert [report["run_id"][0] for report in world.document] == ["2", "1"]
    assert world.command("run", "list", "--limit", "2") == ExitCode.DONE
    assert [line[:12] for line in world.out.splitlines()[1:]] == ["2" * 12, "1" * 12]
    assert "1 older ones: --limit 0 lists all." in world.err
    assert world.command("run", "list", "--limit", "0", "--json") == ExitCode.DONE
    assert len(world.document) == 3


def test_no_runs_yet(world: World) -> None:
    assert world.command("run", "list", "--json") == ExitCode.DONE
    assert world.document == []
    assert world.command("run", "list") == ExitCode.DONE
    assert "no runs yet" in world.out


def test_a_run_is_shown_by_the_beginning_of_its_id(world: World) -> None:
    report = a_report("failed", rejected=3, error="too many rejects")
    world.has_run(report)
    assert world.command("run", "show", "aaa", "--json") == ExitCode.DONE
    assert world.document == report.model_dump(mode="json")
    assert world.command("run", "show", report.run_id) == ExitCode.DONE
    assert "too many rejects" in world.out


def test_no_line_is_cut_where_nobody_sees_its_width(world: World) -> None:
    message = "too many rejects " * 30 + "end"
    world.has_run(a_report("failed", error=message))

    assert world.command("run", "show", "aaa") == ExitCode.DONE
    assert f"  {message}" in world.out.splitlines()


def test_a_run_is_shown_with_how_its_files_were_read_beside_its_report(world: World) -> None:
    report = a_report(delivered=3)
    world.has_run(report)
    told = ("vip/a.csv: CSV in UTF-8", "[b]b.csv: Parquet" + "; found" * 50)
    world.plans[report.run_id] = PlanRecord(
        epoch=1, rows=3, rejected=0, duplicates=0, reasons={}, bodies=((3,),), readings=told
    )

    assert world.command("run", "show", "aaa", "--json") == ExitCode.DONE
    assert world.document == {**report.model_dump(mode="json"), "read_as": [*told]}
    assert world.command("run", "show", "aaa") == ExitCode.DONE
    lines = [line.strip() for line in world.out.splitlines()]
    assert lines[lines.index("read as:") :][:3] == ["read as:", *told]


def test_an_id_that_names_no_run_or_many_is_an_error(world: World) -> None:
    world.has_run(a_report(run_id="ab" + "0" * 30))
    world.has_run(a_report(run_id="ac" + "0" * 30))
    assert world.command("run", "show", "b") == ExitCode.ERROR
    assert "there is no run 'b'" in world.err
    assert world.command("run", "show", "a") == ExitCode.ERROR
    assert "2 runs begin with 'a'" in world.err
    assert world.command("run", "show", "") == ExitCode.ERROR
    assert world.command("run", "show", "../../x") == ExitCode.ERROR


def test_watching_ends_with_the_run_and_its_exit_code(world: World) -> None:
    world.has_run(a_report("delivering", delivered=1, undelivered=1))
    world.clock.on_sleep = lambda: world.has_run(a_report("failed", undelivered=2))
    assert world.command("run", "watch", "aa", "--json") == ExitCode.FAILED
    assert world.document["state"] == "failed"
    assert [line.partition(",")[0] for line in world.err.splitlines()] == ["vip: delivering", "vip: failed"]


def test_rejects_are_csv_or_json(world: World) -> None:
    world.has_run(a_report(delivered=1, rejected=1))
    world.reports.rejects["a" * 32] = REJECTS
    assert world.command("run", "rejects", "aa") == ExitCode.DONE
    assert world.out.encode() == REJECTS
    assert world.command("run", "rejects", "aa", "--json") == ExitCode.DONE
    assert world.document == [
        {
            "source": "vip/a.csv",
            "row": 7,
            "reason": "invalid_email",
            "detail": "there is no @",
            "email": "'=x, y",
        }
    ]


def test_rejects_of_a_run_under_way_are_not_complete(world: World) -> None:
    world.has_run(a_report("settling", delivered=1))
    assert world.command("run", "rejects", "aa") == ExitCode.ERROR
    assert "the run is still settling" in world.err


def test_rejects_that_are_deleted_by_now_are_told(world: World) -> None:
    world.has_run(a_report(delivered=1, rejected=1))
    world.clock.seconds += 31 * 24 * 3600
    assert world.command("run", "rejects", "aa") == ExitCode.ERROR
    assert "more than 30 days ago" in world.err
    assert "exporter run show aaaaaaaaaaaa" in world.err
