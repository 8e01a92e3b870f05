"""What `exporter doctor` finds out about a deployment: which resource is which part, and how each one is.

Azure Resource Manager is asked everything first; the checks of `deployment_checks` then go from its answers
to results without asking anything. What the operator may not read is one check's result, and no end of the
rest.
"""

import asyncio
import shlex
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

from pydantic import ValidationError

from exporter.domain.deployment import (
    APP,
    DEAD_LETTERS,
    DIAGNOSED,
    ENDPOINTS,
    ENVIRONMENT_TAG,
    EVENT_SUBSCRIPTION,
    EVENT_TOPIC,
    HEALTH_PATH,
    LANDING,
    LOGS,
    PART_TAG,
    PARTS,
    ROLES,
    SECOND_PHASE,
    STATE,
    VAULT,
    Part,
)
from exporter.domain.resources import (
    AppSettings,
    Document,
    EventSubscription,
    Resource,
    Site,
    StorageAccount,
    Subscription,
    Vault,
)
from exporter.domain.wording import shown
from exporter.steps.doctor import Code, DeployedApp, TroubleError

READER: Final = "Reader"
GROUP_TYPE: Final = "Microsoft.Resources/subscriptions/resourceGroups"
SUBSCRIPTION_TYPE: Final = "Microsoft.Resources/subscriptions"
_STORAGE: Final = "Microsoft.Storage/storageAccounts"
_SITES: Final = "Microsoft.Web/sites"

_HOST_PATTERNS: Final = "EXPORTER_HOST_PATTERNS"

Kind = TypeVar("Kind", bound=Document)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to read of Azure Resource Manager."""

    path: str
    type: str
    """The resource type that is read; it has the version of the API."""
    scope: str
    """The resource that a right to read it would be given on."""
    action: str
    """The right that it takes."""
    role: str = READER
    """The built-in role that holds the right."""
    filter: str | None = None
    is_list: bool = False
    """Whether the answer is a list in pages."""
    is_post: bool = False
    """What holds secrets is told to a POST only."""


class ResourceManager(Protocol):
    """Azure Resource Manager, and the deployed app's own address."""

    async def ask(self, question: Question) -> Any:
        """The answer as JSON, all items of a list; None where there is nothing. Raises TroubleError."""

    async def status_without_sign_in(self, host: str, path: str) -> int:
        """The HTTP status of a GET of an https address without credentials. Raises TroubleError."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about every resource of a part."""

    aspect: str
    child: str = ""
    """What follows the resource's id in the path."""
    type: str | None = None
    """None: the part's own type."""
    action: str | None = None
    """None: reading the type."""
    role: str = READER
    filter: str | None = None
    is_list: bool = False
    is_post: bool = False

    def of(self, resource_id: str, part: Part) -> Question:
        """The question about one resource."""
        kind = self.type or part.type
        return Question(
            path=resource_id + self.child,
            type=kind,
            scope=resource_id,
            action=self.action or f"{kind}/read",
            role=self.role,
            filter=self.filter,
            is_list=self.is_list,
            is_post=self.is_post,
        )


ITSELF: Final = Ask("itself")
BLOBS: Final = Ask("blobs", "/blobServices/default", f"{_STORAGE}/blobServices")
CONTAINERS: Final = Ask(
    "containers", "/blobServices/default/containers", f"{_STORAGE}/blobServices/containers", is_list=True
)
QUEUES: Final = Ask(
    "queues", "/queueServices/default/queues", f"{_STORAGE}/queueServices/queues", is_list=True
)
LIFECYCLE: Final = Ask("lifecycle", "/managementPolicies/default", f"{_STORAGE}/managementPolicies")
ROLES_HERE: Final = Ask(
    "roles",
    "/providers/Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleAssignments",
    # At the resource and above it, whoever has them
    # (learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope).
    filter="atScope()",
    is_list=True,
)
SETTINGS: Final = Ask(
    "settings",
    "/config/appsettings/list",
    f"{_SITES}/config",
    action=f"{_SITES}/config/list/action",
    role="Website Contributor",
    is_post=True,
)
# Without secrets, and so with the right to read alone
# (learn.microsoft.com/rest/api/appservice/web-apps/get-auth-settings-v2-without-secrets).
AUTHENTICATION: Final = Ask("authentication", "/config/authsettingsV2", f"{_SITES}/config")
FUNCTIONS: Final = Ask("functions", "/functions", _SITES, action=f"{_SITES}/functions/read", is_list=True)
SUBSCRIPTIONS: Final = Ask(
    "subscriptions",
    "/eventSubscriptions",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions",
    is_list=True,
)
ADDRESS: Final = Ask(
    "address",
    "/getFullUrl",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions",
    action="Microsoft.EventGrid/systemTopics/eventSubscriptions/getFullUrl/action",
    role="EventGrid EventSubscription Contributor",
    is_post=True,
)
WEB_CONFIG: Final = Ask("site configuration", "/config/web", f"{_SITES}/config")
PUBLISHING: Final = Ask(
    "publishing",
    "/basicPublishingCredentialsPolicies",
    f"{_SITES}/basicPublishingCredentialsPolicies",
    is_list=True,
)
SAVED_QUERIES: Final = Ask(
    "queries", "/savedSearches", "Microsoft.OperationalInsights/workspaces/savedSearches", is_list=True
)
ZONE_GROUPS: Final = Ask(
    "zones",
    "/privateDnsZoneGroups",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    is_list=True,
)
DEAD_LETTER_ROLES: Final = replace(
    ROLES_HERE,
    aspect="roles on dead letters",
    child=f"/blobServices/default/containers/{DEAD_LETTERS}{ROLES_HERE.child}",
)
HEALTH: Final = "health"

