"""The command's own checks: settings, configuration, secrets and connections; and how it speaks."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

import exporter.cli.deployment
import exporter.cli.doctor
from exporter.adapters.secrets import SecretReader
from exporter.cli.deployment import examine_deployment
from exporter.cli.running import ExitCode
from exporter.domain.configuration import Connection, Export
from exporter.settings import SecretText, Settings
from exporter.steps.doctor import Code, Examination, TroubleError
from tests.deployment.arm import GROUP, SUBSCRIPTION, Arm, a_deployment
from tests.fakes.activecampaign import FakeActiveCampaign, FakeDestinations
from tests.fakes.budgets import FakeBudgetStore
from tests.fakes.instruments import FakeInstruments, a_trouble
from tests.fakes.storage import FakeStorage, Process
from tests.unit.cli.world import World, a_connection, an_export

KEY = "canary-key"


@dataclass
class Practice:
    """What stands in for storage, vault and ActiveCampaign."""

    world: World
    instruments: FakeInstruments = field(default_factory=FakeInstruments)
    secrets: dict[str, SecretText] = field(default_factory=lambda: {"key": SecretText(KEY)})

    def __post_init__(self) -> None:
        self.account = FakeActiveCampaign(self.world.clock, random.Random(0))
        process = Process(FakeStorage(self.world.clock, random.Random(0)), "me")
        self.ports = SimpleNamespace(
            **vars(self.world.ports),
            budgets=FakeBudgetStore(process),
            destinations=FakeDestinations(process, {"acme.api-us1.com": self.account}, set(), {}),
        )

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[Any]:
        self.settings = settings
        secrets = SecretReader(None, self.secrets, self.world.clock)
        app = SimpleNamespace(ports=self.ports, settings=settings, secrets=secrets)
        yield app, self.instruments

    def doctor(self, *options: str) -> dict[str, dict[str, Any]]:
        """Run the command; the checks by name."""
        self.code = self.world.command("doctor", "--json", *options)
        document = self.world.document
        assert document["ok"] is (self.code == ExitCode.DONE)
        return {check["check"]: check for check in document["checks"]}

    def configure(self, *exports: Export, connection: Connection | None = None) -> None:
        async def put() -> None:
            await self.world.registry.put_connection(connection or a_connection(), etag=None)
            for export in exports:
                await self.world.registry.put_export(export, etag=None)

        asyncio.run(put())


@pytest.fixture
def practice(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Practice]:
    made = Practice(world)
    monkeypatch.setattr(exporter.cli.doctor, "open_practice", made.open)
    yield made
    assert KEY not in made.world.out + made.world.err


def wrong(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["code"] for name, check in found.items() if check["ok"] is False}


def test_all_is_well(practice: Practice) -> None:
    practice.configure(an_export())

    found = practice.doctor()

    assert wrong(found) == {}
    assert {check["ok"] for check in found.values()} == {True}
    assert found["connection acme"]["detail"] == "acme.api-us1.com takes the key"
    assert found["connection acme list 5"]["detail"] == "the list 'Customers'"
    assert list(found["settings"]) == ["check", "ok", "code", "detail", "remedy"]
    assert "ann" not in practice.world.out.lower()  # the user behind the key


def test_a_pause_is_named_with_what_ends_it_and_without_the_person(practice: Practice) -> None:
    practice.configure(an_export())
    practice.world.command("connection", "pause", "acme", "--reason", "ann is away")

    found = practice.doctor()

    assert wrong(found) == {"sending": Code.PAUSED}
    assert found["sending"]["remedy"] == "`exporter connection resume acme`"
    assert "ann" not in practice.world.out.lower()

    practice.world.command("pause", "--all")
    assert practice.doctor()["sending"]["remedy"] == "`exporter resume --all`"


def test_bad_settings_skip_the_rest(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPORTER_STORAGE")
    monkeypatch.setenv("EXPORTER_VAULT_URL", "canary")

    found = practice.doctor()

    assert wrong(found) == {"settings": Code.CONFIGURATION}
    assert "EXPORTER_STORAGE" in found["settings"]["detail"]
    assert "EXPORTER_VAULT_URL" in found["settings"]["detail"]
    assert "canary" not in practice.world.out
    rest = [check for name, check in found.items() if name != "settings"]
    assert {(check["ok"], check["detail"]) for check in rest} == {(None, "needs: settings")}
    assert practice.instruments.calls == []


def test_a_missing_secret_is_named_and_its_connection_skipped(practice: Practice) -> None:
    practice.configure(an_export())
    practice.secrets.clear()

    found = practice.doctor()

    assert wrong(found) == {"secret acme": Code.SECRET_UNREADABLE}
    assert "EXPORTER_SECRET_KEY" in found["secret acme"]["remedy"]
    assert found["connection acme"]["detail"] == "needs: secret acme"
    assert practice.account.arrivals == []


def test_a_refused_key_is_wrong(practice: Practice) -> None:
    practice.configure(an_export())
    practice.account.key_refused = True

    found = practice.doctor()

    assert wrong(found) == {"connection acme": "key_refused"}
    assert "secret 'key'" in found["connection acme"]["remedy"]


def test_a_missing_list_is_wrong_beside_one_that_is_there(practice: Practice) -> None:
    practice.configure(an_export(), an_export(id="gone", segments=("gone",), list_id="77"))

    found = practice.doctor()

    assert wrong(found) == {"connection acme list 77": "list_missing"}
    assert "list_id" in found["connection acme list 77"]["remedy"]
    assert found["connection acme list 5"]["ok"] is True


def test_a_host_that_the_settings_do_not_allow_gets_no_request(practice: Practice) -> None:
    practice.configure(connection=a_connection(host="evil.example.com"))

    found = practice.doctor()

    assert wrong(found) == {"connection acme": Code.HOST_NOT_ALLOWED}
    assert practice.account.arrivals == []


def test_a_state_that_is_gone_skips_all_that_lies_in_it(practice: Practice) -> None:
    practice.configure(an_export())
    practice.instruments.troubles["try_state"] = a_trouble(Code.STORAGE_UNREACHABLE)

    found = practice.doctor()

    assert wrong(found) == {"state": Code.STORAGE_UNREACHABLE}
    assert found["configuration"]["detail"] == "needs: state"
    assert practice.code == ExitCode.ERROR


def test_configuration_of_another_version_is_wrong(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> Any:
        raise ValueError("canary")

    monkeypatch.setattr(practice.world.registry, "exports", broken)

    found = practice.doctor()

    assert wrong(found) == {"configuration": Code.CONFIGURATION}
    assert "canary" not in practice.world.out


def test_a_storage_without_connections_is_no_mistake(practice: Practice) -> None:
    found = practice.doctor()

    assert wrong(found) == {}
    assert "exporter apply FILE" in found["configuration"]["detail"]


def test_the_wait_for_the_test_drop_is_an_option(practice: Practice) -> None:
    practice.instruments.arrives = lambda: False

    found = practice.doctor("--wait-seconds", "3")

    assert wrong(found) == {"events": Code.NOT_ANNOUNCED}
    assert practice.world.clock.seconds == 3
    assert practice.world.command("doctor", "--wait-seconds", "-1") == ExitCode.USAGE


def test_people_see_what_mends_it_below_what_is_wrong(practice: Practice) -> None:
    practice.configure(an_export())
    practice.secrets.clear()

    assert practice.world.command("doctor") == ExitCode.ERROR

    lines = practice.world.out.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith("wrong")]
    assert "secret acme" in lines[place]
    assert lines[place + 1].strip().startswith("→ set EXPORTER_SECRET_KEY")
    assert lines[-1] == "Wrong: secret acme. Mend the first one, then run it again."


def test_a_surprise_shows_its_traceback_only_when_asked(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.instruments.troubles["try_queues"] = KeyError("canary")

    assert wrong(practice.doctor()) == {"queues": Code.UNEXPECTED}
    assert practice.world.err == ""
    monkeypatch.setenv("EXPORTER_DEBUG", "1")
    practice.doctor()
    assert "Traceback" in practice.world.err


async def test_a_vault_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class SilentVault:
        vault_url = "https://acme.vault.azure.net"

        async def get_secret(self, name: str) -> Any:
            await asyncio.Event().wait()

    monkeypatch.setattr(exporter.cli.doctor, "SECRET_SECONDS", 0.01)
    reader = SecretReader(cast("Any", SilentVault()), {}, World(cast("Any", None)).clock)
    settings = SimpleNamespace(vault_url=SilentVault.vault_url)
    app: Any = SimpleNamespace(secrets=reader, settings=settings)

    with pytest.raises(TroubleError, match="did not give secret 'key'") as trouble:
        await exporter.cli.doctor._read_secret(a_connection(), app)

    assert trouble.value.code == Code.SECRET_UNREADABLE
    assert "az keyvault secret show" in trouble.value.remedy


IN_GROUP = ("--resource-group", GROUP, "--subscription", SUBSCRIPTION)


@pytest.fixture
def arm(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> Arm:
    """A deployment that is well, for a shell without settings."""
    made = a_deployment()

    @asynccontextmanager
    async def manager() -> AsyncIterator[Arm]:
        yield made

    monkeypatch.setattr(exporter.cli.deployment, "open_manager", manager)
    monkeypatch.delenv("EXPORTER_STORAGE")
    practice.instruments.is_local = False
    practice.instruments.shares_account = False
    return made


def test_a_new_deployment_is_looked_at_with_one_command_and_no_setting(practice: Practice, arm: Arm) -> None:
    practice.configure(an_export())

    found = practice.doctor(*IN_GROUP)

    assert wrong(found) == {}
    assert list(found)[:2] == ["deployment", "identity"]
    assert f"of environment 'prod' in group '{GROUP}'" in found["deployment"]["detail"]
    assert found["settings"]["detail"] == (
        "complete; the deployment gives EXPORTER_HOST_PATTERNS, EXPORTER_LANDING, EXPORTER_STORAGE, "
        "EXPORTER_VAULT_URL, reached as you"
    )
    assert practice.settings.storage.blob_uri == "https://stateabc.blob.core.windows.net/"
    assert practice.settings.landing.queue_uri == "https://landingabc.queue.core.windows.net/"
    assert practice.settings.storage.client_id is None
    assert practice.settings.vault_url == "https://kv-abc-1.vault.azure.net"
    assert found["dead letters"]["ok"] is True


def test_settings_of_the_shell_win(practice: Practice, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTER_STORAGE", "UseDevelopmentStorage=true")
    monkeypatch.setenv("EXPORTER_SECRET_KEY", KEY)

    found = practice.doctor(*IN_GROUP)

    assert practice.settings.storage.connection_string == "UseDevelopmentStorage=true"
    assert practice.settings.landing == practice.settings.storage
    assert practice.settings.vault_url is None
    assert (
        found["settings"]["detail"] == "complete; the deployment gives EXPORTER_HOST_PATTERNS, reached as you"
    )


def test_the_azd_environment_says_where_to_look(
    practice: Practice, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_RESOURCE_GROUP", GROUP)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("AZURE_ENV_NAME", "prod")

    assert practice.doctor()["deployment"]["ok"] is True


def test_what_mends_a_deployed_app_has_its_names(practice: Practice, arm: Arm) -> None:
    end = f"--resource-group {GROUP} --subscription {SUBSCRIPTION}`"
    practice.instruments.dead_letters = True
    practice.instruments.arrives = lambda: False
    found = practice.doctor(*IN_GROUP)
    assert wrong(found) == {"dead letters": Code.DEAD_LETTERED, "events": Code.NOT_ANNOUNCED}
    assert found["events"]["remedy"] == "`azd hooks run postdeploy --environment prod`"
    assert (
        "--source dead-letters --account-name stateabc --auth-mode login" in found["dead letters"]["remedy"]
    )

    practice.instruments.heartbeat = lambda: None
    found = practice.doctor(*IN_GROUP)
    assert found["timers"]["remedy"] == f"`az functionapp start --name exporter-abc {end}"

    practice.instruments.arrives = lambda: True
    found = practice.doctor(*IN_GROUP)
    assert found["timers"]["remedy"] == f"`az functionapp restart --name exporter-abc {end}"


def test_a_deployment_that_can_not_be_looked_at_leaves_the_rest_to_the_settings(
    practice: Practice, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm.resources.clear()

    found = practice.doctor(*IN_GROUP)
    assert wrong(found) == {"deployment": Code.NOT_DEPLOYED, "settings": Code.CONFIGURATION}

    monkeypatch.setenv("EXPORTER_STORAGE", "UseDevelopmentStorage=true")
    found = practice.doctor(*IN_GROUP)
    assert wrong(found) == {"deployment": Code.NOT_DEPLOYED}
    assert "dead letters" not in found


@pytest.mark.parametrize(
    "options",
    [
        ("--resource-group", "rg/../../x"),
        ("--resource-group", GROUP, "--subscription", "mine"),
    ],
)
def test_what_is_no_name_of_a_group_or_subscription_is_refused(
    practice: Practice, arm: Arm, options: tuple[str, ...]
) -> None:
    assert practice.world.command("doctor", *options) == ExitCode.USAGE


def test_people_see_deployment_and_installation_apart(practice: Practice, arm: Arm) -> None:
    assert practice.world.command("doctor", *IN_GROUP) == ExitCode.DONE

    lines = [line.strip() for line in practice.world.out.splitlines()]
    assert lines.index("The deployment") < lines.index("The installation")


async def test_azure_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class SilentManager:
        async def ask(self, _: object) -> Any:
            await asyncio.Event().wait()

    @asynccontextmanager
    async def manager() -> AsyncIterator[Any]:
        yield SilentManager()

    monkeypatch.setattr(exporter.cli.deployment, "open_manager", manager)
    monkeypatch.setattr(exporter.cli.deployment, "DEPLOYMENT_SECONDS", 0.01)
    examination = Examination()

    assert await examine_deployment(examination, GROUP, SUBSCRIPTION) is None
    assert [check.code for check in examination.checks] == [Code.AZURE_UNREACHABLE]
