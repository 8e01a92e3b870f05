"""What deploying a template would make: its resources and those of its modules, with the values filled in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.infra.template import Body, Module, Parameter, Resource, Template, read_template
from tests.infra.values import Evaluator, Reference, Unknown, Value, items_of, member_of, words_of


@dataclass(frozen=True, eq=False)
class DeployedResource(Reference):
    """One resource of a deployment; a loop makes several."""

    declared: Resource
    template: Template
    evaluator: Evaluator

    @property
    def place(self) -> str:
        """The file, line and symbol, for messages."""
        return f"{self.template.path.name}:{self.declared.line} {self.declared.symbol}"

    @property
    def type(self) -> str:
        return self.declared.type

    @cached_property
    def body(self) -> dict[str, Value]:
        """The properties with their values; what says where it belongs is left out."""
        return {
            name: self.evaluator.value(node)
            for name, node in self.declared.body.properties.items()
            if name not in {"parent", "scope", "dependsOn"}
        }

    @cached_property
    def parent(self) -> "DeployedResource | None":
        """The resource that it is a part of."""
        node = self.declared.body.properties.get("parent")
        found = self.evaluator.value(node) if node else None
        if self.declared.outer:
            found = self.evaluator.lookup(self.declared.outer)
        return found if isinstance(found, DeployedResource) else None

    @cached_property
    def scope(self) -> "Value":
        """What its `scope` says: a resource, for what extends one; None if it says nothing."""
        node = self.declared.body.properties.get("scope")
        return self.evaluator.value(node) if node else None

    @cached_property
    def name(self) -> str:
        """The name in full, with those of its parents."""
        own = self.body.get("name")
        text = own if isinstance(own, str) else own.words if isinstance(own, Unknown) else words_of(own)
        return f"{self.parent.name}/{text}" if self.parent else text

    @property
    def identity(self) -> str:
        """Type and name: the same for a resource and for an `existing` that means it."""
        return f"{self.type} {self.name}"

    @property
    def words(self) -> str:
        """How it is written in a value that is not known."""
        return f"[{self.identity}]"

    def member(self, name: str) -> Value:
        """The value behind a dot: the name, what the body gives, or what the platform will know."""
        return _Path(self, ()).member(name)

    def get(self, *path: str) -> Value:
        """The value at a path in the body; None if there is none."""
        value: Value = self.body
        for name in path:
            value = member_of(value, name)
        return value


@dataclass(frozen=True)
class _Path(Reference):
    """A place in a resource."""

    resource: DeployedResource
    names: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"{self.resource.words}.{'.'.join(self.names)}"

    def member(self, name: str) -> Value:
        names = (*self.names, name)
        if names == ("name",):
            return self.resource.body.get("name")
        given = None if self.resource.declared.existing else self.resource.get(*names)
        if given is not None:
            return _Path(self.resource, names) if isinstance(given, dict) else given
        return Unknown(_Path(self.resource, names).words)


@dataclass(frozen=True, eq=False)
class DeployedModule(Reference):
    """One use of a module."""

    declared: Module
    template: Template
    evaluator: Evaluator
    every: bool

    @cached_property
    def arguments(self) -> dict[str, Value]:
        """What is passed in, by parameter."""
        node = self.declared.body.properties.get("params")
        passed = self.evaluator.value(node) if node else {}
        return passed if isinstance(passed, dict) else {}

    @cached_property
    def deployment(self) -> "Deployment":
        """What the module's file makes of it."""
        path = (self.template.path.parent / self.declared.source).resolve()
        return Deployment(read_template(path), self.arguments, every=self.every)

    @property
    def words(self) -> str:
        """How it is written in a value that is not known."""
        return self.declared.symbol

    def member(self, name: str) -> Value:
        """The module's outputs or name."""
        return self.deployment.outputs if name == "outputs" else Unknown(f"{self.words}.{name}")


class Deployment:
    """A template with values for its parameters. Parameters without a value or default are Unknown."""

    def __init__(self, template: Template, arguments: Mapping[str, Value], *, every: bool = False) -> None:
        self.template = template
        self.unknown_names: set[str] = set()
        """Names that are used and not declared."""
        self._arguments = dict(arguments)
        self._every = every
        """Whether conditions are left aside, so that all that is written is there."""
        self._values: dict[str, Value] = {}
        self._evaluator = Evaluator(self._lookup, template.path.parent)

    @cached_property
    def outputs(self) -> dict[str, Value]:
        """The outputs' values."""
        return {name: self._evaluator.value(output.value) for name, output in self.template.outputs.items()}

    @cached_property
    def modules(self) -> list[DeployedModule]:
        """The modules in use, this template's own."""
        return [
            DeployedModule(module, self.template, evaluator, self._every)
            for module in self.template.modules.values()
            for evaluator in self._turns(module.body)
        ]

    @cached_property
    def resources(self) -> list[DeployedResource]:
        """The resources, those of modules included, `existing` ones too."""
        own = [
            DeployedResource(resource, self.template, evaluator)
            for resource in self.template.resources.values()
            for evaluator in self._turns(resource.body)
        ]
        return own + [found for module in self.modules for found in module.deployment.resources]

    def of_type(self, kind: str) -> list[DeployedResource]:
        """The resources of a type that the deployment makes."""
        return [
            resource
            for resource in self.resources
            if resource.type.lower() == kind.lower() and not resource.declared.existing
        ]

    def parameter(self, name: str) -> Value:
        """A parameter's value."""
        return self._lookup(name)

    def _turns(self, body: Body) -> Iterator[Evaluator]:
        """An evaluator for each resource or module that a body stands for."""
        turns = [self._evaluator]
        if body.items is not None:
            turns = items_of(self._evaluator, body.items, body.item_name, body.index_name)
        for turn in turns:
            if self._every or body.condition is None or turn.value(body.condition) is not False:
                yield turn

    def _lookup(self, name: str) -> Value:
        if name not in self._values:
            self._values[name] = self._find(name)
        return self._values[name]

    def _find(self, name: str) -> Value:
        template = self.template
        if name in template.parameters:
            return self._parameter(template.parameters[name])
        if name in template.variables:
            return self._evaluator.value(template.variables[name])
        if name in template.resources:
            return self._one_of_resources(template.resources[name])
        if name in template.modules:
            module = template.modules[name]
            return DeployedModule(module, template, self._evaluator, self._every)
        self.unknown_names.add(name)
        return Unknown(name)

    def _parameter(self, parameter: Parameter) -> Value:
        if parameter.name in self._arguments:
            return self._arguments[parameter.name]
        if parameter.default is not None:
            return self._evaluator.value(parameter.default)
        return Unknown(parameter.name) if parameter.required else None

    def _one_of_resources(self, resource: Resource) -> Value:
        turns = [self._evaluator]
        if resource.body.items is not None:
            turns = list(self._turns(resource.body))
        found: list[Value] = [DeployedResource(resource, self.template, turn) for turn in turns]
        return found if resource.body.items is not None else found[0]


def deploy(path: Path, arguments: Mapping[str, Value] | None = None, *, every: bool = False) -> Deployment:
    """What a template would make with these values for its parameters."""
    return Deployment(read_template(path.resolve()), arguments or {}, every=every)