_ASKED: Final[Mapping[Part, Sequence[Ask]]] = {
    STATE: (BLOBS, CONTAINERS, QUEUES, LIFECYCLE, DEAD_LETTER_ROLES),
    LANDING: (BLOBS, CONTAINERS, LIFECYCLE),
    LOGS: (SAVED_QUERIES,),
    APP: (SETTINGS, AUTHENTICATION, FUNCTIONS, WEB_CONFIG, PUBLISHING),
    EVENT_TOPIC: (SUBSCRIPTIONS,),
    ENDPOINTS: (ZONE_GROUPS,),
}


def diagnostics_of(child: str) -> Ask:
    """Where the logs of a resource, or of one of its children, go."""
    return Ask(
        f"diagnostics{child}",
        f"{child}/providers/Microsoft.Insights/diagnosticSettings",
        "Microsoft.Insights/diagnosticSettings",
        is_list=True,
    )


def asked_of(part: Part) -> tuple[Ask, ...]:
    """What is asked about a part."""
    roles = (ROLES_HERE,) if part in ROLES else ()
    diagnostics = [diagnostics_of(child) for child in DIAGNOSED.get(part, ())]
    return (ITSELF, *_ASKED.get(part, ()), *roles, *diagnostics)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is, and how commands name it."""

    subscription_id: str
    group: str
    environment: str | None = None
    """The azd environment; None where no resource names one."""

    @property
    def scope(self) -> str:
        """The resource group's id."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.group}"

    def az(self, command: str, *arguments: str) -> str:
        """An `az` command in this group; arguments are quoted, since their text comes from Azure."""
        words = (*arguments, "--resource-group", self.group)
        return self.az_by_id(command, *words)

    def az_by_id(self, command: str, *arguments: str) -> str:
        """An `az` command that takes no group."""
        words = (*arguments, "--subscription", self.subscription_id)
        return f"`az {command} {' '.join(shlex.quote(word) for word in words)}`"

    def azd(self, command: str) -> str:
        """An `azd` command in this environment."""
        named = f" --environment {shlex.quote(self.environment)}" if self.environment else ""
        return f"`azd {command}{named}`"

    def provision(self) -> str:
        """Deploys the first phase anew.

        By itself azd leaves out a deployment whose template has not changed since the last one, whatever has
        become of the resources (github.com/Azure/azure-dev, cli/azd/docs/provision-state.md).
        """
        return self.azd("provision --no-state")

    def second_phase(self) -> str:
        """Deploys the second phase anew: topic, subscription and their alerts."""
        return self.azd("hooks run postdeploy")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment, and what Azure Resource Manager has answered about it."""

    place: Place
    resources: Mapping[str, Sequence[Resource]]
    """By the tag of the part."""
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    """By resource id and aspect: parsed JSON, None, or the TroubleError that stood in the way."""

    def all_of(self, part: Part) -> Sequence[Resource]:
        """The resources that are a part."""
        return self.resources.get(part.tag, ())

    def id_of(self, part: Part) -> str:
        """The id of a part's only resource in lower case, as ids are compared; "" where it is not there."""
        found = self.all_of(part)
        return found[0].id.lower() if found else ""

    def only(self, part: Part) -> Resource:
        """The resource that is a part. Raises TroubleError where there is none, or more than one."""
        found = self.all_of(part)
        if not found:
            problem = f"no resource in {self.place.group} has the tag {PART_TAG}={part.tag} ({part.type})"
            mend = self.place.second_phase() if part in SECOND_PHASE else self.place.provision()
            raise TroubleError(Code.NOT_DEPLOYED, problem, mend)
        if len(found) > 1:
            names = ", ".join(f"'{shown(resource.name)}'" for resource in found)
            arguments = ("--operation", "delete", "--tags", f"{PART_TAG}={part.tag}")
            untag = self.place.az_by_id("tag update", "--resource-id", found[0].id, *arguments)
            raise TroubleError(
                Code.DOUBLED,
                f"{names} have the same tag {PART_TAG}={part.tag}",
                f"{untag}, if that is the one that is not used",
            )
        return found[0]

    def one(self, kind: type[Kind], part: Part, ask: Ask = ITSELF) -> Kind:
        """The answer about a part. Raises TroubleError for what is not there, readable or understood."""
        return self.about(self.only(part), kind, ask)

    def about(self, resource: Resource, kind: type[Kind], ask: Ask = ITSELF) -> Kind:
        """The answer about a resource. Raises TroubleError as `one` does."""
        answer = self._answer(resource, ask.aspect)
        if answer is None:
            problem = f"'{shown(resource.name)}' has no {ask.aspect}"
            raise TroubleError(Code.NOT_DEPLOYED, problem, self.place.provision())
        return validated(kind, answer, self.place)

    def many(self, kind: type[Kind], part: Part, ask: Ask) -> list[Kind]:
        """The items of the answer about a part. Raises TroubleError as `one` does."""
        return self.items(self.only(part), kind, ask)

    def items(self, resource: Resource, kind: type[Kind], ask: Ask) -> list[Kind]:
        """The items of the answer about a resource. Raises TroubleError as `one` does."""
        return [validated(kind, item, self.place) for item in self._answer(resource, ask.aspect) or ()]

    def health_status(self) -> int | None:
        """The status that a stranger got from the app; None where it has no address. Raises TroubleError."""
        answer = self._answer(self.only(APP), HEALTH)
        return answer if isinstance(answer, int) else None

    def _answer(self, resource: Resource, aspect: str) -> Any:
        answer = self.answers.get((resource.id, aspect))
        if isinstance(answer, TroubleError):
            raise answer
        return answer


