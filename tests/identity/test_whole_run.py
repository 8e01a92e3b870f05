"""From a dropped file to contacts without a key in any setting: identity, vault and https throughout."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from exporter.adapters.storage import LANDING_CONTAINER, STATE_CONTAINER
from sandbox.azurite import Azurite
from sandbox.certificates import Certificate
from sandbox.identity import SKEW_SECONDS, STORAGE, StandInIdentity
from sandbox.vault import NO_ROLE, UNAVAILABLE, StandInVault
from tests.canary import KEY, keys_in
from tests.identity.conftest import CLIENT_ID, LANDING, STATE
from tests.runs.site import SHORT_POLLS, Site, running_simulator, search_site, site_on
from tests.sandbox.waiting import eventually

NEW_KEY = "canary-key-of-tomorrow"
PACED = {"bulk_requests_per_minute": 1_000_000, "requests_per_second": 6}
"""A request each 0.3 s: time enough to meddle with a run of a dozen."""
TOKEN_SECONDS = 3.0
"""Far less than the tests take together: whoever renews no token is refused before long."""


@dataclass(frozen=True)
class Place:
    """A site, and what it finds its way with."""

    site: Site
    vault: StandInVault
    identity: StandInIdentity

    def run_of(self, segment: str) -> dict[str, Any] | None:
        """The segment's only run, if there is one by now."""
        runs = (run for run in self.site.run("run", "list").document if run["segment"] == segment)
        return next(runs, None)


