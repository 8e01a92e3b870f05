"""The parts of `host.json` that decide what triggers do, with the platform's defaults (azure-facts 8.2)."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.host.problems import StartProblemsError

_SETTING_PREFIX = "azurefunctionsjobhost__"
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,7}))?")
_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class QueueOptions:
    """How messages of a queue are taken and tried."""

    batch_size: int = 16  # messages taken at a time, at most 32
    new_batch_threshold: int = 8 * _CORES  # the next batch is taken when no more than this many are running
    max_dequeue_count: int = 5  # the failure with this number sends the message to the poison queue
    visibility_seconds: float = 0.0  # pause after a failed try
    max_polling_seconds: float = 60.0  # the longest pause between looks at an empty queue
    encoding: str = "base64"  # or "none"; the host has one for all queues


@dataclass(frozen=True)
class HostOptions:
    """What the app's `host.json` asks for."""

    queues: QueueOptions = QueueOptions()
    blobs: QueueOptions = QueueOptions()  # for the internal queue of blob events
    timeout_seconds: float | None = 1800.0  # of one invocation; None is unbounded
    route_prefix: str = "api"


def load_host_json(app_dir: Path, settings: Mapping[str, str]) -> HostOptions:
    """Read `host.json`; a setting AzureFunctionsJobHost__a__b overrides its entry a.b (as on Azure)."""
    path = app_dir / "host.json"
    if not path.is_file():
        raise StartProblemsError([f"there is no host.json in {app_dir}"])
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise StartProblemsError([f"host.json is not JSON: {error}"]) from error
    for name, value in settings.items():
        if name.lower().startswith(_SETTING_PREFIX):
            _override(document, name[len(_SETTING_PREFIX) :].split("__"), value)
    return _Reader(document).options()


def _override(document: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        document = document.setdefault(_same_key(document, part), {})
    document[_same_key(document, path[-1])] = value


def _same_key(document: Mapping[str, Any], name: str) -> str:
    return next((key for key in document if key.lower() == name.lower()), name)


def parse_time_span(text: str) -> float:
    """Read .NET's `[d.]hh:mm:ss[.fff]` as seconds."""
    found = _TIME_SPAN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a time span like 00:00:30")
    days, hours, minutes, seconds, fraction = found.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        raise ValueError(f"{text!r} is not a time span like 00:00:30")
    whole = ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")


class _Reader:
    """Reads one document and collects everything that is wrong with it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._problems: list[str] = []

    def options(self) -> HostOptions:
        queues = self._queues()
        result = HostOptions(
            queues=queues,
            blobs=self._blobs(queues),
            timeout_seconds=self._timeout(),
            route_prefix=str(self._at("extensions", "http").get("routePrefix", "api")).strip("/"),
        )
        if str(self._at("concurrency").get("dynamicConcurrencyEnabled")).lower() == "true":
            self._problems.append("dynamicConcurrencyEnabled is not supported by this host")
        if self._problems:
            raise StartProblemsError([f"host.json: {problem}" for problem in self._problems])
        return result

    def _at(self, *path: str) -> Mapping[str, Any]:
        found: Any = self._document
        for part in path:
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) else {}

    def _queues(self) -> QueueOptions:
        section = self._at("extensions", "queues")
        batch_size = self._number(section, "batchSize", 16, 1, 32)
        encoding = str(section.get("messageEncoding", "base64")).lower()
        if encoding not in ("base64", "none"):
            self._problems.append(f"messageEncoding is {encoding!r}, not base64 or none")
        return QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=self._number(section, "newBatchThreshold", batch_size * _CORES // 2, 0, 1000),
            max_dequeue_count=self._number(section, "maxDequeueCount", 5, 1, 1_000_000),
            visibility_seconds=self._span(section, "visibilityTimeout", 0.0),
            max_polling_seconds=max(0.1, self._span(section, "maxPollingInterval", 60.0)),
            encoding=encoding,
        )

    def _blobs(self, queues: QueueOptions) -> QueueOptions:
        """Read what holds for the internal queue: of the queues' section it shares only the encoding.

        So a blob event that fails is tried again at once, whatever `visibilityTimeout` says (source:
        SharedBlobQueueListenerFactory.BlobsOptionsToQueuesOptions).
        """
        section = self._at("extensions", "blobs")
        parallel = self._number(section, "maxDegreeOfParallelism", 8 * _CORES, 1, 1000)
        batch_size = min(parallel // 2 + 1, 32)
        return QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=parallel - batch_size,
            max_dequeue_count=self._number(section, "poisonBlobThreshold", 5, 1, 1_000_000),
            encoding=queues.encoding,
        )

    def _timeout(self) -> float | None:
        text = str(self._document.get("functionTimeout", "00:30:00"))
        return None if text == "-1" else self._span(self._document, "functionTimeout", 1800.0)

    def _number(self, section: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
        try:
            number = int(str(section.get(key, default)))
        except ValueError:
            number = low - 1
        if low <= number <= high:
            return number
        self._problems.append(f"{key} is {section.get(key)!r}, not a number from {low} to {high}")
        return default

    def _span(self, section: Mapping[str, Any], key: str, default: float) -> float:
        if key not in section:
            return default
        try:
            return parse_time_span(str(section[key]))
        except ValueError as error:
            self._problems.append(f"{key}: {error}")
            return default
