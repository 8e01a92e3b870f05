"""What a deployment consists of: the closed list of its parts, and what is expected of them.

The templates in `infra/` make these parts; `tests/structure/test_deployment.py` holds both lists equal, so
that `exporter doctor` leaves nothing out that is deployed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.domain.retention import CHUNK_DAYS, REJECT_DAYS, RUN_DAYS

PART_TAG: Final = "exporter-part"
"""The tag that says which part a resource is."""
ENVIRONMENT_TAG: Final = "azd-env-name"
"""The tag with the name of the azd environment that the resource belongs to."""

API_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Microsoft.Authorization/roleAssignments": "2022-04-01",
        "Microsoft.EventGrid/systemTopics": "2025-02-15",
        "Microsoft.EventGrid/systemTopics/eventSubscriptions": "2025-02-15",
        "Microsoft.Insights/actionGroups": "2023-01-01",
        "Microsoft.Insights/components": "2020-02-02",
        "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
        "Microsoft.Insights/metricAlerts": "2018-03-01",
        "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
        "Microsoft.Insights/workbooks": "2023-06-01",
        "Microsoft.KeyVault/vaults": "2023-07-01",
        "Microsoft.ManagedIdentity/userAssignedIdentities": "2023-01-31",
        "Microsoft.Network/natGateways": "2024-05-01",
        "Microsoft.Network/networkSecurityGroups": "2024-05-01",
        "Microsoft.Network/privateDnsZones": "2024-06-01",
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "2024-06-01",
        "Microsoft.Network/privateEndpoints": "2024-05-01",
        "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "2024-05-01",
        "Microsoft.Network/publicIPAddresses": "2024-05-01",
        "Microsoft.Network/virtualNetworks": "2024-05-01",
        "Microsoft.OperationalInsights/workspaces": "2023-09-01",
        "Microsoft.OperationalInsights/workspaces/savedSearches": "2023-09-01",
        "Microsoft.Storage/storageAccounts": "2023-05-01",
        "Microsoft.Storage/storageAccounts/blobServices": "2023-05-01",
        "Microsoft.Storage/storageAccounts/blobServices/containers": "2023-05-01",
        "Microsoft.Storage/storageAccounts/managementPolicies": "2023-05-01",
        "Microsoft.Storage/storageAccounts/queueServices": "2023-05-01",
        "Microsoft.Storage/storageAccounts/queueServices/queues": "2023-05-01",
        "Microsoft.Web/serverfarms": "2024-04-01",
        "Microsoft.Web/sites": "2024-04-01",
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "2024-04-01",
        "Microsoft.Web/sites/config": "2024-04-01",
    }
)
"""The resource types of the templates, each with the version of its API that the templates use."""


@dataclass(frozen=True, slots=True)
class Part:
    """One tagged resource of a deployment, or several of a kind."""

    tag: str
    """The value of `exporter-part`."""
    type: str
    count: int | None = 1
    """How many resources have the tag; None: as many as a parameter says, none among them."""


IDENTITY: Final = Part("identity", "Microsoft.ManagedIdentity/userAssignedIdentities")
STATE: Final = Part("state-storage", "Microsoft.Storage/storageAccounts")
LANDING: Final = Part("landing-storage", "Microsoft.Storage/storageAccounts")
VAULT: Final = Part("vault", "Microsoft.KeyVault/vaults")
LOGS: Final = Part("logs", "Microsoft.OperationalInsights/workspaces")
INSIGHTS: Final = Part("insights", "Microsoft.Insights/components")
PLAN: Final = Part("plan", "Microsoft.Web/serverfarms")
APP: Final = Part("app", "Microsoft.Web/sites")
EVENT_TOPIC: Final = Part("event-topic", "Microsoft.EventGrid/systemTopics")
ACTION_GROUP: Final = Part("action-group", "Microsoft.Insights/actionGroups")
WORKBOOK: Final = Part("workbook", "Microsoft.Insights/workbooks")

LOG_ALERTS: Final = (
    *(
        Part(f"alert-{name}", "Microsoft.Insights/scheduledQueryRules")
        for name in (
            "app-not-running",
            "poison-messages",
            "failed-runs",
            "stalled-runs",
            "throttling",
            "unannounced-drops",
            "secret-unreachable",
            "connection-refused",
        )
    ),
    Part("alert-missing-drops", "Microsoft.Insights/scheduledQueryRules", count=None),
)
EVENT_ALERTS: Final = tuple(
    Part(f"alert-{name}", "Microsoft.Insights/metricAlerts") for name in ("dead-letters", "dropped-events")
)
SECOND_PHASE: Final = frozenset({EVENT_TOPIC, *EVENT_ALERTS})
"""Made by events.bicep, after the code is there."""

ENDPOINTS: Final = Part("network-endpoint", "Microsoft.Network/privateEndpoints", count=6)
NETWORK: Final = (
    Part("network", "Microsoft.Network/virtualNetworks"),
    Part("network-address", "Microsoft.Network/publicIPAddresses"),
    Part("network-gateway", "Microsoft.Network/natGateways"),
    Part("network-rules", "Microsoft.Network/networkSecurityGroups"),
    Part("network-zone", "Microsoft.Network/privateDnsZones", count=4),
    Part("network-link", "Microsoft.Network/privateDnsZones/virtualNetworkLinks", count=4),
    ENDPOINTS,
)
"""All there, or none: `privateNetworking` decides."""

PARTS: Final = (
    IDENTITY,
    STATE,
    LANDING,
    VAULT,
    LOGS,
    INSIGHTS,
    PLAN,
    APP,
    EVENT_TOPIC,
    ACTION_GROUP,
    *LOG_ALERTS,
    *EVENT_ALERTS,
    WORKBOOK,
    *NETWORK,
)
"""All parts."""


@dataclass(frozen=True, slots=True)
class Role:
    """A built-in role of Azure (learn.microsoft.com/azure/role-based-access-control/built-in-roles)."""

    name: str
    id: str


BLOB_OWNER: Final = Role("Storage Blob Data Owner", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b")
BLOB_CONTRIBUTOR: Final = Role("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe")
QUEUE_CONTRIBUTOR: Final = Role("Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88")
TABLE_CONTRIBUTOR: Final = Role("Storage Table Data Contributor", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3")
SECRETS_USER: Final = Role("Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6")
METRICS_PUBLISHER: Final = Role("Monitoring Metrics Publisher", "3913510d-42f4-4e42-8a64-420c390055eb")

ROLES: Final[Mapping[Part, tuple[Role, ...]]] = MappingProxyType(
    {
        STATE: (BLOB_OWNER, QUEUE_CONTRIBUTOR, TABLE_CONTRIBUTOR),
        LANDING: (BLOB_CONTRIBUTOR, QUEUE_CONTRIBUTOR),
        VAULT: (SECRETS_USER,),
        INSIGHTS: (METRICS_PUBLISHER,),
    }
)
"""What the app's identity may do, on single resources only."""

