"""What Azure Resource Manager says of deployed resources, as far as `exporter doctor` looks at it.

Its answers are foreign input: checked by type, and what is not named here is dropped. Nearly everything may
be absent or null there, which then means the platform's default. No model holds a key or a person: of a
receiver of alerts only its state is kept, and the one address with a key in it hides it.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,260}$")]
ResourceId = Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]{0,2000}$")]
AskedId = Annotated[str, Field(pattern=r"^/subscriptions/[^\x00-\x20\x7f?#%\\]{1,2000}$")]
"""An id that becomes the path of a question."""
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]


class Document(BaseModel):
    """Part of an answer; frozen, and blind to what it does not know."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


class Resource(Document):
    """A resource as the list of its group has it."""

    id: AskedId
    name: Name
    type: Name
    tags: dict[str, str] | None = None


class Provisioned(Document):
    """Properties of a resource of which only that it is ready matters."""

    provisioning_state: str | None = None


class Ready(Document):
    """A resource of which only that it is ready matters."""

    properties: Provisioned = Provisioned()


class Subscription(Document):
    """A subscription that the operator may see."""

    subscription_id: Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")]
    display_name: Name
    state: str = "Enabled"


class Network(Document):
    """The network rules of a storage account or a vault."""

    default_action: str | None = None


class Endpoints(Document):
    """Where an account's services are."""

    blob: str | None = None
    queue: str | None = None


class StorageProperties(Provisioned):
    """What matters of a storage account."""

    allow_shared_key_access: bool | None = None
    allow_blob_public_access: bool | None = None
    minimum_tls_version: str | None = None
    supports_https_traffic_only: bool | None = None
    public_network_access: str | None = None
    network_acls: Network = Network()
    primary_endpoints: Endpoints = Endpoints()


class StorageAccount(Document):
    """A storage account."""

    properties: StorageProperties


class Keeping(Document):
    """How long deleted things stay."""

    enabled: bool | None = None
    days: int | None = None


class BlobServiceProperties(Document):
    """What becomes of deleted blobs."""

    delete_retention_policy: Keeping = Keeping()
    container_delete_retention_policy: Keeping = Keeping()
    is_versioning_enabled: bool | None = None


class BlobService(Document):
    """The blob service of an account."""

    properties: BlobServiceProperties


class ContainerProperties(Document):
    """What matters of a container."""

    public_access: str | None = None


class Container(Document):
    """A container of an account."""

    name: Name
    properties: ContainerProperties = ContainerProperties()


class Named(Document):
    """Something of which only the name matters."""

    name: Name


class Deletion(Document):
    """When a lifecycle rule deletes."""

    days_after_modification_greater_than: float | None = None
    days_after_creation_greater_than: float | None = None


class BaseBlobActions(Document):
    """What a lifecycle rule does with blobs."""

    delete: Deletion | None = None


class RuleActions(Document):
    """What a lifecycle rule does."""

    base_blob: BaseBlobActions = BaseBlobActions()


class RuleFilters(Document):
    """What a lifecycle rule looks at."""

    prefix_match: tuple[str, ...] = Field(default=(), strict=False)


class RuleDefinition(Document):
    """A lifecycle rule's meaning."""

    actions: RuleActions = RuleActions()
    filters: RuleFilters = RuleFilters()


class Rule(Document):
    """A lifecycle rule."""

    name: Name
    enabled: bool = True
    definition: RuleDefinition = RuleDefinition()


class Policy(Document):
    """The lifecycle rules of an account."""

    rules: tuple[Rule, ...] = Field(default=(), strict=False)


class PolicyProperties(Document):
    """Where the rules are."""

    policy: Policy = Policy()


class ManagementPolicy(Document):
    """The lifecycle of an account's blobs."""

    properties: PolicyProperties


class VaultProperties(Provisioned):
    """What matters of a vault."""

    vault_uri: str | None = None
    enable_rbac_authorization: bool | None = None
    enable_purge_protection: bool | None = None
    public_network_access: str | None = None
    network_acls: Network = Network()


