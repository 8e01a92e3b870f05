"""The app as the platform sees it, with its steps on pretended ports."""

import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest

from exporter.settings import Settings
from tests.canary import KEY
from tests.fakes.world import Worker
from tests.runs.site import ROOT


def load_function_app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A fresh `function_app`, with settings of its own."""
    for name, value in {
        "EXPORTER_STORAGE": f"AccountName=acme;AccountKey={KEY}",
        "EXPORTER_LANDING": "",
    }.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("function_app_under_test", ROOT / "function_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class AppOfWorker:
    """Takes the place of the app of a process: the worker's ports."""

    def __init__(self, worker: Worker) -> None:
        self.ports = worker.ports
        self.plan_gate = worker.plan_gate

    async def get(self, _: Settings) -> "AppOfWorker":
        return self


@dataclass(frozen=True, slots=True)
class Bound:
    """A function of the app: what is called, and by which trigger."""

    call: Any
    trigger: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.trigger["type"])


def functions_of(app: func.FunctionApp) -> dict[str, Bound]:
    """The functions that an app has bound, by name. The library lets an app be asked once."""
    found = {}
    for function in app.get_functions():
        trigger = function.get_trigger()
        assert trigger is not None
        found[str(function.get_function_name())] = Bound(
            function.get_user_function(), trigger.get_dict_repr()
        )
    return found


def open_doors(functions: dict[str, Bound]) -> list[str]:
    """The functions that anybody may call over HTTP: those that ask for no key."""
    return [
        name
        for name, function in functions.items()
        if function.kind == "httpTrigger" and _level(function) not in {"function", "admin"}
    ]


def _level(function: Bound) -> str:
    level = function.trigger.get("authLevel")
    return str(getattr(level, "value", level)).lower()
