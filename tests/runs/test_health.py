"""`GET /api/health` of the app in the local host: who may ask, and what it says as things get worse."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from exporter import __version__
from sandbox.azurite import Azurite
from sandbox.host import LocalHost
from tests.runs.site import ROOT, environ_of

KEY_OF_THE_HOST = "the-key-of-the-host"


def call(host: LocalHost, path: str, *, key: str | None = KEY_OF_THE_HOST, post: bool = False) -> Any:
    """Status and document of an answer."""
    headers = {"x-functions-key": key} if key else {}
    request = urllib.request.Request(f"{host.api}/{path}", data=b"{}" if post else None, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def test_health_tells_whether_the_sweep_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("health")
    with Azurite() as storage, (folder / "host.log").open("wb") as log:
        settings = {
            **environ_of(storage.connection_string, "127.0.0.1:9"),
            "AzureWebJobs.sweep_stalled_runs.Disabled": "true",  # it runs when it is called by hand
        }
        with LocalHost(ROOT, settings, log=log, function_key=KEY_OF_THE_HOST) as host:
            assert call(host, "api/health", key=None) == (401, None)
            assert call(host, "api/health", key="another") == (401, None)
            assert call(host, "api/health", post=True)[0] == 405

            assert call(host, "api/health") == (
                503,
                {
                    "ok": False,
                    "version": __version__,
                    "heartbeat_age_seconds": None,
                    "code": "never_swept",
                },
            )

            assert call(host, "admin/functions/sweep_stalled_runs", post=True)[0] == 202
            status, document = call(host, "api/health")
            assert (status, document["ok"], document["version"]) == (200, True, __version__)
            assert document.keys() == {"ok", "version", "heartbeat_age_seconds"}
            assert document["heartbeat_age_seconds"] >= 0

            storage.stop()
            status, document = call(host, "api/health")
            assert (status, document["code"]) == (503, "storage_unreachable")
