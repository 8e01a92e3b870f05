"""The checks of a deployment: from what Azure has answered to well, wrong with one remedy, or skipped.

Nothing here asks anybody. A check with one fault names the command for it; one with more faults names
`azd provision --no-state`, which puts all of them right.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import parse_qs, urlsplit

from exporter.domain.deployment import (
    ACTION_GROUP,
    APP,
    APP_SETTINGS,
    BLOB_CONTRIBUTOR,
    BLOB_FUNCTION,
    CONTAINERS,
    DEAD_LETTERS,
    DIAGNOSED,
    ENDPOINTS,
    EVENT_ALERTS,
    EVENT_SUBSCRIPTION,
    EVENT_TOPIC,
    FUNCTIONS,
    HEALTH_PATH,
    IDENTITY,
    INSIGHTS,
    LANDING,
    LANDING_RULE,
    LIFECYCLE_DAYS,
    LIFECYCLE_PREFIXES,
    LOG_ALERTS,
    LOGS,
    MOST_INSTANCES,
    NETWORK,
    OPEN_PATHS,
    OPTIONAL_APP_SETTINGS,
    PLAN,
    PYTHON_VERSION,
    QUERIES,
    QUEUES,
    ROLES,
    STATE,
    VAULT,
    WORKBOOK,
    Part,
    Role,
)
from exporter.domain.resources import (
    ActionGroup,
    Alert,
    AppPlan,
    AppSettings,
    AuthSettings,
    BlobService,
    Container,
    DiagnosticSetting,
    EventTopic,
    FullUrl,
    Insights,
    ManagedIdentity,
    ManagementPolicy,
    MetricAlert,
    Named,
    Network,
    PrivateEndpoint,
    PublishingPolicy,
    Ready,
    Resource,
    RoleAssignment,
    SavedQuery,
    Site,
    StorageAccount,
    Vault,
    WebConfig,
    Workspace,
)
from exporter.domain.wording import shown, shown_list
from exporter.steps import deployment as asked
from exporter.steps.deployment import Deployment, diagnostics_of
from exporter.steps.doctor import Code, TroubleError

REFUSED: Final = frozenset({302, 401, 403})
"""How a stranger is sent away: to the sign-in page, by authentication, or by the network rules."""
SAFE_TLS: Final = frozenset({"1.2", "1.3"})
_BLOB_CREATED: Final = "Microsoft.Storage.BlobCreated"
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
"""The application id in authentication while there is no Entra application yet."""

Fault = tuple[str, str]
"""What is wrong, and what mends it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A check that is to be made."""

    name: str
    look: Callable[[Deployment], str]
    """How well it is. Raises TroubleError."""
    needs: tuple[str, ...] = ()


def checks_of(deployment: Deployment) -> Iterator[Planned]:
    """All checks of a deployment, each after those that it needs."""
    yield Planned("identity", _identity)
    for account in (STATE, LANDING):
        yield from _checks_of_storage(account)
    yield Planned("vault", partial(_ready, part=VAULT))
    yield Planned("vault protection", _vault_protection, ("vault",))
    yield Planned("vault network", _vault_network, ("vault",))
    yield Planned("logs", partial(_ready, part=LOGS))
    yield Planned("logs access", _logs_access, ("logs",))
    yield Planned("logs queries", _saved_queries, ("logs",))
    yield Planned("insights", partial(_ready, part=INSIGHTS))
    yield Planned("insights access", _insights_access, ("insights",))
    yield Planned("plan", _plan)
    yield from _checks_of_app()
    yield from _checks_of_roles()
    yield Planned("event-topic", _topic)
    yield Planned("event-topic subscription", _event_subscription, ("event-topic",))
    yield Planned("event-topic address", _event_address, ("event-topic subscription", "app"))
    yield Planned("event-topic role", _topic_role, ("event-topic", STATE.tag))
    yield Planned("action-group", _action_group)
    for part in LOG_ALERTS:
        yield Planned(part.tag, partial(_log_alert, part=part))
    for part in EVENT_ALERTS:
        yield Planned(part.tag, partial(_metric_alert, part=part))
    yield Planned("workbook", _workbook)
    for part in DIAGNOSED:
        yield Planned(f"{part.tag} diagnostics", partial(_diagnostics, part=part), (part.tag, "logs"))
    if is_private(deployment):
        for part in NETWORK:
            yield Planned(part.tag, partial(_network, part=part))


def is_private(deployment: Deployment) -> bool:
    """Whether the deployment has a network of its own."""
    return any(deployment.all_of(part) for part in NETWORK)


def _checks_of_storage(part: Part) -> Iterator[Planned]:
    name = part.tag
    yield Planned(name, partial(_ready, part=part))
    yield Planned(f"{name} access", partial(_storage_access, part=part), (name,))
    yield Planned(f"{name} network", partial(_storage_network, part=part), (name,))
    if part is STATE:
        yield Planned(f"{name} soft delete", _soft_delete_on, (name,))
        yield Planned(f"{name} lifecycle", _lifecycle, (name,))
    else:
        yield Planned(f"{name} soft delete", _soft_delete_off, (name,))
        yield Planned(f"{name} lifecycle", _landing_lifecycle, (name,))
    yield Planned(f"{name} containers", partial(_containers, part=part), (name,))
    if part in QUEUES:
        yield Planned(f"{name} queues", partial(_queues, part=part), (name,))


def _checks_of_app() -> Iterator[Planned]:
    yield Planned("app", _app)
    yield Planned("app transport", _app_transport, ("app",))
    yield Planned("app publishing", _app_publishing, ("app",))
    yield Planned("app identity", _app_identity, ("app", "identity"))
    yield Planned("app runtime", _app_runtime, ("app",))
    yield Planned("app settings", _app_settings, ("app",))
    yield Planned("app authentication", _app_authentication, ("app",))
    yield Planned("app functions", _app_functions, ("app",))
    yield Planned("app health", _app_health, ("app",))


def _checks_of_roles() -> Iterator[Planned]:
    for part, roles in ROLES.items():
        needs = ("identity", part.tag)
        for role in roles:
            yield Planned(f"{part.tag} role {role.name}", partial(_role, part=part, role=role), needs)
        yield Planned(f"{part.tag} further roles", partial(_no_further_roles, part=part), needs)


def _judge(faults: list[Fault], deployment: Deployment, well: str) -> str:
    """`well` if there is no fault. Raises TroubleError with all faults and what mends them."""
    if not faults:
        return well
    remedies = {remedy for _, remedy in faults}
    remedy = remedies.pop() if len(remedies) == 1 else deployment.place.provision()
    raise TroubleError(Code.DRIFTED, "; ".join(what for what, _ in faults), remedy)


def _require_success(state: str | None, resource: Resource, remedy: str) -> None:
    """Raises TroubleError for a resource that Azure has not come to an end with."""
    if state not in {None, "Succeeded"}:
        raise TroubleError(Code.NOT_READY, f"'{shown(resource.name)}' is {shown(str(state), 40)}", remedy)


def _quoted(resource: Resource) -> str:
    return f"'{shown(resource.name)}'"


# ---- Identity, storage, vault


def _ready(deployment: Deployment, part: Part) -> str:
    state = deployment.one(Ready, part).properties.provisioning_state
    _require_success(state, deployment.only(part), deployment.place.provision())
    return _quoted(deployment.only(part))


def _identity(deployment: Deployment) -> str:
    deployment.one(ManagedIdentity, IDENTITY)
    return _quoted(deployment.only(IDENTITY))


def _storage_access(deployment: Deployment, part: Part) -> str:
    properties = deployment.one(StorageAccount, part).properties
    name = deployment.only(part).name
    update = partial(deployment.place.az, "storage account update", "--name", name)
    keys_allowed = properties.allow_shared_key_access is not False
    faults: list[Fault] = []
    if keys_allowed and part is not LANDING:
        faults.append(("takes account keys", update("--allow-shared-key-access", "false")))
    if properties.allow_blob_public_access is not False:
        faults.append(("lets blobs be public", update("--allow-blob-public-access", "false")))
    if properties.minimum_tls_version not in {"TLS1_2", "TLS1_3"}:
        faults.append(("takes TLS below 1.2", update("--min-tls-version", "TLS1_2")))
    if properties.supports_https_traffic_only is not True:
        faults.append(("takes plain http", update("--https-only", "true")))
    keys = "takes keys, which opens it to whoever has one" if keys_allowed else "takes no keys"
    return _judge(faults, deployment, f"{keys}; TLS 1.2, nothing public")


def _storage_network(deployment: Deployment, part: Part) -> str:
    properties = deployment.one(StorageAccount, part).properties
    return _open_or_closed(deployment, properties.public_network_access, properties.network_acls)


def _vault_network(deployment: Deployment) -> str:
    properties = deployment.one(Vault, VAULT).properties
    return _open_or_closed(deployment, properties.public_network_access, properties.network_acls)


def _open_or_closed(deployment: Deployment, public_access: str | None, rules: Network) -> str:
    """A private deployment lets in nobody by the internet; one that is not has no other way in."""
    closed = public_access == "Disabled" or rules.default_action == "Deny"
    private, provision = is_private(deployment), deployment.place.provision()
    faults = []
    if private and not closed:
        faults.append(("lets every network in, though the deployment has one of its own", provision))
    if closed and not private:
        faults.append(("keeps the app out, since the deployment has no network of its own", provision))
    well = "closed to the internet" if private else "open to every network: identity decides"
    return _judge(faults, deployment, well)


def _update_blob_service(deployment: Deployment, part: Part, *arguments: str) -> str:
    name = deployment.only(part).name
    command = "storage account blob-service-properties update"
    return deployment.place.az(command, "--account-name", name, *arguments)


def _soft_delete_on(deployment: Deployment) -> str:
    properties = deployment.one(BlobService, STATE, asked.BLOBS).properties
    blobs, containers = properties.delete_retention_policy, properties.container_delete_retention_policy
    provision = deployment.place.provision()
    faults = []
    if not blobs.enabled:
        faults.append(("deleted blobs are gone at once", provision))
    if not containers.enabled:
        faults.append(("deleted containers are gone at once", provision))
    return _judge(faults, deployment, f"what is deleted stays for {blobs.days} days")


def _soft_delete_off(deployment: Deployment) -> str:
    properties = deployment.one(BlobService, LANDING, asked.BLOBS).properties
    update = partial(_update_blob_service, deployment, LANDING)
    faults = []
    if properties.delete_retention_policy.enabled:
        faults.append(
            (
                "keeps deleted blobs: Customer Insights can't use it",
                update("--enable-delete-retention", "false"),
            )
        )
    if properties.container_delete_retention_policy.enabled:
        faults.append(("keeps deleted containers", update("--enable-container-delete-retention", "false")))
    if properties.is_versioning_enabled:
        faults.append(("keeps old versions of blobs", update("--enable-versioning", "false")))
    return _judge(faults, deployment, "off: what is erased is gone")


def _lifecycle(deployment: Deployment) -> str:
    rules = deployment.one(ManagementPolicy, STATE, asked.LIFECYCLE).properties.policy.rules
    days = {
        rule.name: deletion.days_after_modification_greater_than
        for rule in rules
        if rule.enabled and (deletion := rule.definition.actions.base_blob.delete) is not None
    }
    provision = deployment.place.provision()
    faults = [
        (f"no rule '{name}' deletes after {due} days", provision)
        for name, due in LIFECYCLE_DAYS.items()
        if days.get(name) != due
    ]
    faults += [
        (f"the rule '{shown(name, 60)}' is none of the templates, and deletes", provision)
        for name in days
        if name not in LIFECYCLE_DAYS
    ]
    faults += [
        (f"the rule '{rule.name}' looks at other blobs than the templates make it look at", provision)
        for rule in rules
        if rule.name in days.keys() & LIFECYCLE_PREFIXES.keys()
        and rule.definition.filters.prefix_match != (LIFECYCLE_PREFIXES[rule.name],)
    ]
    return _judge(faults, deployment, f"{len(LIFECYCLE_DAYS)} rules, as the code keeps things")


def _landing_lifecycle(deployment: Deployment) -> str:
    try:
        policy = deployment.one(ManagementPolicy, LANDING, asked.LIFECYCLE).properties.policy
    except TroubleError as error:
        if error.code != Code.NOT_DEPLOYED:
            raise
        return "none: the sweep deletes drops that nobody needs"
    deleting = {
        rule.name: rule.definition.actions.base_blob.delete.days_after_modification_greater_than
        for rule in policy.rules
        if rule.enabled and rule.definition.actions.base_blob.delete is not None
    }
    remove = deployment.place.az(
        "storage account management-policy delete", "--account-name", deployment.only(LANDING).name
    )
    mend = f"{remove}, then {deployment.place.provision()}"
    faults = [
        (f"the rule '{shown(name, 60)}' is none of the templates, and deletes drops", mend)
        for name in deleting
        if name != LANDING_RULE
    ]
    days = deleting.get(LANDING_RULE)
    well = (
        "no rule deletes drops" if days is None else f"drops are deleted after {days:.0f} days, needed or not"
    )
    return _judge(faults, deployment, well)


def _containers(deployment: Deployment, part: Part) -> str:
    found = {item.name: item for item in deployment.many(Container, part, asked.CONTAINERS)}
    account = ("--storage-account", deployment.only(part).name)
    create = partial(deployment.place.az, "storage container-rm create", *account)
    faults = [
        (f"'{name}' is not there", create("--name", name)) for name in sorted(CONTAINERS[part] - found.keys())
    ]
    close = partial(deployment.place.az, "storage container-rm update", *account, "--public-access", "off")
    faults += [
        (f"'{shown(name)}' is public", close("--name", name))
        for name, item in sorted(found.items())
        if item.properties.public_access not in {None, "None"}
    ]
    return _judge(faults, deployment, shown_list(sorted(CONTAINERS[part])))


def _queues(deployment: Deployment, part: Part) -> str:
    missing = sorted(QUEUES[part] - {item.name for item in deployment.many(Named, part, asked.QUEUES)})
    account = ("--account-name", deployment.only(part).name, "--auth-mode", "login")
    create = partial(deployment.place.az_by_id, "storage queue create", *account, "--name")
    faults = [(f"'{name}' is not there", create(name)) for name in missing]
    return _judge(faults, deployment, f"all {len(QUEUES[part])} are there")


def _vault_protection(deployment: Deployment) -> str:
    properties = deployment.one(Vault, VAULT).properties
    update = partial(deployment.place.az, "keyvault update", "--name", deployment.only(VAULT).name)
    faults = []
    if properties.enable_rbac_authorization is not True:
        faults.append(("goes by access policies", update("--enable-rbac-authorization", "true")))
    if properties.enable_purge_protection is not True:
        faults.append(("can be purged", update("--enable-purge-protection", "true")))
    return _judge(faults, deployment, "roles decide, and nobody can purge it")


# ---- Roles of the app's identity


def _role(deployment: Deployment, part: Part, role: Role) -> str:
    if role.id not in {_role_id(assignment) for assignment in _held(deployment, part)}:
        # By the templates alone: an assignment by hand would stand in their way at the next deployment
        # (learn.microsoft.com/azure/role-based-access-control/troubleshooting, RoleAssignmentExists).
        problem = f"the app's identity does not have this role on {_quoted(deployment.only(part))}"
        raise TroubleError(Code.ROLE_MISSING, problem, deployment.place.provision())
    return "the app's identity has it"


def _no_further_roles(deployment: Deployment, part: Part) -> str:
    expected = {role.id for role in ROLES[part]}
    for assignment in _held(deployment, part):
        scope = assignment.properties.scope or ""
        here = scope.lower() == deployment.id_of(part)
        if _role_id(assignment) not in expected or not here:
            where = "here" if here else f"on {shown(scope)}"
            delete = deployment.place.az_by_id("role assignment delete", "--ids", assignment.id)
            problem = f"the app's identity has the role {_role_id(assignment)} {where} and does not need it"
            raise TroubleError(Code.ROLE_TOO_WIDE, problem, delete)
    return "the app's identity has none, here or above"


def _held(deployment: Deployment, part: Part) -> list[RoleAssignment]:
    """The roles of the app's identity on a part and above it."""
    principal = deployment.one(ManagedIdentity, IDENTITY).properties.principal_id
    return _held_by(principal, deployment.many(RoleAssignment, part, asked.ROLES_HERE))


