"""Every function of the app is indexed, loaded and called in the platform's own worker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.worker_check.__main__ import check_app
from sandbox.worker_check.calls import read_plan
from sandbox.worker_check.package import pack
from sandbox.worker_check.trial import run_worker
from tests.runs.site import ROOT
from tests.security.strangers import functions_of, load_function_app

CALLS = Path(__file__).parent / "calls.json"


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    """A copy of the app, to be broken."""
    return pack(ROOT, tmp_path / "broken")


def broken(app_dir: Path, change: Callable[[str], str]) -> Path:
    """The app with another `function_app.py`."""
    file = app_dir / "function_app.py"
    before = file.read_text()
    file.write_text(change(before))
    assert file.read_text() != before
    return app_dir


def test_the_worker_makes_of_the_app_what_the_local_host_does(
    worker_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = check_app(ROOT, CALLS, worker_python)

    assert verdict.differences == ()
    assert verdict.ok
    assert verdict.python.startswith("3.13.")
    bound = functions_of(load_function_app(monkeypatch).app)
    assert {row.function for row in verdict.rows} == bound.keys()
    assert all(row.indexed and row.loaded and row.invoked and row.same for row in verdict.rows)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "import exporter.nowhere\n" + text, "exporter.nowhere"),
        (lambda text: text.replace('route="health", trigger_arg_name="request"', 'route="health"'), "health"),
        (lambda text: text.replace("def on_plan_poisoned(", "def on_chunk_poisoned("), "on_chunk_poisoned"),
        (lambda text: text + "\nsecond = func.FunctionApp()\n", "More than one"),
        (lambda text: text.replace("timer: func.TimerRequest", "timer: func.QueueMessage"), "timer"),
    ],
    ids=["an import fails", "a parameter has no binding", "a name twice", "two apps", "a wrong annotation"],
)
def test_what_the_worker_refuses_is_told(
    worker_python: Path, app_dir: Path, tmp_path: Path, change: Callable[[str], str], why: str, azurite: str
) -> None:
    plan = replace(read_plan(CALLS), calls=())

    side = run_worker(broken(app_dir, change), plan, worker_python, azurite, tmp_path / "report.json")

    assert why in side.report["refused"]


def test_a_refusal_fails_the_check(worker_python: Path, app_dir: Path) -> None:
    verdict = check_app(
        broken(app_dir, lambda text: "import exporter.nowhere\n" + text), CALLS, worker_python
    )

    assert not verdict.ok
    assert any(text.startswith("the worker refuses the app: ") for text in verdict.differences)
    assert not any(row.indexed or row.same for row in verdict.rows)


def test_a_value_that_nothing_is_bound_to_fails_in_the_worker_alone(
    worker_python: Path, app_dir: Path
) -> None:
    """The local host lets it pass; so it is the comparison that finds it."""
    change = "    await sweep((await process.get(SETTINGS)).ports)\n"
    verdict = check_app(
        broken(app_dir, lambda text: text.replace(change, f"{change}    return 1\n")), CALLS, worker_python
    )

    assert not verdict.ok
    assert {row.function for row in verdict.rows if not row.same} == {"sweep_stalled_runs"}
    assert any("without a $return binding" in text for text in verdict.differences)


def test_outputs_retries_plain_functions_and_parameters_are_compared_too(worker_python: Path) -> None:
    """What the exporter does not use yet; so an app that begins to is not compared in vain."""
    sample = Path(__file__).parent / "sample"

    verdict = check_app(sample, sample / "calls.json", worker_python)

    assert verdict.differences == ()
    assert {row.function: row.invoked for row in verdict.rows} == {
        "split_order": 2,
        "count_stock": 2,
        "show_stock": 1,
    }
