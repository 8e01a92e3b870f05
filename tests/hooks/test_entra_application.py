"""The Entra application: made once, never taken over by its name; who may not is told what to ask for."""

import json
import re
from pathlib import Path

import pytest

from tests.hooks.tools import HOOKS, REFUSED, Tools

HOOK = "entra-application.sh"
NEW = {"AZURE_ENV_NAME": "prod"}
KNOWN = {**NEW, "ENTRA_CLIENT_ID": "app-1"}
DEPLOYED = {**KNOWN, "FUNCTION_APP_HOST": "exporter-x.azurewebsites.net"}
CALLBACK = "https://exporter-x.azurewebsites.net/.auth/login/aad/callback"
ADMINISTRATOR = json.loads((HOOKS / "app-roles.json").read_text())[0]["id"]


def complete() -> dict[str, list[str | None]]:
    """The answers of a directory in which everything is there."""
    return {
        "az ad app list": [""],
        "az ad app create": ["app-1"],
        "az ad app show --id app-1 --query appId": ["app-1"],
        "az ad app show --id app-1 --query length(appRoles)": ["3"],
        "az ad app show --id app-1 --query length(identifierUris)": ["1"],
        "az ad app show --id app-1 --query web.redirectUris": [CALLBACK],
        "az ad app update": [""],
        "az ad sp show --id app-1 --query id": ["principal-1"],
        "az ad sp show --id app-1 --query appRoleAssignmentRequired": ["true"],
        "az ad sp create": [""],
        "az ad sp update": [""],
        "az ad signed-in-user": ["ann"],
        "az rest --method get": ["1"],
        "az rest --method post": [""],
        "azd env set": [""],
    }


def test_everything_is_made_the_first_time(tools: Tools) -> None:
    tools.answers = complete() | {
        "az ad app show --id app-1 --query length(identifierUris)": ["0"],
        "az ad sp show --id app-1 --query id": ["", "principal-1"],
        "az ad sp show --id app-1 --query appRoleAssignmentRequired": ["false"],
        "az rest --method get": ["0"],
    }

    ended = tools.run(HOOK, NEW)

    assert (ended.code, ended.err) == (0, "")
    kinds = [" ".join(call.split()[:4]) for call in ended.written()]
    assert kinds == [
        "az ad app create",
        "azd env set ENTRA_CLIENT_ID",
        "az ad app update",
        "az ad sp create",
        "az ad sp update",
        "az rest --method post",
    ]
    made = ended.made("az ad app create")[0]
    assert "--sign-in-audience AzureADMyOrg" in made
    roles = re.search(r"--app-roles @(\S+)", made)
    assert roles
    assert Path(roles[1]) == HOOKS / "app-roles.json"
    assert "--set appRoleAssignmentRequired=true" in ended.made("az ad sp update")[0]
    body = json.loads(ended.made("az rest --method post")[0].split("--body ")[1].split(" --output")[0])
    assert body == {"principalId": "ann", "resourceId": "principal-1", "appRoleId": ADMINISTRATOR}


@pytest.mark.parametrize("environment", [KNOWN, DEPLOYED])
def test_what_is_there_is_left_alone(tools: Tools, environment: dict[str, str]) -> None:
    tools.answers = complete()

    ended = tools.run(HOOK, environment)

    assert (ended.code, ended.err) == (0, "")
    assert ended.written() == []


def test_the_sign_in_learns_where_to_come_back_to(tools: Tools) -> None:
    tools.answers = complete() | {"az ad app show --id app-1 --query web.redirectUris": [""]}

    ended = tools.run(HOOK, DEPLOYED)

    assert ended.written() == [
        f"az ad app update --id app-1 --web-redirect-uris {CALLBACK} --output none",
    ]


def test_other_places_to_come_back_to_stay(tools: Tools) -> None:
    others = "https://other.azurewebsites.net/.auth/login/aad/callback\nhttps://contacts.example.org/callback"
    tools.answers = complete() | {"az ad app show --id app-1 --query web.redirectUris": [others]}

    ended = tools.run(HOOK, DEPLOYED)

    [update] = ended.written()
    assert f"--web-redirect-uris {others} {CALLBACK} ".replace("\n", " ") in update


