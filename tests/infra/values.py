"""The values of Bicep's expressions, as far as they can be known before a deployment."""

import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from tests.infra.functions import FUNCTIONS, SHAPE_ALONE
from tests.infra.syntax import Node, plain_part
from tests.infra.template import lambda_names, loop_names


@dataclass(frozen=True)
class Unknown:
    """A value that only Azure or whoever deploys knows. Two of the same words are the same value."""

    words: str
    is_text: bool = False
    """Whether it is a string that was put together; its words are then what stands between the quotes."""


class Reference(ABC):
    """A resource or module that an expression names."""

    @property
    @abstractmethod
    def words(self) -> str:
        """How it is written in a value that is not known."""

    @abstractmethod
    def member(self, name: str) -> "Value":
        """The value behind a dot."""


Value: TypeAlias = "Unknown | Reference | str | int | bool | list[Value] | dict[str, Value] | None"
Lookup: TypeAlias = Callable[[str], Value]


def words_of(value: Value) -> str:
    """A value as it would be written in Bicep."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return f"'{value}'"
        case Unknown(is_text=True):
            return f"'{value.words}'"
        case list():
            return f"[{', '.join(words_of(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{key}: {words_of(item)}' for key, item in value.items())}}}"
        case int():
            return str(value)
        case _:
            return value.words


@dataclass(frozen=True)
class Evaluator:
    """Evaluates expressions of one file, whose names `lookup` resolves."""

    lookup: Lookup
    directory: Path
    """What the paths of `loadTextContent` and `loadJsonContent` start from."""

    def value(self, node: Node) -> Value:
        """The value of an expression; Unknown for what the platform alone can tell."""
        rule = _RULES.get(node.kind)
        return rule(self, node) if rule else Unknown(node.text)

    def with_names(self, names: Mapping[str, Value]) -> "Evaluator":
        """This evaluator with a loop's names before all others."""
        return Evaluator(lambda name: names[name] if name in names else self.lookup(name), self.directory)


def items_of(evaluator: Evaluator, items: Node, item_name: str, index_name: str) -> list[Evaluator]:
    """An evaluator for each turn of a loop; one alone if what it goes through is unknown."""
    through = evaluator.value(items)
    turns = through if isinstance(through, list) else [Unknown(f"each of {words_of(through)}")]
    return [evaluator.with_names({item_name: item, index_name: number}) for number, item in enumerate(turns)]


def joined(parts: list[Value]) -> Value:
    """The string that parts make together; Unknown if one of them is."""
    if any(isinstance(part, Unknown | Reference) for part in parts):
        return Unknown("".join(_spliced(part) for part in parts), is_text=True)
    return "".join(_spliced(part) for part in parts)


def _spliced(value: Value) -> str:
    if isinstance(value, Unknown) and not value.is_text:
        return f"${{{value.words}}}"
    return value if isinstance(value, str) else words_of(value).strip("'")


def member_of(owner: Value, name: str) -> Value:
    """The value behind a dot; null where an object has no such property."""
    if isinstance(owner, dict):
        return owner.get(name)
    if isinstance(owner, Unknown):
        return Unknown(f"{words_of(owner)}.{name}")
    return owner.member(name) if isinstance(owner, Reference) else None


def _string(evaluator: Evaluator, node: Node) -> Value:
    literal = node.literal
    if literal is not None:
        return literal
    return joined(
        [
            evaluator.value(part.parts[0]) if part.kind == "interpolation" else plain_part(part)
            for part in node.parts
        ]
    )


def _array(evaluator: Evaluator, node: Node) -> Value:
    parts = node.parts
    if len(parts) == 1 and parts[0].kind == "for_statement":
        return evaluator.value(parts[0])
    return [evaluator.value(part) for part in parts]


def _object(evaluator: Evaluator, node: Node) -> Value:
    found: dict[str, Value] = {}
    for part in node.parts:
        if len(part.parts) > 1:
            key, value = part.parts[0], part.parts[-1]
            name = evaluator.value(key) if key.kind == "string" else key.as_key
            found[name if isinstance(name, str) else words_of(name)] = evaluator.value(value)
    return found


def _loop(evaluator: Evaluator, node: Node) -> Value:
    names, items, body = node.parts
    return [turn.value(body) for turn in items_of(evaluator, items, *loop_names(names))]


def _member(evaluator: Evaluator, node: Node) -> Value:
    owner, name = node.parts
    return member_of(evaluator.value(owner), name.text)


def _subscript(evaluator: Evaluator, node: Node) -> Value:
    owner, index = (evaluator.value(part) for part in node.parts)
    if isinstance(owner, list) and isinstance(index, int):
        return owner[index] if index < len(owner) else None
    if isinstance(index, str):
        return member_of(owner, index)
    return Unknown(f"{words_of(owner)}[{words_of(index)}]")


