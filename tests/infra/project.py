"""What the checks of the templates look at: the files of a project, and what deploying them would make."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from tests.infra.deployment import DeployedResource, Deployment, deploy
from tests.infra.resource_types import TYPES, ResourceTypes
from tests.infra.template import Template, read_template
from tests.infra.values import Unknown, Value, words_of

ROOT: Final = Path(__file__).resolve().parents[2]
RESOURCE_TYPES: Final = ResourceTypes(TYPES)

_REQUIRED: Final[Mapping[str, Value]] = MappingProxyType(
    {
        "environmentName": "prod",
        "alertEmails": "ann@example.org, bob@example.org",
        "vaultAdministratorId": "the administrator",
        "operatorId": "the operator",
    }
)
_OPTIONS: Final[Mapping[str, Value]] = MappingProxyType(
    {
        "tier": "production",
        "landingSharedKey": True,
        "landingDeleteAfterDays": 400,
        "hostPatterns": "*.api-us1.com",
        "dropRetentionDays": "60",
        "quietSeconds": "120",
        "entraClientId": "the application",
        "unauthenticatedClientAction": "RedirectToLoginPage",
        "expectedExports": "vip:24,gold:168",
    }
)
_DEPLOYMENTS: Final[Mapping[str, Mapping[str, Value]]] = MappingProxyType(
    {
        "staging": {**_REQUIRED, "tier": "staging"},
        "production": {**_REQUIRED, "tier": "production"},
        "private": {**_REQUIRED, "privateNetworking": True},
        "private, from one address": {
            **_REQUIRED,
            "privateNetworking": True,
            "allowedAddresses": "203.0.113.7",
        },
        "all options": {**_REQUIRED, **_OPTIONS},
    }
)
"""The parameters of the deployments that the checks go through."""


@dataclass(frozen=True)
class Project:
    """The project in a folder; everything is read once."""

    root: Path

    @property
    def infra(self) -> Path:
        """The folder of the templates."""
        return (self.root / "infra").resolve()

    @cached_property
    def templates(self) -> list[Template]:
        """Every template."""
        return [read_template(path) for path in sorted(self.infra.rglob("*.bicep"))]

    @property
    def main(self) -> Template:
        """The template of the first phase."""
        return read_template(self.infra / "main.bicep")

    @property
    def events(self) -> Template:
        """The template of the second phase."""
        return read_template(self.infra / "events.bicep")

    @cached_property
    def deployments(self) -> dict[str, Deployment]:
        """What the first phase would make, by the name of the deployment."""
        return {name: self.deployed(**arguments) for name, arguments in _DEPLOYMENTS.items()}

    @cached_property
    def usual(self) -> Deployment:
        """A production deployment without options."""
        return self.deployments["production"]

    @cached_property
    def second_phase(self) -> Deployment:
        """What the second phase would make of the usual first one, by the arguments that the hook gives."""
        outputs: dict[str, Value] = {**self.usual.outputs, "AZURE_ENV_NAME": "prod"}
        arguments = {name: outputs.get(setting) for name, setting in self.arguments_of_second_phase.items()}
        return deploy(
            self.events.path, {name: value for name, value in arguments.items() if value is not None}
        )

    @cached_property
    def arguments_of_second_phase(self) -> dict[str, str]:
        """The parameters that the postdeploy hook gives, with the variables they come from."""
        hook = (self.infra / "hooks" / "postdeploy.sh").read_text(encoding="utf-8")
        command = re.search(r"deployment group create(?:\\\n|.)*", hook)
        return dict(re.findall(r'(\w+)="\$\{?([A-Z_]+)', command[0])) if command else {}

    @cached_property
    def all_deployments(self) -> dict[str, Deployment]:
        """Those of both phases."""
        return {**self.deployments, "second phase": self.second_phase}

    @cached_property
    def host(self) -> dict[str, Any]:
        """host.json."""
        found: dict[str, Any] = json.loads((self.root / "host.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def azd(self) -> dict[str, Any]:
        """azure.yaml."""
        found: dict[str, Any] = yaml.safe_load((self.root / "azure.yaml").read_text(encoding="utf-8"))
        return found

    @cached_property
    def parameter_file(self) -> dict[str, str]:
        """The parameters that azd fills in, with the variables they come from."""
        found = json.loads((self.infra / "main.parameters.json").read_text(encoding="utf-8"))
        return {name: str(entry["value"]) for name, entry in found["parameters"].items()}

    def deployed(self, **arguments: Value) -> Deployment:
        """What the first phase would make with these parameters."""
        return deploy(self.main.path, {**_REQUIRED, **arguments})


def part_of(resource: DeployedResource) -> str:
    """The part of the exporter that a resource is, by its tag; "" if it has none."""
    part = resource.get("tags", "exporter-part")
    return part if isinstance(part, str) else words_of(part) if isinstance(part, Unknown) else ""


def of_part(deployment: Deployment, part: str) -> DeployedResource:
    """The one resource that is this part.

    Raises LookupError where there is none, or more than one.
    """
    found = [resource for resource in deployment.resources if part_of(resource) == part]
    if len(found) != 1:
        raise LookupError(f"{len(found)} resources have the tag exporter-part '{part}'")
    return found[0]


def inside(deployment: Deployment, outer: DeployedResource, kind: str) -> list[DeployedResource]:
    """The resources of a type that belong to another one."""
    return [one for one in deployment.of_type(kind) if one.name.startswith(f"{outer.name}/")]


def app_settings(deployment: Deployment) -> dict[str, Value]:
    """The settings of the function app."""
    found = [
        one for one in deployment.of_type("Microsoft.Web/sites/config") if one.get("name") == "appsettings"
    ]
    settings = found[0].get("properties") if found else None
    return settings if isinstance(settings, dict) else {}