def _held_by(principal: str, assignments: list[RoleAssignment]) -> list[RoleAssignment]:
    return [each for each in assignments if each.properties.principal_id.lower() == principal.lower()]


def _role_id(assignment: RoleAssignment) -> str:
    return assignment.properties.role_definition_id.rpartition("/")[2].lower()


# ---- Plan and app


def _plan(deployment: Deployment) -> str:
    plan, provision = deployment.one(AppPlan, PLAN), deployment.place.provision()
    _require_success(plan.properties.provisioning_state, deployment.only(PLAN), provision)
    size = plan.sku.name
    faults = [] if size == "FC1" else [(f"is {shown(str(size), 40)}, not Flex Consumption", provision)]
    return _judge(faults, deployment, "Flex Consumption")


def _app(deployment: Deployment) -> str:
    state = deployment.one(Site, APP).properties.state
    app = deployment.only(APP)
    if state != "Running":
        start = deployment.place.az("functionapp start", "--name", app.name)
        raise TroubleError(Code.APP_STOPPED, f"{_quoted(app)} is {shown(str(state), 40)}", start)
    return f"{_quoted(app)} runs"


def _app_transport(deployment: Deployment) -> str:
    config = deployment.one(WebConfig, APP, asked.WEB_CONFIG).properties
    name = ("--name", deployment.only(APP).name)
    update = partial(deployment.place.az, "functionapp config set", *name)
    faults = []
    if deployment.one(Site, APP).properties.https_only is not True:
        https = deployment.place.az("functionapp update", *name, "--set", "httpsOnly=true")
        faults.append(("takes plain http", https))
    if config.min_tls_version not in SAFE_TLS:
        faults.append(("takes TLS below 1.2", update("--min-tls-version", "1.2")))
    if config.ftps_state != "Disabled":
        faults.append(("takes files by FTP", update("--ftps-state", "Disabled")))
    if is_private(deployment) and config.ip_security_restrictions_default_action != "Deny":
        faults.append(("lets every network in, though not all may", deployment.place.provision()))
    return _judge(faults, deployment, "https only, TLS 1.2, no FTP")


