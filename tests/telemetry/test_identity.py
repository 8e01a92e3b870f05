"""Telemetry is sent as the app's identity: the exporters' own credential, a token for Azure Monitor."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.adapters.insights import open_insights
from exporter.steps.events import Event, Metric, SpanName
from sandbox.certificates import make_certificate
from sandbox.identity import StandInIdentity, claims_of
from tests.telemetry.ingestion import Ingestion, running_ingestion

MONITOR = "https://monitor.azure.com"
CLIENT_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def ingestion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingestion]:
    """A stand-in over https, which tokens insist on, that this process trusts."""
    certificate = make_certificate(tmp_path)
    for name, value in certificate.environment.items():
        monkeypatch.setenv(name, value)
    with running_ingestion(certificate.for_server()) as running:
        yield running


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInIdentity]:
    """The endpoint at which the platform gives the app its tokens."""
    with StandInIdentity(client_ids=[CLIENT_ID], resources=[MONITOR]) as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint


@pytest.mark.parametrize("audience", ["", f";AADAudience={MONITOR}"])
def test_telemetry_is_sent_with_a_token_of_the_identity_that_the_setting_names(
    audience: str, ingestion: Ingestion, identity: StandInIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", f"ClientId={CLIENT_ID};Authorization=AAD")
    telemetry = open_insights(ingestion.connection_string + audience, 100, "0123456789ab")
    with telemetry.span(SpanName.DROP):
        telemetry.event(Event.RETENTION_ENDED, deleted=1)
    telemetry.measure(Metric.SLOT_WAIT, 1.0, account="acme")
    telemetry.close()

    assert {envelope.kind for envelope in ingestion.envelopes} == {"RequestData", "MessageData", "MetricData"}
    assert {given.client_id for given in identity.given} == {CLIENT_ID}
    for posted in ingestion.posted:
        bearer = re.search(rb"^Authorization: Bearer (\S+)$", posted, re.MULTILINE)
        assert bearer is not None
        claims = claims_of(bearer[1].decode())
        assert (claims["aud"], claims["appid"]) == (MONITOR, CLIENT_ID)
