"""The bindings, host.json and the code name the same things."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from exporter.adapters.storage import LANDING_CONTAINER
from exporter.steps.messages import Queue
from tests.security.strangers import functions_of, load_function_app, open_doors
from tests.structure.test_docs import text_of

ROOT = Path(__file__).resolve().parents[2]
LIST_FUNCTIONS = """
import json, sys
import function_app
found = {f.get_function_name(): f.get_trigger().get_dict_repr() for f in function_app.app.get_functions()}
json.dump({"functions": found, "modules": sorted(sys.modules)}, sys.stdout, default=str)
"""
READ_AS_THE_HOST_DOES = """
import os
from sandbox.host import zygote
from sandbox.host.functions import read_functions
for function in read_functions([zygote.describe(found) for found in zygote.import_app()], os.environ):
    print(function.name)
"""
BY_KEY = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "EXPORTER_STORAGE": "UseDevelopmentStorage=true",
}
BY_IDENTITY = {
    f"{connection}__{service}ServiceUri": f"https://{account}.{service}.core.windows.net"
    for connection, account in (
        ("AzureWebJobsStorage", "state"),
        ("EXPORTER_STORAGE", "state"),
        ("EXPORTER_LANDING", "landing"),
    )
    for service in ("blob", "queue")
}


@pytest.fixture(scope="module")
def app() -> Any:
    """The app's triggers by function, and the modules that importing it loads."""
    environ = {**os.environ, "EXPORTER_STORAGE": "UseDevelopmentStorage=true", "EXPORTER_LANDING": ""}
    listed = subprocess.run(
        [sys.executable, "-c", LIST_FUNCTIONS], cwd=ROOT, env=environ, capture_output=True, check=True
    )
    return json.loads(listed.stdout)


def test_every_queue_and_its_poison_queue_has_one_function(app: Any) -> None:
    bound = sorted(t["queueName"] for t in app["functions"].values() if t["type"] == "queueTrigger")

    own = [name for queue in Queue for name in (queue.value, f"{queue.value}-poison")]
    assert bound == sorted([*own, "webjobs-blobtrigger-poison"])


def test_drops_are_announced_by_event_grid(app: Any) -> None:
    trigger = app["functions"]["on_segment_dropped"]

    assert trigger["type"] == "blobTrigger"
    assert str(trigger["path"]) == f"{LANDING_CONTAINER}/{{name}}"
    assert "EVENT_GRID" in str(trigger["source"]) or trigger["source"] == "EventGrid"


def test_importing_the_app_loads_no_heavy_library(app: Any) -> None:
    assert not {"pyarrow", "pandas", "polars", "duckdb", "numpy", "yaml", "typer", "rich"} & set(
        app["modules"]
    )


def test_telemetry_is_loaded_where_somebody_takes_it_alone(app: Any) -> None:
    assert [name for name in app["modules"] if name.startswith(("opentelemetry", "azure.monitor"))] == []


def test_messages_are_sent_and_read_in_the_same_encoding() -> None:
    host = json.loads((ROOT / "host.json").read_text())

    assert host["extensions"]["queues"]["messageEncoding"] == "none"


def test_a_failed_message_waits_before_its_next_try_and_polling_is_quick() -> None:
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]

    assert queues["visibilityTimeout"] == "00:00:30"
    assert queues["maxPollingInterval"] == "00:00:02"
    assert queues["maxDequeueCount"] == 5


def refused_by_the_host(settings: dict[str, str]) -> str:
    """What the host finds wrong with the app under these settings: what the worker does not look at."""
    others = {
        name: value for name, value in os.environ.items() if not name.startswith(("EXPORTER_", "Azure"))
    }
    read = subprocess.run(
        [sys.executable, "-c", READ_AS_THE_HOST_DOES],
        cwd=ROOT,
        env={**others, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode or "on_segment_dropped" in read.stdout.splitlines()
    return read.stderr if read.returncode else ""


@pytest.mark.parametrize("settings", [BY_KEY, BY_IDENTITY], ids=["by key", "by identity"])
def test_names_schedules_and_connections_are_such_that_the_host_starts(settings: dict[str, str]) -> None:
    assert refused_by_the_host(settings) == ""


def test_a_connection_without_its_queues_would_be_noticed() -> None:
    """A blob trigger needs the account's queues as well (azure-facts 8.8)."""
    without = {
        name: value for name, value in BY_IDENTITY.items() if name != "EXPORTER_LANDING__queueServiceUri"
    }

    assert "EXPORTER_LANDING__queueServiceUri" in refused_by_the_host(without)


def test_the_readme_lists_every_route(app: Any) -> None:
    table = text_of("README.md").partition("\n## HTTP\n")[2].partition("\n## ")[0]
    prefix = json.loads((ROOT / "host.json").read_text())["extensions"]["http"]["routePrefix"]

    routes = [
        f"{method} /{prefix}/{trigger['route']}"
        for trigger in app["functions"].values()
        if trigger["type"] == "httpTrigger"
        for method in trigger["methods"]
    ]
    assert routes
    assert sorted(re.findall(r"^\| `([A-Z]+ [^`]+)` \|", table, re.MULTILINE)) == sorted(routes)


def test_a_function_over_http_that_names_no_level_asks_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    app = load_function_app(monkeypatch).app

    @app.route("runs")  # type: ignore[untyped-decorator]
    async def list_runs(req: func.HttpRequest) -> str:
        raise AssertionError

    functions = functions_of(app)

    assert "list_runs" in functions
    assert open_doors(functions) == []
