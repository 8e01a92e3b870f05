"""A deployment that is well has no complaint; each defect is named by its check, with what mends it."""

from collections.abc import Callable
from typing import Any

import pytest

from exporter.domain.deployment import (
    ACTION_GROUP,
    APP,
    DIAGNOSED,
    ENDPOINTS,
    EVENT_ALERTS,
    EVENT_TOPIC,
    IDENTITY,
    INSIGHTS,
    LANDING,
    LOG_ALERTS,
    LOGS,
    NETWORK,
    PARTS,
    PLAN,
    ROLES,
    SECOND_PHASE,
    STATE,
    VAULT,
    WORKBOOK,
    Part,
)
from exporter.steps.deployment import ResourceManager, ask_about, find_deployment
from exporter.steps.deployment_checks import checks_of
from exporter.steps.doctor import Check, Code, Examination
from tests.canary import KEY
from tests.deployment.arm import (
    ENVIRONMENT,
    GROUP,
    PRINCIPAL,
    SUBSCRIPTION,
    Arm,
    a_deployment,
    assignment,
    id_of,
    serving,
)

IN_GROUP = f"--resource-group {GROUP} --subscription {SUBSCRIPTION}`"
PROVISION = f"`azd provision --no-state --environment {ENVIRONMENT}`"
SECOND = f"`azd hooks run postdeploy --environment {ENVIRONMENT}`"
Defect = Callable[[Arm], Any]


async def over_https(arm: Arm) -> dict[str, Check]:
    """All checks by name, asked by the real adapter."""
    async with serving(arm) as manager:
        return await examined(arm, manager)


async def examined(arm: Arm, manager: ResourceManager | None = None) -> dict[str, Check]:
    """All checks by name; without a manager the documents are taken as they are."""
    examination = Examination()
    deployment = await find_deployment(manager or arm, SUBSCRIPTION, GROUP, None)
    await ask_about(manager or arm, deployment)
    for planned in checks_of(deployment):

        async def look(planned: Any = planned) -> str:
            return str(planned.look(deployment))

        await examination.look(planned.name, look, needs=planned.needs)
    found = {check.check: check for check in examination.checks}
    assert len(found) == len(examination.checks)
    assert KEY not in str(found)
    assert "somebody@" not in str(found)
    return found


def wrong(found: dict[str, Check]) -> dict[str, str | None]:
    return {name: check.code for name, check in found.items() if check.ok is False}


@pytest.mark.parametrize("private", [False, True])
async def test_a_deployment_that_is_well_has_no_complaint(*, private: bool) -> None:
    found = await over_https(a_deployment(private=private))

    assert {name: check for name, check in found.items() if check.ok is not True} == {}
    parts = {part.tag for part in PARTS if private or part not in NETWORK}
    assert parts <= found.keys()


def properties(part: Part, child: str = "", **changes: Any) -> Defect:
    """A defect in the properties of a part, or of one of its children."""
    return lambda arm: arm.of(part, child)["properties"].update(changes)


def inside(part: Part, child: str, *path: str | int, **changes: Any) -> Defect:
    """A defect deeper in the properties."""

    def plant(arm: Arm) -> None:
        place = arm.of(part, child)
        for step in path:
            place = place[step]
        place.update(changes)

    return plant