class Vault(Document):
    """A Key Vault."""

    properties: VaultProperties


class IdentityProperties(Document):
    """The identity in the directory."""

    principal_id: Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")]
    client_id: Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")]


class ManagedIdentity(Document):
    """The user-assigned identity of the app."""

    properties: IdentityProperties


class AssignmentProperties(Document):
    """Who may do what, where."""

    role_definition_id: ResourceId
    principal_id: str
    scope: ResourceId | None = None


class RoleAssignment(Document):
    """A role that somebody has."""

    id: ResourceId
    properties: AssignmentProperties


class Sku(Document):
    """The size of a plan."""

    name: str | None = None


class AppPlan(Document):
    """The plan that the app runs on."""

    sku: Sku = Sku()
    properties: Provisioned = Provisioned()


class Runtime(Document):
    """What runs the app's code."""

    name: str | None = None
    version: str | None = None


class Scale(Document):
    """How far the app scales out."""

    maximum_instance_count: int | None = None


class PackageStorage(Document):
    """Where the app's package lies."""

    value: str | None = None


class Package(Document):
    """How the app's code is deployed."""

    storage: PackageStorage = PackageStorage()


class FunctionAppConfig(Document):
    """The Flex Consumption settings of an app."""

    runtime: Runtime = Runtime()
    scale_and_concurrency: Scale = Scale()
    deployment: Package = Package()


class SiteProperties(Document):
    """What matters of the app."""

    state: str | None = None
    https_only: bool | None = None
    default_host_name: Host | None = None
    function_app_config: FunctionAppConfig = FunctionAppConfig()


class SiteIdentity(Document):
    """The identities that the app has."""

    user_assigned_identities: dict[str, object] | None = None


class Site(Document):
    """The function app."""

    properties: SiteProperties
    identity: SiteIdentity | None = None


class WebConfigProperties(Document):
    """How the app may be called, and its code be put there."""

    min_tls_version: str | None = None
    ftps_state: str | None = None
    ip_security_restrictions_default_action: str | None = None


class WebConfig(Document):
    """The app's site configuration."""

    properties: WebConfigProperties


class PublishingProperties(Document):
    """Whether publishing by user name and password is allowed."""

    allow: bool | None = None


class PublishingPolicy(Document):
    """One way to publish by user name and password: ftp or scm."""

    name: Name
    properties: PublishingProperties


class AppSettings(Document):
    """The app's settings; their values are compared and never shown."""

    properties: dict[str, str]


class Platform(Document):
    """Whether App Service authentication is on."""

    enabled: bool | None = None


class Validation(Document):
    """What App Service authentication asks of a request."""

    require_authentication: bool | None = None
    unauthenticated_client_action: str | None = None
    excluded_paths: tuple[str, ...] | None = Field(default=None, strict=False)


class Registration(Document):
    """The Entra application that people sign in with."""

    client_id: str | None = None


class EntraProvider(Document):
    """Signing in with Entra."""

    registration: Registration = Registration()


class Providers(Document):
    """With what people sign in."""

    azure_active_directory: EntraProvider = EntraProvider()


class AuthProperties(Document):
    """App Service authentication."""

    platform: Platform = Platform()
    global_validation: Validation = Validation()
    identity_providers: Providers = Providers()


class AuthSettings(Document):
    """The app's authentication."""

    properties: AuthProperties


class TopicProperties(Provisioned):
    """What matters of the topic."""

    source: ResourceId


class SystemIdentity(Document):
    """An identity that a resource brings along."""

    principal_id: str | None = None


class EventTopic(Document):
    """The system topic of the landing account."""

    properties: TopicProperties
    identity: SystemIdentity = SystemIdentity()


class DestinationProperties(Document):
    """Where events or dead letters go."""

    endpoint_base_url: str | None = None
    resource_id: ResourceId | None = None
    blob_container_name: str | None = None


