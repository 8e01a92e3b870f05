"""Stands in for Azure Resource Manager, over https on loopback: a deployment that a test may damage.

The documents are made up in the shape of Azure's answers, as far as the doctor looks at them and a little
further. Each GET needs a token and the version of the API that the templates use.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AioHttpTransport

from exporter.adapters.deployment import SCOPE, RestResourceManager
from exporter.domain.deployment import (
    ACTION_GROUP,
    API_VERSIONS,
    APP,
    APP_SETTINGS,
    BLOB_CONTRIBUTOR,
    BLOB_FUNCTION,
    CONTAINERS,
    DEAD_LETTERS,
    DIAGNOSED,
    ENDPOINTS,
    EVENT_ALERTS,
    EVENT_TOPIC,
    FUNCTIONS,
    IDENTITY,
    INSIGHTS,
    LANDING,
    LIFECYCLE_DAYS,
    LIFECYCLE_PREFIXES,
    LOG_ALERTS,
    LOGS,
    NETWORK,
    OPEN_PATHS,
    PARTS,
    PLAN,
    QUERIES,
    QUEUES,
    ROLES,
    STATE,
    VAULT,
    Part,
)
from exporter.steps.deployment import Question
from tests.canary import KEY

SUBSCRIPTION: Final = "11111111-2222-3333-4444-555555555555"
GROUP: Final = "rg-exporter"
ENVIRONMENT: Final = "prod"
PRINCIPAL: Final = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT: Final = "aaaaaaaa-0000-4000-8000-000000000002"
TOPIC_PRINCIPAL: Final = "aaaaaaaa-0000-4000-8000-000000000003"
HOST: Final = "exporter-abc.azurewebsites.net"
TOKEN: Final = "made-up-token"
GROUP_ID: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
NAMES: Final = {STATE: "stateabc", LANDING: "landingabc", APP: "exporter-abc", VAULT: "kv-abc-1"}
_ROLES: Final = "/providers/Microsoft.Authorization/roleAssignments"
_DIAGNOSTICS: Final = "/providers/Microsoft.Insights/diagnosticSettings"


def id_of(part: Part, number: int = 0) -> str:
    """The id of a part's resource."""
    provider, _, kinds = part.type.partition("/")
    name = NAMES.get(part, f"{part.tag}-abc") + (f"-{number}" if number else "")
    pairs = [f"{kind}/{name}" for kind in kinds.split("/")]
    return f"{GROUP_ID}/providers/{provider}/{'/'.join(pairs)}"


