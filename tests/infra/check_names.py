"""Queues, containers, settings and outputs are called the same in templates, sample settings and code."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from exporter.adapters.storage import LANDING_CONTAINER, STATE_CONTAINER
from exporter.errors import ConfigurationError
from exporter.settings import IDENTITY_FORMS, SETTINGS, STORAGE_SETTINGS, Settings
from exporter.steps.messages import Queue
from tests.infra.deployment import Deployment
from tests.infra.project import ROOT, Project, app_settings, inside, of_part
from tests.infra.values import Unknown, Value, words_of

CONTAINERS: Final = {
    "state-storage": {STATE_CONTAINER, "deployments", "dead-letters"},
    "landing-storage": {LANDING_CONTAINER},
}
"""Beside the app's own: the package that Flex Consumption runs, and what Event Grid could not deliver."""

QUEUES: Final = {
    "state-storage": {name for queue in Queue for name in (queue.value, f"{queue.value}-poison")},
    "landing-storage": set[str](),
}
"""The platform makes its own queues in the landing account."""

PLATFORM: Final = frozenset(
    {
        *(f"AzureWebJobsStorage{form}" for form in (*IDENTITY_FORMS, "__tableServiceUri")),
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "AZURE_CLIENT_ID",
        "AZURE_TOKEN_CREDENTIALS",
        "PYTHON_ENABLE_OPENTELEMETRY",
    }
)
"""What the host, the worker and the SDKs read.

learn.microsoft.com/azure/azure-functions/functions-app-settings,
learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity,
learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential
"""

NEEDED: Final = PLATFORM - {"AZURE_CLIENT_ID"} | {
    "EXPORTER_VAULT_URL",
    "EXPORTER_TRACE_PERCENTAGE",
    *(name + form for name in STORAGE_SETTINGS for form in IDENTITY_FORMS),
}
"""What a deployed app can not do without. AZURE_CLIENT_ID only says once more which identity is meant."""

OUTPUTS: Final = frozenset(
    {
        "APP_INSIGHTS_NAME",
        "AZURE_LOCATION",
        "AZURE_RESOURCE_GROUP",
        "EXPORTER_VAULT_URL",
        "FUNCTION_APP_HOST",
        "FUNCTION_APP_NAME",
        "IDENTITY_CLIENT_ID",
        "IDENTITY_NAME",
        "IDENTITY_PRINCIPAL_ID",
        "KEY_VAULT_NAME",
        "LANDING_ACCOUNT_NAME",
        "LOG_WORKSPACE_NAME",
        "STATE_ACCOUNT_NAME",
    }
)
"""What hooks, docs and `exporter doctor` read from the azd environment."""

OF_AZD: Final = frozenset(
    {
        "AZURE_ENV_NAME",
        "AZURE_LOCATION",
        "AZURE_PRINCIPAL_ID",
        "AZURE_RESOURCE_GROUP",
        "AZURE_SUBSCRIPTION_ID",
    }
)
"""What azd sets: learn.microsoft.com/azure/developer/azure-developer-cli/manage-environment-variables"""

UNFINISHED: Final = {"operatorType": "StringNotIn", "key": "data.api", "values": ["CreateFile"]}
"""Data Lake clients make an empty file, then flush it when it is whole:
learn.microsoft.com/azure/event-grid/event-schema-blob-storage"""

