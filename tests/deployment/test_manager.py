"""What is asked of Azure Resource Manager, and what becomes of its refusals, pages and silences."""

import asyncio
import shlex
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

import exporter.adapters.deployment
from exporter.domain.deployment import APP, STATE, VAULT
from exporter.steps.deployment import SETTINGS, Ask, Question, find_deployment, find_subscription
from exporter.steps.doctor import Code, TroubleError
from tests.canary import KEY
from tests.deployment.arm import (
    GROUP,
    GROUP_ID,
    SUBSCRIPTION,
    Arm,
    FakeCredential,
    a_deployment,
    id_of,
    serving,
)

CONTAINERS = Ask(
    "containers",
    "/blobServices/default/containers",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    is_list=True,
)


def about_vault() -> Question:
    return Ask("itself").of(id_of(VAULT), VAULT)


async def trouble_of(arm: Arm, question: Question | None = None) -> TroubleError:
    """What asking ends with."""
    async with serving(arm) as manager:
        with pytest.raises(TroubleError) as trouble:
            await manager.ask(question or about_vault())
    assert KEY not in str(trouble.value) + trouble.value.remedy
    return trouble.value


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, Code.IDENTITY_MISSING, "`az login`"),
        (403, Code.RIGHT_MISSING, f"--scope {id_of(VAULT)}`"),
        (400, Code.AZURE_ERROR, f"`az rest --method get --url '{id_of(VAULT)}?api-version="),
        (302, Code.AZURE_ERROR, "`az rest"),
    ],
)
async def test_a_refusal_is_one_trouble_with_its_remedy(status: int, code: Code, remedy: str) -> None:
    arm = a_deployment()
    arm.statuses[id_of(VAULT)] = status

    trouble = await trouble_of(arm)

    assert trouble.code == code
    assert remedy in trouble.remedy
    assert arm.requests == [id_of(VAULT)]


@pytest.mark.parametrize(("status", "option"), [(403, "--scope"), (409, "--url")])
async def test_ids_from_azure_are_quoted_in_commands(status: int, option: str) -> None:
    strange = f"{GROUP_ID}(old)/providers/{VAULT.type}/it's;$(id)"
    trouble = await trouble_of(Arm(statuses={strange: status}), Ask("itself").of(strange, VAULT))

    command = shlex.split(trouble.remedy.strip("`"))
    assert command[command.index(option) + 1].partition("?")[0] == strange


async def test_what_is_not_there_is_none() -> None:
    arm = a_deployment()
    async with serving(arm) as manager:
        assert await manager.ask(Ask("itself", "-2").of(id_of(VAULT), VAULT)) is None


async def test_a_throttle_is_waited_for_as_long_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    arm, waits = a_deployment(), list[float]()

    async def sleep(_: Any, seconds: float) -> None:
        waits.append(seconds)

    def throttle(request: web.Request) -> web.Response | None:
        return None if waits else web.Response(status=429, headers={"Retry-After": "17"})

    arm.intervene = throttle
    async with serving(arm) as manager:
        monkeypatch.setattr(type(manager._transport), "sleep", sleep)
        document = await manager.ask(about_vault())

    assert document["id"] == id_of(VAULT)
    assert waits == [17]


async def test_a_wait_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.adapters.deployment, "ANSWER_SECONDS", 0.05)
    arm = a_deployment()
    arm.intervene = lambda _: web.Response(status=429, headers={"Retry-After": "86400"})

    trouble = await trouble_of(arm)

    assert trouble.code == Code.AZURE_UNREACHABLE