def _call(evaluator: Evaluator, node: Node) -> Value:
    function, arguments = node.parts
    name = function.text.removeprefix("az.").removeprefix("sys.")
    if any(part.kind == "lambda_expression" for part in arguments.parts):
        return _with_lambda(evaluator, node, name)
    values = [evaluator.value(part) for part in arguments.parts]
    words = f"({', '.join(words_of(value) for value in values)})"
    if function.kind == "member_expression" and "." in name:
        owner, method = function.parts
        return Unknown(f"{words_of(evaluator.value(owner))}.{method.text}{words}")
    if name in {"loadTextContent", "loadJsonContent"}:
        return _loaded(name, evaluator.directory / str(values[0]))
    if name not in FUNCTIONS or any(_is_open(value, name in SHAPE_ALONE) for value in values):
        return Unknown(name + words)
    result: Value = FUNCTIONS[name](*values)
    return result


def _with_lambda(evaluator: Evaluator, node: Node, name: str) -> Value:
    """What `map` makes of an array; other functions that take a lambda stay unknown."""
    through, turn = node.parts[1].parts[:2]
    values = evaluator.value(through)
    names = lambda_names(turn)
    if name != "map" or not isinstance(values, list) or len(names) != 1:
        return Unknown(node.text)
    return [evaluator.with_names({names[0]: value}).value(turn.parts[-1]) for value in values]


def _is_open(value: Value, shape_alone: bool) -> bool:
    """Whether a function can't be worked out because of this argument."""
    if isinstance(value, Unknown | Reference):
        return True
    if shape_alone or not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return any(_is_open(item, shape_alone) for item in inner)


def _loaded(function: str, path: Path) -> Value:
    """A file's content; that it exists is checked elsewhere."""
    if not path.is_file():
        return Unknown(f"{function}('{path.name}')")
    text = path.read_text(encoding="utf-8")
    content: Value = json.loads(text) if function == "loadJsonContent" else text
    return content


def _ternary(evaluator: Evaluator, node: Node) -> Value:
    condition, then, otherwise = node.parts
    decided = evaluator.value(condition)
    if isinstance(decided, bool):
        return evaluator.value(then if decided else otherwise)
    choices = words_of(evaluator.value(then)), words_of(evaluator.value(otherwise))
    return Unknown(f"{words_of(decided)} ? {choices[0]} : {choices[1]}")


def _unary(evaluator: Evaluator, node: Node) -> Value:
    value = evaluator.value(node.parts[0])
    sign = node.text[0]
    if sign == "!" and isinstance(value, bool):
        return not value
    if sign == "-" and isinstance(value, int):
        return -value
    return Unknown(sign + words_of(value))


def _binary(evaluator: Evaluator, node: Node) -> Value:
    left_node, right_node = node.parts
    sign = node.signs[0]
    left = evaluator.value(left_node)
    if sign == "??" and not isinstance(left, Unknown):
        return evaluator.value(right_node) if left is None else left
    if sign in _SHORT_CIRCUITS and left is _SHORT_CIRCUITS[sign]:
        return left
    right = evaluator.value(right_node)
    if sign in _SHORT_CIRCUITS and (right is _SHORT_CIRCUITS[sign] or isinstance(left, bool)):
        return right
    if isinstance(left, Unknown) or isinstance(right, Unknown) or sign not in _OPERATORS:
        return Unknown(f"{words_of(left)} {sign} {words_of(right)}")
    result: Value = _OPERATORS[sign](left, right)
    return result


_SHORT_CIRCUITS: Final[Mapping[str, bool]] = MappingProxyType({"&&": False, "||": True})
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        "=~": lambda left, right: left.lower() == right.lower(),
        "!~": lambda left, right: left.lower() != right.lower(),
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.floordiv,
        "%": operator.mod,
    }
)
_RULES: Final[Mapping[str, Callable[[Evaluator, Node], Value]]] = MappingProxyType(
    {
        "array": _array,
        "binary_expression": _binary,
        "boolean": lambda _, node: node.text == "true",
        "call_expression": _call,
        "for_statement": _loop,
        "identifier": lambda evaluator, node: evaluator.lookup(node.text),
        "member_expression": _member,
        "null": lambda _, node: None,
        "number": lambda _, node: int(node.text),
        "object": _object,
        "parenthesized_expression": lambda evaluator, node: evaluator.value(node.parts[0]),
        "resource_expression": lambda evaluator, node: evaluator.value(node.parts[-1]),
        "string": _string,
        "subscript_expression": _subscript,
        "ternary_expression": _ternary,
        "unary_expression": _unary,
    }
)
