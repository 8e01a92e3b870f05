import io

from rich.console import Console

from exporter.cli.follow import LiveDisplay, PlainDisplay, Speed, display_on, follow_runs
from tests.unit.cli.world import World, a_report


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def said(on: Console) -> str:
    text: str = on.file.getvalue()  # type: ignore[attr-defined]
    return text


async def test_all_runs_are_followed_to_their_end(world: World) -> None:
    first, second = "1" * 32, "2" * 32
    world.has_run(a_report(delivered=1, run_id=first))
    world.has_run(a_report("planning", run_id=second))
    steps = iter(
        [
            a_report("delivering", delivered=0, undelivered=100, run_id=second),
            a_report("settling", delivered=60, undelivered=40, run_id=second),
            a_report("succeeded", delivered=100, run_id=second),
        ]
    )
    world.clock.on_sleep = lambda: world.has_run(next(steps))
    shown = console()
    reports = await follow_runs([second, first], world.ports, PlainDisplay(shown))
    assert [report.run_id for report in reports] == [second, first]
    assert said(shown).splitlines() == [
        "vip: planning",
        "vip: succeeded, 1 of 1 contacts",
        "vip: delivering, 0 of 100 contacts",
        "vip: settling, 60 of 100 contacts, 1,800/min, 1 s left",
        "vip: succeeded, 100 of 100 contacts, 2,000/min",
    ]


async def test_a_look_that_takes_long_is_followed_by_a_longer_pause(world: World) -> None:
    world.has_run(a_report("planning"))
    load = world.runs.load

    async def slow(run_id: str) -> object:
        world.clock.seconds += 2
        return await load(run_id)

    world.runs.load = slow  # type: ignore[assignment]
    world.clock.on_sleep = lambda: world.has_run(a_report(delivered=1))
    await follow_runs(["a" * 32], world.ports, PlainDisplay(console()))
    assert world.clock.seconds == 2 + 10 + 2


def test_speed_is_that_of_the_last_minute() -> None:
    speed = Speed(window_seconds=60)
    for second in range(0, 600, 10):
        speed.add(second, 0)
    speed.add(600, 25_000)
    assert speed.per_minute == 25_000
    assert speed.seconds_left(50_000) == 60
    assert speed.seconds_left(25_000) == 0


def test_nobody_can_say_how_long_nothing_takes() -> None:
    speed = Speed()
    speed.add(0, 5)
    speed.add(10, 5)
    assert speed.per_minute == 0
    assert speed.seconds_left(10) is None


def test_the_bar_is_for_terminals() -> None:
    shown = console(terminal=True)
    display = display_on(shown)
    assert isinstance(display, LiveDisplay)
    with display:
        display.update(a_report("planning"), 0.0)
        display.update(a_report("delivering", delivered=25, undelivered=75), 1.0)
        display.update(a_report(delivered=100), 2.0)
    assert "100 of 100 contacts" in said(shown)
    assert isinstance(display_on(console()), PlainDisplay)