async def test_pages_are_followed_to_the_end() -> None:
    arm = a_deployment()
    names = [{"name": f"container-{number}"} for number in range(12)]
    arm.documents[f"{id_of(STATE)}/blobServices/default/containers"] = names
    async with serving(arm) as manager:
        assert await manager.ask(CONTAINERS.of(id_of(STATE), STATE)) == names

    assert len(arm.requests) == 3


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/next",
        "http://127.0.0.1/next",
        "https://127.0.0.1@evil.example.com/",
        "https://[::1",
        7,
    ],
)
async def test_no_page_of_another_host_is_asked_for(link: Any) -> None:
    arm = a_deployment()
    arm.intervene = lambda _: web.json_response({"value": [], "nextLink": link})

    trouble = await trouble_of(arm, CONTAINERS.of(id_of(STATE), STATE))

    assert trouble.code == Code.AZURE_ERROR
    assert len(arm.requests) == 1


@pytest.mark.parametrize("host", ["management.azure.com", "management.azure.com:443", "Management.Azure.com"])
def test_a_page_of_azure_itself_may_name_its_port(host: str) -> None:
    manager = exporter.adapters.deployment.RestResourceManager(FakeCredential())
    link = f"https://{host}/subscriptions/{SUBSCRIPTION}?$skiptoken=a%2Bb"

    assert manager._same_host(link, about_vault()) == link


@pytest.mark.parametrize(
    "link",
    [
        "https://management.azure.com:444/next",
        "https://management.azure.com:70000/next",
        "https://somebody@management.azure.com/next",
        "http://management.azure.com/next",
        "//management.azure.com/next",
    ],
)
def test_an_address_that_is_like_azures_is_another(link: str) -> None:
    manager = exporter.adapters.deployment.RestResourceManager(FakeCredential())

    with pytest.raises(TroubleError):
        manager._same_host(link, about_vault())


async def test_pages_without_end_are_given_up() -> None:
    arm = a_deployment()
    arm.intervene = lambda request: web.json_response({"value": [], "nextLink": str(request.url)})

    assert (await trouble_of(arm, CONTAINERS.of(id_of(STATE), STATE))).code == Code.AZURE_ERROR


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"value": {}}', b"\xff", b'"' + b"x" * 4_000_001])
async def test_a_body_that_makes_no_sense_is_one_trouble(body: bytes) -> None:
    arm = a_deployment()
    arm.intervene = lambda _: web.Response(body=body)

    assert (await trouble_of(arm, CONTAINERS.of(id_of(STATE), STATE))).code == Code.AZURE_ERROR


async def test_nobody_signed_in_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object, **__: object) -> AccessToken:
        raise ClientAuthenticationError(KEY)

    monkeypatch.setattr(FakeCredential, "get_token", nobody)

    trouble = await trouble_of(a_deployment())

    assert (trouble.code, trouble.remedy) == (Code.IDENTITY_MISSING, "`az login`")


async def test_an_address_that_does_not_answer_is_told_as_such(unused_tcp_port: int) -> None:
    manager = exporter.adapters.deployment.RestResourceManager(
        FakeCredential(), endpoint=f"https://127.0.0.1:{unused_tcp_port}", retries=0
    )
    async with manager:
        with pytest.raises(TroubleError) as trouble:
            await manager.ask(about_vault())
        assert trouble.value.code == Code.AZURE_UNREACHABLE
        with pytest.raises(TroubleError) as trouble:
            await manager.status_without_sign_in(f"127.0.0.1:{unused_tcp_port}", "/api/health")
        assert trouble.value.code == Code.AZURE_UNREACHABLE


async def test_settings_are_asked_for_by_post_and_nothing_else_is() -> None:
    arm, methods = a_deployment(), set[tuple[str, str]]()
    arm.intervene = lambda request: methods.add((request.method, request.path))
    async with serving(arm) as manager:
        await manager.ask(SETTINGS.of(id_of(APP), APP))
        await manager.ask(about_vault())

    assert methods == {("POST", f"{id_of(APP)}/config/appsettings/list"), ("GET", id_of(VAULT))}