DEAD_LETTERS: Final = "dead-letters"
"""The container of the state account that takes events which could not be delivered."""
DEPLOYMENTS: Final = "deployments"
"""The container of the state account that holds the app's package."""

CONTAINERS: Final[Mapping[Part, frozenset[str]]] = MappingProxyType(
    {STATE: frozenset({"exporter", DEPLOYMENTS, DEAD_LETTERS}), LANDING: frozenset({"segments"})}
)
QUEUES: Final[Mapping[Part, frozenset[str]]] = MappingProxyType(
    {
        STATE: frozenset(
            name + suffix
            for name in ("plans", "chunks", "settlements", "receipts")
            for suffix in ("", "-poison")
        )
    }
)
"""The queues that the templates make; the platform makes that of landing itself, when it needs it."""

OPEN_RUN_DAYS: Final = 90
"""So long a run may be open before a rule that goes by age may touch what it needs."""
LIFECYCLE_DAYS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "poison": REJECT_DAYS,
        "reports": REJECT_DAYS,
        "plans": OPEN_RUN_DAYS + max(CHUNK_DAYS, REJECT_DAYS, RUN_DAYS),
        "dead-letters": REJECT_DAYS,
    }
)
"""The lifecycle rules of the state account, and after how many days each deletes.

The landing account has one only where a parameter asks for it: the code knows which drop is still needed.
"""
LANDING_RULE: Final = "segments"
"""Its name."""

