"""What an app's functions are bound to, read from the metadata that the real host reads too.

The worker process of the platform does not check names, schedules and settings: the host does, at start, and
so does this module (azure-facts 2, "Not checked by the worker").
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.host.ncrontab import Schedule
from sandbox.host.problems import StartProblemsError
from sandbox.host.routes import Route
from sandbox.host.settings import STORAGE, connection_problem, is_disabled, resolve_expressions

POISON_SUFFIX = "-poison"
_LONGEST_QUEUE_NAME = 63

_QUEUE_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_CONTAINER_NAME = re.compile(rf"\$root|\$web|{_QUEUE_NAME.pattern}")


@dataclass(frozen=True)
class QueueTrigger:
    """A function that takes the messages of a queue."""

    argument: str
    queue: str
    connection: str

    @property
    def poison(self) -> bool:
        """Whether the queue is itself a poison queue."""
        return self.queue.endswith(POISON_SUFFIX)

    @property
    def poison_queue(self) -> str | None:
        """Where hopeless messages go. A poison queue has none, nor has one whose name would be too long."""
        name = self.queue + POISON_SUFFIX
        return None if self.poison or len(name) > _LONGEST_QUEUE_NAME else name


@dataclass(frozen=True)
class BlobTrigger:
    """A function that hears of each new blob that fits its pattern."""

    argument: str
    container: str
    pattern: str  # of the blob's name, with {parameters}
    connection: str

    def match(self, name: str) -> dict[str, str] | None:
        """Return what the pattern's parameters stand for in a blob's name, or nothing if it does not fit."""
        found = _blob_pattern(self.pattern).fullmatch(name)
        return found.groupdict() if found else None


@dataclass(frozen=True)
class TimerTrigger:
    """A function that runs by the clock."""

    argument: str
    schedule: Schedule
    run_on_startup: bool
    use_monitor: bool | None  # None leaves it to the schedule's shortest gap


@dataclass(frozen=True)
class HttpTrigger:
    """A function behind a route."""

    argument: str
    route: Route
    methods: frozenset[str]  # empty: all
    auth_level: str  # anonymous, function or admin


Trigger = QueueTrigger | BlobTrigger | TimerTrigger | HttpTrigger


@dataclass(frozen=True)
class QueueOutput:
    """Where the values of an output argument (or of `$return`) are sent."""

    argument: str
    queue: str  # may hold {parameters} of the trigger
    connection: str


@dataclass(frozen=True)
class Retry:
    """The retry policy of a timer; other triggers do not honour one (azure-facts 8.4)."""

    count: int  # -1: for ever
    first_seconds: float
    longest_seconds: float

    def pause_seconds(self, number: int) -> float:
        """Return the pause after try `number`, counted from 0."""
        return min(self.first_seconds * 2.0 ** min(number, 60), self.longest_seconds)


@dataclass(frozen=True)
class Function:
    """One function and its bindings."""

    name: str
    trigger: Trigger
    outputs: tuple[QueueOutput, ...] = ()
    retry: Retry | None = None
    disabled: bool = False  # hears of nothing, and runs only when called by hand

    @property
    def id(self) -> str:
        """Its name in blob messages, locks and logs of the host."""
        return f"Host.Functions.{self.name}"


def read_functions(metadata: Sequence[Mapping[str, Any]], settings: Mapping[str, str]) -> list[Function]:
    """Turn the metadata of all functions into values; whatever the host would refuse is reported together."""
    problems: list[str] = []
    if trouble := connection_problem(STORAGE, ("blob", "queue"), settings):
        problems.append(f"the host needs storage of its own: {trouble}")
    functions = []
    for entry in metadata:
        reader = _Reader(entry, settings)
        function = reader.function()
        problems += [f"function {entry['name']}: {problem}" for problem in reader.problems]
        if function is not None:
            functions.append(function)
    if problems:
        raise StartProblemsError(problems)
    return functions


class _Reader:
    """Reads one function's metadata and collects what is wrong with it."""

    def __init__(self, entry: Mapping[str, Any], settings: Mapping[str, str]) -> None:
        self._entry = entry
        self._settings = settings
        self.problems: list[str] = list(entry.get("problems", ()))

    def function(self) -> Function | None:
        trigger: Trigger | None = None
        outputs = []
        for binding in self._entry["bindings"]:
            kind, label = str(binding["type"]), f"{binding['type']} {binding['name']!r}"
            if kind == "queue" and str(binding["direction"]).upper() == "OUT":
                outputs.append(self._queue_output(binding, label))
            elif kind in _TRIGGERS:
                trigger = _TRIGGERS[kind](self, binding, label)
            elif kind != "http":
                self.problems.append(f"{label}: this host does not support the binding")
        retry = self._retry(trigger)
        if self.problems or trigger is None:
            return None
        name = str(self._entry["name"])
        return Function(name, trigger, tuple(outputs), retry, is_disabled(name, self._settings))

    def queue_trigger(self, binding: Mapping[str, Any], label: str) -> Trigger | None:
        queue = self._text(binding, "queueName", label)
        self._check_name(queue, _QUEUE_NAME, "queue", label)
        return QueueTrigger(str(binding["name"]), queue, self._connection(binding, ("queue",), label))

    def blob_trigger(self, binding: Mapping[str, Any], label: str) -> Trigger | None:
        path = self._text(binding, "path", label)
        container, _, pattern = path.strip("/").partition("/")
        self._check_name(container, _CONTAINER_NAME, "container", label)
        if str(binding.get("source")) != "EventGrid":
            self.problems.append(f"{label}: Flex Consumption supports only the source EventGrid")
        try:
            _blob_pattern(pattern)
        except (ValueError, re.error):
            self.problems.append(f"{label}: {path!r} is not a path like container/{{name}}")
        return BlobTrigger(
            str(binding["name"]),
            container,
            pattern or "{name}",
            self._connection(binding, ("blob", "queue"), label),
        )

    def timer_trigger(self, binding: Mapping[str, Any], label: str) -> Trigger | None:
        try:
            schedule = Schedule.parse(self._text(binding, "schedule", label))
        except ValueError as error:
            self.problems.append(f"{label}: the schedule is not NCRONTAB: {error}")
            return None
        monitor = binding.get("useMonitor")
        return TimerTrigger(
            str(binding["name"]),
            schedule,
            bool(binding.get("runOnStartup")),
            None if monitor is None else bool(monitor),
        )

    def http_trigger(self, binding: Mapping[str, Any], label: str) -> Trigger | None:
        template = self._text({"route": self._entry["name"], **binding}, "route", label)
        try:
            route = Route.parse(template)
        except (ValueError, re.error) as error:
            self.problems.append(f"{label}: route {template!r}: {error}")
            return None
        return HttpTrigger(
            str(binding["name"]),
            route,
            frozenset(str(method).upper() for method in binding.get("methods") or ()),
            str(binding.get("authLevel") or "function").lower(),
        )

    def _queue_output(self, binding: Mapping[str, Any], label: str) -> QueueOutput:
        queue = self._text(binding, "queueName", label)
        if "{" not in queue:
            self._check_name(queue, _QUEUE_NAME, "queue", label)
        return QueueOutput(str(binding["name"]), queue, self._connection(binding, ("queue",), label))

    def _retry(self, trigger: Trigger | None) -> Retry | None:
        policy = self._entry.get("retry")
        if not policy:
            return None
        if not isinstance(trigger, TimerTrigger):
            self.problems.append(
                "a retry policy is honoured by timers only; set host.json for queues and blobs"
            )
            return None
        return read_retry(policy)

    def _text(self, binding: Mapping[str, Any], key: str, label: str) -> str:
        text = str(binding.get(key) or "")
        try:
            return resolve_expressions(text, self._settings)
        except LookupError as error:
            self.problems.append(f"{label}: {key} {text!r}: setting {error.args[0]} is missing")
            return text

    def _check_name(self, name: str, pattern: re.Pattern[str], kind: str, label: str) -> None:
        if "%" not in name and not pattern.fullmatch(name):
            self.problems.append(
                f"{label}: {name!r} is not a {kind} name (3 to 63 lower-case letters, digits, single hyphens)"
            )

    def _connection(self, binding: Mapping[str, Any], services: tuple[str, ...], label: str) -> str:
        connection = str(binding.get("connection") or STORAGE)
        if trouble := connection_problem(connection, services, self._settings):
            self.problems.append(f"{label}: {trouble}")
        return connection