async def test_not_more_than_some_questions_are_under_way_at_once() -> None:
    arm, most = a_deployment(), 0
    under_way = 0
    answer = arm.answer

    async def slow(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await answer(request)

    arm.answer = slow  # type: ignore[method-assign] # a stand-in is what a test makes of it
    async with serving(arm) as manager:
        await asyncio.gather(*(manager.ask(about_vault()) for _ in range(30)))

    assert 1 <= most <= exporter.adapters.deployment.AT_ONCE


def subscriptions(*ids: str) -> list[dict[str, str]]:
    return [{"subscriptionId": each, "displayName": f"Sub {each[0]}", "state": "Enabled"} for each in ids]


async def test_the_only_subscription_is_taken() -> None:
    arm = a_deployment()
    disabled = {**subscriptions("9" + SUBSCRIPTION[1:])[0], "state": "Disabled"}
    arm.documents["/subscriptions"] = [*subscriptions(SUBSCRIPTION), disabled]
    async with serving(arm) as manager:
        assert await find_subscription(manager, GROUP) == SUBSCRIPTION


@pytest.mark.parametrize(
    ("ids", "remedy"),
    [
        ([SUBSCRIPTION, "2" + SUBSCRIPTION[1:]], f"--resource-group {GROUP} --subscription {SUBSCRIPTION}`"),
        ([], "`az login`"),
    ],
)
async def test_no_subscription_is_guessed(ids: list[str], remedy: str) -> None:
    arm = a_deployment()
    arm.documents["/subscriptions"] = subscriptions(*ids)
    with pytest.raises(TroubleError) as trouble:
        await find_subscription(arm, GROUP)

    assert trouble.value.code == Code.SUBSCRIPTION_UNCLEAR
    assert remedy in trouble.value.remedy


async def test_a_group_that_is_not_there_is_told_as_such() -> None:
    arm = Arm(statuses={f"{GROUP_ID}/resources": 404})
    async with serving(arm) as manager:
        with pytest.raises(TroubleError) as trouble:
            await find_deployment(manager, SUBSCRIPTION, GROUP, None)

    assert (trouble.value.code, trouble.value.remedy) == (Code.NOT_DEPLOYED, "`azd up`")


async def test_a_group_without_parts_is_no_deployment() -> None:
    with pytest.raises(TroubleError) as trouble:
        await find_deployment(Arm(), SUBSCRIPTION, GROUP, "prod")

    assert trouble.value.code == Code.NOT_DEPLOYED
    assert trouble.value.remedy == "`azd provision --no-state --environment prod`"


@pytest.mark.parametrize("tags", [{}, {"tags": None}, {"tags": {"team": "crm"}}])
async def test_what_azure_or_others_put_into_the_group_is_left_alone(tags: dict[str, Any]) -> None:
    """Application Insights brings an alert rule and an action group along, with blanks in their ids."""
    arm = a_deployment()
    before = await find_deployment(arm, SUBSCRIPTION, GROUP, None)
    for kind, name in (
        ("microsoft.alertsmanagement/smartDetectorAlertRules", "Failure Anomalies - appi-exporter"),
        ("microsoft.insights/actiongroups", "Application Insights Smart Detection"),
    ):
        strange = {"id": f"{GROUP_ID}/providers/{kind}/{name}", "name": name, "type": kind}
        arm.resources.append({**strange, "location": "global", **tags})

    assert await find_deployment(arm, SUBSCRIPTION, GROUP, None) == before


async def test_one_of_two_environments_has_to_be_named() -> None:
    arm = a_deployment()
    arm.resources[0]["tags"]["azd-env-name"] = "test"
    with pytest.raises(TroubleError) as trouble:
        await find_deployment(arm, SUBSCRIPTION, GROUP, None)
    assert trouble.value.code == Code.SUBSCRIPTION_UNCLEAR
    assert "`AZURE_ENV_NAME=test exporter doctor" in trouble.value.remedy

    found = await find_deployment(arm, SUBSCRIPTION, GROUP, "test")
    assert list(found.resources) == ["identity"]