MOST_TRIES: Final = {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
"""Event Grid's own limits: learn.microsoft.com/azure/event-grid/delivery-and-retry"""

_EXAMPLES: Final = (
    (".primaryEndpoints.blob", "https://account.blob.core.windows.net/"),
    (".primaryEndpoints.queue", "https://account.queue.core.windows.net/"),
    (".primaryEndpoints.table", "https://account.table.core.windows.net/"),
    (".vaultUri", "https://vault.vault.azure.net/"),
    (".clientId", "00000000-0000-0000-0000-000000000001"),
    (
        ".ConnectionString",
        "InstrumentationKey=00000000-0000-0000-0000-000000000002;IngestionEndpoint=https://insights.example.org/",
    ),
)
"""What Azure gives for properties that only it knows, by the end of their words."""

_LIST_TRIGGERS: Final = """
import json, sys
import function_app
found = {f.get_function_name(): f.get_trigger().get_dict_repr() for f in function_app.app.get_functions()}
json.dump(found, sys.stdout, default=str)
"""


def storage(project: Project) -> Iterator[str]:
    """Containers and queues that the code and the platform need, and no others."""
    services = "Microsoft.Storage/storageAccounts"
    for part, wanted in CONTAINERS.items():
        account = of_part(project.usual, part)
        made = inside(project.usual, account, f"{services}/blobServices/containers")
        yield from _difference(
            f"containers of {part}", wanted, {words_of(one.get("name"))[1:-1] for one in made}
        )
    for part, wanted in QUEUES.items():
        account = of_part(project.usual, part)
        made = inside(project.usual, account, f"{services}/queueServices/queues")
        yield from _difference(f"queues of {part}", wanted, {words_of(one.get("name"))[1:-1] for one in made})


def settings(project: Project) -> Iterator[str]:
    """App settings that nothing reads, and such as are missing."""
    known = PLATFORM | set(SETTINGS) | {name + form for name in STORAGE_SETTINGS for form in IDENTITY_FORMS}
    sample = json.loads((project.root / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    for name, deployment in project.deployments.items():
        given = set(app_settings(deployment))
        for setting in sorted(given - known):
            yield f"{name}: nothing reads the setting {setting}"
        for setting in sorted(NEEDED - given):
            yield f"{name}: the setting {setting} is missing"
        for setting in sorted(given - PLATFORM):
            if setting.partition("__")[0] not in sample:
                yield f"{name}: local.settings.sample.json does not have {setting.partition('__')[0]}"


def values(project: Project) -> Iterator[str]:
    """Settings that the app would refuse, or that lead to another account, vault or identity."""
    for name, deployment in project.deployments.items():
        given = app_settings(deployment)
        try:
            Settings.from_env(as_environment(given))
        except ConfigurationError as error:
            yield f"{name}: {error}"
        wanted = wanted_values(deployment)
        for setting in sorted(set(given) & set(wanted)):
            if given[setting] != wanted[setting]:
                yield f"{name}: {setting} is {words_of(given[setting])}, not {words_of(wanted[setting])}"


def options(project: Project) -> Iterator[str]:
    """Settings that a parameter stands for and that it does not reach."""
    given = app_settings(project.deployments["all options"])
    for setting, value in {
        "EXPORTER_HOST_PATTERNS": "*.api-us1.com",
        "EXPORTER_DROP_RETENTION_DAYS": "60",
        "EXPORTER_QUIET_SECONDS": "120",
    }.items():
        if given.get(setting) != value:
            yield f"{setting} is {words_of(given.get(setting))}, not '{value}'"
        if setting in app_settings(project.usual):
            yield f"{setting} is given though nobody asked for it"


def wanted_values(deployment: Deployment) -> dict[str, Value]:
    """What the settings should be, by what the parts of the deployment are."""
    client = of_part(deployment, "identity").member("properties.clientId")
    accounts = {
        "AzureWebJobsStorage": "state-storage",
        "EXPORTER_STORAGE": "state-storage",
        "EXPORTER_LANDING": "landing-storage",
    }
    wanted: dict[str, Value] = {
        f"{prefix}__{service}ServiceUri": of_part(deployment, part).member(
            f"properties.primaryEndpoints.{service}"
        )
        for prefix, part in accounts.items()
        for service in ("blob", "queue", "table")
    }
    for prefix in accounts:
        wanted |= {f"{prefix}__credential": "managedidentity", f"{prefix}__clientId": client}
    insights = of_part(deployment, "insights").member("properties.ConnectionString")
    return wanted | {
        "EXPORTER_VAULT_URL": of_part(deployment, "vault").member("properties.vaultUri"),
        "APPLICATIONINSIGHTS_CONNECTION_STRING": insights,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": Unknown(
            f"ClientId=${{{words_of(client)}}};Authorization=AAD", is_text=True
        ),
        "AZURE_CLIENT_ID": client,
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "PYTHON_ENABLE_OPENTELEMETRY": "true",
    }


def as_environment(given: Mapping[str, Value]) -> dict[str, str]:
    """Settings as the app finds them, with examples of what only Azure knows."""
    return {
        name: value if isinstance(value, str) else _example(words_of(value)) for name, value in given.items()
    }


def _example(words: str) -> str:
    return next((example for end, example in _EXAMPLES if words.endswith(end)), words)


def triggers(project: Project) -> Iterator[str]:
    """Connections of triggers that the settings lack, and announcements that meet no trigger."""
    given = app_settings(project.usual)
    found = triggers_of_app()
    for name, trigger in found.items():
        needs = {"blobTrigger": ["blob", "queue"], "queueTrigger": ["queue"]}.get(trigger["type"], [])
        for service in needs:
            if f"{trigger['connection']}__{service}ServiceUri" not in given:
                yield f"{name}: no setting {trigger['connection']}__{service}ServiceUri"
    blob_triggers = {
        name: str(trigger["path"]) for name, trigger in found.items() if trigger["type"] == "blobTrigger"
    }
    yield from _announcement(project, blob_triggers)


@cache
def triggers_of_app() -> dict[str, Any]:
    """The triggers by function, as the app of this checkout has them where both accounts are given."""
    given = {
        f"{name}__{service}ServiceUri": f"https://account.{service}.core.windows.net"
        for name in STORAGE_SETTINGS
        for service in ("blob", "queue")
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXPORTER_")}
    listed = subprocess.run(
        [sys.executable, "-c", _LIST_TRIGGERS],
        cwd=ROOT,
        env={**kept, **given},
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(listed.stdout)
    return found


def _announcement(project: Project, blob_triggers: Mapping[str, str]) -> Iterator[str]:
    """Whether Event Grid announces the blobs of the trigger's container to the trigger's function."""
    topic = of_part(project.second_phase, "event-topic")
    landing = of_part(project.usual, "landing-storage")
    if words_of(topic.get("properties", "source")) != f"[{landing.identity}].id":
        yield f"events.bicep: the topic's source is {words_of(topic.get('properties', 'source'))}"
    subscriptions = inside(project.second_phase, topic, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    announced = {}
    for one in subscriptions:
        endpoint = words_of(one.get("properties", "destination", "properties", "endpointUrl"))
        function = re.search(r"/runtime/webhooks/blobs\?functionName=Host\.Functions\.(\w+)&code=", endpoint)
        subject = words_of(one.get("properties", "filter", "subjectBeginsWith")).strip("'")
        container = re.fullmatch(r"/blobServices/default/containers/([\w-]+)/(?:blobs/)?", subject)
        announced[function[1] if function else endpoint] = (
            f"{container[1]}/{{name}}" if container else subject
        )
        if one.get("properties", "filter", "includedEventTypes") != ["Microsoft.Storage.BlobCreated"]:
            yield "events.bicep: other events than new blobs are announced"
    if announced != dict(blob_triggers):
        yield f"events.bicep announces {announced}, the app waits for {dict(blob_triggers)}"


def webhook(project: Project) -> Iterator[str]:
    """Events that the host does not understand, is not let in with, or gets before a file is whole."""
    for one in project.second_phase.of_type("Microsoft.EventGrid/systemTopics/eventSubscriptions"):
        schema = one.get("properties", "eventDeliverySchema")
        if schema != "EventGridSchema":
            yield f"events.bicep: events come as {words_of(schema)}"
        url = words_of(one.get("properties", "destination", "properties", "endpointUrl"))
        if not re.search(r"/host/default', '[\d-]+'\)\.systemKeys\.blobs_extension\}'$", url):
            yield "events.bicep: the webhook is not called with the key blobs_extension"
        filters = one.get("properties", "filter", "advancedFilters")
        if filters != [UNFINISHED]:
            yield f"events.bicep: {words_of(filters)} is not what keeps unfinished files out"
        tries = [one.get("properties", "retryPolicy", name) for name in MOST_TRIES]
        if tries != list(MOST_TRIES.values()):
            yield f"events.bicep: an event is given up after {tries}, not {list(MOST_TRIES.values())}"


def dead_letters(project: Project) -> Iterator[str]:
    """Dead letters that go elsewhere than into their container."""
    state = of_part(project.usual, "state-storage")
    for one in project.second_phase.of_type("Microsoft.EventGrid/systemTopics/eventSubscriptions"):
        where = ("properties", "deadLetterWithResourceIdentity", "deadLetterDestination", "properties")
        found = (words_of(one.get(*where, "resourceId")), one.get(*where, "blobContainerName"))
        if found != (f"[{state.identity}].id", "dead-letters"):
            yield f"events.bicep: dead letters go to {found}"


def package(project: Project) -> Iterator[str]:
    """A package that the app does not look for where it lies."""
    app = of_part(project.usual, "app")
    state = of_part(project.usual, "state-storage")
    where = words_of(app.get("properties", "functionAppConfig", "deployment", "storage", "value"))
    if where != f"'${{[{state.identity}].properties.primaryEndpoints.blob}}deployments'":
        yield f"app.bicep: the package is looked for in {where}"


def outputs(project: Project) -> Iterator[str]:
    """Outputs that others count on and that are not there, and variables of hooks that nobody sets."""
    for name in sorted(OUTPUTS - set(project.main.outputs)):
        yield f"main.bicep: there is no output {name}"
    for path in sorted((project.infra / "hooks").glob("*.sh")):
        for name in sorted(unset_variables(path.read_text(encoding="utf-8"))):
            if name not in OF_AZD | set(project.main.outputs):
                yield f"{path.name}: nobody sets {name}"
    for parameter, variable in sorted(project.arguments_of_second_phase.items()):
        if parameter not in project.events.parameters:
            yield f"postdeploy.sh: events.bicep has no parameter '{parameter}' (from {variable})"
    required = {name for name, parameter in project.events.parameters.items() if parameter.required}
    for name in sorted(required - set(project.arguments_of_second_phase)):
        yield f"postdeploy.sh: does not give '{name}' to events.bicep"


def unset_variables(script: str) -> set[str]:
    """The variables in capitals that a shell script uses without a value for when they are not set."""
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))
    used = set(re.findall(r"(?<!\\)\$(?:\{([A-Z][A-Z0-9_]*)\}|([A-Z][A-Z0-9_]*))", code))
    names = {braced or bare for braced, bare in used} | set(re.findall(r"\$\{([A-Z][A-Z0-9_]*):\?", code))
    return names - set(re.findall(r"^\s*([A-Z][A-Z0-9_]*)=", code, flags=re.MULTILINE))


def _difference(what: str, wanted: set[str], found: set[str]) -> Iterator[str]:
    for name in sorted(wanted - found):
        yield f"{what}: '{name}' is missing"
    for name in sorted(found - wanted):
        yield f"{what}: nothing uses '{name}'"
