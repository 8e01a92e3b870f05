import builtins
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.demo import compare, demo_configuration, demo_environ
from exporter.cli.local import Simulator, blank_settings, lock_folder, with_storage
from exporter.cli.running import ExitCode
from exporter.cli.up import host_environ
from exporter.domain.hosts import HostPolicy
from exporter.errors import ConfigurationError
from exporter.settings import Settings
from sandbox.segment import Truth
from tests.unit.cli.world import STORAGE, World, a_report

AZURITE = "AccountName=devstoreaccount1;AccountKey=ab==;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1"


def test_a_storage_of_its_own_serves_app_and_host() -> None:
    environ = with_storage({"EXPORTER_STORAGE__blobServiceUri": "x", "PATH": "/bin"}, AZURITE)
    assert environ["AzureWebJobsStorage"] == AZURITE
    assert environ["PATH"] == "/bin"
    assert Settings.from_env(environ).storage.connection_string == AZURITE


def test_landing_stays_where_it_is_unless_it_was_the_same() -> None:
    same = with_storage({"EXPORTER_STORAGE": STORAGE, "EXPORTER_LANDING": STORAGE}, AZURITE)
    other = with_storage({"EXPORTER_LANDING": STORAGE}, AZURITE)
    assert Settings.from_env(same).landing.connection_string == AZURITE
    assert Settings.from_env(other).landing.connection_string == STORAGE


def test_the_host_keeps_its_state_where_the_app_does() -> None:
    identity = {"EXPORTER_STORAGE__blobServiceUri": "b", "EXPORTER_STORAGE__queueServiceUri": "q"}
    assert host_environ({"EXPORTER_STORAGE": STORAGE})["AzureWebJobsStorage"] == STORAGE
    assert host_environ(identity)["AzureWebJobsStorage__queueServiceUri"] == "q"
    assert (
        host_environ({"EXPORTER_STORAGE": STORAGE, "AzureWebJobsStorage": "own"})["AzureWebJobsStorage"]
        == "own"
    )


def test_the_demo_uses_nothing_of_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTER_VAULT_URL", "https://acme.vault.azure.net")
    monkeypatch.setenv("EXPORTER_SECRET_OTHER", "canary")
    simulator = Simulator(url="http://127.0.0.1:8025", host="127.0.0.1:8025")
    settings = Settings.from_env(demo_environ(AZURITE, simulator))
    assert settings.vault_url is None
    assert settings.host_policy.local_hosts == ("127.0.0.1:8025",)
    assert [*settings.local_secrets] == ["activecampaign-demo"]
    assert settings.storage.connection_string == AZURITE


def test_blank_settings_name_all_that_may_be_set() -> None:
    assert blank_settings({"EXPORTER_SECRET_X": "y", "PATH": "/bin"})["EXPORTER_SECRET_X"] == ""
    assert "PATH" not in blank_settings({"PATH": "/bin"})


def test_the_demos_configuration_is_valid() -> None:
    configuration = demo_configuration("127.0.0.1:8025")
    HostPolicy(local_hosts=("127.0.0.1:8025",)).check(configuration.connections[0].host)
    assert configuration.exports[0].connection == configuration.connections[0].id


TRUTH = Truth(
    rows=2,
    contacts={
        "ann@example.org": {
            "FirstName": "Ann",
            "LastName": "Ford",
            "Phone": "",
            "City": "Ulm",
            "Tier": "plus",
        }
    },
)
CONTACT: dict[str, Any] = {
    "email": "ann@example.org",
    "first_name": "Ann",
    "last_name": "Ford",
    "phone": "",
    "fields": {"1": "Ulm"},
    "tags": ["demo", "plus"],
    "lists": {"2": 1},
}


async def contacts(*found: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for contact in found:
        yield contact


async def test_the_demo_compares_counts_and_every_value() -> None:
    TRUTH.rejected.clear()
    TRUTH.rejected["invalid_email"] = 1
    report = a_report(delivered=1, rejected=1)
    assert all(entry.equal for entry in await compare(report, TRUTH, contacts(CONTACT)))

    wrong = CONTACT | {"first_name": "Anne"}
    unequal = [entry.what for entry in await compare(report, TRUTH, contacts(wrong)) if not entry.equal]
    assert unequal == ["with every value right"]

    lost = [entry.what for entry in await compare(report, TRUTH, contacts()) if not entry.equal]
    assert lost == ["contacts in ActiveCampaign", "with every value right"]


@pytest.mark.parametrize("command", ["demo", "up"])
def test_a_deployment_without_the_sandbox_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    real_import = builtins.__import__

    def without_sandbox(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "sandbox":
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    for name in [name for name in sys.modules if name.partition(".")[0] == "sandbox"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_sandbox)
    assert world.command(command, "--json") == ExitCode.ERROR
    assert "run it in a checkout" in world.document["error"]["message"]


def test_a_second_up_on_the_same_folder_says_who_uses_it(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPORTER_STORAGE", "")
    monkeypatch.setattr("exporter.cli.up.ROOT", tmp_path)  # without anybody's local settings
    with lock_folder(tmp_path):
        before = sorted(tmp_path.iterdir())
        assert world.command("up", "--data", tmp_path, "--json") == ExitCode.ERROR
        assert sorted(tmp_path.iterdir()) == before
    message = world.document["error"]["message"]
    assert f"another `exporter up` (pid {os.getpid()}) uses {tmp_path}" in message
    assert "EXPORTER_STORAGE" in message
    assert "--data" in message
    with lock_folder(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from exporter.cli.local import lock_folder\n"
        "with lock_folder(Path(sys.argv[1])): print('locked', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE)
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"locked\n"
            with pytest.raises(ConfigurationError, match=f"pid {holder.pid}"), lock_folder(tmp_path):
                pass
        finally:
            holder.kill()
    with lock_folder(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
