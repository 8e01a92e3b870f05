"""An app without a key: certificate, identity endpoint, vault and storage, all on this machine."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.keyvault.secrets.aio import SecretClient

from exporter.adapters import secrets
from exporter.adapters.identity import Identities, open_identities
from sandbox.azurite import Azurite
from sandbox.certificates import Certificate, make_certificate
from sandbox.identity import STORAGE, StandInIdentity
from sandbox.vault import StandInVault

CLIENT_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
"""The user-assigned identity of the app."""
STATE, LANDING = "statewithoutkey", "landingwithoutkey"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def storage(certificate: Certificate) -> Iterator[Azurite]:
    """A storage emulator with two accounts, over https, that takes tokens."""
    with Azurite(accounts=(STATE, LANDING), certificate=certificate) as azurite:
        yield azurite


@pytest.fixture
def vault(certificate: Certificate) -> Iterator[StandInVault]:
    """An empty vault."""
    with StandInVault(certificate) as running:
        yield running


@pytest.fixture
def identity(vault: StandInVault, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInIdentity]:
    """The identity endpoint of this very process, for storage and the vault."""
    with StandInIdentity(client_ids=[CLIENT_ID], resources=[STORAGE, vault.audience]) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        yield running


@pytest.fixture
async def identities(identity: StandInIdentity) -> AsyncIterator[Identities]:
    """The real credentials, which know nobody but the stand-in's endpoint."""
    async with open_identities() as opened:
        yield opened


@pytest.fixture
def client_options(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the vault's client gets besides what the app gives it; a test may add to it."""
    # This process has read SSL_CERT_FILE long ago.
    options: dict[str, Any] = {"connection_verify": str(certificate.authority)}

    def client(url: str, credential: Any, **given: Any) -> SecretClient:
        return SecretClient(url, credential, **given, **options)

    monkeypatch.setattr(secrets, "SecretClient", client)
    return options