def validated(kind: type[Kind], answer: Any, place: Place) -> Kind:
    """An answer as what it should be. Raises TroubleError that repeats nothing of it."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise TroubleError(
            Code.AZURE_ERROR,
            f"Azure describes this in a way that the exporter does not understand ({kind.__name__}: {where})",
            place.az("resource list"),
        ) from None


async def find_subscription(manager: ResourceManager, group: str) -> str:
    """The one subscription that the operator may see. Raises TroubleError where there are more, or none."""
    question = Question("/subscriptions", SUBSCRIPTION_TYPE, "/", f"{SUBSCRIPTION_TYPE}/read", is_list=True)
    place = Place("SUBSCRIPTION", group)
    found = [validated(Subscription, item, place) for item in await manager.ask(question) or ()]
    enabled = [subscription for subscription in found if subscription.state == "Enabled"]
    if len(enabled) != 1:
        names = ", ".join(f"'{each.display_name}' {each.subscription_id}" for each in enabled[:10]) or "none"
        chosen = enabled[0].subscription_id if enabled else "ID"
        remedy = f"`exporter doctor --resource-group {shlex.quote(group)} --subscription {chosen}`"
        raise TroubleError(
            Code.SUBSCRIPTION_UNCLEAR,
            f"nobody said in which subscription the group is; those you may see: {names}",
            remedy if enabled else "`az login`",
        )
    return enabled[0].subscription_id


async def find_deployment(
    manager: ResourceManager, subscription_id: str, group: str, environment: str | None
) -> Deployment:
    """The parts of the deployment in a group. Raises TroubleError where there are none to be seen."""
    place = Place(subscription_id, group, environment)
    action = f"{GROUP_TYPE}/resources/read"
    question = Question(f"{place.scope}/resources", GROUP_TYPE, place.scope, action, is_list=True)
    listed = await manager.ask(question)
    if listed is None:
        problem = f"there is no resource group '{group}' in subscription {subscription_id}"
        raise TroubleError(Code.NOT_DEPLOYED, problem, "`azd up`")
    # Azure puts resources of its own there, and not every id of a stranger is one that could be asked about.
    ours = [validated(Resource, item, place) for item in listed if _is_part(item)]
    environments = sorted({(resource.tags or {}).get(ENVIRONMENT_TAG, "") for resource in ours})
    if environment is None and len(environments) > 1:
        names = ", ".join(f"'{name}'" for name in environments)
        named = f"AZURE_ENV_NAME={shlex.quote(environments[-1])}"
        remedy = f"`{named} exporter doctor --resource-group {shlex.quote(group)}`"
        problem = f"the group holds the azd environments {names}: name one"
        raise TroubleError(Code.SUBSCRIPTION_UNCLEAR, problem, remedy)
    name = environment or next(iter(environments), "")
    parts: dict[str, list[Resource]] = {}
    for resource in ours:
        tags = resource.tags or {}
        if tags.get(ENVIRONMENT_TAG, "") == name:
            parts.setdefault(tags[PART_TAG], []).append(resource)
    place = Place(subscription_id, group, name or None)
    if not parts:
        problem = f"group '{group}' holds no resource with the tag {PART_TAG}" + (
            f" of environment '{name}'" if name else ""
        )
        raise TroubleError(Code.NOT_DEPLOYED, problem, place.provision())
    return Deployment(place, parts)


def _is_part(item: Any) -> bool:
    """Whether a listed resource says that it is part of a deployment."""
    tags = item.get("tags") if isinstance(item, dict) else None
    return isinstance(tags, dict) and PART_TAG in tags


async def ask_about(manager: ResourceManager, deployment: Deployment) -> None:
    """Ask everything that the checks need; what stands in the way of an answer is kept in its place."""

    async def keep(resource: Resource, aspect: str, asking: Awaitable[Any]) -> None:
        try:
            deployment.answers[resource.id, aspect] = await asking
        except TroubleError as error:
            deployment.answers[resource.id, aspect] = error

    await asyncio.gather(
        *(
            keep(resource, ask.aspect, manager.ask(ask.of(resource.id, part)))
            for part in PARTS
            for resource in deployment.all_of(part)
            for ask in asked_of(part)
        )
    )
    for topic in deployment.all_of(EVENT_TOPIC)[:1]:
        await keep(topic, ADDRESS.aspect, _address(manager, deployment))
    for app in deployment.all_of(APP)[:1]:
        await keep(app, HEALTH, _health(manager, deployment))


async def _address(manager: ResourceManager, deployment: Deployment) -> Any:
    """Where the topic's event subscription sends to."""
    subscription = subscription_of(deployment)
    return await manager.ask(ADDRESS.of(subscription.id, EVENT_TOPIC)) if subscription else None