@pytest.fixture(scope="module")
def place(
    certificate: Certificate, storage: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A site whose settings hold no key, on two storage accounts."""
    folder = tmp_path_factory.mktemp("without-a-key")
    with ExitStack() as stack:
        vault = stack.enter_context(StandInVault(certificate))
        identity = stack.enter_context(
            StandInIdentity(client_ids=[CLIENT_ID], resources=[STORAGE, vault.audience])
        )
        identity.token_seconds = TOKEN_SECONDS
        vault.store("activecampaign-acme", KEY)
        simulator = stack.enter_context(running_simulator("--no-limits"))
        environ = {
            **by_identity(storage, "AzureWebJobsStorage", STATE),
            **by_identity(storage, "EXPORTER_STORAGE", STATE),
            **by_identity(storage, "EXPORTER_LANDING", LANDING),
            "EXPORTER_VAULT_URL": vault.url,
            "EXPORTER_LOCAL_HOSTS": simulator.host,
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            **identity.environment,
            **certificate.environment,
            **SHORT_POLLS,
        }
        for account in (STATE, LANDING):
            text = storage.connection_string_of(account)
            stack.callback(search_site, folder, text, connection_verify=str(certificate.authority))
        yield Place(stack.enter_context(site_on(folder, environ, simulator)), vault, identity)


def by_identity(storage: Azurite, setting: str, account: str) -> dict[str, str]:
    """The settings of a deployed app for one of its connections."""
    uris = storage.identity_settings(setting, account)
    if setting != "AzureWebJobsStorage":  # only the platform itself has a use for tables
        del uris[f"{setting}__tableServiceUri"]
    return {**uris, f"{setting}__credential": "managedidentity", f"{setting}__clientId": CLIENT_ID}


def people(name: str, count: int) -> list[str]:
    return [f"{name}{number}@example.org,A,B,,," for number in range(count)]


def test_a_drop_becomes_contacts_though_no_setting_holds_a_key(
    place: Place, storage: Azurite, certificate: Certificate
) -> None:
    site = place.site
    known = "\n".join([*site.environ.values(), *os.environ.values()])
    assert "AccountKey" not in known
    assert keys_in(known) == []
    site.apply({"id": "keyless"})

    answer = site.drop("keyless", site.file("keyless.csv", people("keyless", 600)))

    (report,) = answer.document
    assert (answer.code, report["state"], report["counts"]["delivered"]) == (0, "succeeded", 600)
    assert sum(address.startswith("keyless") for address in site.simulator.contacts()) == 600
    asked = {(token.resource, token.client_id) for token in place.identity.given}
    assert asked == {(STORAGE, CLIENT_ID), (place.vault.audience, CLIENT_ID)}
    assert containers(storage, LANDING, certificate) == {LANDING_CONTAINER}
    assert STATE_CONTAINER in containers(storage, STATE, certificate)
    assert LANDING_CONTAINER not in containers(storage, STATE, certificate)


def containers(storage: Azurite, account: str, certificate: Certificate) -> set[str]:
    """What an account holds, by its key, which the app does not have."""
    with BlobServiceClient.from_connection_string(
        storage.connection_string_of(account), connection_verify=str(certificate.authority)
    ) as blobs:
        return {str(container.name) for container in blobs.list_containers()}


def test_a_key_that_is_rotated_in_the_vault_is_picked_up_by_a_run_under_way(place: Place) -> None:
    site = place.site
    place.vault.store("rotating", KEY)
    site.apply({"id": "rotated"}, id="rotating", secret="rotating", limits=PACED)
    file = site.file("rotated.csv", people("rotated", 3_000))
    before = site.simulator.ask("counters")["bulk_accepted"]
    with site.start("drop", str(file), "--segment", "rotated", "--wait") as drop:
        eventually(lambda: site.simulator.ask("counters")["bulk_accepted"] > before, "a first request")
        place.vault.store("rotating", NEW_KEY)
        site.simulator.ask("keys", {"rotate": NEW_KEY})
        by_then = site.simulator.ask("counters")["bulk_accepted"]
        try:
            code = drop.wait(60)
        finally:
            drop.terminate()
    # Other tests go on with the old one.
    site.simulator.ask("keys", {"add": KEY})

    run = place.run_of("rotated")
    assert code == 0
    assert run is not None
    assert (run["state"], run["counts"]["delivered"]) == ("succeeded", 3_000)
    assert site.simulator.ask("counters")["bulk_accepted"] == before + 12
    assert before < by_then < before + 12


def test_a_run_waits_for_a_vault_that_is_away_and_says_so(place: Place) -> None:
    site = place.site
    place.vault.store("away", KEY)
    site.apply({"id": "away"}, id="away", secret="away")
    place.vault.refusal_after_reads = UNAVAILABLE  # who plans has the key by then, who sends has not
    site.run("drop", str(site.file("away.csv", people("away", 40))), "--segment", "away")

    def waiting() -> dict[str, Any]:
        run = place.run_of("away") or {}
        return run if run.get("waiting_for") else {}

    run = eventually(waiting, "waiting")
    place.vault.refusal = None
    # Spares the test the minute until it is asked again.
    site.run("run", "pause", run["run_id"])
    site.run("run", "resume", run["run_id"])
    ended = site.run("run", "watch", run["run_id"])

    assert run["state"] == "delivering"
    assert run["waiting_for"].startswith(
        f"vault {place.vault.url} does not serve secret 'away' just now (503)"
    )
    assert (ended.code, ended.document["counts"]["delivered"]) == (0, 40)


def test_a_missing_role_is_told_with_the_command_that_gives_it(place: Place) -> None:
    place.site.apply({"id": "without-role"})
    place.vault.refusal = NO_ROLE
    try:
        tested = place.site.run("connection", "test", "acme")
    finally:
        place.vault.refusal = None

    assert tested.code == 1
    told = str(tested.document)
    assert "ForbiddenByRbac" in told
    assert 'az role assignment create --role "Key Vault Secrets User"' in told


def test_doctor_finds_nothing_wrong_with_storage_and_vault_by_identity(place: Place) -> None:
    checks = place.site.run("doctor").document["checks"]

    assert len(checks) > 5
    assert [check for check in checks if not check["ok"]] == []


def test_tokens_that_end_are_renewed_without_a_restart(place: Place) -> None:
    at_the_start = place.identity.given[0].expires_at + SKEW_SECONDS
    eventually(lambda: time.time() > at_the_start, "the end of the first tokens")
    place.site.apply({"id": "renewed"})

    answer = place.site.drop("renewed", place.site.file("renewed.csv", people("renewed", 3)))

    (report,) = answer.document
    assert report["counts"]["delivered"] == 3