def _app_publishing(deployment: Deployment) -> str:
    found = deployment.many(PublishingPolicy, APP, asked.PUBLISHING)
    closed = {policy.name.rpartition("/")[2] for policy in found if policy.properties.allow is False}
    app = deployment.only(APP)
    faults = [
        (
            f"{way} takes a user name and a password",
            deployment.place.az_by_id(
                "resource update",
                "--ids",
                f"{app.id}/basicPublishingCredentialsPolicies/{way}",
                "--set",
                "properties.allow=false",
            ),
        )
        for way in ("ftp", "scm")
        if way not in closed
    ]
    return _judge(faults, deployment, "by identity only")


def _app_identity(deployment: Deployment) -> str:
    held = deployment.one(Site, APP).identity
    ids = {name.lower() for name in (held.user_assigned_identities if held else None) or {}}
    identity, app = deployment.only(IDENTITY), deployment.only(APP)
    assign = deployment.place.az(
        "functionapp identity assign", "--name", app.name, "--identities", identity.id
    )
    faults = [] if identity.id.lower() in ids else [(f"does not have {_quoted(identity)}", assign)]
    return _judge(faults, deployment, f"has {_quoted(identity)}")


def _app_runtime(deployment: Deployment) -> str:
    config, provision = (
        deployment.one(Site, APP).properties.function_app_config,
        deployment.place.provision(),
    )
    faults = []
    if (config.runtime.name, config.runtime.version) != ("python", PYTHON_VERSION):
        is_now = shown(f"{config.runtime.name} {config.runtime.version}", 40)
        faults.append((f"runs {is_now}, not Python {PYTHON_VERSION}", provision))
    instances = config.scale_and_concurrency.maximum_instance_count
    if instances is None or not 1 <= instances <= MOST_INSTANCES:
        faults.append(("has no limit of instances", provision))
    return _judge(faults, deployment, f"Python {PYTHON_VERSION}, at most {instances} instances")


