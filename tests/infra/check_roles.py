"""Who may do what: exactly these roles, each on one resource."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.infra.deployment import DeployedResource, Deployment
from tests.infra.project import Project, of_part, part_of
from tests.infra.syntax import Node
from tests.infra.template import Module, Resource
from tests.infra.uses import used_names
from tests.infra.values import words_of

ROLES: Final = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}
"""The roles in use, built-in ones: learn.microsoft.com/azure/role-based-access-control/built-in-roles"""

OF_APP: Final = {
    ("app", "state-storage", "Storage Blob Data Owner"),
    ("app", "state-storage", "Storage Queue Data Contributor"),
    ("app", "state-storage", "Storage Table Data Contributor"),
    ("app", "landing-storage", "Storage Blob Data Contributor"),
    ("app", "landing-storage", "Storage Queue Data Contributor"),
    ("app", "vault", "Key Vault Secrets User"),
    ("app", "insights", "Monitoring Metrics Publisher"),
}
OF_PEOPLE: Final = {
    ("the administrator", "vault", "Key Vault Secrets Officer"),
    ("the operator", "state-storage", "Storage Blob Data Contributor"),
    ("the operator", "state-storage", "Storage Queue Data Contributor"),
    ("the operator", "landing-storage", "Storage Blob Data Contributor"),
    ("the operator", "landing-storage", "Storage Queue Data Contributor"),
}
OF_TOPIC: Final = {("topic", "dead-letters", "Storage Blob Data Contributor")}
"""Who has which role where; nobody has another."""

_ASSIGNMENT: Final = "Microsoft.Authorization/roleAssignments"
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SCOPES: Final = frozenset({"resourceGroup", "subscription", "managementGroup", "tenant"})


def assignments(project: Project) -> Iterator[str]:
    """Roles that somebody has and should not, or should have and has not."""
    nobody = project.deployed(vaultAdministratorId="", operatorId="")
    person = project.deployed(vaultAdministratorId="", operatorId="", deployerId="the person")
    pipeline = project.deployed(
        vaultAdministratorId="", operatorId="", deployerId="the pipeline", deployerType="ServicePrincipal"
    )
    of_person = {("the person", where, role) for _, where, role in OF_PEOPLE}
    wanted = [(nobody, OF_APP), (pipeline, OF_APP), (person, OF_APP | of_person)]
    wanted += [(deployment, OF_APP | OF_PEOPLE) for deployment in project.deployments.values()]
    for deployment, roles in [*wanted, (project.second_phase, OF_TOPIC)]:
        yield from _differences(_given(deployment, project.usual), roles)


def _differences(given: Counter[tuple[str, str, str]], wanted: set[tuple[str, str, str]]) -> Iterator[str]:
    for who, where, role in sorted(set(given) - wanted):
        yield f"{who} has {role} on {where}"
    for who, where, role in sorted(wanted - set(given)):
        yield f"{who} does not have {role} on {where}"
    for (who, where, role), times in given.items():
        if times > 1:
            yield f"{who} has {role} on {where} {times} times"


def _given(deployment: Deployment, first_phase: Deployment) -> Counter[tuple[str, str, str]]:
    """Who has which role where."""
    places = {
        one.identity: part_of(one) for one in (*first_phase.resources, *deployment.resources) if part_of(one)
    }
    return Counter(
        (_who(one, deployment), _where(one, places), _role(one)) for one in deployment.of_type(_ASSIGNMENT)
    )


def _who(assignment: DeployedResource, deployment: Deployment) -> str:
    principal = words_of(assignment.get("properties", "principalId"))
    for name, part, way in (
        ("app", "identity", "properties.principalId"),
        ("topic", "event-topic", "identity.principalId"),
    ):
        try:
            resource = of_part(deployment, part)
        except LookupError:
            continue
        if principal == f"[{resource.identity}].{way}":
            return name
    return principal.strip("'")


def _where(assignment: DeployedResource, places: dict[str, str]) -> str:
    scope = assignment.scope
    if not isinstance(scope, DeployedResource):
        return f"the whole {words_of(scope) if scope is not None else 'resource group'}"
    own_name = words_of(scope.get("name")).strip("'")
    return places.get(scope.identity) or own_name


def _role(assignment: DeployedResource) -> str:
    words = words_of(assignment.get("properties", "roleDefinitionId"))
    found = _GUID.search(words)
    whole = (
        found and words == f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{found[0]}')"
    )
    return ROLES.get(found[0], words) if found and whole else words


def ways(project: Project) -> Iterator[str]:
    """Assignments that do not say to what kind of principal, or whose name can meet another's."""
    for name, deployment in project.all_deployments.items():
        found = deployment.of_type(_ASSIGNMENT)
        for one in found:
            if one.get("properties", "principalType") is None:
                yield f"{name}: {one.place} has no principalType"
            if (_who(one, deployment) in {"app", "topic"}) and one.get(
                "properties", "principalType"
            ) != "ServicePrincipal":
                yield f"{name}: {one.place} is for an identity, which is a ServicePrincipal"
        for role_name, times in Counter(one.name for one in found).items():
            if times > 1:
                yield f"{name}: {times} role assignments are called {role_name}"


def before_the_app(project: Project) -> Iterator[str]:
    """An app that starts before it may read its package, or reach it."""
    waits_for = project.main.modules["app"].body.properties.get("dependsOn")
    found = set(used_names(waits_for)) if waits_for else set()
    for name in sorted({"roles", "endpoints"} - found):
        yield f"main.bicep: the app does not wait for {name}"


def scopes(project: Project) -> Iterator[str]:
    """Modules and resources that a template puts elsewhere than into its resource group."""
    for template in project.templates:
        if template.target_scope != "resourceGroup":
            yield f"{template.path.name}: targetScope is {template.target_scope}"
        bodies: list[Module | Resource] = [*template.modules.values(), *template.resources.values()]
        for one in bodies:
            scope = one.body.properties.get("scope")
            if scope and _calls(scope) & _SCOPES:
                yield f"{template.path.name}:{one.line} {one.symbol} has the scope {scope.text}"
        for resource in template.resources.values():
            if resource.type == _ASSIGNMENT and "scope" not in resource.body.properties:
                yield f"{template.path.name}:{resource.line} {resource.symbol} is given on the resource group"


def _calls(node: Node) -> set[str]:
    return {one.parts[0].text.removeprefix("az.") for one in node.walk() if one.kind == "call_expression"}
