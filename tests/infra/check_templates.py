"""Every template by itself, and how they fit together: syntax, types, names, parameters."""

import json
from collections.abc import Iterator

from tests.infra import lint
from tests.infra.deployment import deploy
from tests.infra.project import RESOURCE_TYPES, Project
from tests.infra.typecheck import read_problems, resource_problems
from tests.infra.uses import reads
from tests.infra.values import words_of


def syntax(project: Project) -> Iterator[str]:
    """What is no Bicep."""
    for template in project.templates:
        yield from (f"{template.path.name}:{problem}" for problem in template.problems)


def types(project: Project) -> Iterator[str]:
    """Resources that Azure would refuse, as each template has them and as each deployment makes them."""
    made = [
        resource
        for template in project.templates
        for resource in deploy(template.path, every=True).resources
        if resource.template is template
    ]
    made += [resource for one in project.all_deployments.values() for resource in one.resources]
    yield from sorted(
        {problem for resource in made for problem in resource_problems(resource, RESOURCE_TYPES)}
    )
    for template in project.templates:
        yield from read_problems(template, RESOURCE_TYPES)


def names(project: Project) -> Iterator[str]:
    """What is used and not declared, or declared and not used, described or there."""
    for template in project.templates:
        yield from lint.undeclared_names(template)
        yield from lint.unused_names(template)
        yield from lint.undescribed(template)
        yield from lint.missing_files(template)
        yield from lint.late_names(template)
    yield from lint.unread_outputs(project.templates)
    used = {
        (template.path.parent / module.source).resolve()
        for template in project.templates
        for module in template.modules.values()
    }
    for template in project.templates:
        if template.path not in used | {project.main.path, project.events.path}:
            yield f"{template.path.name}: no template uses it"


def modules(project: Project) -> Iterator[str]:
    """Modules that get what they don't take, or don't get what they need."""
    for template in project.templates:
        yield from lint.module_problems(template)
    found = {problem for one in project.all_deployments.values() for problem in lint.unfit_arguments(one)}
    yield from sorted(found)


def parameter_file(project: Project) -> Iterator[str]:
    """Parameters in the file that the template does not have, and such as nobody gives."""
    parameters = project.main.parameters
    for name in sorted(set(project.parameter_file) - set(parameters)):
        yield f"main.parameters.json: main.bicep has no parameter '{name}'"
    required = {name for name, parameter in parameters.items() if parameter.required}
    for name in sorted(required - set(project.parameter_file)):
        yield f"main.parameters.json: the required '{name}' is missing"


def platform(project: Project) -> Iterator[str]:
    """What fits the types and Azure still refuses: the first time, or once it is there."""
    for one in project.usual.of_type("Microsoft.Insights/workbooks"):
        if not words_of(one.get("name")).startswith("guid("):
            yield f"{one.place}: the name of a workbook is a GUID"
    for one in project.usual.of_type("Microsoft.OperationalInsights/workspaces/savedSearches"):
        if one.get("etag") != "*":
            yield f"{one.place}: a second deployment is refused: the search is there already"
    for one in project.deployments["private"].of_type("Microsoft.Network/virtualNetworks"):
        if "'Microsoft.App/environments'" not in words_of(one.get("properties", "subnets")):
            yield f"{one.place}: Flex Consumption wants a subnet delegated to Microsoft.App/environments"


def tiers(project: Project) -> Iterator[str]:
    """Sizes that one tier has and another has not, or that main.bicep does not take up."""
    files = {path.stem: json.loads(path.read_text()) for path in (project.infra / "tiers").glob("*.json")}
    if set(files) != {"staging", "production"}:
        yield f"infra/tiers: there should be staging and production, not {sorted(files)}"
    read = {way[0] for _, name, way in reads(project.main.root) if name == "sizes"}
    for tier, sizes in files.items():
        for name in sorted(read - set(sizes)):
            yield f"tiers/{tier}.json: '{name}' is missing"
        for name in sorted(set(sizes) - read):
            yield f"tiers/{tier}.json: main.bicep does not take '{name}' from it"
    for name in sorted(read - set(project.main.parameters)):
        yield f"main.bicep: '{name}' can't be given: there is no such parameter"
