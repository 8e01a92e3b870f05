"""The settings that a security reviewer asks for, in every deployment."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.infra.deployment import DeployedResource, Deployment
from tests.infra.project import RESOURCE_TYPES, Project, app_settings, inside, of_part, part_of
from tests.infra.syntax import Node
from tests.infra.values import Value, member_of, words_of

_SITE: Final = "Microsoft.Web/sites"
_STORAGE: Final = "Microsoft.Storage/storageAccounts"

WANTED: Final[dict[str, dict[str, Any]]] = {
    _STORAGE: {
        "properties.allowBlobPublicAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.defaultToOAuthAuthentication": True,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.networkAcls.bypass": "AzureServices",
        "properties.supportsHttpsTrafficOnly": True,
    },
    f"{_STORAGE}/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.KeyVault/vaults": {
        "properties.enablePurgeProtection": True,
        "properties.enableRbacAuthorization": True,
        "properties.enableSoftDelete": True,
        "properties.accessPolicies": None,
    },
    _SITE: {
        "properties.httpsOnly": True,
        "properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
        "properties.siteConfig.cors": None,
        "properties.siteConfig.ftpsState": "Disabled",
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.siteConfig.remoteDebuggingEnabled": None,
        "identity.type": "UserAssigned",
    },
    f"{_SITE}/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
}
"""What every resource of a type has, in every deployment. None: it is not there."""

EXCLUDED_PATHS: Final = ["/api/opt-out/*", "/runtime/webhooks/blobs"]
"""What is reached without a sign-in: both ask for a secret of their own."""

PARTS: Final = re.compile(
    "identity|state-storage|landing-storage|vault|logs|insights|plan|app|event-topic|action-group|workbook"
    "|alert-[a-z-]+|network(?:-[a-z-]+)?"
)
"""The parts of the exporter that `exporter doctor` knows, as tags."""

_KEY: Final = re.compile(
    r"AccountKey=|SharedAccess(?:Key|Signature)|\bsig=|[A-Za-z0-9+/]{86}==|://[^/@\s]+:[^/@\s]+@",
    re.IGNORECASE,
)
"""What keys look like."""

_GIVES_KEYS: Final = re.compile(r"\blist[A-Z]\w*(?=\()")
"""Functions that give keys, all called list…: learn.microsoft.com/azure/azure-resource-manager/bicep/
bicep-functions-resource#list"""


def resources(project: Project) -> Iterator[str]:
    """Resources whose settings are not those that every one of their type has."""
    for name, deployment in project.all_deployments.items():
        for one in deployment.resources:
            if not one.declared.existing:
                for path, value in WANTED.get(one.type, {}).items():
                    found = one.get(*path.split("."))
                    if found != value:
                        yield f"{name}: {one.place}: {path} is {words_of(found)}, not {words_of(value)}"
    policies = {
        one.get("name") for one in project.usual.of_type(f"{_SITE}/basicPublishingCredentialsPolicies")
    }
    if policies != {"ftp", "scm"}:
        yield f"basic publishing credentials are forbidden for {policies}, not for ftp and scm"


def shared_keys(project: Project) -> Iterator[str]:
    """Accounts that take their keys though nobody asked for it, or don't though somebody did."""
    for name, deployment in project.deployments.items():
        for part, wanted in (("state-storage", False), ("landing-storage", name == "all options")):
            found = of_part(deployment, part).get("properties", "allowSharedKeyAccess")
            if found is not wanted:
                yield f"{name}: allowSharedKeyAccess of {part} is {words_of(found)}"


def soft_delete(project: Project) -> Iterator[str]:
    """An account whose deleted blobs stay and should not, or should and do not."""
    for name, deployment in project.deployments.items():
        for part, wanted in (("state-storage", True), ("landing-storage", False)):
            services = inside(deployment, of_part(deployment, part), f"{_STORAGE}/blobServices")
            for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
                found = [one.get("properties", policy, "enabled") for one in services]
                if found != [wanted]:
                    yield f"{name}: {policy} of {part} is {found}"
            kept = [one.get("properties", "isVersioningEnabled") for one in services]
            if part == "landing-storage" and any(kept):
                yield f"{name}: old versions of blobs stay in {part}"