class Destination(Document):
    """Where events or dead letters go, and in which way."""

    endpoint_type: str | None = None
    properties: DestinationProperties = DestinationProperties()


class IdentifiedDestination(Document):
    """A destination that is reached with an identity of the topic."""

    dead_letter_destination: Destination | None = None


class Filter(Document):
    """Which events are sent."""

    included_event_types: tuple[str, ...] | None = Field(default=None, strict=False)
    subject_begins_with: str | None = None


class SubscriptionProperties(Provisioned):
    """What matters of an event subscription."""

    destination: Destination | None = None
    dead_letter_destination: Destination | None = None
    dead_letter_with_resource_identity: IdentifiedDestination | None = None
    filter: Filter = Filter()


class EventSubscription(Document):
    """An event subscription of the topic."""

    id: AskedId
    name: Name
    properties: SubscriptionProperties


class FullUrl(Document):
    """The address that events are sent to, the webhook's key in it."""

    endpoint_url: SecretStr


class Features(Document):
    """What a workspace has switched on."""

    disable_local_auth: bool | None = None


class WorkspaceProperties(Provisioned):
    """What matters of the workspace."""

    features: Features = Features()


class Workspace(Document):
    """The Log Analytics workspace."""

    properties: WorkspaceProperties


class InsightsProperties(Document):
    """What matters of Application Insights; some of its names begin with a capital letter."""

    disable_local_auth: bool | None = Field(default=None, alias="DisableLocalAuth")
    workspace_resource_id: ResourceId | None = Field(default=None, alias="WorkspaceResourceId")
    provisioning_state: str | None = None


class Insights(Document):
    """Application Insights."""

    properties: InsightsProperties


class Receiver(Document):
    """Somebody whom alerts reach; who it is, is nobody's business here."""

    status: str | None = None


class ActionGroupProperties(Document):
    """Whom alerts reach."""

    enabled: bool = True
    email_receivers: tuple[Receiver, ...] = Field(default=(), strict=False)


class ActionGroup(Document):
    """The action group of the alerts."""

    properties: ActionGroupProperties


class AlertActions(Document):
    """What an alert sets off."""

    action_groups: tuple[ResourceId, ...] = Field(default=(), strict=False)


class AlertProperties(Document):
    """What matters of an alert rule."""

    enabled: bool | None = None
    actions: AlertActions = AlertActions()


class Alert(Document):
    """An alert rule over logs."""

    properties: AlertProperties


class AlertAction(Document):
    """What a metric alert sets off."""

    action_group_id: ResourceId | None = None


class MetricAlertProperties(Document):
    """What matters of a metric alert."""

    enabled: bool | None = None
    actions: tuple[AlertAction, ...] = Field(default=(), strict=False)


class MetricAlert(Document):
    """An alert rule over metrics."""

    properties: MetricAlertProperties


class SavedQuery(Document):
    """A saved query of the workspace; its id lacks the leading slash at times."""

    id: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,2000}$")]


class Category(Document):
    """A kind of logs."""

    enabled: bool = False


class DiagnosticProperties(Document):
    """Which logs go where."""

    workspace_id: ResourceId | None = None
    logs: tuple[Category, ...] | None = Field(default=None, strict=False)


class DiagnosticSetting(Document):
    """Where a resource's logs go."""

    name: Name
    properties: DiagnosticProperties


class ConnectionState(Document):
    """Whether the owner of a resource lets a private endpoint in."""

    status: str | None = None


class LinkProperties(Document):
    """The connection of a private endpoint."""

    private_link_service_connection_state: ConnectionState = ConnectionState()


class ServiceLink(Document):
    """What a private endpoint leads to."""

    properties: LinkProperties


class EndpointProperties(Provisioned):
    """What matters of a private endpoint."""

    private_link_service_connections: tuple[ServiceLink, ...] = Field(default=(), strict=False)


class PrivateEndpoint(Document):
    """A private endpoint."""

    properties: EndpointProperties
