"""A YAML or JSON file as plain values that still know their lines.

Scalars follow YAML's core schema rather than YAML 1.1: ``no`` and ``on`` are text, a date is text,
and ``0123`` is text, so that no segment, tag or id turns into something else.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml

from exporter.errors import ConfigurationError

Path = tuple[int | str, ...]
"""Keys and list positions from the top of the file to a value."""

MAX_CHARACTERS: Final = 1_000_000
_MAX_VALUES: Final = 200_000
_MAX_DEPTH: Final = 30
_PREFIX: Final = "tag:yaml.org,2002:"


class Problem(NamedTuple):
    """One thing that is wrong in a file."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, and on which line each part of it stands."""

    filename: str
    value: Any
    lines: Mapping[Path, int]
    problems: tuple[Problem, ...] = ()
    """What is wrong already: doubled keys, unsupported tags."""

    def existing(self, path: Path) -> Path:
        """The longest beginning of a path that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return path

    def line(self, path: Path) -> int:
        """The line of a part, or of the nearest part around it."""
        return self.lines.get(self.existing(path), 1)

    def name(self, path: Path) -> str:
        """A path as people read it, entries of lists by their id: ``connections[acme].limits.share``."""
        shown = ""
        for length, part in enumerate(path, start=1):
            if isinstance(part, int):
                shown += f"[{self._entry_name(path[:length])}]"
            else:
                shown += f".{_printable(part)}" if shown else _printable(part)
        return shown or "the file"

    def _entry_name(self, path: Path) -> str:
        entry = self.value
        for part in path:
            entry = entry[part]
        named = entry.get("id") if isinstance(entry, dict) else None
        return named if isinstance(named, str) and _ID.fullmatch(named) else str(path[-1])


def report_problems(document: Document, problems: Iterable[Problem]) -> ConfigurationError:
    """One error that lists all problems in the order of the file."""
    numbered = sorted({(document.line(path), document.name(path), message) for path, message in problems})
    lines = [f"{document.filename}:{line}: {name}: {message}" for line, name, message in numbered]
    return ConfigurationError("\n".join(lines))


def parse_document(text: str, *, filename: str) -> Document:
    """The file's values with their lines.

    Raises ConfigurationError for text that is neither YAML nor JSON.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigurationError(f"{filename}: the file is larger than any configuration should be")
    try:
        root = yaml.compose(_readable(text), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{filename}:{mark.line + 1}:{mark.column + 1}" if mark else filename
        reason = ", ".join(filter(None, (error.context, error.problem)))
        raise ConfigurationError(f"{where}: this is not valid YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(f"{filename}:{line}: the file holds a character that YAML refuses") from None
    except RecursionError:
        raise ConfigurationError(f"{filename}: values are nested too deeply") from None
    if root is None:
        raise ConfigurationError(f"{filename}: the file is empty")
    reader = _Reader()
    try:
        value = reader.read(root, ())
    except OverflowError as error:
        raise ConfigurationError(f"{filename}: {error}") from None
    return Document(filename, value, reader.lines, tuple(reader.problems))


_ID: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)


class _Loader(yaml.SafeLoader):
    """A safe loader that takes for a number or a truth only what looks like one to everyone."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(f"{_PREFIX}null", re.compile(r"(?:~|null|)\Z"), ["~", "n", ""])
_Loader.add_implicit_resolver(f"{_PREFIX}bool", re.compile(r"(?:true|false)\Z", re.IGNORECASE), list("tTfF"))
_Loader.add_implicit_resolver(
    f"{_PREFIX}int", re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z", re.ASCII), list("-0123456789")
)
_Loader.add_implicit_resolver(
    f"{_PREFIX}float",
    re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?\Z", re.ASCII),
    list("-0123456789"),
)


class _Reader:
    """Turns composed nodes into values, noting lines and problems on the way."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        # An alias may stand for a large part many times over, or for itself.
        if len(self.lines) > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise OverflowError("the file holds more values, or deeper ones, than a configuration needs")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(entry, (*path, i)) for i, entry in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(path, "holds a key that is not text"))
                continue
            key = self._text(key_node, path)
            if key in values:
                self.problems.append(Problem((*path, key), f"the key is given again in line {line}"))
                continue
            self.lines[(*path, key)] = line
            values[key] = self.read(value_node, (*path, key))
        return values

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        kind = node.tag.removeprefix(_PREFIX)
        if kind == "str":
            return self._text(node, path)
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() == "true"
        try:
            if kind == "int":
                return int(node.value)
            if kind == "float":
                return float(node.value)
        except ValueError:
            pass
        self.problems.append(Problem(path, "holds a YAML tag that is not supported"))
        return None

    def _text(self, node: yaml.Node, path: Path) -> str:
        """JSON writes characters beyond the basic plane as two escapes, which YAML leaves apart."""
        try:
            return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.problems.append(Problem(path, "holds half a character"))
            return ""


def _readable(text: str) -> str:
    """JSON may be indented with tabs, YAML may not."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except ValueError:
        return text
    return text.replace("\t", " ")


def _printable(key: str) -> str:
    """A key as it may be shown: it comes from the file and may be anything."""
    shown = key if len(key) <= 60 else f"{key[:57]}…"
    return shown if shown.isprintable() else ascii(shown)