@dataclass
class Arm:
    """What Azure answers, by path; a test plants its defect here."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    """The list of the group."""
    documents: dict[str, Any] = field(default_factory=dict)
    """By path: an object, or the items of a list."""
    statuses: dict[str, int] = field(default_factory=dict)
    """By path: what is answered instead, with an error."""
    requests: list[str] = field(default_factory=list)
    """The paths that were asked for, in order."""
    intervene: Callable[[web.Request], web.Response | None] = lambda _: None
    """Answers in the place of this, if it gives an answer."""
    health_status: int = 401

    def add(self, part: Part, properties: dict[str, Any] | None = None, number: int = 0, **more: Any) -> str:
        """A resource with its tags, and its document; gives its id."""
        path = id_of(part, number)
        tags = {"azd-env-name": ENVIRONMENT, "exporter-part": part.tag}
        listed = {"id": path, "name": path.rpartition("/")[2], "type": part.type, "tags": tags}
        self.resources.append({**listed, "location": "norwayeast"})
        state = {"provisioningState": "Succeeded", **(properties or {})}
        self.documents[path] = {**listed, "properties": state, **more}
        return path

    def of(self, part: Part, child: str = "") -> Any:
        """The document of a part, or of a child of it."""
        return self.documents[id_of(part) + child]

    def remove(self, part: Part) -> None:
        """Let a part be gone, with all its children."""
        path = id_of(part)
        self.resources = [resource for resource in self.resources if not resource["id"].startswith(path)]
        self.documents = {key: value for key, value in self.documents.items() if not key.startswith(path)}

    async def ask(self, question: Question) -> Any:
        """What the adapter would make of an answer, without any request."""
        if question.path == f"{GROUP_ID}/resources":
            return self.resources
        return self.documents.get(question.path)

    async def status_without_sign_in(self, host: str, path: str) -> int:
        """What the app answers to a stranger."""
        assert (host, path) == (HOST, "/api/health")
        return self.health_status

    async def answer(self, request: web.Request) -> web.Response:
        """What Azure Resource Manager answers."""
        path = request.path
        self.requests.append(path)
        intervention = self.intervene(request)
        if intervention is not None:
            return intervention
        if path == "/api/health":
            assert "Authorization" not in request.headers
            return web.json_response({"ok": True}, status=self.health_status)
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        if path in self.statuses:
            return refusal(self.statuses[path])
        if path == f"{GROUP_ID}/resources":
            return self.page(self.resources, request)
        assert request.query["api-version"] in {*API_VERSIONS.values(), "2022-12-01"}
        found = self.documents.get(path)
        if found is None:
            return refusal(404)
        posted = path.endswith(("/list", "/getFullUrl"))
        assert (request.method == "POST") == posted
        if path.endswith(_ROLES):
            assert request.query["$filter"] == "atScope()"
        return self.page(found, request) if isinstance(found, list) else web.json_response(found)

    def page(self, items: list[Any], request: web.Request) -> web.Response:
        """A list, five items at a time."""
        begin = int(request.query.get("$skiptoken", "0"))
        page: dict[str, Any] = {"value": items[begin : begin + 5]}
        if begin + 5 < len(items):
            following = request.url.update_query({"$skiptoken": str(begin + 5)})
            page["nextLink"] = str(following)
        return web.json_response(page)


def refusal(status: int) -> web.Response:
    """An error in Azure's shape; its text is nobody's business."""
    error = {"code": "MadeUp", "message": f"{KEY} must not be repeated"}
    return web.json_response({"error": error}, status=status)


class FakeCredential:
    """Gives the one token, and only for Azure Resource Manager."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """The token."""
        assert scopes == (SCOPE,)
        return AccessToken(TOKEN, 2**33)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class LoopbackManager(RestResourceManager):
    """Asks the stand-in, and takes the app's address to be the stand-in's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.hosts: list[str] = []

    async def status_without_sign_in(self, host: str, path: str) -> int:
        """The status from the stand-in."""
        self.hosts.append(host)
        return await super().status_without_sign_in(self._endpoint.removeprefix("https://"), path)


