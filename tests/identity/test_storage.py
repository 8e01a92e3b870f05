"""Storage's real clients, with the real credential, where no identity gives a token."""

import pytest
from azure.core.exceptions import AzureError

from exporter.adapters.identity import open_identities
from exporter.adapters.storage import is_outage, open_account
from exporter.cli.running import explain
from exporter.settings import StorageAccount
from sandbox.azurite import Azurite
from sandbox.identity import STORAGE, StandInIdentity
from tests.identity.conftest import CLIENT_ID, STATE


@pytest.fixture
def account(storage: Azurite) -> StorageAccount:
    """The state's account, by identity."""
    uris = storage.identity_settings("S", STATE)
    return StorageAccount(
        blob_uri=uris["S__blobServiceUri"], queue_uri=uris["S__queueServiceUri"], client_id=CLIENT_ID
    )


@pytest.mark.parametrize("status", [400, 500])
async def test_without_a_token_nothing_counts_as_a_try_and_people_are_told_what_to_do(
    account: StorageAccount, identity: StandInIdentity, status: int
) -> None:
    identity.failing_status = status
    async with open_account(account, impatient=True) as clients:
        for ask in (clients.blobs.get_service_properties, clients.queues.get_service_properties):
            with pytest.raises(AzureError) as refused:
                await ask(retry_total=0)
            assert is_outage(refused.value)
        with pytest.raises(AzureError) as refused:
            clients.blocking_blobs.get_service_properties(retry_total=0)
        assert is_outage(refused.value)

    assert explain(refused.value)[0] == "no_identity"


@pytest.mark.parametrize("status", [400, 410])
async def test_a_token_that_is_not_renewed_counts_as_no_try(identity: StandInIdentity, status: int) -> None:
    scope = f"{STORAGE}/.default"
    identity.token_seconds = 0.0
    async with open_identities() as identities:
        known = await identities.get(CLIENT_ID)
        await known.credential.get_token_info(scope)
        known.blocking.get_token_info(scope)
        identity.failing_status = status

        for ask in (known.credential.get_token, known.credential.get_token_info):
            with pytest.raises(AzureError) as refused:
                await ask(scope)
            assert is_outage(refused.value)
            assert explain(refused.value)[0] == "no_identity"
        for ask_and_wait in (known.blocking.get_token, known.blocking.get_token_info):
            with pytest.raises(AzureError) as refused:
                ask_and_wait(scope)
            assert is_outage(refused.value)


async def test_an_identity_that_the_app_does_not_have_gives_no_token(
    account: StorageAccount, identity: StandInIdentity
) -> None:
    identity.client_ids = []
    async with open_account(account, impatient=True) as clients:
        with pytest.raises(AzureError) as refused:
            await clients.blobs.get_service_properties(retry_total=0)

    assert is_outage(refused.value)
    assert identity.given == []


async def test_clients_of_one_identity_share_its_credential(
    account: StorageAccount, identity: StandInIdentity
) -> None:
    async with (
        open_identities() as identities,
        open_account(account, identities=identities) as one,
        open_account(account, identities=identities) as other,
    ):
        known = await identities.get(CLIENT_ID)
        credentials = {client.credential for client in (one.blobs, one.queues, other.blobs, other.queues)}
        assert credentials == {known.credential}
        assert one.blocking_blobs.credential is other.blocking_blobs.credential is known.blocking