def vault_generation(project: Project) -> Iterator[str]:
    """A vault whose name stays the same in the next generation, or another resource whose name does not."""
    first, second = (
        {part_of(one): one.name for one in project.deployed(vaultGeneration=number).resources if part_of(one)}
        for number in (1, 2)
    )
    changed = {part for part in first if first[part] != second.get(part)}
    if changed != {"vault"}:
        yield f"another vaultGeneration changes the names of {sorted(changed)}, not of the vault alone"


def authentication(project: Project) -> Iterator[str]:
    """Ways into the app without a sign-in."""
    for name, deployment in project.deployments.items():
        found = [one for one in deployment.of_type(f"{_SITE}/config") if one.get("name") == "authsettingsV2"]
        if len(found) != 1:
            yield f"{name}: {len(found)} authentication settings"
            continue
        yield from (f"{name}: {problem}" for problem in _ways_in(found[0], known=name == "all options"))


def _ways_in(settings: DeployedResource, *, known: bool) -> Iterator[str]:
    """What is wrong with authentication settings; `known`: there is an Entra application."""
    entra = ("properties", "identityProviders", "azureActiveDirectory")
    action = "RedirectToLoginPage" if known else "Return401"
    wanted: dict[tuple[str, ...], Value] = {
        ("properties", "platform", "enabled"): True,
        ("properties", "globalValidation", "requireAuthentication"): True,
        ("properties", "globalValidation", "unauthenticatedClientAction"): action,
        ("properties", "httpSettings", "requireHttps"): True,
        (*entra, "enabled"): True,
    }
    if known:
        wanted[*entra, "registration", "clientId"] = "the application"
    for path, value in wanted.items():
        if settings.get(*path) != value:
            yield f"{'.'.join(path[1:])} is {words_of(settings.get(*path))}, not {words_of(value)}"
    issuer = words_of(settings.get(*entra, "registration", "openIdIssuer"))
    if issuer != "'${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'":
        yield f"openIdIssuer is {issuer}, not this directory alone"
    excluded = settings.get("properties", "globalValidation", "excludedPaths")
    if not isinstance(excluded, list) or sorted(map(words_of, excluded)) != [
        f"'{path}'" for path in EXCLUDED_PATHS
    ]:
        yield f"excludedPaths is {words_of(excluded)}"
    audiences = settings.get(*entra, "validation", "allowedAudiences")
    client = settings.get(*entra, "registration", "clientId")
    if (
        not isinstance(audiences, list)
        or not audiences
        or not all(words_of(client)[1:-1] in words_of(one) for one in audiences)
    ):
        yield f"allowedAudiences is {words_of(audiences)}"


def excluded_paths(project: Project) -> Iterator[str]:
    """Excluded paths that nothing answers at."""
    prefix = project.host["extensions"]["http"]["routePrefix"]
    if not any(path.startswith(f"/{prefix}/") for path in EXCLUDED_PATHS):
        yield f"host.json: routes begin with /{prefix}/, the excluded path of the opt-out hook does not"
    for one in project.second_phase.of_type("Microsoft.EventGrid/systemTopics/eventSubscriptions"):
        url = words_of(one.get("properties", "destination", "properties", "endpointUrl"))
        path = re.search(r"(/runtime/[^?]*)\?", url)
        if not path or path[1] not in EXCLUDED_PATHS:
            yield f"events.bicep: the webhook {url} is not among the excluded paths"