def _app_settings(deployment: Deployment) -> str:
    given = deployment.one(AppSettings, APP, asked.SETTINGS).properties
    provision = deployment.place.provision()
    name = ("--name", deployment.only(APP).name)
    delete = partial(deployment.place.az, "functionapp config appsettings delete", *name, "--setting-names")
    expected = _expected_settings(deployment)
    strange = {each for each in given if each.startswith("EXPORTER_") or each == "AzureWebJobsStorage"}
    strange -= APP_SETTINGS | OPTIONAL_APP_SETTINGS
    faults = [(f"lacks {each}", provision) for each in sorted(APP_SETTINGS - given.keys())]
    faults += [
        (f"{each} is not what this deployment needs", provision)
        for each in sorted(expected.keys() & given.keys())
        if given[each].rstrip("/") != expected[each].rstrip("/")
    ]
    faults += [
        (f"has {shown(each, 60)}, which should not be there", delete(each)) for each in sorted(strange)
    ]
    return _judge(faults, deployment, "complete, and of this deployment")


def _expected_settings(deployment: Deployment) -> dict[str, str]:
    """The settings whose values follow from other parts; those of a part that can't be read are left out."""
    expected = {
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        **{
            f"{name}__credential": "managedidentity"
            for name in ("AzureWebJobsStorage", "EXPORTER_STORAGE", "EXPORTER_LANDING")
        },
        **asked.addresses_of(deployment),
    }
    try:
        client_id = deployment.one(ManagedIdentity, IDENTITY).properties.client_id
    except TroubleError:
        return expected
    for name in ("AzureWebJobsStorage", "EXPORTER_STORAGE", "EXPORTER_LANDING"):
        expected[f"{name}__clientId"] = client_id
    expected["AZURE_CLIENT_ID"] = client_id
    expected["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] = f"ClientId={client_id};Authorization=AAD"
    return expected


def _app_authentication(deployment: Deployment) -> str:
    properties = deployment.one(AuthSettings, APP, asked.AUTHENTICATION).properties
    asks, provision = properties.global_validation, deployment.place.provision()
    faults = []
    if properties.platform.enabled is not True or asks.require_authentication is not True:
        faults.append(("nobody has to sign in", provision))
    if asks.unauthenticated_client_action not in {"Return401", "RedirectToLoginPage"}:
        faults.append(("whoever has not signed in is let in", provision))
    open_paths = set(asks.excluded_paths or ())
    faults += [
        (f"{shown(path, 60)} answers without a sign-in", provision)
        for path in sorted(open_paths - OPEN_PATHS)
    ]
    faults += [(f"{path} asks for a sign-in", provision) for path in sorted(OPEN_PATHS - open_paths)]
    nobody = properties.identity_providers.azure_active_directory.registration.client_id in {None, _NOBODY}
    remark = "; nobody can sign in yet, since there is no Entra application" if nobody else ""
    return _judge(faults, deployment, f"on, but for {' and '.join(sorted(OPEN_PATHS))}{remark}")


def _app_functions(deployment: Deployment) -> str:
    items = deployment.many(Named, APP, asked.FUNCTIONS)
    missing = FUNCTIONS - {item.name.rpartition("/")[2] for item in items}
    if missing:
        problem = f"the app does not have {shown_list(sorted(missing))}"
        raise TroubleError(Code.CODE_MISSING, problem, deployment.place.azd("deploy"))
    return f"all {len(FUNCTIONS)} are there"


def _app_health(deployment: Deployment) -> str:
    status = deployment.health_status()
    if status is None:
        raise TroubleError(Code.NOT_DEPLOYED, "the app has no address", deployment.place.provision())
    if status not in REFUSED:
        problem = f"{HEALTH_PATH} answers {status} to whoever has not signed in"
        raise TroubleError(Code.OPEN_TO_ALL, problem, deployment.place.provision())
    return f"{HEALTH_PATH} refuses whoever has not signed in ({status})"


# ---- Event Grid


def _topic(deployment: Deployment) -> str:
    properties, again = deployment.one(EventTopic, EVENT_TOPIC).properties, deployment.place.second_phase()
    topic = deployment.only(EVENT_TOPIC)
    _require_success(properties.provisioning_state, topic, again)
    ours = properties.source.lower() == deployment.id_of(LANDING)
    faults = [] if ours else [("tells of another account than the one that drops land in", again)]
    return _judge(faults, deployment, f"{_quoted(topic)} tells of the landing account")


def _event_subscription(deployment: Deployment) -> str:
    subscription, again = asked.subscription_of(deployment), deployment.place.second_phase()
    if subscription is None:
        problem = f"the topic has no event subscription '{EVENT_SUBSCRIPTION}'"
        raise TroubleError(Code.NOT_DEPLOYED, problem, again)
    properties = subscription.properties
    state = properties.provisioning_state
    if state not in {None, "Succeeded"}:
        raise TroubleError(Code.NOT_READY, f"the event subscription is {shown(str(state), 40)}", again)
    faults = []
    if (properties.destination.endpoint_type if properties.destination else None) != "WebHook":
        faults.append(("does not lead to the app's webhook", again))
    if _BLOB_CREATED not in (properties.filter.included_event_types or ()):
        faults.append((f"does not send {_BLOB_CREATED}", again))
    by_identity = properties.dead_letter_with_resource_identity
    target = by_identity.dead_letter_destination if by_identity else None
    wanted = (deployment.id_of(STATE), DEAD_LETTERS)
    if (
        target is None
        or ((target.properties.resource_id or "").lower(), target.properties.blob_container_name) != wanted
    ):
        faults.append((f"what can't be delivered does not go to '{DEAD_LETTERS}'", again))
    return _judge(faults, deployment, f"'{EVENT_SUBSCRIPTION}', with dead letters")


def _event_address(deployment: Deployment) -> str:
    address = deployment.one(FullUrl, EVENT_TOPIC, asked.ADDRESS).endpoint_url.get_secret_value()
    again = deployment.place.second_phase()
    try:
        url = urlsplit(address)
    except ValueError:
        return _judge([("the address of the subscription is none", again)], deployment, "")
    faults = []
    if url.hostname != (deployment.one(Site, APP).properties.default_host_name or "").lower():
        faults.append(("events go to another host than the app's", again))
    if parse_qs(url.query).get("functionName") != [f"Host.Functions.{BLOB_FUNCTION}"]:
        faults.append((f"events do not go to {BLOB_FUNCTION}", again))
    return _judge(faults, deployment, f"events go to {BLOB_FUNCTION}")


def _topic_role(deployment: Deployment) -> str:
    principal = deployment.one(EventTopic, EVENT_TOPIC).identity.principal_id
    held = _held_by(principal or "-", deployment.many(RoleAssignment, STATE, asked.DEAD_LETTER_ROLES))
    if BLOB_CONTRIBUTOR.id not in {_role_id(assignment) for assignment in held}:
        problem = f"the topic's identity may not write into '{DEAD_LETTERS}': missing {BLOB_CONTRIBUTOR.name}"
        raise TroubleError(Code.ROLE_MISSING, problem, deployment.place.second_phase())
    return f"the topic may write into '{DEAD_LETTERS}'"


# ---- What watches it


def _logs_access(deployment: Deployment) -> str:
    off = deployment.one(Workspace, LOGS).properties.features.disable_local_auth is True
    update = deployment.place.az_by_id(
        "resource update",
        "--ids",
        deployment.only(LOGS).id,
        "--set",
        "properties.features.disableLocalAuth=true",
    )
    return _judge([] if off else [("takes logs by key", update)], deployment, "by identity only")


def _saved_queries(deployment: Deployment) -> str:
    found = deployment.many(SavedQuery, LOGS, asked.SAVED_QUERIES)
    missing = sorted(QUERIES - {query.id.rpartition("/")[2].lower() for query in found})
    faults = [(f"'{name}' is not there", deployment.place.provision()) for name in missing]
    return _judge(faults, deployment, f"all {len(QUERIES)} are there")


def _insights_access(deployment: Deployment) -> str:
    properties = deployment.one(Insights, INSIGHTS).properties
    update = deployment.place.az_by_id(
        "resource update", "--ids", deployment.only(INSIGHTS).id, "--set", "properties.DisableLocalAuth=true"
    )
    faults = []
    if properties.disable_local_auth is not True:
        faults.append(("takes telemetry by key", update))
    if (properties.workspace_resource_id or "").lower() != deployment.id_of(LOGS):
        faults.append(("writes into another workspace", deployment.place.provision()))
    return _judge(faults, deployment, "by identity only, into the workspace")


def _action_group(deployment: Deployment) -> str:
    properties = deployment.one(ActionGroup, ACTION_GROUP).properties
    reached = [each for each in properties.email_receivers if each.status in {None, "Enabled"}]
    # Both are parameters of the template, and an address is nobody's business here.
    mend = deployment.place.azd("env set ALERT_EMAILS ADDRESS") + ", then " + deployment.place.provision()
    faults = []
    if not properties.enabled:
        faults.append(("is off", deployment.place.provision()))
    if not reached:
        faults.append(("reaches nobody", mend))
    return _judge(faults, deployment, f"reaches {len(reached)} by e-mail")


def _log_alert(deployment: Deployment, part: Part) -> str:
    if part.count == 1:
        deployment.only(part)
    found = deployment.all_of(part)
    faults: list[Fault] = []
    for resource in found:
        properties = deployment.about(resource, Alert).properties
        groups = {group.lower() for group in properties.actions.action_groups}
        update = partial(deployment.place.az, "monitor scheduled-query update", "--name", resource.name)
        if properties.enabled is not True:
            faults.append((f"{_quoted(resource)} is off", update("--disabled", "false")))
        if deployment.id_of(ACTION_GROUP) not in groups:
            faults.append((f"{_quoted(resource)} reaches nobody", deployment.place.provision()))
    return _judge(faults, deployment, "on" if found else "not asked for: no drops are expected by the hour")


def _metric_alert(deployment: Deployment, part: Part) -> str:
    properties, alert = deployment.one(MetricAlert, part).properties, deployment.only(part)
    groups = {(action.action_group_id or "").lower() for action in properties.actions}
    faults = []
    if properties.enabled is not True:
        update = deployment.place.az(
            "monitor metrics alert update", "--name", alert.name, "--enabled", "true"
        )
        faults.append(("is off", update))
    if deployment.id_of(ACTION_GROUP) not in groups:
        faults.append(("reaches nobody", deployment.place.second_phase()))
    return _judge(faults, deployment, "on")


def _workbook(deployment: Deployment) -> str:
    deployment.one(Ready, WORKBOOK)
    return "in the portal, under Workbooks of the workspace"


def _diagnostics(deployment: Deployment, part: Part) -> str:
    mend = deployment.place.second_phase() if part is EVENT_TOPIC else deployment.place.provision()
    faults = []
    for child in DIAGNOSED[part]:
        found = deployment.many(DiagnosticSetting, part, diagnostics_of(child))
        if not any(_reaches(setting, deployment.id_of(LOGS)) for setting in found):
            of = f" of {child.split('/')[1]}" if child else ""
            faults.append((f"the logs{of} do not go to the workspace", mend))
    return _judge(faults, deployment, "its logs go to the workspace")


def _reaches(setting: DiagnosticSetting, workspace: str) -> bool:
    to = (setting.properties.workspace_id or "").lower()
    return to == workspace and any(category.enabled for category in setting.properties.logs or ())


# ---- The network


def _network(deployment: Deployment, part: Part) -> str:
    found, provision = deployment.all_of(part), deployment.place.provision()
    if part.count is not None and len(found) < part.count:
        problem = f"{len(found)} of {part.count} are there ({part.type})"
        raise TroubleError(Code.NOT_DEPLOYED, problem, provision)
    for resource in found:
        state = deployment.about(resource, Ready).properties.provisioning_state
        _require_success(state, resource, provision)
        if part is ENDPOINTS:
            _require_connection(deployment, resource)
    return ", ".join(_quoted(resource) for resource in found)


def _require_connection(deployment: Deployment, endpoint: Resource) -> None:
    """Raises TroubleError unless a private endpoint is let in and can be found by its name."""
    provision = deployment.place.provision()
    for link in deployment.about(endpoint, PrivateEndpoint).properties.private_link_service_connections:
        status = link.properties.private_link_service_connection_state.status
        if status != "Approved":
            problem = f"the connection of {_quoted(endpoint)} is {shown(str(status), 40)}"
            raise TroubleError(Code.NOT_READY, problem, provision)
    if not deployment.items(endpoint, Named, asked.ZONE_GROUPS):
        problem = f"{_quoted(endpoint)} is in no zone, so that its name leads out to the internet"
        raise TroubleError(Code.DRIFTED, problem, provision)
