"""After the code: Event Grid is set up once the webhook has its key, and never waited for without end."""

import re

import pytest

from tests.hooks.tools import HOOKS, REFUSED, Tools

HOOK = "postdeploy.sh"
KEYS = "az functionapp keys list"
DEPLOYMENT = "az deployment group create"
TEMPLATE = (HOOKS.parent / "events.bicep").read_text()
ENVIRONMENT = {
    "AZURE_RESOURCE_GROUP": "rg",
    "AZURE_ENV_NAME": "prod",
    "AZURE_LOCATION": "norwayeast",
    "FUNCTION_APP_NAME": "exporter-x",
    "LANDING_ACCOUNT_NAME": "landingx",
    "STATE_ACCOUNT_NAME": "statex",
    "LOG_WORKSPACE_NAME": "log-x",
    "ACTION_GROUP_ID": "/subscriptions/s/alerts-x",
    "DEPLOYMENT_TIER": "production",
    "KEY_VAULT_NAME": "kv-x-1",
    "EXPORTER_VAULT_URL": "https://kv-x-1.vault.azure.net/",
    "EVENT_TRIES": "4",
    "EVENT_WAIT_SECONDS": "0",
}


def test_the_subscription_is_made_once_the_key_is_there(tools: Tools) -> None:
    tools.answers = {KEYS: ["false", REFUSED, "true"], DEPLOYMENT: [""]}

    ended = tools.run(HOOK, ENVIRONMENT)

    assert (ended.code, ended.err) == (0, "")
    assert len(ended.made(KEYS)) == 3
    [deployment] = ended.made(DEPLOYMENT)
    assert "--resource-group rg" in deployment
    assert "--template-file events.bicep" in deployment
    for step in (
        "--vault-name kv-x-1",
        "https://statex.blob.core.windows.net",
        "exporter apply",
        "exporter doctor",
    ):
        assert step in ended.out


def test_it_gives_the_template_what_it_wants_and_nothing_else(tools: Tools) -> None:
    tools.answers = {KEYS: ["true"], DEPLOYMENT: [""]}

    [deployment] = tools.run(HOOK, ENVIRONMENT).made(DEPLOYMENT)

    given = set(re.findall(r" (\w+)=", deployment))
    known = set(re.findall(r"^param (\w+)", TEMPLATE, re.MULTILINE))
    required = set(re.findall(r"^param (\w+) \w+$", TEMPLATE, re.MULTILINE))
    assert required
    assert required <= given <= known
    assert " =" not in deployment
    assert "= " not in deployment


def test_the_command_in_the_template_is_the_hooks(tools: Tools) -> None:
    tools.answers = {KEYS: ["true"], DEPLOYMENT: [""]}

    [deployment] = tools.run(HOOK, ENVIRONMENT).made(DEPLOYMENT)

    comment = TEMPLATE.split("@description")[0]
    by_hand = set(re.findall(r'(\w+)="\$(\w+)"', comment))
    assert by_hand
    assert {f"{name}={ENVIRONMENT[variable]}" for name, variable in by_hand} <= set(deployment.split())


def test_az_works_in_the_subscription_of_azd_whichever_is_its_own(tools: Tools) -> None:
    tools.answers = {KEYS: ["true"], DEPLOYMENT: [""]}

    ended = tools.run(HOOK, {**ENVIRONMENT, "AZURE_SUBSCRIPTION_ID": "sub"})

    assert len(ended.calls) == 2
    assert all(call.endswith(" --subscription sub") for call in ended.calls)


def test_git_for_windows_leaves_resource_ids_alone() -> None:
    """It turns what looks like a path into one of Windows: github.com/Azure/azure-cli/issues/16317"""
    script = (HOOKS / HOOK).read_text()

    assert script.index("export MSYS_NO_PATHCONV=1") < script.index('  az "$@"')


def test_an_app_that_does_not_start_is_not_waited_for_without_end(tools: Tools) -> None:
    tools.answers = {KEYS: [REFUSED]}

    ended = tools.run(HOOK, ENVIRONMENT)

    assert ended.code == 1
    assert len(ended.made(KEYS)) == 4
    assert "azd hooks run postdeploy" in ended.err


@pytest.mark.parametrize(("answers", "code"), [([REFUSED, REFUSED, ""], 0), ([REFUSED], 1)])
def test_a_webhook_that_does_not_answer_yet_is_asked_three_times(
    tools: Tools, answers: list[str | None], code: int
) -> None:
    tools.answers = {KEYS: ["true"], DEPLOYMENT: answers}

    ended = tools.run(HOOK, ENVIRONMENT)

    assert ended.code == code
    assert len(ended.made(DEPLOYMENT)) == 3
    assert ("azd hooks run postdeploy" in ended.err) == bool(code)


def test_without_a_deployment_it_says_what_comes_first(tools: Tools) -> None:
    ended = tools.run(HOOK, {})

    assert ended.code != 0
    assert "azd provision" in ended.err