def test_an_application_of_the_same_name_is_not_taken_over(tools: Tools) -> None:
    tools.answers = complete() | {"az ad app list": ["app-of-others"]}

    ended = tools.run(HOOK, NEW)

    assert ended.code == 0
    assert ended.written() == []
    assert "azd env set ENTRA_CLIENT_ID app-of-others" in ended.err
    assert "azd env set ENTRA_APPLICATION_NAME" in ended.err


def test_nothing_is_made_where_nobody_can_tell_whether_it_is_there(tools: Tools) -> None:
    tools.answers = complete() | {"az ad app list": [REFUSED]}

    ended = tools.run(HOOK, NEW)

    assert ended.code == 0
    assert "can't be searched" in ended.err
    assert [call for call in ended.made("az") if not call.startswith("az ad app list")] == []


def test_an_apostrophe_in_the_name_does_not_end_the_search(tools: Tools) -> None:
    tools.answers = complete() | {"az ad app list": ["app-of-others"]}

    ended = tools.run(HOOK, {**NEW, "ENTRA_APPLICATION_NAME": "Ann's exports"})

    (search,) = ended.made("az")
    assert "displayName eq 'Ann''s exports'" in search
    assert "There is an Entra application Ann's exports already" in ended.err


def test_who_may_not_create_it_gets_the_command_and_goes_on(tools: Tools) -> None:
    tools.answers = complete() | {"az ad app create": [REFUSED]}

    ended = tools.run(HOOK, NEW)

    assert ended.code == 0
    assert ended.made("azd") == []
    assert 'az ad app create --display-name "segment-exporter-prod"' in ended.err
    assert "--app-roles @infra/hooks/app-roles.json" in ended.err
    assert "azd env set ENTRA_CLIENT_ID <id>" in ended.err


def test_steps_that_are_refused_are_noted_word_for_word(tools: Tools) -> None:
    tools.answers = complete() | {
        "az ad app show --id app-1 --query length(appRoles)": ["0"],
        "az ad app update": [REFUSED],
        "az ad sp show --id app-1 --query appRoleAssignmentRequired": ["false"],
        "az ad sp update": [REFUSED],
        "az rest --method get": ["0"],
        "az rest --method post": [REFUSED],
    }

    ended = tools.run(HOOK, KNOWN)

    assert ended.code == 0
    noted = [line.strip() for line in ended.err.splitlines() if line.startswith("  az ")]
    tried = [call.removesuffix(" --output none") for call in ended.written()]
    assert [line.replace("'", "") for line in noted] == tried
    assert '\'{"principalId"' in noted[-1]


def test_an_application_that_may_not_be_read_is_left_as_it_is(tools: Tools) -> None:
    tools.answers = complete() | {"az ad app show --id app-1 --query appId": [REFUSED]}

    ended = tools.run(HOOK, KNOWN)

    assert ended.code == 0
    assert ended.written() == []
    assert "left as it is" in ended.err


def test_a_pipeline_names_its_administrator(tools: Tools) -> None:
    tools.answers = complete() | {"az ad signed-in-user": [REFUSED], "az rest --method get": ["0"]}

    unnamed = tools.run(HOOK, KNOWN)
    named = tools.run(HOOK, {**KNOWN, "FIRST_ADMINISTRATOR_ID": "bob"})

    assert (unnamed.code, unnamed.written()) == (0, [])
    assert "azd env set FIRST_ADMINISTRATOR_ID" in unnamed.err
    assert '"principalId":"bob"' in named.made("az rest --method post")[0]


def test_there_are_three_roles_and_the_first_is_the_administrators() -> None:
    roles = json.loads((HOOKS / "app-roles.json").read_text())

    assert [role["value"] for role in roles] == ["Administrator", "Marketer", "Operator"]
    assert len({role["id"] for role in roles}) == 3
    assert f"administrator_role={ADMINISTRATOR} " in (HOOKS / HOOK).read_text()