_TRIGGERS = {
    "queueTrigger": _Reader.queue_trigger,
    "blobTrigger": _Reader.blob_trigger,
    "timerTrigger": _Reader.timer_trigger,
    "httpTrigger": _Reader.http_trigger,
}


def read_retry(policy: Mapping[str, Any]) -> Retry:
    """Read the policy of `@app.retry`: a fixed delay, or one that doubles up to the longest."""
    from sandbox.host.host_json import parse_time_span

    count = int(policy.get("max_retry_count") or 0)
    if policy.get("strategy") == "exponential_backoff":
        first = parse_time_span(str(policy.get("minimum_interval") or "00:00:00"))
        return Retry(count, first, parse_time_span(str(policy.get("maximum_interval") or "00:00:00")))
    delay = parse_time_span(str(policy.get("delay_interval") or "00:00:00"))
    return Retry(count, delay, delay)


def _blob_pattern(pattern: str) -> re.Pattern[str]:
    """Read `{folder}/{name}.csv`: each parameter takes what it can, the last one slashes too."""
    parts = re.split(r"\{(\w+)\}", pattern or "{name}")
    if any("{" in literal or "}" in literal for literal in parts[::2]):
        raise ValueError(pattern)
    text = ""
    for number, part in enumerate(parts):
        if number % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P<{part}>{'.+' if number == len(parts) - 2 else '[^/]+?'})"
    return re.compile(text, re.DOTALL)


def instances_of(functions: Sequence[Function]) -> list[tuple[Function, ...]]:
    """Group functions as Flex Consumption does: HTTP together, blobs together, others alone (8.5)."""
    groups: dict[str, list[Function]] = {}
    for function in functions:
        if isinstance(function.trigger, HttpTrigger):
            key = "http"
        elif isinstance(function.trigger, BlobTrigger):
            key = "blob"
        else:
            key = f"function:{function.name}"
        groups.setdefault(key, []).append(function)
    return [tuple(group) for group in groups.values()]
