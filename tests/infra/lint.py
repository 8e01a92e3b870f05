"""What Bicep's compiler and linter would say of names: declared, used, described, passed on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.infra.deployment import Deployment
from tests.infra.syntax import Node
from tests.infra.template import Module, Parameter, Resource, Template, properties_of, read_template
from tests.infra.uses import reads, used_names
from tests.infra.values import Evaluator, Unknown, Value

_KNOWN_BEFORE: Final = frozenset({"id", "name", "type", "apiVersion"})
_PYTHON_TYPES: Final[dict[str, type]] = {
    "string": str,
    "int": int,
    "bool": bool,
    "array": list,
    "object": dict,
}


def undeclared_names(template: Template) -> Iterator[str]:
    """Names that an expression uses and nothing declares."""
    declared = {*template.parameters, *template.variables, *template.resources, *template.modules}
    for name in sorted(used_names(template.root) - declared):
        yield f"{template.path.name}: nothing is called '{name}'"


def unused_names(template: Template) -> Iterator[str]:
    """Parameters, variables and `existing` resources that nothing uses."""
    known = {name for name, resource in template.resources.items() if resource.existing}
    around = {resource.outer for resource in template.resources.values()}
    declared = {*template.parameters, *template.variables, *known}
    for name in sorted(declared - used_names(template.root) - around):
        yield f"{template.path.name}: '{name}' is not used"


def undescribed(template: Template) -> Iterator[str]:
    """Parameters without a description that says something."""
    for parameter in template.parameters.values():
        call = parameter.decorators.get("description")
        words = call.parts[1].parts[0].literal if call else ""
        if not (words or "").strip():
            yield f"{template.path.name}:{parameter.line} '{parameter.name}' has no @description"


def missing_files(template: Template) -> Iterator[str]:
    """Modules and texts that a template takes from files that are not there."""
    sources = [module.source for module in template.modules.values()]
    sources += [
        node.parts[1].parts[0].literal or ""
        for node in template.root.walk()
        if node.kind == "call_expression" and node.parts[0].text.startswith("load")
    ]
    for source in sources:
        if not (template.path.parent / source).is_file():
            yield f"{template.path.name}: there is no file {source}"


def module_problems(template: Template) -> Iterator[str]:
    """Parameters that a module does not have or does not get, and outputs that it does not have."""
    for module in template.modules.values():
        where = f"{template.path.name}:{module.line} {module.symbol}"
        used = _template_of(template, module)
        if used is None:
            continue
        given = set(_given(module))
        for name in sorted(given - set(used.parameters)):
            yield f"{where}: {module.source} has no parameter '{name}'"
        required = {name for name, parameter in used.parameters.items() if parameter.required}
        for name in sorted(required - given):
            yield f"{where}: '{name}' is not given"
        for line, symbol, way in reads(template.root):
            if symbol == module.symbol and way[:1] == ("outputs",) and not {*way[1:2]} <= {*used.outputs}:
                yield f"{template.path.name}:{line} {module.source} has no output '{way[1]}'"


def _template_of(template: Template, module: Module) -> Template | None:
    """What a module is made of; None if there is no such file."""
    path = (template.path.parent / module.source).resolve()
    return read_template(path) if path.is_file() else None


def _given(module: Module) -> list[str]:
    """The names of the parameters that a module is given."""
    node = module.body.properties.get("params")
    return [name for name, _ in properties_of(node)] if node else []


def late_names(template: Template) -> Iterator[str]:
    """Names, conditions and loops that hang on what is known once something else is made (BCP120, BCP178)."""
    declared: list[Module | Resource] = [*template.modules.values(), *template.resources.values()]
    for one in declared:
        nodes = [one.body.properties.get("name"), one.body.condition, one.body.items]
        for way in sorted(way for node in nodes if node for way in _late_ways(template, node)):
            yield f"{template.path.name}:{one.line} {one.symbol}: {way} is not known before"


def _late_ways(template: Template, node: Node) -> set[str]:
    """What an expression reads of resources and modules that these have only when they are there."""
    found = {
        f"{name}.{'.'.join(way)}"
        for _, name, way in reads(node)
        if (name in template.resources and way[0] not in _KNOWN_BEFORE) or name in template.modules
    }
    for name in used_names(node) & set(template.variables):
        found |= _late_ways(template, template.variables[name])
    return found


def unread_outputs(templates: list[Template]) -> Iterator[str]:
    """Outputs of modules that no template reads."""
    read: dict[Path, set[str]] = {}
    for template in templates:
        for module in template.modules.values():
            names = read.setdefault((template.path.parent / module.source).resolve(), set())
            for _, symbol, way in reads(template.root):
                if symbol == module.symbol and way[:1] == ("outputs",):
                    names.update(way[1:2])
    for template in templates:
        for name in sorted(set(template.outputs) - read.get(template.path, set(template.outputs))):
            yield f"{template.path.name}: nobody reads the output '{name}'"


def unfit_arguments(deployment: Deployment) -> Iterator[str]:
    """Values for parameters, in this deployment and its modules, that the parameters do not take."""
    for name, parameter in deployment.template.parameters.items():
        problem = _unfit(parameter, deployment.parameter(name), deployment.template)
        if problem:
            yield f"{deployment.template.path.name}:{parameter.line} '{name}' {problem}"
    for module in deployment.modules:
        yield from unfit_arguments(module.deployment)


def _unfit(parameter: Parameter, value: Value, template: Template) -> str:
    """What is wrong with a value for a parameter; "" if nothing is."""
    if value is None:
        return "" if parameter.type.endswith("?") else "is null"
    python_type = _PYTHON_TYPES.get(parameter.type.rstrip("?"), type(value))
    if isinstance(value, Unknown):
        return "is text" if value.is_text and python_type in {int, bool, list, dict} else ""
    if type(value) is not python_type:
        return f"is {type(value).__name__}, not {parameter.type}"
    limits = _limits(parameter, template)
    if "allowed" in limits and value not in limits["allowed"]:
        return f"is {value!r}, none of {limits['allowed']}"
    size = value if isinstance(value, int) else len(value) if isinstance(value, str | list) else 0
    least = limits.get("minValue", limits.get("minLength", size))
    most = limits.get("maxValue", limits.get("maxLength", size))
    return "" if least <= size <= most else f"is {value!r}, {least} to {most} wanted"


def _limits(parameter: Parameter, template: Template) -> dict[str, Any]:
    """The arguments of the decorators that limit a parameter's value."""
    evaluator = Evaluator(Unknown, template.path.parent)
    names = {"allowed", "minValue", "maxValue", "minLength", "maxLength"}
    return {
        name: evaluator.value(call.parts[1].parts[0])
        for name, call in parameter.decorators.items()
        if name in names
    }
