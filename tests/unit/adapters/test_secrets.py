"""Keys are read where they lie, kept for minutes, and never told."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.keyvault.secrets.aio import SecretClient

from exporter.adapters.secrets import FRESH_SECONDS, SecretReader
from exporter.errors import ConfigurationError, SecretUnavailableError
from exporter.settings import SecretText
from tests.fakes.clock import FakeClock

CANARY = "canary-key-1"


@dataclass(frozen=True)
class Secret:
    value: str | None


@dataclass
class FakeVault:
    """A vault of made-up secrets; `error` is what it raises instead."""

    secrets: dict[str, str | None] = field(default_factory=lambda: {"acme": CANARY})
    error: AzureError | None = None
    reads: list[str] = field(default_factory=list)
    vault_url: str = "https://vault.example"

    async def get_secret(self, name: str, **_: Any) -> Secret:
        self.reads.append(name)
        if self.error is not None:
            raise self.error
        if name not in self.secrets:
            raise ResourceNotFoundError("not found")
        return Secret(self.secrets[name])


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def reader(vault: FakeVault) -> SecretReader:
    return SecretReader(cast("SecretClient", vault), {}, FakeClock())


async def test_a_secret_comes_from_the_vault(reader: SecretReader) -> None:
    assert (await reader.get("acme")).get_secret_value() == CANARY


async def test_a_secret_is_kept_at_hand_for_minutes(reader: SecretReader, vault: FakeVault) -> None:
    await reader.get("acme")
    await FakeClock().sleep(FRESH_SECONDS - 1)
    await reader.get("acme")
    assert vault.reads == ["acme"]

    await FakeClock().sleep(1)
    await reader.get("acme")
    assert vault.reads == ["acme", "acme"]


async def test_a_refused_key_is_read_anew_at_once(reader: SecretReader, vault: FakeVault) -> None:
    await reader.get("acme")
    vault.secrets["acme"] = "canary-key-2"

    assert (await reader.get("acme", fresh=True)).get_secret_value() == "canary-key-2"
    assert (await reader.get("acme")).get_secret_value() == "canary-key-2"


async def test_spaces_around_a_key_are_taken_off(reader: SecretReader, vault: FakeVault) -> None:
    vault.secrets["acme"] = f" {CANARY}\n"

    assert (await reader.get("acme")).get_secret_value() == CANARY


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "empty"),
        ("", "empty"),
        (f"{CANARY}\r\nX-Evil: 1", "line breaks"),
        (f"{CANARY}é", "outside ASCII"),
        (
            "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/acme)",
            "unresolved Key Vault reference",
        ),
    ],
)
async def test_what_can_be_no_key_is_refused_without_telling_it(
    reader: SecretReader, vault: FakeVault, value: str | None, says: str
) -> None:
    vault.secrets["acme"] = value

    with pytest.raises(ConfigurationError, match=says) as refused:
        await reader.get("acme")
    assert "'acme'" in str(refused.value)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ClientAuthenticationError("no identity"), "no identity gives a token .*`az login`"),
        (ServiceRequestError("no route"), "can't be reached"),
        (ServiceResponseError("reset"), "can't be reached"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_vault_that_nobody_reaches_is_waited_for(
    reader: SecretReader, vault: FakeVault, error: AzureError, says: str
) -> None:
    vault.error = error

    with pytest.raises(SecretUnavailableError, match=says):
        await reader.get("acme")


async def test_without_a_vault_the_settings_hold_the_keys() -> None:
    reader = SecretReader(None, {"activecampaign-acme": SecretText(CANARY)}, FakeClock())

    assert (await reader.get("ActiveCampaign-Acme")).get_secret_value() == CANARY


async def test_a_key_that_is_missing_in_the_settings_is_told_by_the_setting_to_give() -> None:
    reader = SecretReader(None, {}, FakeClock())

    with pytest.raises(ConfigurationError, match="EXPORTER_SECRET_ACTIVECAMPAIGN_ACME"):
        await reader.get("activecampaign-acme")


async def test_a_secret_never_shows_itself(reader: SecretReader) -> None:
    secret = await reader.get("acme")

    assert CANARY not in f"{secret} {secret!r} {[secret]}"