@asynccontextmanager
async def serving(arm: Arm) -> AsyncIterator[LoopbackManager]:
    """A client of Azure Resource Manager that reaches the stand-in, over https."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", arm.answer)
    server = TestServer(app, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=context)
    try:
        with authority.cert_pem.tempfile() as trusted:
            transport = AioHttpTransport(connection_verify=trusted, use_env_settings=False)
            endpoint = f"https://127.0.0.1:{server.port}"
            credential = FakeCredential()
            async with LoopbackManager(credential, endpoint=endpoint, transport=transport) as manager:
                yield manager
    finally:
        await server.close()


def assignment(principal: str, role_id: str, scope: str) -> dict[str, Any]:
    """A role that somebody has."""
    definition = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role_id}"
    properties = {"roleDefinitionId": definition, "principalId": principal, "scope": scope}
    return {"id": f"{scope}{_ROLES}/{principal[:8]}-{role_id}", "properties": properties}


def a_deployment(*, private: bool = False) -> Arm:
    """A deployment as the templates make it, in which all is well."""
    arm = Arm()
    arm.add(IDENTITY, {"principalId": PRINCIPAL, "clientId": CLIENT})
    for part in (STATE, LANDING):
        _add_storage(arm, part, private=private)
    _add_vault(arm, private=private)
    arm.add(LOGS, {"features": {"disableLocalAuth": True}})
    arm.documents[id_of(LOGS) + "/savedSearches"] = [
        {"id": f"{id_of(LOGS)[1:]}/savedSearches/{name}"} for name in sorted(QUERIES)
    ]
    arm.add(INSIGHTS, {"DisableLocalAuth": True, "WorkspaceResourceId": id_of(LOGS)})
    _add_app(arm, private=private)
    _add_events(arm)
    _add_alerts(arm)
    for part in PARTS:
        if part.tag == "workbook":
            arm.add(part)
    _add_rights(arm)
    for part, children in DIAGNOSED.items():
        for child in children:
            properties = {"workspaceId": id_of(LOGS), "logs": [{"category": "A", "enabled": True}]}
            arm.documents[id_of(part) + child + _DIAGNOSTICS] = [
                {"name": "to-workspace", "properties": properties}
            ]
    if private:
        _add_network(arm)
    return arm


def _network(*, private: bool) -> dict[str, Any]:
    return {
        "publicNetworkAccess": "Disabled" if private else "Enabled",
        "networkAcls": {"defaultAction": "Deny" if private else "Allow", "ipRules": []},
    }


def _add_storage(arm: Arm, part: Part, *, private: bool) -> None:
    name = NAMES[part]
    path = arm.add(
        part,
        {
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
            "primaryEndpoints": {
                "blob": f"https://{name}.blob.core.windows.net/",
                "queue": f"https://{name}.queue.core.windows.net/",
            },
            **_network(private=private),
        },
    )
    kept = {"enabled": True, "days": 7} if part is STATE else {"enabled": False}
    arm.documents[path + "/blobServices/default"] = {
        "properties": {
            "deleteRetentionPolicy": dict(kept),
            "containerDeleteRetentionPolicy": dict(kept),
            "isVersioningEnabled": None,
        }
    }
    arm.documents[path + "/blobServices/default/containers"] = [
        {"name": container, "properties": {"publicAccess": "None"}} for container in sorted(CONTAINERS[part])
    ]
    if part is STATE:
        arm.documents[path + "/queueServices/default/queues"] = [
            {"name": queue} for queue in sorted(QUEUES[part])
        ]
        arm.documents[path + "/managementPolicies/default"] = {
            "properties": {"policy": {"rules": [_rule(name, days) for name, days in LIFECYCLE_DAYS.items()]}}
        }


def _rule(name: str, days: int) -> dict[str, Any]:
    delete = {"daysAfterModificationGreaterThan": float(days)}
    filters = {"blobTypes": ["blockBlob"], "prefixMatch": [LIFECYCLE_PREFIXES[name]]}
    definition = {"filters": filters, "actions": {"baseBlob": {"delete": delete}}}
    return {"name": name, "enabled": True, "definition": definition}


def _add_vault(arm: Arm, *, private: bool) -> None:
    arm.add(
        VAULT,
        {
            "vaultUri": "https://kv-abc-1.vault.azure.net/",
            "enableRbacAuthorization": True,
            "enablePurgeProtection": True,
            **_network(private=private),
        },
    )


def _add_app(arm: Arm, *, private: bool) -> None:
    arm.add(PLAN, sku={"name": "FC1", "tier": "FlexConsumption"})
    path = arm.add(
        APP,
        {
            "state": "Running",
            "httpsOnly": True,
            "defaultHostName": HOST,
            "functionAppConfig": {
                "runtime": {"name": "python", "version": "3.13"},
                "scaleAndConcurrency": {"maximumInstanceCount": 100, "instanceMemoryMB": 2048},
            },
        },
        # Azure is not particular about the case of ids.
        identity={"type": "UserAssigned", "userAssignedIdentities": {id_of(IDENTITY).upper(): {}}},
    )
    arm.documents[path + "/config/appsettings/list"] = {"properties": _settings()}
    arm.documents[path + "/config/authsettingsV2"] = {
        "properties": {
            "platform": {"enabled": True},
            "globalValidation": {
                "requireAuthentication": True,
                "unauthenticatedClientAction": "Return401",
                "excludedPaths": sorted(OPEN_PATHS),
            },
            "identityProviders": {"azureActiveDirectory": {"registration": {"clientId": CLIENT}}},
        }
    }
    arm.documents[path + "/config/web"] = {
        "properties": {
            "minTlsVersion": "1.2",
            "ftpsState": "Disabled",
            "ipSecurityRestrictionsDefaultAction": "Deny" if private else "Allow",
        }
    }
    arm.documents[path + "/basicPublishingCredentialsPolicies"] = [
        {"name": way, "properties": {"allow": False}} for way in ("ftp", "scm")
    ]
    arm.documents[path + "/functions"] = [{"name": f"{NAMES[APP]}/{name}"} for name in sorted(FUNCTIONS)]


def _settings() -> dict[str, str]:
    given = dict.fromkeys(APP_SETTINGS, "made-up")
    for setting, part in (("EXPORTER_STORAGE", STATE), ("EXPORTER_LANDING", LANDING)):
        for service in ("blob", "queue"):
            given[f"{setting}__{service}ServiceUri"] = f"https://{NAMES[part]}.{service}.core.windows.net/"
    for setting in ("AzureWebJobsStorage", "EXPORTER_STORAGE", "EXPORTER_LANDING"):
        given |= {f"{setting}__credential": "managedidentity", f"{setting}__clientId": CLIENT}
    return given | {
        "EXPORTER_VAULT_URL": "https://kv-abc-1.vault.azure.net/",
        "EXPORTER_HOST_PATTERNS": "*.api-us1.com",
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={CLIENT};Authorization=AAD",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={KEY}",
    }


def _add_events(arm: Arm) -> None:
    identity = {"type": "SystemAssigned", "principalId": TOPIC_PRINCIPAL}
    path = arm.add(EVENT_TOPIC, {"source": id_of(LANDING)}, identity=identity)
    subscription = f"{path}/eventSubscriptions/segment-dropped"
    target = {"resourceId": id_of(STATE), "blobContainerName": DEAD_LETTERS}
    arm.documents[f"{path}/eventSubscriptions"] = [
        {
            "id": subscription,
            "name": "segment-dropped",
            "properties": {
                "provisioningState": "Succeeded",
                "destination": {
                    "endpointType": "WebHook",
                    "properties": {"endpointBaseUrl": f"https://{HOST}/runtime/webhooks/blobs"},
                },
                "filter": {"includedEventTypes": ["Microsoft.Storage.BlobCreated"]},
                "deadLetterWithResourceIdentity": {
                    "deadLetterDestination": {"endpointType": "StorageBlob", "properties": target}
                },
            },
        }
    ]
    function = f"functionName=Host.Functions.{BLOB_FUNCTION}"
    arm.documents[f"{subscription}/getFullUrl"] = {
        "endpointUrl": f"https://{HOST}/runtime/webhooks/blobs?{function}&code={KEY}"
    }


def _add_alerts(arm: Arm) -> None:
    receiver = {"name": "email-0", "emailAddress": "somebody@example.org", "status": "Enabled"}
    arm.add(ACTION_GROUP, {"enabled": True, "emailReceivers": [receiver]})
    for part in LOG_ALERTS:
        for number in range(part.count or 2):
            actions = {"actionGroups": [id_of(ACTION_GROUP)]}
            arm.add(part, {"enabled": True, "actions": actions}, number=number)
    for part in EVENT_ALERTS:
        arm.add(part, {"enabled": True, "actions": [{"actionGroupId": id_of(ACTION_GROUP)}]})


def _add_rights(arm: Arm) -> None:
    somebody = "aaaaaaaa-0000-4000-8000-00000000000f"
    owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    for part, roles in ROLES.items():
        arm.documents[id_of(part) + _ROLES] = [
            assignment(somebody, owner, f"/subscriptions/{SUBSCRIPTION}"),
            *(assignment(PRINCIPAL, role.id, id_of(part)) for role in roles),
        ]
    container = f"{id_of(STATE)}/blobServices/default/containers/{DEAD_LETTERS}"
    arm.documents[container + _ROLES] = [assignment(TOPIC_PRINCIPAL, BLOB_CONTRIBUTOR.id, container)]


def _add_network(arm: Arm) -> None:
    for part in NETWORK:
        for number in range(part.count or 1):
            link = {"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
            more = {"privateLinkServiceConnections": [link]} if part is ENDPOINTS else {}
            path = arm.add(part, more, number=number)
            if part is ENDPOINTS:
                arm.documents[f"{path}/privateDnsZoneGroups"] = [{"name": "default"}]
