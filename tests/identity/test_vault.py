"""The vault's real client, over sockets, with the real credential."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.keyvault.secrets.aio import SecretClient

from exporter.adapters.identity import Identities
from exporter.adapters.secrets import SecretReader, open_vault
from exporter.errors import ConfigurationError, SecretUnavailableError
from sandbox.identity import StandInIdentity
from sandbox.processes import Child
from sandbox.vault import DISABLED, FIREWALL, NO_ROLE, THROTTLED, UNAVAILABLE, Refusal, StandInVault
from tests.fakes.clock import FakeClock
from tests.identity.conftest import CLIENT_ID
from tests.runs.site import ROOT
from tests.sandbox.waiting import eventually_async

NAME = "activecampaign-acme"
ROLE_COMMAND = r"`az role assignment create --role \"Key Vault Secrets User\" .*az keyvault show --name 127"
READ_BY_SETTINGS = """
import asyncio, os, sys
from exporter.adapters.clock import SystemClock
from exporter.adapters.identity import open_identities
from exporter.adapters.secrets import SecretReader, open_vault
from exporter.settings import Settings

async def main():
    url = Settings.from_env(os.environ).vault_url
    async with open_identities() as identities:
        async with open_vault(url, (await identities.get(None)).credential) as vault:
            key = await SecretReader(vault, {}, SystemClock()).get(sys.argv[1])
            return key.get_secret_value() == "canary-key"

sys.exit(0 if asyncio.run(main()) else 1)
"""


@pytest.fixture
async def client(
    vault: StandInVault, identities: Identities, client_options: dict[str, Any]
) -> AsyncIterator[SecretClient]:
    """The vault's client as the app opens it."""
    identity = await identities.get(CLIENT_ID)
    async with open_vault(vault.url, identity.credential) as opened:
        yield opened


@pytest.fixture
def reader(client: SecretClient) -> SecretReader:
    return SecretReader(client, {}, FakeClock())


async def test_a_key_is_read_by_identity_with_one_token(
    reader: SecretReader, vault: StandInVault, identity: StandInIdentity
) -> None:
    for number in range(3):
        vault.store(f"key-{number}", f"canary-key-{number}")
        assert (await reader.get(f"key-{number}")).get_secret_value() == f"canary-key-{number}"

    (given,) = identity.given
    assert (given.resource, given.client_id) == (vault.audience, CLIENT_ID)


async def test_a_new_version_is_found_when_the_key_is_read_anew(
    reader: SecretReader, vault: StandInVault
) -> None:
    vault.store(NAME, "canary-key-old")
    assert (await reader.get(NAME)).get_secret_value() == "canary-key-old"
    vault.store(NAME, "canary-key-new")

    assert (await reader.get(NAME)).get_secret_value() == "canary-key-old"
    assert (await reader.get(NAME, fresh=True)).get_secret_value() == "canary-key-new"


async def test_the_stand_in_does_what_the_client_may_ask_of_a_vault(client: SecretClient) -> None:
    first = await client.set_secret(NAME, "canary-key-1")
    second = await client.set_secret(NAME, "canary-key-2")

    old = await client.get_secret(NAME, first.properties.version)
    assert (old.value, second.value) == ("canary-key-1", "canary-key-2")
    assert [secret.name async for secret in client.list_properties_of_secrets()] == [NAME]
    versions = [version.version async for version in client.list_properties_of_secret_versions(NAME)]
    assert versions == [first.properties.version, second.properties.version]


async def test_a_token_that_ends_is_renewed(
    reader: SecretReader, vault: StandInVault, identity: StandInIdentity
) -> None:
    vault.store(NAME, "canary-key")
    identity.token_seconds = 1.0

    async def renewed() -> bool:
        await reader.get(NAME, fresh=True)
        return len(identity.given) > 1

    await eventually_async(renewed, "another token")
    assert identity.given[1].given_at >= int(identity.given[0].expires_at)


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (NO_ROLE, rf"refuses secret '{NAME}' \(403 ForbiddenByRbac\): .*{ROLE_COMMAND}"),
        (
            Refusal(403, "Forbidden", "no words"),
            rf"refuses secret '{NAME}' \(403 Forbidden\): .*{ROLE_COMMAND}",
        ),
        (FIREWALL, "network rules of vault .*`az keyvault network-rule add --name 127 "),
        (DISABLED, rf"is disabled: `az keyvault secret set-attributes .*--name {NAME} --enabled true`"),
    ],
    ids=lambda value: value.inner if isinstance(value, Refusal) else "",
)
async def test_a_refusal_is_told_with_the_command_that_mends_it(
    reader: SecretReader, vault: StandInVault, refusal: Refusal, says: str
) -> None:
    vault.store(NAME, "canary-key")
    vault.refusal = refusal

    with pytest.raises(ConfigurationError, match=says):
        await reader.get(NAME)


