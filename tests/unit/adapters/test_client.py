"""The client sends what it should, follows nobody, and never raises for what happens on the way."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from exporter.adapters.activecampaign.client import (
    AiohttpDestination,
    AiohttpDestinations,
    open_session,
)
from exporter.adapters.secrets import SecretReader
from exporter.domain.hosts import HostPolicy
from exporter.domain.verdict import BatchState, BatchStatus, Verdict, VerdictKind
from exporter.errors import ConfigurationError
from exporter.settings import SecretText
from tests.builders import a_connection
from tests.fakes.clock import FakeClock

KEY = "canary-key-1"
BULK = "https://acme.api-us1.com/api/3/import/bulk_import"
CONTACTS = b'[{"email":"ann@example.org"},{"email":"bo@example.org"}]'
ACCEPTED = {"success": 1, "batchId": "b-1"}


@pytest.fixture
def secrets() -> dict[str, SecretText]:
    """The local secrets; changing them is storing another key."""
    return {"activecampaign-acme": SecretText(KEY)}


@pytest.fixture
async def destinations(secrets: dict[str, SecretText]) -> AsyncIterator[AiohttpDestinations]:
    clock = FakeClock()
    async with open_session() as session:
        yield AiohttpDestinations(session, SecretReader(None, secrets, clock), HostPolicy(), clock)


@pytest.fixture
async def destination(destinations: AiohttpDestinations) -> AsyncIterator[AiohttpDestination]:
    async with destinations.open(a_connection("acme")) as opened:
        yield opened


def requests_in(answers: aioresponses) -> list[tuple[str, URL, dict[str, Any]]]:
    """Method, address and options of every request, in no particular order of addresses."""
    return [(method, url, call.kwargs) for (method, url), calls in answers.requests.items() for call in calls]


@pytest.mark.parametrize(("automations", "excluded"), [(False, b"true"), (True, b"false")])
async def test_a_body_is_the_planned_bytes_in_their_envelope(
    destination: AiohttpDestination, answers: aioresponses, *, automations: bool, excluded: bytes
) -> None:
    answers.post(BULK, payload=ACCEPTED)

    verdict = await destination.send_bulk(CONTACTS, automations=automations)

    assert verdict == Verdict(VerdictKind.ACCEPTED, batch_id="b-1")
    ((method, url, options),) = requests_in(answers)
    assert (method, str(url)) == ("POST", BULK)
    assert options["data"] == b'{"contacts":' + CONTACTS + b',"exclude_automations":' + excluded + b"}"
    assert orjson.loads(options["data"])["contacts"] == orjson.loads(CONTACTS)
    assert options["headers"]["Content-Type"] == "application/json"


async def test_the_key_travels_in_a_header_and_nowhere_else(
    destination: AiohttpDestination, answers: aioresponses
) -> None:
    answers.post(BULK, payload=ACCEPTED)
    answers.get("https://acme.api-us1.com/api/3/import/info?batchId=b-1", payload={"status": "active"})
    answers.get("https://acme.api-us1.com/api/3/fields?limit=100&offset=0", payload={"fields": []})

    await destination.send_bulk(CONTACTS, automations=False)
    await destination.batch_status("b-1")
    await destination.get("fields", {"limit": "100", "offset": "0"})

    made = requests_in(answers)
    assert len(made) == 3
    for _, url, options in made:
        assert options["headers"]["Api-Token"] == KEY
        assert KEY not in str(url)
        assert KEY not in str(options["data"])
        assert KEY not in str(options["params"])


async def test_a_redirect_is_not_followed(destination: AiohttpDestination, answers: aioresponses) -> None:
    answers.post(BULK, status=302, headers={"Location": "https://evil.example/api/3/"})

    verdict = await destination.send_bulk(CONTACTS, automations=False)

    assert verdict.kind is VerdictKind.MISSING
    ((_, _, options),) = requests_in(answers)
    assert options["allow_redirects"] is False


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_read_anew_and_the_next_request_has_the_new_one(
    destination: AiohttpDestination, answers: aioresponses, secrets: dict[str, SecretText], status: int
) -> None:
    keys = []

    def answer(url: URL, **options: Any) -> CallbackResult:
        keys.append(options["headers"]["Api-Token"])
        good = keys[-1] == "canary-key-2"
        return CallbackResult(status=200 if good else status, payload=ACCEPTED if good else {})

    answers.post(BULK, callback=answer, repeat=True)
    secrets["activecampaign-acme"] = SecretText("canary-key-2")

    assert (await destination.send_bulk(CONTACTS, automations=False)).kind is VerdictKind.REKEYED
    assert (await destination.send_bulk(CONTACTS, automations=False)).kind is VerdictKind.ACCEPTED
    assert keys == [KEY, "canary-key-2"]


async def test_a_key_that_stays_refused_makes_one_request_and_no_more(
    destination: AiohttpDestination, answers: aioresponses
) -> None:
    answers.get(
        "https://acme.api-us1.com/api/3/users/me", status=403, payload={"message": "No."}, repeat=True
    )

    verdict = await destination.get("users/me")

    assert isinstance(verdict, Verdict)
    assert (verdict.kind, verdict.detail) == (VerdictKind.DENIED, "HTTP 403")
    assert verdict.key_mark
    assert KEY not in repr(verdict)
    assert len(requests_in(answers)) == 1


async def test_an_answer_that_echoes_the_key_does_not_carry_it_further(
    destination: AiohttpDestination, answers: aioresponses
) -> None:
    answers.get("https://acme.api-us1.com/api/3/users/me", payload={"user": {"username": f"owner of {KEY}"}})
    answers.post(BULK, status=400, payload={"message": f"the key {KEY} is bad"})

    told = [await destination.get("users/me"), await destination.send_bulk(CONTACTS, automations=False)]

    assert KEY not in str(told)


async def test_a_key_that_is_refused_and_then_gone_is_told_and_not_raised(
    destination: AiohttpDestination, answers: aioresponses, secrets: dict[str, SecretText]
) -> None:
    answers.post(BULK, status=403)
    secrets.clear()

    verdict = await destination.send_bulk(CONTACTS, automations=False)

    assert verdict.kind is VerdictKind.DENIED
    assert "activecampaign-acme" in verdict.detail
    assert KEY not in verdict.detail


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ClientConnectionError(), VerdictKind.UNKNOWN),
        (aiohttp.ServerDisconnectedError(), VerdictKind.UNKNOWN),
        (aiohttp.ClientOSError(104, "reset"), VerdictKind.UNKNOWN),
        (aiohttp.ClientPayloadError("cut off"), VerdictKind.UNKNOWN),
        (aiohttp.SocketTimeoutError(), VerdictKind.UNKNOWN),
        (TimeoutError(), VerdictKind.UNKNOWN),
        (aiohttp.ConnectionTimeoutError(), VerdictKind.UNAVAILABLE),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_happens_on_the_way_is_a_verdict(
    destination: AiohttpDestination, answers: aioresponses, error: Exception, kind: VerdictKind
) -> None:
    answers.post(BULK, exception=error)

    verdict = await destination.send_bulk(CONTACTS, automations=False)

    assert verdict.kind is kind
    assert type(error).__name__ in verdict.detail


async def test_a_host_that_is_not_there_is_unavailable() -> None:
    clock = FakeClock()
    secrets = SecretReader(None, {"activecampaign-acme": SecretText(KEY)}, clock)
    policy = HostPolicy(local_hosts=("127.0.0.1:9",))
    async with open_session() as session:
        destinations = AiohttpDestinations(session, secrets, policy, clock)
        async with destinations.open(a_connection("acme", host="127.0.0.1:9")) as destination:
            verdict = await destination.send_bulk(CONTACTS, automations=False)

    assert verdict.kind is VerdictKind.UNAVAILABLE


async def test_a_batch_is_asked_about_by_its_id(
    destination: AiohttpDestination, answers: aioresponses
) -> None:
    answers.get(
        "https://acme.api-us1.com/api/3/import/info?batchId=b-1",
        payload={"status": "completed", "failure": ["bad@nowhere"]},
    )

    assert await destination.batch_status("b-1") == BatchStatus(BatchState.COMPLETED, ("bad@nowhere",))


async def test_an_answer_without_end_is_read_up_to_a_limit(
    destination: AiohttpDestination, answers: aioresponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.adapters.activecampaign.client.MAX_ANSWER_BYTES", 1000)
    answers.post(BULK, body=b'{"batchId":"b-1","padding":"' + b"x" * 1000 + b'"}')

    assert (await destination.send_bulk(CONTACTS, automations=False)).kind is VerdictKind.UNKNOWN


async def test_a_host_outside_the_policy_is_refused_before_its_key_is_read(
    destinations: AiohttpDestinations, answers: aioresponses
) -> None:
    stranger = a_connection("acme", host="acme.example.com", secret="does-not-exist")

    with pytest.raises(ConfigurationError, match="not an allowed ActiveCampaign host"):
        async with destinations.open(stranger):
            pass
    assert requests_in(answers) == []


async def test_a_session_keeps_no_cookies(answers: aioresponses) -> None:
    async with open_session() as session:
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)


async def test_nothing_that_is_shown_of_a_destination_holds_the_key(
    destination: AiohttpDestination,
) -> None:
    assert KEY not in repr(destination)
