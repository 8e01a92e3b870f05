"""The templates in infra/ are without fault, by all checks.

This needs no account and no network. What only Azure can tell is told in docs/security.md.
"""

import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.infra import (
    check_alerts,
    check_azd,
    check_names,
    check_retention,
    check_roles,
    check_security,
    check_templates,
)
from tests.infra.project import RESOURCE_TYPES, ROOT, Project
from tests.infra.trim_types import used_types

Check = Callable[[Project], Iterator[str]]

MODULES: Final = (
    check_templates,
    check_names,
    check_roles,
    check_security,
    check_retention,
    check_alerts,
    check_azd,
)
CHECKS: Final[dict[str, Check]] = {
    f"{module.__name__.rpartition('_')[2]}.{name}": check
    for module in MODULES
    for name, check in inspect.getmembers(module, inspect.isfunction)
    if check.__module__ == module.__name__ and list(inspect.signature(check).parameters) == ["project"]
}
"""Every function of a check_… module that takes a project: it yields what is wrong, a sentence each."""


@pytest.fixture(scope="module")
def project() -> Project:
    return Project(ROOT)


@pytest.mark.parametrize("check", CHECKS)
def test_the_templates_are_without_fault(check: str, project: Project) -> None:
    assert list(CHECKS[check](project)) == []


def test_each_resource_has_a_type_here_and_no_type_is_without_a_resource() -> None:
    assert RESOURCE_TYPES.names == used_types(ROOT / "infra")