def secrets(project: Project) -> Iterator[str]:
    """Secrets in settings or outputs, and keys that are read elsewhere than for the webhook."""
    for name, deployment in project.all_deployments.items():
        shown: dict[str, Value] = {**app_settings(deployment), **deployment.outputs}
        for module in deployment.modules:
            shown |= {
                f"{module.declared.symbol}.{key}": value for key, value in module.deployment.outputs.items()
            }
        for key, value in shown.items():
            if _KEY.search(words_of(value)) or _GIVES_KEYS.search(words_of(value)):
                yield f"{name}: {key} holds a secret: {words_of(value)}"
    for template in project.templates:
        nodes = list(template.root.walk())
        calls = [one for one in nodes if one.kind == "call_expression" and _gives_keys(one)]
        for one in calls[1 if template is project.events else 0 :]:
            yield f"{template.path.name}:{one.line} reads a secret: {one.text}"
        for one in nodes:
            if one.kind == "string_content" and _KEY.search(one.text):
                yield f"{template.path.name}:{one.line} a secret is written here"


def _gives_keys(call: Node) -> bool:
    """Whether a call is of such a function, or of such a method of a resource."""
    return _GIVES_KEYS.search(f".{call.parts[0].text}(") is not None


def networks(project: Project) -> Iterator[str]:
    """With private networking: accounts and a vault that are open, or that the app does not find inside."""
    for name in ("private", "private, from one address"):
        deployment = project.deployments[name]
        has_addresses = name != "private"
        for part in ("state-storage", "landing-storage", "vault"):
            one = of_part(deployment, part)
            found = (
                one.get("properties", "publicNetworkAccess"),
                one.get("properties", "networkAcls", "defaultAction"),
            )
            if found != ("Enabled" if has_addresses else "Disabled", "Deny"):
                yield f"{name}: {part} has publicNetworkAccess {found[0]} and by default {found[1]}"
            rules = one.get("properties", "networkAcls", "ipRules")
            allowed = [member_of(rule, "value") for rule in rules] if isinstance(rules, list) else rules
            if allowed != (["203.0.113.7"] if has_addresses else []):
                yield f"{name}: {part} lets in {allowed}"
        yield from (f"{name}: {problem}" for problem in _open_app(of_part(deployment, "app")))
        yield from (f"{name}: {problem}" for problem in _unreached(deployment))
        yield from (f"{name}: {problem}" for problem in _lost_names(deployment))
    if project.usual.of_type("Microsoft.Network/privateEndpoints"):
        yield "production: there are private endpoints though nobody asked for them"


def address_rules(project: Project) -> Iterator[str]:
    """Addresses that a resource does not take as they are given, or takes when nobody named them."""
    both = project.deployed(privateNetworking=True, allowedAddresses="203.0.113.7/32, 198.51.100.0/24")
    for kind in (_STORAGE, "Microsoft.KeyVault/vaults"):
        for one in both.of_type(kind):
            rules = one.get("properties", "networkAcls", "ipRules")
            found = [member_of(rule, "value") for rule in rules] if isinstance(rules, list) else []
            if found != ["203.0.113.7", "198.51.100.0/24"]:
                yield f"{one.place}: lets in {found}; storage takes no range of one address"


def _open_app(app: DeployedResource) -> Iterator[str]:
    """Ways to and from a closed app: only Event Grid and the addresses that are named come in."""
    if not app.get("properties", "virtualNetworkSubnetId"):
        yield "the app is in no subnet"
    site = ("properties", "siteConfig")
    if app.get(*site, "ipSecurityRestrictionsDefaultAction") != "Deny":
        yield "the app lets in whoever has no rule"
    rules = app.get(*site, "ipSecurityRestrictions")
    let_in = {words_of(member_of(rule, "ipAddress")) for rule in rules} if isinstance(rules, list) else set()
    if "'AzureEventGrid'" not in let_in or not let_in <= {"'AzureEventGrid'", "'203.0.113.7/32'"}:
        yield f"the app lets in {sorted(let_in)}"