def deletes(name: str) -> dict[str, Any]:
    """A lifecycle policy with one rule, which deletes after a week."""
    actions = {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": 7.0}}}
    return {"properties": {"policy": {"rules": [{"name": name, "definition": {"actions": actions}}]}}}


def settings(**changes: str | None) -> Defect:
    """Settings of the app that are other, or not there."""

    def plant(arm: Arm) -> None:
        given = arm.of(APP, "/config/appsettings/list")["properties"]
        given.update(changes)
        for name in [name for name, value in changes.items() if value is None]:
            del given[name]

    return plant


def without(part: Part, child: str, **match: str) -> Defect:
    """A list without one of its items."""

    def plant(arm: Arm) -> None:
        items = arm.of(part, child)
        (gone,) = [item for item in items if match.items() <= item.items()]
        items.remove(gone)

    return plant


def also(part: Part, child: str, item: dict[str, Any]) -> Defect:
    """A list with one more item."""
    return lambda arm: arm.of(part, child).append(item)


AUTH = "/config/authsettingsV2"
BLOBS = "/blobServices/default"
ROLE_LIST = "/providers/Microsoft.Authorization/roleAssignments"
SUBSCRIPTIONS = "/eventSubscriptions"
OFFERED = "storage account update --name"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"

DEFECTS: list[tuple[Defect, str, Code, str]] = [
    (
        properties(STATE, allowSharedKeyAccess=None),
        "state-storage access",
        Code.DRIFTED,
        f"`az {OFFERED} stateabc --allow-shared-key-access false {IN_GROUP}",
    ),
    (
        properties(STATE, allowBlobPublicAccess=True),
        "state-storage access",
        Code.DRIFTED,
        f"`az {OFFERED} stateabc --allow-blob-public-access false {IN_GROUP}",
    ),
    (
        properties(LANDING, minimumTlsVersion="TLS1_0"),
        "landing-storage access",
        Code.DRIFTED,
        f"`az {OFFERED} landingabc --min-tls-version TLS1_2 {IN_GROUP}",
    ),
    (
        properties(LANDING, supportsHttpsTrafficOnly=False),
        "landing-storage access",
        Code.DRIFTED,
        f"`az {OFFERED} landingabc --https-only true {IN_GROUP}",
    ),
    (
        properties(STATE, allowSharedKeyAccess=True, supportsHttpsTrafficOnly=False),
        "state-storage access",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        properties(LANDING, networkAcls={"defaultAction": "Deny"}),
        "landing-storage network",
        Code.DRIFTED,
        PROVISION,
    ),
    (properties(STATE, publicNetworkAccess="Disabled"), "state-storage network", Code.DRIFTED, PROVISION),
    (properties(VAULT, networkAcls={"defaultAction": "Deny"}), "vault network", Code.DRIFTED, PROVISION),
    (
        properties(STATE, BLOBS, deleteRetentionPolicy={"enabled": False}),
        "state-storage soft delete",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        properties(LANDING, BLOBS, deleteRetentionPolicy={"enabled": True, "days": 7}),
        "landing-storage soft delete",
        Code.DRIFTED,
        f"--account-name landingabc --enable-delete-retention false {IN_GROUP}",
    ),
    (
        properties(LANDING, BLOBS, isVersioningEnabled=True),
        "landing-storage soft delete",
        Code.DRIFTED,
        "--enable-versioning false",
    ),
    (
        inside(STATE, "/managementPolicies/default", "properties", "policy", "rules", 0, enabled=False),
        "state-storage lifecycle",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        inside(STATE, "/managementPolicies/default", "properties", "policy", "rules", 1, name="mine"),
        "state-storage lifecycle",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        inside(
            STATE,
            "/managementPolicies/default",
            *("properties", "policy", "rules", 2, "definition", "filters"),
            prefixMatch=["exporter/"],
        ),
        "state-storage lifecycle",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        lambda arm: arm.documents.update({id_of(LANDING) + "/managementPolicies/default": deletes("mine")}),
        "landing-storage lifecycle",
        Code.DRIFTED,
        "`az storage account management-policy delete --account-name landingabc",
    ),
    (
        lambda arm: arm.documents.pop(id_of(STATE) + "/managementPolicies/default"),
        "state-storage lifecycle",
        Code.NOT_DEPLOYED,
        PROVISION,
    ),
    (
        without(STATE, f"{BLOBS}/containers", name="dead-letters"),
        "state-storage containers",
        Code.DRIFTED,
        "`az storage container-rm create --storage-account stateabc --name dead-letters",
    ),
    (
        inside(LANDING, f"{BLOBS}/containers", 0, "properties", publicAccess="Blob"),
        "landing-storage containers",
        Code.DRIFTED,
        "--public-access off --name segments",
    ),
    (
        without(STATE, "/queueServices/default/queues", name="chunks-poison"),
        "state-storage queues",
        Code.DRIFTED,
        "`az storage queue create --account-name stateabc --auth-mode login --name chunks-poison",
    ),
    (
        properties(VAULT, enableRbacAuthorization=False),
        "vault protection",
        Code.DRIFTED,
        f"`az keyvault update --name kv-abc-1 --enable-rbac-authorization true {IN_GROUP}",
    ),
    (
        properties(VAULT, enablePurgeProtection=None),
        "vault protection",
        Code.DRIFTED,
        "--enable-purge-protection true",
    ),
    (properties(VAULT, provisioningState="RegisteringDns"), "vault", Code.NOT_READY, PROVISION),
    (
        properties(LOGS, features={}),
        "logs access",
        Code.DRIFTED,
        "--set properties.features.disableLocalAuth=true",
    ),
    (
        lambda arm: arm.of(LOGS, "/savedSearches").pop(),
        "logs queries",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        properties(INSIGHTS, DisableLocalAuth=False),
        "insights access",
        Code.DRIFTED,
        "--set properties.DisableLocalAuth=true",
    ),
    (properties(INSIGHTS, WorkspaceResourceId="/other"), "insights access", Code.DRIFTED, PROVISION),
    (lambda arm: arm.of(PLAN)["sku"].update(name="Y1"), "plan", Code.DRIFTED, PROVISION),
    (
        properties(APP, httpsOnly=False),
        "app transport",
        Code.DRIFTED,
        f"`az functionapp update --name exporter-abc --set httpsOnly=true {IN_GROUP}",
    ),
    (properties(APP, "/config/web", ftpsState="AllAllowed"), "app transport", Code.DRIFTED, "--ftps-state"),
    (
        properties(APP, "/config/web", minTlsVersion="1.0"),
        "app transport",
        Code.DRIFTED,
        "--min-tls-version 1.2",
    ),
    (
        inside(APP, "/basicPublishingCredentialsPolicies", 1, "properties", allow=True),
        "app publishing",
        Code.DRIFTED,
        "basicPublishingCredentialsPolicies/scm --set properties.allow=false",
    ),
    (
        lambda arm: arm.of(APP).update(identity=None),
        "app identity",
        Code.DRIFTED,
        f"`az functionapp identity assign --name exporter-abc --identities {id_of(IDENTITY)}",
    ),
    (
        inside(APP, "", "properties", "functionAppConfig", "runtime", version="3.11"),
        "app runtime",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        inside(APP, "", "properties", "functionAppConfig", "scaleAndConcurrency", maximumInstanceCount=None),
        "app runtime",
        Code.DRIFTED,
        PROVISION,
    ),
    (settings(EXPORTER_VAULT_URL=None), "app settings", Code.DRIFTED, PROVISION),
    (
        settings(EXPORTER_STORAGE__blobServiceUri="https://other.blob.core.windows.net/"),
        "app settings",
        Code.DRIFTED,
        PROVISION,
    ),
    (settings(EXPORTER_LANDING__clientId=PRINCIPAL), "app settings", Code.DRIFTED, PROVISION),
    (
        settings(AzureWebJobsStorage="AccountKey=canary-key"),
        "app settings",
        Code.DRIFTED,
        "`az functionapp config appsettings delete --name exporter-abc --setting-names AzureWebJobsStorage",
    ),
    (
        settings(EXPORTER_STROAGE="x"),
        "app settings",
        Code.DRIFTED,
        f"--setting-names EXPORTER_STROAGE {IN_GROUP}",
    ),
    (
        inside(APP, AUTH, "properties", "platform", enabled=False),
        "app authentication",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        inside(APP, AUTH, "properties", "globalValidation", unauthenticatedClientAction="AllowAnonymous"),
        "app authentication",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        lambda arm: arm.of(APP, AUTH)["properties"]["globalValidation"]["excludedPaths"].append("/api/*"),
        "app authentication",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        lambda arm: arm.of(APP, AUTH)["properties"]["globalValidation"]["excludedPaths"].pop(),
        "app authentication",
        Code.DRIFTED,
        PROVISION,
    ),
    (
        without(APP, "/functions", name="exporter-abc/on_chunk_queued"),
        "app functions",
        Code.CODE_MISSING,
        f"`azd deploy --environment {ENVIRONMENT}`",
    ),
    (lambda arm: setattr(arm, "health_status", 200), "app health", Code.OPEN_TO_ALL, PROVISION),
    (lambda arm: setattr(arm, "health_status", 404), "app health", Code.OPEN_TO_ALL, PROVISION),
    (
        also(STATE, ROLE_LIST, assignment(PRINCIPAL, CONTRIBUTOR, f"/subscriptions/{SUBSCRIPTION}")),
        "state-storage further roles",
        Code.ROLE_TOO_WIDE,
        "`az role assignment delete --ids",
    ),
    *[
        (
            also(part, ROLE_LIST, assignment(PRINCIPAL, CONTRIBUTOR, "/")),
            f"{part.tag} further roles",
            Code.ROLE_TOO_WIDE,
            f"roleAssignments/aaaaaaaa-{CONTRIBUTOR} --subscription {SUBSCRIPTION}`",
        )
        for part in ROLES
    ],
    (
        also(VAULT, ROLE_LIST, assignment(PRINCIPAL, CONTRIBUTOR, id_of(VAULT))),
        "vault further roles",
        Code.ROLE_TOO_WIDE,
        f"roleAssignments/aaaaaaaa-{CONTRIBUTOR} --subscription {SUBSCRIPTION}`",
    ),
    (properties(EVENT_TOPIC, source=id_of(STATE)), "event-topic", Code.DRIFTED, SECOND),
    (
        lambda arm: arm.of(EVENT_TOPIC, SUBSCRIPTIONS).clear(),
        "event-topic subscription",
        Code.NOT_DEPLOYED,
        SECOND,
    ),
    (
        inside(EVENT_TOPIC, SUBSCRIPTIONS, 0, "properties", provisioningState="Failed"),
        "event-topic subscription",
        Code.NOT_READY,
        SECOND,
    ),
    (
        inside(EVENT_TOPIC, SUBSCRIPTIONS, 0, "properties", deadLetterWithResourceIdentity=None),
        "event-topic subscription",
        Code.DRIFTED,
        SECOND,
    ),
    (
        inside(EVENT_TOPIC, SUBSCRIPTIONS, 0, "properties", "filter", includedEventTypes=["Other"]),
        "event-topic subscription",
        Code.DRIFTED,
        SECOND,
    ),
    (
        inside(EVENT_TOPIC, SUBSCRIPTIONS, 0, "properties", "destination", endpointType="EventHub"),
        "event-topic subscription",
        Code.DRIFTED,
        SECOND,
    ),
    (
        lambda arm: arm.of(EVENT_TOPIC, f"{SUBSCRIPTIONS}/segment-dropped/getFullUrl").update(
            endpointUrl=f"https://exporter-abc.azurewebsites.net/x?functionName=Host.Functions.other&code={KEY}"
        ),
        "event-topic address",
        Code.DRIFTED,
        SECOND,
    ),
    (
        lambda arm: arm.of(EVENT_TOPIC, f"{SUBSCRIPTIONS}/segment-dropped/getFullUrl").update(
            endpointUrl="https://example.org/?functionName=Host.Functions.on_segment_dropped"
        ),
        "event-topic address",
        Code.DRIFTED,
        SECOND,
    ),
    (
        lambda arm: arm.of(STATE, f"{BLOBS}/containers/dead-letters{ROLE_LIST}").clear(),
        "event-topic role",
        Code.ROLE_MISSING,
        SECOND,
    ),
    (properties(ACTION_GROUP, emailReceivers=[]), "action-group", Code.DRIFTED, "ALERT_EMAILS"),
    (
        properties(ACTION_GROUP, emailReceivers=[{"status": "Disabled"}]),
        "action-group",
        Code.DRIFTED,
        "ALERT_EMAILS",
    ),
    (properties(ACTION_GROUP, enabled=False), "action-group", Code.DRIFTED, PROVISION),
    *[
        (
            properties(part, enabled=False),
            part.tag,
            Code.DRIFTED,
            f"`az monitor scheduled-query update --name {part.tag}-abc --disabled false {IN_GROUP}",
        )
        for part in LOG_ALERTS
    ],
    *[
        (
            properties(part, enabled=False),
            part.tag,
            Code.DRIFTED,
            f"`az monitor metrics alert update --name {part.tag}-abc --enabled true {IN_GROUP}",
        )
        for part in EVENT_ALERTS
    ],
    (properties(LOG_ALERTS[0], actions={"actionGroups": []}), LOG_ALERTS[0].tag, Code.DRIFTED, PROVISION),
    (properties(EVENT_ALERTS[0], actions=[]), EVENT_ALERTS[0].tag, Code.DRIFTED, SECOND),
    *[
        (
            lambda arm, path=f"{child}/providers/Microsoft.Insights/diagnosticSettings", part=part: arm.of(
                part, path
            ).clear(),
            f"{part.tag} diagnostics",
            Code.DRIFTED,
            SECOND if part is EVENT_TOPIC else PROVISION,
        )
        for part, children in DIAGNOSED.items()
        for child in children
    ],
    *[
        (
            lambda arm, part=part, number=number: arm.of(part, ROLE_LIST).pop(number + 1),
            f"{part.tag} role {role.name}",
            Code.ROLE_MISSING,
            PROVISION,
        )
        for part, roles in ROLES.items()
        for number, role in enumerate(roles)
    ],
]


@pytest.mark.parametrize(("plant", "name", "code", "remedy"), DEFECTS)
async def test_a_single_defect_is_named_with_what_mends_it(
    plant: Defect, name: str, code: Code, remedy: str
) -> None:
    arm = a_deployment()
    plant(arm)

    found = await examined(arm)

    assert wrong(found) == {name: code}
    assert remedy in str(found[name].remedy)


def test_every_check_has_a_defect() -> None:
    named = {name for _, name, _, _ in DEFECTS} | {part.tag for part in PARTS}
    deployment: Any = type("Nothing", (), {"all_of": lambda *_: ()})()

    assert {planned.name for planned in checks_of(deployment)} <= named


@pytest.mark.parametrize("part", [part for part in PARTS if part not in NETWORK and part.count], ids=str)
async def test_a_part_that_is_gone_is_named_and_the_others_are_looked_at(part: Part) -> None:
    arm = a_deployment()
    arm.remove(part)

    found = await examined(arm)

    mend = SECOND if part in SECOND_PHASE else PROVISION
    assert (found[part.tag].code, found[part.tag].remedy) == (Code.NOT_DEPLOYED, mend)
    assert found["workbook" if part is not WORKBOOK else "plan"].ok is True
    assert Code.UNEXPECTED not in wrong(found).values()


async def test_a_stopped_app_is_named_and_nothing_more_is_asked_of_it() -> None:
    arm = a_deployment()
    arm.of(APP)["properties"]["state"] = "Stopped"

    found = await examined(arm)

    assert wrong(found) == {"app": Code.APP_STOPPED}
    assert found["app"].remedy == f"`az functionapp start --name exporter-abc {IN_GROUP}"
    assert found["app settings"].ok is None


@pytest.mark.parametrize(
    ("plant", "name", "code"),
    [
        (lambda arm: arm.of(STATE)["properties"].update(
            publicNetworkAccess="Enabled", networkAcls={"defaultAction": "Allow"}
        ), "state-storage network", Code.DRIFTED),
        (lambda arm: arm.of(APP, "/config/web")["properties"].update(
            ipSecurityRestrictionsDefaultAction="Allow"
        ), "app transport", Code.DRIFTED),
        (lambda arm: arm.of(ENDPOINTS)["properties"]["privateLinkServiceConnections"][0]["properties"][
            "privateLinkServiceConnectionState"
        ].update(status="Pending"), "network-endpoint", Code.NOT_READY),
        (lambda arm: arm.of(ENDPOINTS, "/privateDnsZoneGroups").clear(), "network-endpoint", Code.DRIFTED),
        *[
            (lambda arm, part=part: arm.remove(part), part.tag, Code.NOT_DEPLOYED)
            for part in NETWORK
        ],
    ],
)  # fmt: skip
async def test_a_defect_of_a_private_network_is_named(plant: Defect, name: str, code: Code) -> None:
    arm = a_deployment(private=True)
    plant(arm)

    found = await examined(arm)

    assert wrong(found) == {name: code}
    assert found[name].remedy == PROVISION


async def test_keys_on_the_landing_account_are_a_remark() -> None:
    arm = a_deployment()
    arm.of(LANDING)["properties"]["allowSharedKeyAccess"] = True

    found = await examined(arm)

    assert wrong(found) == {}
    assert "takes keys" in found["landing-storage access"].detail


async def test_the_rule_that_a_parameter_asks_for_is_a_remark() -> None:
    arm = a_deployment()
    arm.documents[id_of(LANDING) + "/managementPolicies/default"] = deletes("segments")

    found = await examined(arm)

    assert wrong(found) == {}
    assert "deleted after 7 days" in found["landing-storage lifecycle"].detail


async def test_no_entra_application_yet_is_a_remark() -> None:
    arm = a_deployment()
    provider = arm.of(APP, AUTH)["properties"]["identityProviders"]["azureActiveDirectory"]
    provider["registration"]["clientId"] = "00000000-0000-0000-0000-000000000000"

    found = await examined(arm)

    assert wrong(found) == {}
    assert "nobody can sign in yet" in found["app authentication"].detail


async def test_a_topic_may_have_subscriptions_of_others() -> None:
    arm = a_deployment()
    subscriptions = arm.of(EVENT_TOPIC, SUBSCRIPTIONS)
    other = {**subscriptions[0], "id": f"{id_of(EVENT_TOPIC)}/eventSubscriptions/other", "name": "other"}
    subscriptions.insert(0, other)

    assert wrong(await examined(arm)) == {}


async def test_two_resources_of_one_part_are_named() -> None:
    arm = a_deployment()
    arm.add(VAULT, number=2)

    found = await examined(arm)

    assert found["vault"].code == Code.DOUBLED
    assert f"`az tag update --resource-id {id_of(VAULT)} --operation delete" in str(found["vault"].remedy)
    assert found["vault protection"].ok is None


@pytest.mark.parametrize(
    ("part", "child", "name", "action", "role"),
    [
        (VAULT, "", "vault", "Microsoft.KeyVault/vaults/read", "Reader"),
        (
            APP,
            "/config/appsettings/list",
            "app settings",
            "Microsoft.Web/sites/config/list/action",
            "Website Contributor",
        ),
        (
            EVENT_TOPIC,
            f"{SUBSCRIPTIONS}/segment-dropped/getFullUrl",
            "event-topic address",
            "Microsoft.EventGrid/systemTopics/eventSubscriptions/getFullUrl/action",
            "EventGrid EventSubscription Contributor",
        ),
        (
            INSIGHTS,
            ROLE_LIST,
            "insights further roles",
            "Microsoft.Authorization/roleAssignments/read",
            "Reader",
        ),
    ],
)
async def test_a_right_that_is_missing_is_named_and_the_rest_is_looked_at(
    part: Part, child: str, name: str, action: str, role: str
) -> None:
    arm = a_deployment()
    arm.statuses[id_of(part) + child] = 403

    found = await over_https(arm)

    assert found[name].code == Code.RIGHT_MISSING
    assert action in found[name].detail
    assert f'`az role assignment create --role "{role}"' in str(found[name].remedy)
    assert id_of(part) in str(found[name].remedy)
    assert set(wrong(found).values()) == {Code.RIGHT_MISSING}
    assert found["workbook"].ok is True


@pytest.mark.parametrize(
    ("part", "child", "answer", "name"),
    [
        (VAULT, "", {"properties": {"enablePurgeProtection": "yes"}}, "vault protection"),
        (APP, AUTH, {"properties": [KEY]}, "app authentication"),
        (STATE, f"{BLOBS}/containers", [{"name": f"{KEY}\n"}], "state-storage containers"),
        (EVENT_TOPIC, SUBSCRIPTIONS, [{"id": "//evil"}], "event-topic subscription"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_one_checks_trouble(
    part: Part, child: str, answer: Any, name: str
) -> None:
    arm = a_deployment()
    arm.documents[id_of(part) + child] = answer

    found = await examined(arm)

    assert wrong(found)[name] == Code.AZURE_ERROR
    assert Code.UNEXPECTED not in wrong(found).values()


async def test_names_from_azure_are_quoted_in_commands() -> None:
    arm = a_deployment()
    for resource in arm.resources:
        resource["tags"]["azd-env-name"] = "prod; rm -rf /"
    arm.remove(WORKBOOK)

    found = await examined(arm)

    assert found["workbook"].remedy == "`azd provision --no-state --environment 'prod; rm -rf /'`"