LIFECYCLE_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "poison": "exporter/poison/",
        "reports": "exporter/reports/",
        "plans": "exporter/plans/",
        "dead-letters": f"{DEAD_LETTERS}/",
    }
)
"""What each of these rules looks at: nothing else may be deleted by age."""

_BY_IDENTITY: Final = ("__blobServiceUri", "__queueServiceUri", "__credential", "__clientId")
APP_SETTINGS: Final = frozenset(
    {
        *(f"AzureWebJobsStorage{form}" for form in (*_BY_IDENTITY, "__tableServiceUri")),
        *(f"EXPORTER_STORAGE{form}" for form in _BY_IDENTITY),
        *(f"EXPORTER_LANDING{form}" for form in _BY_IDENTITY),
        "EXPORTER_VAULT_URL",
        "EXPORTER_TRACE_PERCENTAGE",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "AZURE_CLIENT_ID",
        "AZURE_TOKEN_CREDENTIALS",
        "PYTHON_ENABLE_OPENTELEMETRY",
    }
)
"""The settings that the deployed app must have."""
OPTIONAL_APP_SETTINGS: Final = frozenset(
    {"EXPORTER_HOST_PATTERNS", "EXPORTER_DROP_RETENTION_DAYS", "EXPORTER_QUIET_SECONDS", "EXPORTER_DEBUG"}
)
"""Those that it has only where a parameter gives them; others that begin with EXPORTER_ stop the app."""

PYTHON_VERSION: Final = "3.13"
MOST_INSTANCES: Final = 1000
"""What the platform allows at most (learn.microsoft.com/azure/azure-functions/flex-consumption-plan)."""

OPEN_PATHS: Final = frozenset({"/runtime/webhooks/blobs", "/api/opt-out/*"})
"""What answers without a sign-in: the blob webhook, which has a key of its own, and the opt-out hook."""
HEALTH_PATH: Final = "/api/health"

FUNCTIONS: Final = frozenset(
    {
        "on_segment_dropped",
        "on_plan_queued",
        "on_chunk_queued",
        "on_settlement_queued",
        "on_receipt_queued",
        "sweep_stalled_runs",
        "on_drop_poisoned",
        "on_plan_poisoned",
        "on_chunk_poisoned",
        "on_settlement_poisoned",
        "on_receipt_poisoned",
        "health",
    }
)
EVENT_SUBSCRIPTION: Final = "segment-dropped"
BLOB_FUNCTION: Final = "on_segment_dropped"
"""The function that the event subscription leads to."""

_SERVICES: Final = ("/blobServices/default", "/queueServices/default")
DIAGNOSED: Final[Mapping[Part, tuple[str, ...]]] = MappingProxyType(
    {STATE: _SERVICES, LANDING: _SERVICES, VAULT: ("",), APP: ("",), EVENT_TOPIC: ("",)}
)
"""Whose logs of the platform go to the workspace, and below which children of the resource."""

QUERIES: Final = frozenset(
    f"exporter-{name}"
    for name in (
        "runs-now",
        "standstill",
        "history",
        "failures",
        "rejected",
        "throttles",
        "drops",
        "pauses",
        "slow",
        "changes",
    )
)
"""The saved queries in the workspace."""
