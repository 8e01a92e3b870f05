"""Bicep's syntax: from text to nodes, by tree-sitter-bicep's grammar and with its slips put right.

In that grammar (1.1.0) a dot or bracket takes in all that stands before it: `a == b.c` becomes `(a == b).c`,
and an escaped dollar sign is in no node. Here `.c` belongs to `b`, and signs bind as the language says.
learn.microsoft.com/azure/azure-resource-manager/bicep/operators#operator-precedence-and-associativity
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Final

import tree_sitter
from tree_sitter_bicep import language

_PARSER: Final = tree_sitter.Parser(tree_sitter.Language(language()))
_COMMENTS: Final = frozenset({"comment", "diagnostic_comment"})
_ESCAPES: Final = MappingProxyType(
    {"\\'": "'", "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\$": "$"}
)
_TAKES_ALL_AFTER_IT: Final = frozenset({"ternary_expression", "lambda_expression"})
_OPERATIONS: Final = _TAKES_ALL_AFTER_IT | {"binary_expression", "unary_expression"}
_STRENGTH: Final[Mapping[str, int]] = MappingProxyType(
    {
        sign: strength
        for strength, signs in enumerate(["??", "||", "&&", "== != =~ !~", "< <= > >=", "+ -", "* / %"])
        for sign in signs.split()
    }
)


@dataclass(frozen=True, eq=False)
class Node:
    """A piece of a file."""

    kind: str
    """The grammar's name for it."""
    text: str
    line: int
    """The line it begins in, from 1."""
    parts: tuple["Node", ...] = ()
    """What it is made of, without comments and signs."""
    signs: tuple[str, ...] = ()
    """Its signs and keywords."""
    is_missing: bool = False

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, parents first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def literal(self) -> str | None:
        """The text of a string without expressions in it, or None."""
        if self.kind != "string" or any(part.kind == "interpolation" for part in self.parts):
            return None
        return "".join(plain_part(part) for part in self.parts)

    @property
    def as_key(self) -> str:
        """The name of an object's property; one with an expression in it is given as it is written."""
        return self.text if self.literal is None else self.literal


@cache
def parse(text: str) -> Node:
    """The root node of a Bicep file's text."""
    return _node(_PARSER.parse(text.encode()).root_node)


def problems_of(root: Node) -> list[str]:
    """What the grammar could not take, each with its line."""
    return [
        f"{node.line}: syntax error near {node.text[:40]!r}"
        for node in root.walk()
        if node.kind == "ERROR" or node.is_missing
    ]


def plain_part(part: Node) -> str:
    """The text that a part of a string stands for, if the part is no expression."""
    if part.kind == "escape_sequence" and part.text.startswith("\\u{"):
        return chr(int(part.text[3:-1], 16))
    return _ESCAPES[part.text] if part.kind == "escape_sequence" else part.text


def _node(found: tree_sitter.Node) -> Node:
    children = [child for child in found.children if child.type not in _COMMENTS]
    parts = [_node(child) for child in children if child.is_named]
    node = Node(
        kind=found.type,
        text=_text(found),
        line=found.start_point.row + 1,
        parts=tuple(_with_gaps(found, parts) if found.type == "string" else parts),
        signs=tuple(_text(child) for child in children if not child.is_named),
        is_missing=found.is_missing,
    )
    return _put_right(node)


def _text(found: tree_sitter.Node) -> str:
    return found.text.decode() if found.text else ""


def _with_gaps(found: tree_sitter.Node, parts: list[Node]) -> Iterator[Node]:
    """A string's parts, with what the grammar has no node for: escaped dollars, and blanks before a sign."""
    source = found.text or b""
    end = found.children[0].end_byte
    for child, part in zip(found.named_children, parts, strict=True):
        gap = source[end - found.start_byte : child.start_byte - found.start_byte].decode()
        if gap:
            yield Node("escape_sequence", gap, part.line)
        if part.kind == "interpolation":
            yield from _blanks_before(child)
        yield part
        end = child.end_byte
    yield from _blanks_before(found.children[-1])


def _blanks_before(found: tree_sitter.Node) -> Iterator[Node]:
    """What the grammar puts into the sign that follows: `${`, or the quote at the end."""
    text = _text(found)
    blanks = text[: len(text) - len(text.lstrip())]
    if blanks:
        yield Node("string_content", blanks, found.start_point.row + 1)


def _put_right(node: Node) -> Node:
    """The node with dots, brackets and arguments at what they belong to, and operations in their order."""
    if node.kind in {"member_expression", "subscript_expression", "call_expression"}:
        owner = node.parts[0]
        return _moved_in(node, owner) if owner.kind in _OPERATIONS else node
    if node.kind == "binary_expression":
        left, right = node.parts
        if left.kind in _TAKES_ALL_AFTER_IT:
            return _moved_in(node, left)
        return _climb(_chain(left), node.signs[0], _chain(right))
    return node


def _moved_in(node: Node, owner: Node) -> Node:
    """`(a + b).c` as `a + (b.c)`: what follows the operation goes to its last part."""
    last = owner.parts[-1]
    tail = node.text[len(owner.text) :]
    inner = _put_right(replace(node, text=last.text + tail, line=last.line, parts=(last, *node.parts[1:])))
    return _put_right(replace(owner, text=node.text, parts=(*owner.parts[:-1], inner)))


def _chain(node: Node) -> list[Node | str]:
    """Operands and signs of an operation with others in it."""
    if node.kind != "binary_expression":
        return [node]
    return [*_chain(node.parts[0]), node.signs[0], *_chain(node.parts[1])]


def _climb(left: list[Node | str], sign: str, right: list[Node | str]) -> Node:
    """The operations of a chain, the weakest outermost, those of the same strength from left to right."""
    chain = [*left, sign, *right]
    signs = [(index, part) for index, part in enumerate(chain) if isinstance(part, str)]
    if not signs:
        raise ValueError("a chain has a sign at least")
    index, weakest = min(signs, key=lambda found: (_STRENGTH[found[1]], -found[0]))
    before, after = _of_chain(chain[:index]), _of_chain(chain[index + 1 :])
    text = f"{before.text} {weakest} {after.text}"
    return Node("binary_expression", text, before.line, (before, after), (weakest,))


def _of_chain(chain: list[Node | str]) -> Node:
    first = chain[0]
    if len(chain) == 1 and isinstance(first, Node):
        return first
    return _climb(chain[:-2], str(chain[-2]), chain[-1:])
