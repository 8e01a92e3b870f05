"""Cancel, pause and resume on the command line."""

import asyncio

import pytest

from exporter.cli.running import ExitCode
from exporter.domain.run import Run, RunState
from exporter.steps.messages import ChunkMessage, PlanMessage, Queue
from tests.builders import a_run
from tests.unit.cli.world import World, a_report


@pytest.fixture
def open_run(world: World) -> Run:
    """A run that is sending."""
    run = a_run(RunState.DELIVERING, plan_epoch=1)
    world.runs.known[run.run_id] = run
    return run


def test_cancel_stops_a_run_and_says_how_to_send_the_rest(world: World, open_run: Run) -> None:
    assert world.command("run", "cancel", open_run.short_id) == ExitCode.DONE

    stopped = world.runs.known[open_run.run_id].stopped
    assert stopped is not None
    assert (stopped.code, stopped.message[:13]) == ("cancelled", "cancelled by ")
    assert f"exporter run redrive {open_run.short_id}" in world.err


def test_cancel_twice_and_after_the_end_changes_nothing_and_says_so(world: World, open_run: Run) -> None:
    ended = world.has_run(a_report("succeeded", run_id="e" * 32, delivered=3))
    world.command("run", "cancel", open_run.short_id)

    for run_id in (open_run.run_id, ended.run_id):
        before = world.runs.known[run_id]
        assert world.command("run", "cancel", run_id) == ExitCode.DONE
        assert "nothing was changed" in world.err
        assert world.runs.known[run_id] == before


def test_a_run_is_paused_with_a_reason_and_resumed(world: World, open_run: Run) -> None:
    assert world.command("run", "pause", open_run.short_id, "--reason", "wrong prices", "--json") == 0
    assert world.document["state"] == "paused"
    assert "wrong prices" in world.document["waiting_for"]
    assert f"exporter run resume {open_run.short_id}" in world.document["waiting_for"]

    assert world.command("run", "resume", open_run.short_id, "--json") == 0
    assert world.document["state"] == "delivering"
    assert world.queued == [(Queue.CHUNKS, ChunkMessage(run_id=open_run.run_id, chunk=0))]


@pytest.mark.parametrize("word", ["pause", "resume", "redrive"])
def test_what_can_not_be_done_with_a_run_is_an_error_that_says_why(world: World, word: str) -> None:
    ended = world.has_run(a_report("succeeded", delivered=3))

    assert world.command("run", word, ended.run_id, "--json") == ExitCode.ERROR
    assert world.document["error"]["code"] == "configuration"
    assert world.runs.known[ended.run_id] == ended


def test_a_connection_is_paused_shown_as_such_and_resumed(world: World, open_run: Run) -> None:
    world.configure()
    assert world.command("connection", "pause", "acme", "--reason", "audit") == ExitCode.DONE
    assert "connection acme is paused since" in world.out
    assert world.command("connection", "list") == ExitCode.DONE
    assert "audit" in world.out
    assert world.command("run", "show", open_run.run_id, "--json") == ExitCode.DONE
    assert world.document["state"] == "paused"
    assert "exporter connection resume acme" in world.document["waiting_for"]

    assert world.command("connection", "resume", "acme") == ExitCode.DONE
    assert "1 run" in world.out
    assert world.pauses.kept.connections == {}
    assert [queue for queue, _ in world.queued] == [Queue.CHUNKS]


@pytest.mark.parametrize("word", ["pause", "resume"])
def test_a_connection_that_does_not_exist_is_refused(world: World, word: str) -> None:
    world.configure()

    assert world.command("connection", word, "acne", "--json") == ExitCode.ERROR
    assert "known: acme" in world.document["error"]["message"]
    assert world.pauses.kept.connections == {}


def test_a_pause_of_a_connection_that_was_removed_can_still_be_ended(world: World) -> None:
    world.configure()
    world.command("connection", "pause", "acme")
    etag = asyncio.run(world.registry.connections())["acme"].etag
    asyncio.run(world.registry.remove_connection("acme", etag=etag))

    assert world.command("connection", "resume", "acme") == ExitCode.DONE
    assert world.pauses.kept.connections == {}


def test_everything_is_paused_and_resumed_but_what_is_paused_by_itself(world: World, open_run: Run) -> None:
    waiting = a_run(run_id="f" * 32)
    world.runs.known[waiting.run_id] = waiting
    world.command("run", "pause", open_run.run_id)

    assert world.command("pause", "--all", "--json") == ExitCode.DONE
    assert world.document["everything"]["by"]
    assert world.document["connections"] == {}

    assert world.command("resume", "--all") == ExitCode.DONE
    assert world.queued == [(Queue.PLANS, PlanMessage(run_id=waiting.run_id))]
    assert world.runs.known[open_run.run_id].pause is not None


@pytest.mark.parametrize("word", ["pause", "resume"])
def test_whoever_means_everything_has_to_say_so(world: World, word: str) -> None:
    assert world.command(word, "--json") == ExitCode.USAGE
    assert "--all" in world.document["error"]["message"]
    assert world.pauses.kept.everything is None
