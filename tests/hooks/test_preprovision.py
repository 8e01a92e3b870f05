"""Before the deployment: what is missing is named with the command that mends it."""

import pytest

from tests.hooks.tools import REFUSED, Tools

ENVIRONMENT = {
    "AZURE_ENV_NAME": "prod",
    "ALERT_EMAILS": "ops@example.org",
    "ENTRA_APPLICATION_NAME": "none",
}

SIGNED_IN: dict[str, list[str | None]] = {"az account show": ["user"], "azd env set": [""]}


@pytest.mark.parametrize(
    "emails", ["", "ops", "ops@example.org,", "ops@example.org;ann@example.org", "ops@example.org,ann"]
)
def test_without_an_address_for_alerts_nothing_begins(tools: Tools, emails: str) -> None:
    ended = tools.run("preprovision.sh", {**ENVIRONMENT, "ALERT_EMAILS": emails})

    assert ended.code == 1
    assert "azd env set ALERT_EMAILS ops@example.org" in ended.err
    assert ended.calls == []


@pytest.mark.parametrize("emails", ["ops@example.org", "ops@example.org, ann+night@example.org"])
def test_several_addresses_may_have_blanks_between(tools: Tools, emails: str) -> None:
    tools.answers = SIGNED_IN

    assert tools.run("preprovision.sh", {**ENVIRONMENT, "ALERT_EMAILS": emails}).code == 0


@pytest.mark.parametrize("expected", ["vip", "vip:", "vip:26,", "vip:0", "vip:49", "vip:2;gold:3", ",vip:26"])
def test_expected_exports_that_the_template_can_not_read_are_named(tools: Tools, expected: str) -> None:
    ended = tools.run("preprovision.sh", {**ENVIRONMENT, "EXPECTED_EXPORTS": expected})

    assert ended.code == 1
    assert "azd env set EXPECTED_EXPORTS vip:26,gold:36" in ended.err
    assert ended.calls == []


@pytest.mark.parametrize("expected", ["", "vip:1", "vip:26, gold_2:48"])
def test_expected_exports_may_be_several_or_none(tools: Tools, expected: str) -> None:
    tools.answers = SIGNED_IN

    assert tools.run("preprovision.sh", {**ENVIRONMENT, "EXPECTED_EXPORTS": expected}).code == 0


def test_whoever_is_not_signed_in_is_told_how(tools: Tools) -> None:
    tools.answers = {"az account show": [REFUSED]}

    ended = tools.run("preprovision.sh", ENVIRONMENT)

    assert ended.code == 1
    assert "az login" in ended.err


def test_az_in_another_directory_than_azd_is_refused(tools: Tools) -> None:
    tools.answers = {
        "az account show --subscription sub": ["their tenant"],
        "az account show": ["our tenant"],
    }

    ended = tools.run("preprovision.sh", {**ENVIRONMENT, "AZURE_SUBSCRIPTION_ID": "sub"})

    assert ended.code == 1
    assert "az account set --subscription sub" in ended.err


@pytest.mark.parametrize(("kind", "noted"), [("user", "User"), ("servicePrincipal", "ServicePrincipal")])
@pytest.mark.parametrize("before", ["", "User", "ServicePrincipal"])
def test_what_deploys_is_noted_for_its_roles_each_time(
    tools: Tools, kind: str, noted: str, before: str
) -> None:
    tools.answers = {**SIGNED_IN, "az account show": [kind]}

    ended = tools.run("preprovision.sh", {**ENVIRONMENT, "AZURE_PRINCIPAL_TYPE": before})

    assert ended.code == 0
    assert ended.made("azd") == [f"azd env set AZURE_PRINCIPAL_TYPE {noted}"]


def test_then_the_application_has_its_turn(tools: Tools) -> None:
    tools.answers = SIGNED_IN

    ended = tools.run("preprovision.sh", ENVIRONMENT)

    assert ended.code == 0
    assert "no Entra application" in ended.out
