"""The bindings, host.json and the code name the same things."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.adapters.storage import LANDING_CONTAINER
from exporter.steps.messages import Queue

ROOT = Path(__file__).resolve().parents[2]
LIST_FUNCTIONS = """
import json, sys
import function_app
found = {f.get_function_name(): f.get_trigger().get_dict_repr() for f in function_app.app.get_functions()}
json.dump({"functions": found, "modules": sorted(sys.modules)}, sys.stdout, default=str)
"""


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


def test_messages_are_sent_and_read_in_the_same_encoding() -> None:
    host = json.loads((ROOT / "host.json").read_text())

    assert host["extensions"]["queues"]["messageEncoding"] == "none"


def test_a_failed_message_waits_before_its_next_try_and_polling_is_quick() -> None:
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]

    assert queues["visibilityTimeout"] == "00:00:30"
    assert queues["maxPollingInterval"] == "00:00:02"
    assert queues["maxDequeueCount"] == 5