def subscription_of(deployment: Deployment) -> EventSubscription | None:
    """The topic's subscription for the app, if it is there: a topic may have others. Raises TroubleError."""
    found = deployment.many(EventSubscription, EVENT_TOPIC, SUBSCRIPTIONS)
    return next((each for each in found if each.name == EVENT_SUBSCRIPTION), None)


async def _health(manager: ResourceManager, deployment: Deployment) -> int | None:
    """What the app answers to whoever has not signed in."""
    host = deployment.one(Site, APP).properties.default_host_name
    return await manager.status_without_sign_in(host, HEALTH_PATH) if host else None


def addresses_of(deployment: Deployment) -> dict[str, str]:
    """The settings that lead to the deployment's accounts and vault, as far as it tells them."""
    addresses: dict[str, str | None] = {}
    for name, part in (("EXPORTER_STORAGE", STATE), ("EXPORTER_LANDING", LANDING)):
        try:
            endpoints = deployment.one(StorageAccount, part).properties.primary_endpoints
        except TroubleError:
            continue
        addresses[f"{name}__blobServiceUri"] = endpoints.blob
        addresses[f"{name}__queueServiceUri"] = endpoints.queue
    with suppress(TroubleError):
        addresses["EXPORTER_VAULT_URL"] = deployment.one(Vault, VAULT).properties.vault_uri
    return {name: address for name, address in addresses.items() if address}


def settings_of(deployment: Deployment) -> dict[str, str]:
    """Settings by which the operator reaches the deployment with an identity of their own."""
    settings = addresses_of(deployment)
    try:
        patterns = deployment.one(AppSettings, APP, SETTINGS).properties.get(_HOST_PATTERNS)
    except TroubleError:
        return settings
    return {**settings, _HOST_PATTERNS: patterns} if patterns else settings


def remedies_of(deployment: Deployment) -> DeployedApp:
    """The commands for the deployed app, with its names."""
    place = deployment.place
    names = {part: found[0].name for part in (APP, STATE) if (found := deployment.all_of(part))}
    app, account = names.get(APP, "APP"), names.get(STATE, "ACCOUNT")
    delete = place.az_by_id(
        "storage blob delete-batch",
        "--source",
        DEAD_LETTERS,
        "--account-name",
        account,
        "--auth-mode",
        "login",
    )
    return DeployedApp(
        start=place.az("functionapp start", "--name", app),
        restart=place.az("functionapp restart", "--name", app),
        announce=place.second_phase(),
        empty_dead_letters=f"{delete}, once `events` is well",
    )
