"""azure.yaml and host.json: what azd and the platform expect of them, and what the templates say."""

import re
from collections.abc import Iterator
from typing import Any, Final

from sandbox.worker_check.python import VERSION
from tests.infra.project import Project, app_settings, of_part
from tests.infra.values import Value

LANGUAGES: Final = frozenset({"py", "python"})
"""Names for Python: learn.microsoft.com/azure/developer/azure-developer-cli/azd-schema"""

HOOKS: Final = re.compile("(?:pre|post)(?:restore|provision|package|deploy|publish|up|down)")
"""Names of hooks: learn.microsoft.com/azure/developer/azure-developer-cli/azd-extensibility"""

REFUSED_BY_FLEX: Final = re.compile(
    "FUNCTIONS_(?:WORKER_RUNTIME(?:_VERSION)?|EXTENSION_VERSION|WORKER_PROCESS_COUNT)|TZ|ENABLE_ORYX_BUILD"
    "|SCM_DO_BUILD_DURING_DEPLOYMENT"
    "|WEBSITE_(?:RUN_FROM_PACKAGE|CONTENT.*|TIME_ZONE|NODE_DEFAULT_VERSION|MAX_DYNAMIC_APPLICATION_SCALE_OUT)"
)
"""App settings that Flex Consumption refuses or leaves aside: learn.microsoft.com/azure/azure-functions/
functions-app-settings#flex-consumption-plan-deprecations"""

BUNDLE: Final = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.0.0, 5.0.0)"}
"""learn.microsoft.com/azure/azure-functions/extension-bundles"""


def services(project: Project) -> Iterator[str]:
    """What azd would not find, or not deploy as it is meant."""
    azd = project.azd
    if not re.fullmatch("[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", azd.get("name", "")):
        yield f"azure.yaml: '{azd.get('name')}' is no name for azd"
    infra: dict[str, Any] = azd.get("infra", {})
    template = project.root / infra.get("path", "infra") / f"{infra.get('module', 'main')}.bicep"
    if template.resolve() != project.main.path:
        yield f"azure.yaml: the template is {template.name}, not infra/main.bicep"
    for name, service in azd.get("services", {}).items():
        if service.get("host") != "function":
            yield f"azure.yaml: {name} is hosted on {service.get('host')}"
        if service.get("language") not in LANGUAGES:
            yield f"azure.yaml: {name} is in {service.get('language')}"
        if not (project.root / service.get("project", "none") / "host.json").is_file():
            yield f"azure.yaml: {name} has no host.json in {service.get('project')}"
    if len(azd.get("services", {})) != 1:
        yield f"azure.yaml: {len(azd.get('services', {}))} services"


def hooks(project: Project) -> Iterator[str]:
    """Hooks that azd does not know, or can't run."""
    found = project.azd.get("hooks", {})
    if "postdeploy" not in found:
        yield "azure.yaml: no postdeploy hook sets up Event Grid"
    for name, hook in found.items():
        if not HOOKS.fullmatch(name):
            yield f"azure.yaml: azd has no hook {name}"
        for variant in (
            [hook.get(system, {}) for system in ("posix", "windows")] if "posix" in hook else [hook]
        ):
            script = project.root / variant.get("run", "none")
            if not script.is_file():
                yield f"azure.yaml: {name} runs {variant.get('run')}, which is not there"
            elif variant.get("shell") == "sh" and not script.stat().st_mode & 0o100:
                yield f"azure.yaml: {variant['run']} is not executable"
            if variant.get("shell") not in {"sh", "pwsh"}:
                yield f"azure.yaml: {name} runs in the shell {variant.get('shell')}"


def runtime(project: Project) -> Iterator[str]:
    """Another Python than the one that the worker check uses, or another plan than Flex Consumption."""
    runs: tuple[Value, ...] = tuple(
        of_part(project.usual, "app").get("properties", "functionAppConfig", "runtime", key)
        for key in ("name", "version")
    )
    checked = ("python", ".".join(map(str, VERSION)))
    if runs != checked:
        yield f"app.bicep: the app runs on {runs}, the worker check on {checked}"
    sku = of_part(project.usual, "plan").get("sku", "name")
    if sku != "FC1":
        yield f"app.bicep: the plan is {sku}, not FC1"
    for setting in sorted(app_settings(project.usual)):
        if REFUSED_BY_FLEX.fullmatch(setting):
            yield f"app.bicep: Flex Consumption refuses the setting {setting}"


def host(project: Project) -> Iterator[str]:
    """What host.json says of time, extensions and telemetry, and should not."""
    found = project.host
    timeout = re.fullmatch(r"00:(\d\d):(\d\d)", found.get("functionTimeout", ""))
    if not timeout or not 0 < int(timeout[1]) <= 30:
        yield f"host.json: functionTimeout is {found.get('functionTimeout')}, not half an hour at most"
    if found.get("extensionBundle") != BUNDLE:
        yield f"host.json: the extension bundle is {found.get('extensionBundle')}"
    switch = app_settings(project.usual).get("PYTHON_ENABLE_OPENTELEMETRY")
    modes = (found.get("telemetryMode"), switch)
    if modes != ("OpenTelemetry", "true"):
        yield f"host.json and the settings: telemetryMode and PYTHON_ENABLE_OPENTELEMETRY are {modes}"
