"""Which names an expression uses, and what it reads of them."""

from collections.abc import Iterator
from typing import Final

from tests.infra.syntax import Node
from tests.infra.template import lambda_names, loop_names

_NAMESPACES: Final = frozenset({"az", "sys"})
_DECLARATIONS: Final = frozenset(
    {"parameter_declaration", "variable_declaration", "output_declaration", "resource_declaration"}
    | {"module_declaration", "type_declaration"}
)


def used_names(node: Node) -> set[str]:
    """The declared things that a node names.

    Functions, properties, and what loops and lambdas name for themselves are left out.
    """
    if node.kind == "identifier":
        return {node.text} - _NAMESPACES
    if node.kind in {"decorators", "type"}:
        return set()
    parts = node.parts
    names_itself = node.kind in {"object_property", "call_expression"} and parts[0].kind == "identifier"
    if node.kind in _DECLARATIONS or names_itself:
        parts = parts[1:]
    names = {name for part in parts for name in used_names(part)}
    return names - _own_names(node)


def _own_names(node: Node) -> set[str]:
    """The names that a loop or a lambda gives."""
    if node.kind == "for_statement":
        return set(loop_names(node.parts[0]))
    return set(lambda_names(node)) if node.kind == "lambda_expression" else set()


def reads(node: Node) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Each longest way from a name through its properties: line, name, properties; `[]` is any index."""
    parts = node.parts
    way = _way(node)
    if len(way) > 1:
        yield node.line, way[0], way[1:]
        parts = _indices(node)
    for part in parts:
        yield from reads(part)


def _way(node: Node) -> tuple[str, ...]:
    """The name and properties that an expression goes through; empty if it does not begin with a name."""
    if node.kind == "identifier":
        return (node.text,)
    if node.kind not in {"member_expression", "subscript_expression"}:
        return ()
    owner, last = node.parts
    before = _way(owner)
    if not before:
        return ()
    if node.kind == "member_expression":
        return (*before, last.text)
    return (*before, last.as_key if last.literal is not None else "[]")


def _indices(node: Node) -> tuple[Node, ...]:
    """The expressions in the brackets of a way."""
    if node.kind == "subscript_expression":
        return (*_indices(node.parts[0]), node.parts[1])
    return _indices(node.parts[0]) if node.kind == "member_expression" else ()