def _unreached(deployment: Deployment) -> Iterator[str]:
    """Services that the app uses and that have no private endpoint, and endpoints that nothing uses."""
    wanted = {
        *((of_part(deployment, "state-storage").identity, service) for service in ("blob", "queue", "table")),
        *((of_part(deployment, "landing-storage").identity, service) for service in ("blob", "queue")),
        (of_part(deployment, "vault").identity, "vault"),
    }
    found = set()
    for one in deployment.of_type("Microsoft.Network/privateEndpoints"):
        connections = one.get("properties", "privateLinkServiceConnections")
        for connection in connections if isinstance(connections, list) else []:
            properties = member_of(connection, "properties")
            groups = member_of(properties, "groupIds")
            target = words_of(member_of(properties, "privateLinkServiceId"))
            found |= (
                {(target[1:].removesuffix("].id"), words_of(group)[1:-1]) for group in groups}
                if isinstance(groups, list)
                else set()
            )
    for identity, service in sorted(wanted ^ found):
        what = "no" if (identity, service) in wanted else "a useless"
        yield f"{service} of {identity}: {what} private endpoint"


def _lost_names(deployment: Deployment) -> Iterator[str]:
    """Private endpoints that their services' names do not lead to."""
    for one in deployment.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups"):
        zones = one.get("properties", "privateDnsZoneConfigs")
        service = one.name.removesuffix("-endpoint/default").rpartition("-")[2]
        storage = f"privatelink.{service}.${{environment().suffixes.storage}}"
        wanted = "privatelink.vaultcore.azure.net" if service == "vault" else storage
        found = [
            words_of(member_of(member_of(zone, "properties"), "privateDnsZoneId"))
            for zone in (zones if isinstance(zones, list) else [])
        ]
        if found != [f"[Microsoft.Network/privateDnsZones {wanted}].id"]:
            yield f"{one.name}: {service} is found by {found}, not by {wanted}"


def diagnostics(project: Project) -> Iterator[str]:
    """Resources whose logs nobody keeps, and logs that go elsewhere than into the workspace."""
    wanted = {
        *(
            f"{_STORAGE}/{service} {part}"
            for service in ("blobServices", "queueServices")
            for part in ("state", "landing")
        ),
        "Microsoft.KeyVault/vaults",
        _SITE,
        "Microsoft.EventGrid/systemTopics",
    }
    workspace = of_part(project.usual, "logs").identity
    found = set()
    for deployment in (project.usual, project.second_phase):
        for one in deployment.of_type("Microsoft.Insights/diagnosticSettings"):
            if isinstance(one.scope, DeployedResource):
                found.add(_described(one.scope, project.usual))
            logs = one.get("properties", "logs")
            if not isinstance(logs, list) or not any(member_of(log, "enabled") for log in logs):
                yield f"{one.place}: no log is on"
            if words_of(one.get("properties", "workspaceId")) != f"[{workspace}].id":
                yield f"{one.place}: goes to {words_of(one.get('properties', 'workspaceId'))}"
    for kind in sorted(wanted - found):
        yield f"{kind}: no diagnostic settings"


def _described(resource: DeployedResource, deployment: Deployment) -> str:
    """A type, and for a service of an account which account."""
    for part in ("state", "landing"):
        if resource.name == f"{of_part(deployment, f'{part}-storage').name}/default":
            return f"{resource.type} {part}"
    return resource.type


def tags(project: Project) -> Iterator[str]:
    """Resources that could carry the tags and do not, or that are a part nobody knows."""
    for name, deployment in project.all_deployments.items():
        for one in deployment.resources:
            body = RESOURCE_TYPES.body(one.declared.versioned_type)
            if one.declared.existing or body is None or "tags" not in body.properties:
                continue
            if one.get("tags", "azd-env-name") != "prod":
                yield f"{name}: {one.place}: azd-env-name is {words_of(one.get('tags', 'azd-env-name'))}"
            if not PARTS.fullmatch(part_of(one)):
                yield f"{name}: {one.place}: exporter-part is '{part_of(one)}'"
    service = next(iter(project.azd["services"]))
    tagged = [
        part_of(one) for one in project.usual.resources if one.get("tags", "azd-service-name") == service
    ]
    if tagged != ["app"]:
        yield f"azd-service-name is {service} on {tagged}, not on the app alone"