async def test_a_disabled_and_a_deleted_secret_are_told_apart(
    reader: SecretReader, client: SecretClient, vault: StandInVault
) -> None:
    stored = await client.set_secret(NAME, "canary-key")
    await client.update_secret_properties(NAME, stored.properties.version, enabled=False)
    with pytest.raises(ConfigurationError, match="is disabled"):
        await reader.get(NAME)

    await client.delete_secret(NAME)
    with pytest.raises(ConfigurationError, match=f"'{NAME}' is not in vault {vault.url}: add it there"):
        await reader.get(NAME)


@pytest.mark.parametrize("refusal", [THROTTLED, UNAVAILABLE], ids=lambda refusal: str(refusal.status))
async def test_a_vault_that_can_not_serve_just_now_is_waited_for(
    client_options: dict[str, Any], reader: SecretReader, vault: StandInVault, refusal: Refusal
) -> None:
    vault.store(NAME, "canary-key")
    vault.refusal = refusal

    with pytest.raises(SecretUnavailableError, match=rf"just now \({refusal.status}\); it is asked again"):
        await reader.get(NAME)

    vault.refusal = None
    assert (await reader.get(NAME)).get_secret_value() == "canary-key"


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "https://nobody.invalid"])
async def test_a_vault_that_is_not_there_is_waited_for(
    identities: Identities, client_options: dict[str, Any], url: str
) -> None:
    credential = (await identities.get(CLIENT_ID)).credential
    async with open_vault(url, credential) as client:
        with pytest.raises(
            SecretUnavailableError, match=rf"vault {url} can't be reached.*EXPORTER_VAULT_URL"
        ):
            await SecretReader(client, {}, FakeClock()).get(NAME)


async def test_a_vault_that_never_answers_is_given_up(
    identities: Identities,
    client_options: dict[str, Any],
    vault: StandInVault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("exporter.adapters.secrets.PATIENCE", {"read_timeout": 0.2, "retry_total": 0})
    vault.silent = True
    credential = (await identities.get(CLIENT_ID)).credential
    async with open_vault(vault.url, credential) as client:
        with pytest.raises(SecretUnavailableError, match="can't be reached"):
            await SecretReader(client, {}, FakeClock()).get(NAME)


def test_the_client_waits_for_seconds_and_not_for_minutes(client: SecretClient) -> None:
    config = client._client._config
    assert config.retry_policy.total_retries == 2
    transport = client._client._client._pipeline._transport
    timeouts = transport.connection_config
    assert (timeouts.timeout, timeouts.read_timeout) == (5, 10)


@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_an_identity_endpoint_that_fails_is_waited_for(
    reader: SecretReader, vault: StandInVault, identity: StandInIdentity, status: int
) -> None:
    vault.store(NAME, "canary-key")
    identity.failing_status = status

    with pytest.raises(SecretUnavailableError, match=r"no identity gives a token for vault .*`az login`"):
        await reader.get(NAME)

    identity.failing_status = None
    assert (await reader.get(NAME)).get_secret_value() == "canary-key"


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_an_identity_endpoint_that_fails_after_it_gave_a_token_is_waited_for(
    reader: SecretReader, vault: StandInVault, identity: StandInIdentity, status: int
) -> None:
    vault.store(NAME, "canary-key")
    identity.token_seconds = 0.0
    await reader.get(NAME)
    identity.failing_status = status

    with pytest.raises(SecretUnavailableError, match=r"no identity gives a token for vault .*`az login`"):
        await reader.get(NAME, fresh=True)


async def test_a_token_for_something_else_opens_nothing(
    reader: SecretReader, vault: StandInVault, identity: StandInIdentity
) -> None:
    vault.store(NAME, "canary-key")
    identity.audience = "https://vault.azure.net"

    with pytest.raises(ConfigurationError, match=r"\(401\).*`az keyvault show --name 127 .*tenantId`"):
        await reader.get(NAME)
    assert vault.reads == []


@pytest.mark.parametrize("resource", ["https://vault.azure.net", "https://elsewhere.example"])
async def test_who_names_another_domain_than_its_own_is_given_no_token(
    reader: SecretReader, vault: StandInVault, identity: StandInIdentity, resource: str
) -> None:
    vault.store(NAME, "canary-key")
    vault.challenge_resource = resource

    with pytest.raises(ConfigurationError, match="does not answer like a Key Vault of that name"):
        await reader.get(NAME)
    assert identity.given == []


def test_a_vault_can_be_run_by_hand() -> None:
    command = [sys.executable, "-m", "sandbox.vault", "--secret", f"{NAME}=canary-key"]
    with Child(command, cwd=ROOT) as child:
        settings = json.loads(child.read_line(time.monotonic() + 30))["settings"]
        code = subprocess.run(
            [sys.executable, "-c", READ_BY_SETTINGS, NAME],
            cwd=ROOT,
            env={**os.environ, **settings, "EXPORTER_STORAGE": "UseDevelopmentStorage=true"},
            check=False,
            timeout=60,
        ).returncode
        assert code == 0
        assert child.stop() == 0