Fault = tuple[str, str, str, str]
FAULTS: Final[dict[str, list[Fault]]] = {
    "templates.syntax": [
        ("vault.bicep", "output id string = vault.id", "output id string vault.id", "syntax"),
    ],
    "templates.types": [
        ("vault.bicep", "name: 'standard'", "name: 'cheap'", "'cheap' is none of"),
        ("app.bicep", "httpsOnly", "httpOnly", "unknown property 'httpOnly'"),
        ("tiers/staging.json", '"instanceMemoryMB": 2048', '"instanceMemoryMB": "2"', "str given"),
        ("network/network.bicep", "natGateway: {", "natGateways: {", "unknown property 'natG"),
        ("app.bicep", "properties.defaultHostName", "properties.hostName", "app has no '"),
    ],
    "templates.names": [
        ("vault.bicep", "param name string", "param name string\nparam more string", "'more' "),
        ("alerts.bicep", "throttling.kql", "throttled.kql", "no file queries/alerts/throttled"),
        ("main.bicep", "module workbook 'work", "module workbook 'wrok", "workbook.bicep: no t"),
    ],
    "templates.modules": [
        (
            "main.bicep",
            "landingSharedKey bool = false",
            "landingSharedKey string = 'no'",
            "'sharedKey' is str, not bool",
        ),
        ("vault.bicep", "param name string", "param title string", "no parameter 'name'"),
        ("vault.bicep", "output uri", "output url", "vault.bicep has no output 'uri'"),
    ],
    "templates.parameter_file": [
        ("main.parameters.json", '"tier"', '"teir"', "no parameter 'teir'"),
        ("main.parameters.json", '"alertEmails"', '"a"', "'alertEmails' is missing"),
    ],
    "templates.platform": [
        ("workbook.bicep", "guid(resourceGroup().id, appName, 'workbook')", "'workbook'", "is a GUID"),
        ("queries.bicep", "etag: '*'", "", "a second deployment is refused"),
        ("network/network.bicep", "'Microsoft.App/env", "'Microsoft.Web/env", "wants a subnet"),
    ],
    "templates.tiers": [
        ("tiers/production.json", '"auditReads"', '"audit"', "'auditReads' is missing"),
    ],
    "names.storage": [
        ("state-storage.bicep", "'settlements'", "'settlement'", "'settlements' is missing"),
        ("landing-storage.bicep", "name: 'segments'", "name: 'drops'", "nothing uses 'drops'"),
    ],
    "names.settings": [
        ("app.bicep", "EXPORTER_VAULT_URL", "EXPORTER_VAULT", "EXPORTER_VAULT_URL is missing"),
        ("app.bicep", "PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_OTEL", "nothing reads the setting"),
        ("../local.settings.sample.json", "EXPORTER_LANDING", "LANDING", "does not have EXPORTER_LANDING"),
    ],
    "names.values": [
        ("main.bicep", "blob: landing.outputs.blobUri", "blob: state.outputs.blobUri", "blobServ"),
        ("app.bicep", "__credential: 'managedidentity'", "__credential: 'key'", "is 'key', not"),
        ("app.bicep", "string(tracePercentage)", "'all'", "should be a number from 0 to 100"),
    ],
    "names.options": [
        ("main.bicep", "hostPatterns: hostPatterns", "hostPatterns: ''", "EXPORTER_HOST_PATTERNS"),
    ],
    "names.triggers": [
        ("app.bicep", "EXPORTER_LANDING__q", "EXPORTER_LANDED__q", "EXPORTER_LANDING__queueSe"),
        ("events.bicep", "'on_segment_dropped'", "'on_drop'", "on_segment_dropped"),
        ("events.bicep", "source: landing.id", "source: state.id", "the topic's source is"),
    ],
    "names.webhook": [
        ("events.bicep", "'EventGridSchema'", "'CloudEventSchemaV1_0'", "events come as"),
        ("events.bicep", "systemKeys.blobs_extension", "masterKey", "the key blobs_extension"),
        ("events.bicep", "'StringNotIn'", "'StringIn'", "keeps unfinished files out"),
        ("events.bicep", "'data.api'", "'data.blobType'", "keeps unfinished files out"),
        ("events.bicep", "Attempts int = 30", "Attempts int = 1", "is given up after"),
    ],
    "names.dead_letters": [
        ("events.bicep", "resourceId: state.id", "resourceId: landing.id", "dead letters go"),
    ],
    "names.package": [
        ("state-storage.bicep", "name: 'deployments'", "name: 'packages'", "is looked for in"),
    ],
    "names.outputs": [
        ("main.bicep", "output KEY_VAULT_NAME", "output VAULT_NAME", "no output KEY_VAULT_NAME"),
        ("hooks/postdeploy.sh", '="$AZURE_ENV_NAME"', '="$AZD_NAME"', "nobody sets AZD_NAME"),
        ("hooks/postdeploy.sh", " environmentName=", " environment=", "no parameter 'environment'"),
    ],
    "roles.assignments": [
        ("roles.bicep", "4633458b-17de-408a-b874-0445c86b69e6", "-", "Key Vault Secrets User"),
        ("roles.bicep", "scope: landing\n", "scope: state\n", "on landing-storage"),
        ("roles.bicep", "scope: vault\n", "", "on the whole resource group"),
        ("roles.bicep", "principalId: identityPrincipalId", "principalId: operatorId", "has "),
    ],
    "roles.ways": [
        ("roles.bicep", "principalType: 'ServicePrincipal'", "", "has no principalType"),
        ("dead-letter-role.bicep", "'ServicePrincipal'", "'User'", "is for an identity"),
        ("roles.bicep", "guid(landing.id, identity", "guid(state.id, identity", "role assignments are"),
    ],
    "roles.before_the_app": [
        ("main.bicep", "    roles\n    endpoints\n", "    endpoints\n", "does not wait for roles"),
    ],
    "roles.scopes": [
        ("roles.bicep", "scope: vault\n", "scope: subscription()\n", "has the scope subscription()"),
        ("roles.bicep", "scope: vault\n", "", "is given on the resource group"),
        ("main.bicep", "'resourceGroup'", "'subscription'", "targetScope is subscription"),
    ],
    "security.resources": [
        ("state-storage.bicep", "'TLS1_2'", "'TLS1_0'", "minimumTlsVersion is 'TLS1_0'"),
        ("state-storage.bicep", "bypass: 'AzureServices'", "bypass: 'None'", "bypass is 'None'"),
        ("landing-storage.bicep", "defaultToOAuthAuthentication: true", "", "Authentication is null"),
        ("app.bicep", "'UserAssignedIdentity'", "'SystemAssignedIdentity'", "authentication.type is"),
        ("app.bicep", "httpsOnly: true", "httpsOnly: false", "httpsOnly is false"),
        ("app.bicep", "ftpsState: 'Disabled'", "", "ftpsState is null"),
        ("app.bicep", "http20Enabled", "cors: { allowedOrigins: ['*'] }\n http20Enabled", "cors"),
        ("app.bicep", "allow: false", "allow: true", "properties.allow is true"),
        ("vault.bicep", "enablePurgeProtection: true", "", "enablePurgeProtection is null"),
        ("logs.bicep", "DisableLocalAuth: true", "", "DisableLocalAuth is null"),
        ("landing-storage.bicep", "publicAccess: 'None'", "publicAccess: 'Blob'", "is 'Blob'"),
    ],
    "security.shared_keys": [
        ("state-storage.bicep", "allowSharedKeyAccess: false", "", "of state-storage is null"),
        ("main.bicep", "sharedKey: landingSharedKey", "sharedKey: true", "of landing-stor"),
    ],
    "security.soft_delete": [
        ("landing-storage.bicep", "enabled: false", "enabled: true", "of landing-storage is"),
        ("state-storage.bicep", "enabled: true", "enabled: false", "of state-storage is"),
    ],
    "security.vault_generation": [
        ("main.bicep", "Prefix}-${vaultGeneration}'", "Prefix}'", "not of the vault al"),
    ],
    "security.authentication": [
        ("authentication.bicep", "'/api/opt-out/*'", "'/api/*'", "excludedPaths is"),
        ("authentication.bicep", "tenant().tenantId}/v2.0", "'common'}/v2.0", "openIdIssuer is"),
        ("authentication.bicep", "requireAuthentication: true", "", "requireAuthent"),
        ("authentication.bicep", "'Return401' :", "'AllowAnonymous' :", "'AllowAnony"),
    ],
    "security.excluded_paths": [
        ("events.bicep", "/runtime/webhooks/blobs", "/runtime/webhooks/blob", "is not a"),
        ("../host.json", '"routePrefix": "api"', '"routePrefix": ""', "routes begin with"),
    ],
    "security.secrets": [
        ("main.bicep", "= tier", "= state.listKeys().keys[0].value", "reads a secret"),
        ("app.bicep", "EXPORTER_VAULT_URL: vaultUrl", "X: 'AccountKey=x'", "X holds a secret"),
        ("identity.bicep", "'identity'", "'AccountKey=eA'", "a secret is written here"),
    ],
    "security.networks": [
        ("vault.bicep", "'Deny'", "'Allow'", "vault has publicNetworkAccess"),
        ("network/endpoints.bicep", "groupId: 'table'", "groupId: 'file'", "no private endpoint"),
        ("network/endpoints.bicep", "'privatelink.blob.", "'privatelink.blobs.", "is found by"),
        ("network/endpoints.bicep", "'queue', zone: 1 }", "'queue', zone: 0 }", "is found by"),
        ("network/endpoints.bicep", "vaultcore.azure.net", "vault.azure.net", "vault is found by"),
        ("app.bicep", "restrictInbound ? 'Deny' : 'Allow'", "'Allow'", "lets in whoever has no rule"),
        ("app.bicep", "ipAddress: 'AzureEventGrid'", "ipAddress: 'Internet'", "the app lets in"),
        ("main.bicep", "network!.outputs.appSubnetId", "''", "the app is in no subnet"),
    ],
    "security.address_rules": [
        ("main.bicep", ", '/32', '')", ", '/33', '')", "no range of one address"),
        ("vault.bicep", "for address in allowedAddresses: {", "for address in []: {", "lets in []"),
    ],
    "security.diagnostics": [
        ("vault.bicep", "scope: vault", "scope: resourceGroup()", "KeyVault/vaults: no dia"),
        ("vault.bicep", "enabled: true", "enabled: false", "no log is on"),
    ],
    "security.tags": [
        ("vault.bicep", "'exporter-part': 'vault'", "'exporter-part': 'safe'", "exporter-part is 'safe'"),
        ("alerts.bicep", "tags: union(tags, {", "tags: union({}, {", "azd-env-name is null"),
        ("app.bicep", "'azd-service-name': 'exporter'", "'x': ''", "not on the app alone"),
    ],
    "retention.state_rules": [
        ("state-storage.bicep", "openRunDays + runDays", "30", "goes after 30 days, not 180"),
        ("state-storage.bicep", "openRunDays = 90", "openRunDays = 0", "goes after 90 days, not 180"),
        ("state-storage.bicep", "'exporter/poison/'", "'exporter/'", "where the code alone"),
    ],
    "retention.rules": [
        ("state-storage.bicep", "true\n          type", "false\n          type", "is off"),
        (
            "landing-storage.bicep",
            "enabled: true\n          type",
            "enabled: false\n          type",
            "is off",
        ),
        ("state-storage.bicep", "baseBlob: {", "snapshot: {\n}\nbaseBlob: {", "something else than delete"),
        ("state-storage.bicep", "blobTypes: ['blockBlob']", "blobTypes: ['pageBlob']", "leaves out block"),
    ],
    "retention.tied": [
        ("state-storage.bicep", "var rejectDays = 30", "var rejectDays = 31", "in the code it is 30"),
    ],
    "retention.landing_rules": [
        ("landing-storage.bicep", "if (deleteAfterDays > 0)", "if (true)", "account deletes"),
    ],
    "alerts.going_off": [
        ("alerts.bicep", "enabled: true\n      severity", "enabled: false\n      severity", "is off"),
        ("event-alerts.bicep", "threshold: 0", "threshold: 1000", "goes off at ('Total'"),
        ("alerts.bicep", "'GreaterThan'", "'LessThan'", "goes off at ('Count'"),
        ("alerts.bicep", "OfEvaluationPeriods: 1", "OfEvaluationPeriods: 4", "finds something again"),
    ],
    "alerts.looking": [
        ("alerts.bicep", "logWorkspaceId\n      ]", "insightsId\n      ]", "looks at [["),
        ("alerts.bicep", "frequency: 'PT15M'", "frequency: 'PT1H'", "looks every 60 minutes at 15"),
        ("alerts.bicep", "autoMitigate: rule.lasts", "autoMitigate: true", "is called mended"),
        ("event-alerts.bicep", "'DeadLetteredCount'", "'PublishSuccessCount'", "another metric than"),
        ("alerts.bicep", "'queries/alerts/throttling.kql'", "'queries/slow.kql'", "in throttling.kql"),
    ],
    "alerts.reaching": [
        ("alerts.bicep", "          actionGroup.id\n", "", "reaches nobody"),
        ("event-alerts.bicep", "actionGroupId: actionGroupId", "actionGroupId: topicId", "reaches nobody"),
        ("alerts.bicep", "emailAddress: address", "emailAddress: 'x@example.org'", "not ann and bob"),
        ("main.bicep", "expectedExports: expectedDrops", "expectedExports: []", "no alert for drops"),
    ],
    "azd.services": [
        ("../azure.yaml", "host: function", "host: appservice", "is hosted on appservice"),
        ("../azure.yaml", "project: .", "project: src", "has no host.json in src"),
        ("../azure.yaml", "language: python", "language: js", "is in js"),
    ],
    "azd.hooks": [
        ("../azure.yaml", "  postdeploy:", "  afterdeploy:", "azd has no hook afterdeploy"),
        (
            "../azure.yaml",
            "run: infra/hooks/postdeploy.sh",
            "run: infra/hooks/main.bicep",
            "which is not there",
        ),
        ("../azure.yaml", "run: infra/hooks/postdeploy.sh", "run: infra/main.bicep", "is not executable"),
    ],
    "azd.runtime": [
        ("app.bicep", "version: '3.13'", "version: '3.12'", "the worker check on"),
        ("app.bicep", "EXPORTER_VAULT_URL:", "WEBSITE_TIME_ZONE:", "refuses the setting WEBSITE_TIME"),
    ],
    "azd.host": [
        ("../host.json", '"OpenTelemetry"', '"ApplicationInsights"', "telemetryMode"),
        ("../host.json", "[4.0.0, 5.0.0)", "[3.0.0, 4.0.0)", "the extension bundle is"),
        ("../host.json", '"functionTimeout": "00:10:00"', '"functionTimeout": "-1"', "not half an hour"),
    ],
}
"""For each check: a file in infra/, what is there, what is put in its place, what the check then says."""


@pytest.mark.parametrize(
    ("check", "fault"),
    [pytest.param(check, fault, id=f"{check}: {fault[3]}") for check, of in FAULTS.items() for fault in of],
)
def test_a_planted_fault_is_found(tmp_path: Path, check: str, fault: Fault) -> None:
    file, old, new, said = fault
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    for name in ("azure.yaml", "host.json", "local.settings.sample.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "infra" / file
    text = path.read_text(encoding="utf-8")
    assert old in text, "the fault has to be planted elsewhere now"
    path.write_text(text.replace(old, new), encoding="utf-8")

    assert any(said in problem for problem in CHECKS[check](Project(tmp_path)))


def test_for_every_check_a_fault_is_planted() -> None:
    assert set(FAULTS) == set(CHECKS)
