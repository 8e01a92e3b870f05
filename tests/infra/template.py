"""What a Bicep file declares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.infra.syntax import Node, parse, problems_of


@dataclass(frozen=True)
class Parameter:
    """A `param`; without a default it has to be given, unless its type allows null."""

    name: str
    type: str
    default: Node | None
    decorators: Mapping[str, Node]
    line: int

    @property
    def required(self) -> bool:
        return self.default is None and not self.type.endswith("?")


@dataclass(frozen=True)
class Output:
    """An `output`."""

    name: str
    value: Node
    decorators: Mapping[str, Node]
    line: int


@dataclass(frozen=True)
class Body:
    """What stands behind a resource's or module's `=`: an object, perhaps in a loop or under a condition."""

    properties: Mapping[str, Node]
    condition: Node | None = None
    items: Node | None = None
    """What the loop goes through."""
    item_name: str = ""
    index_name: str = ""


@dataclass(frozen=True)
class Resource:
    """A `resource`."""

    symbol: str
    type: str
    """In full, with the types of the resources around it."""
    api_version: str
    existing: bool
    body: Body
    outer: str | None
    """The symbol of the resource in whose body this one stands."""
    line: int
    decorators: Mapping[str, Node]

    @property
    def versioned_type(self) -> str:
        return f"{self.type}@{self.api_version}"


@dataclass(frozen=True)
class Module:
    """A `module`."""

    symbol: str
    source: str
    """The path of its file, from the file that uses it."""
    body: Body
    line: int


@dataclass(frozen=True)
class Template:
    """A Bicep file's declarations, in the order of the file."""

    path: Path
    root: Node
    target_scope: str = "resourceGroup"
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@cache
def read_template(path: Path) -> Template:
    """The declarations of a Bicep file; what the grammar refuses is among `problems`."""
    return template_of(path.read_text(encoding="utf-8"), path)


def template_of(text: str, path: Path) -> Template:
    """The declarations in the text of a Bicep file."""
    root = parse(text)
    template = Template(path, root, target_scope=_target_scope(root), problems=problems_of(root))
    for node, decorators in _decorated(root):
        _declare(template, node, decorators)
    return template


def _target_scope(root: Node) -> str:
    found = [node.parts[0].literal for node in root.parts if node.kind == "target_scope_assignment"]
    return found[0] if found and found[0] else "resourceGroup"


def _decorated(parent: Node) -> Iterator[tuple[Node, Mapping[str, Node]]]:
    """The parts of a file or of an object, each with the decorators above it by name."""
    decorators: dict[str, Node] = {}
    for node in parent.parts:
        if node.kind == "decorators":
            for decorator in node.parts:
                call = decorator.parts[0]
                name = call.parts[0].text.removeprefix("sys.")
                decorators[name] = call
        else:
            yield node, decorators
            decorators = {}


def _declare(template: Template, node: Node, decorators: Mapping[str, Node]) -> None:
    if node.kind == "parameter_declaration":
        parameter = _parameter(node, decorators)
        template.parameters[parameter.name] = parameter
    elif node.kind == "variable_declaration":
        name, *_, value = node.parts
        template.variables[name.text] = value
    elif node.kind == "output_declaration":
        name, *_, value = node.parts
        template.outputs[name.text] = Output(name.text, value, decorators, node.line)
    elif node.kind == "module_declaration":
        name, source, *_, body = node.parts
        template.modules[name.text] = Module(name.text, source.literal or "", _body(body), node.line)
    elif node.kind == "resource_declaration":
        _declare_resource(template, node, decorators, None)


def _parameter(node: Node, decorators: Mapping[str, Node]) -> Parameter:
    name, *rest = node.parts
    types = [part for part in rest if part.kind == "type"]
    defaults = [part for part in rest if part.kind != "type"]
    return Parameter(
        name.text,
        types[0].text if types else "",
        defaults[0] if defaults else None,
        decorators,
        node.line,
    )


def _declare_resource(
    template: Template, node: Node, decorators: Mapping[str, Node], outer: Resource | None
) -> None:
    symbol, declared, *_ = node.parts
    kind, _, version = (declared.literal or "").partition("@")
    content = node.parts[-1]
    resource = Resource(
        symbol=symbol.text,
        type=f"{outer.type}/{kind}" if outer else kind,
        api_version=version or (outer.api_version if outer else ""),
        existing="existing" in node.signs,
        body=_body(content),
        outer=outer.symbol if outer else None,
        line=node.line,
        decorators=decorators,
    )
    template.resources[resource.symbol] = resource
    for part, inner_decorators in _decorated(_object_in(content)):
        for inner in part.parts:
            if inner.kind == "resource_declaration":
                _declare_resource(template, inner, inner_decorators, resource)


def _object_in(node: Node) -> Node:
    """The object inside loops and conditions."""
    while node.kind in {"if_statement", "for_statement", "parenthesized_expression"}:
        node = node.parts[-1]
    return node


def _body(node: Node) -> Body:
    condition = items = None
    item_name = index_name = ""
    while node.kind in {"if_statement", "for_statement"}:
        parts = node.parts
        if node.kind == "if_statement":
            condition = parts[0]
        else:
            item_name, index_name = loop_names(parts[0])
            items = parts[1]
        node = parts[-1]
    return Body(dict(properties_of(node)), condition, items, item_name, index_name)


def loop_names(node: Node) -> tuple[str, str]:
    """The names that a loop gives to its item and to its number; "" where it gives none."""
    if node.kind == "for_loop_parameters":
        item, index = node.parts
        return item.text, index.text
    return node.text, ""


def lambda_names(node: Node) -> list[str]:
    """The names that a lambda gives to its arguments."""
    return [name.text for name in node.parts[0].walk() if name.kind == "identifier"]


def properties_of(node: Node) -> Iterator[tuple[str, Node]]:
    """The properties of an object by name; resources declared in it are left out."""
    for part in node.parts:
        children = part.parts
        if part.kind == "object_property" and len(children) > 1:
            yield children[0].as_key, children[-1]
