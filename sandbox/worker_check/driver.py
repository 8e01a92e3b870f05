"""Sends the platform's Python worker the messages that the Functions host sends, and reports its answers.

Runs by its path, with Python 3.13, in an environment that has the app's requirements and
`azure-functions-runtime`, and nothing else of this project. It reads a job on stdin:

    {"app_dir": DIR, "report": FILE, "calls": [{"function": NAME, "message" | "blob" | "timer" | "http": …}],
     "until": TEXT}

calls each function, hands over what comes on the app's queues until the app logs a text (if there is one),
and writes the report, in the shape of `sandbox.worker_check.local`.

From Python 3.13 on, the process that the host starts hands each message to `azure_functions_runtime`, which
does all the rest; so does this, through the wire's encoding. The messages' classes come with
`azure-functions-runtime-v1`, in a package named `tests`, which must be found before an app's own.
"""

import asyncio
import importlib
import json
import logging
import os
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BLOB_SOURCE = "AzureStorageBlobs"
LISTEN_SECONDS = 90.0
LOOK_SECONDS = 0.2


class Records(logging.Handler):
    """Keeps the lines that code of the app logs."""

    def __init__(self, app_dir: str) -> None:
        super().__init__(logging.INFO)
        self._app_dir = app_dir
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, if it is the app's."""
        if record.pathname.startswith(self._app_dir):
            self.lines.append(f"{record.levelname} {record.name} {record.getMessage()}")


class Worker:
    """The worker, spoken to as the host speaks to it."""

    def __init__(self) -> None:
        self._runtime = importlib.import_module("azure_functions_runtime")
        self._protos = importlib.import_module("tests.protos")
        self._runtime.start_threadpool_executor()

    async def ask(self, handler: str, **message: Any) -> Any:
        """Send one message and return its answer, both as they come off the wire."""
        sent = self._protos.StreamingMessage(request_id=str(uuid.uuid4()), **message)
        arrived = self._protos.StreamingMessage.FromString(sent.SerializeToString())
        properties = {"host": "127.0.0.1", "protos": self._protos}
        answer = await getattr(self._runtime, handler)(
            SimpleNamespace(request=arrived, properties=properties)
        )
        return type(answer).FromString(answer.SerializeToString())

    def failure(self, result: Any) -> str | None:
        """Why something ended without success, as `Type: text`, or None."""
        if result.status == self._protos.StatusResult.Success:
            return None
        return str(result.exception.message) or "no reason given"

    def binding(self, info: Any) -> dict[str, str]:
        """Type, direction and data type that the worker declares for a parameter."""
        kind = self._protos.BindingInfo
        return {
            "type": info.type,
            "direction": kind.Direction.Name(info.direction).upper(),
            "dataType": kind.DataType.Name(info.data_type).upper(),
        }

    def retry(self, metadata: Any) -> dict[str, str]:
        """The retry policy, in the words of its decorator."""
        if not metadata.HasField("retry_options"):
            return {}
        options = metadata.retry_options
        return {
            "strategy": self._protos.RpcRetryOptions.RetryStrategy.Name(options.retry_strategy),
            "max_retry_count": str(options.max_retry_count),
            "delay_interval": _time_span(options.delay_interval.ToTimedelta()),
            "minimum_interval": _time_span(options.minimum_interval.ToTimedelta()),
            "maximum_interval": _time_span(options.maximum_interval.ToTimedelta()),
        }


async def examine(job: dict[str, Any], records: Records) -> dict[str, Any]:
    """Index, load and call; what the worker refuses ends the examination of what it is about."""
    worker = Worker()
    report: dict[str, Any] = {"refused": None, "functions": [], "calls": []}
    report["python"] = ".".join(map(str, sys.version_info[:3]))
    init = {"function_app_directory": job["app_dir"], "worker_directory": job["app_dir"], "host_version": "4"}
    answer = await worker.ask("worker_init_request", worker_init_request=init)
    if (why := worker.failure(answer.result)) is not None:
        return {**report, "refused": why}
    wanted = {"function_app_directory": job["app_dir"]}
    answer = await worker.ask("functions_metadata_request", functions_metadata_request=wanted)
    if (why := worker.failure(answer.result)) is not None:
        return {**report, "refused": why}
    found = {metadata.name: metadata for metadata in answer.function_metadata_results}
    for metadata in found.values():
        report["functions"].append(await _load(worker, metadata))
    for call in job["calls"]:
        if call["function"] in found:
            report["calls"].append(await _call(worker, found[call["function"]], call, records))
    if job["until"]:
        report["calls"] += await _listen(worker, found, job["until"], records)
    return report


async def _listen(
    worker: Worker, found: dict[str, Any], until: str, records: Records
) -> list[dict[str, Any]]:
    """Hand over messages, one after the other, until a line of the log has a text; their ends.

    Connections must be connection strings. A message whose call fails stays hidden. Where the text does not
    come in time, that shows in the ends.
    """
    from azure.storage.queue import QueueClient

    queues = []
    for metadata in found.values():
        trigger = _trigger(metadata)
        if trigger["type"] == "queueTrigger":
            storage = os.environ[trigger["connection"]]
            queues.append((metadata, QueueClient.from_connection_string(storage, trigger["queueName"])))
    ends: list[dict[str, Any]] = []
    deadline = time.monotonic() + LISTEN_SECONDS
    while time.monotonic() < deadline:
        for metadata, queue in queues:
            for message in await asyncio.to_thread(_take, queue):
                call = {"function": metadata.name, "message": message.content}
                ends.append(await _call(worker, metadata, call, records))
                if ends[-1]["error"] is None:
                    await asyncio.to_thread(queue.delete_message, message)
                if any(until in line for line in ends[-1]["log"]):
                    return ends
        await asyncio.sleep(LOOK_SECONDS)
    return ends


def _take(queue: Any) -> list[Any]:
    """Up to four messages of a queue, hidden as the host hides them; none where there is no queue."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return list(queue.receive_messages(max_messages=4, visibility_timeout=600))
    except ResourceNotFoundError:
        return []


def _trigger(metadata: Any) -> dict[str, Any]:
    bindings = [json.loads(raw) for raw in metadata.raw_bindings]
    return next(binding for binding in bindings if binding["type"].endswith("Trigger"))


async def _load(worker: Worker, metadata: Any) -> dict[str, Any]:
    wanted = {"function_id": metadata.function_id, "metadata": metadata}
    answer = await worker.ask("function_load_request", function_load_request=wanted)
    bindings = [json.loads(raw) for raw in metadata.raw_bindings]
    deferred = [b["name"] for b in bindings if b.pop("properties", {}).get("SupportsDeferredBinding")]
    return {
        "name": metadata.name,
        "entry_point": metadata.entry_point,
        "bindings": bindings,
        "declared": {name: worker.binding(info) for name, info in metadata.bindings.items()},
        "deferred": deferred,
        "retry": worker.retry(metadata),
        "problems": [why] if (why := worker.failure(answer.result)) is not None else [],
    }


async def _call(worker: Worker, metadata: Any, call: dict[str, Any], records: Records) -> dict[str, Any]:
    trigger = _trigger(metadata)
    data, trigger_metadata = _input(call, trigger)
    records.lines.clear()
    request = {
        "invocation_id": str(uuid.uuid4()),
        "function_id": metadata.function_id,
        "input_data": [{"name": trigger["name"], "data": data}],
        "trigger_metadata": trigger_metadata,
        "trace_context": {"trace_parent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"},
    }
    answer = await worker.ask("invocation_request", invocation_request=request)
    return {
        "function": call["function"],
        "error": worker.failure(answer.result),
        "http": _http(answer.return_value.http) if answer.return_value.HasField("http") else None,
        "outputs": {output.name: _items(output.data) for output in answer.output_data},
        "log": list(records.lines),
    }


def _input(call: dict[str, Any], trigger: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the host hands over for a trigger, and what it says about it: text as text, the rest as JSON."""
    if "message" in call:
        now = datetime.now(UTC)
        about = {
            "DequeueCount": 1,
            "ExpirationTime": (now + timedelta(days=7)).isoformat(),
            "InsertionTime": now.isoformat(),
            "NextVisibleTime": (now + timedelta(minutes=10)).isoformat(),
        }
        ids = {"Id": str(uuid.uuid4()), "PopReceipt": "AgAAAAMAAAAAAAAA"}
        metadata = {name: {"json": json.dumps(value)} for name, value in about.items()}
        return {"string": call["message"]}, metadata | {name: {"string": text} for name, text in ids.items()}
    if "blob" in call:
        place = {
            "Connection": trigger["connection"],
            "ContainerName": call["blob"]["container"],
            "BlobName": call["blob"]["name"],
        }
        content = {
            "version": "1.0",
            "source": BLOB_SOURCE,
            "content_type": "application/json",
            "content": json.dumps(place).encode(),
        }
        return {"model_binding_data": content}, {}
    if "http" in call:
        asked = call["http"]
        return {
            "http": {
                "method": asked["method"],
                "url": f"http://127.0.0.1/{asked['path']}",
                "headers": asked.get("headers", {}),
                "query": asked.get("query", {}),
                "params": asked.get("parameters", {}),
                "body": {"bytes": asked.get("body", "").encode()},
            }
        }, {}
    about = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": None,
        "IsPastDue": call["timer"]["past_due"],
    }
    return {"json": json.dumps(about)}, {}


def _http(answer: Any) -> dict[str, Any]:
    kind = answer.body.WhichOneof("data")
    body = getattr(answer.body, kind) if kind else b""
    return {
        "status": int(answer.status_code),
        "headers": {name.lower(): value for name, value in answer.headers.items()},
        "body": body.decode() if isinstance(body, bytes) else str(body),
    }


def _items(data: Any) -> list[str]:
    """The messages that an output stands for."""
    kind = data.WhichOneof("data")
    value = getattr(data, kind)
    if kind != "json":
        return [value.decode() if isinstance(value, bytes) else str(value)]
    decoded = json.loads(value)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [item if isinstance(item, str) else str(item["body"]) for item in items]


def _time_span(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def main() -> None:
    """Do the job and leave; what the app has left open is not waited for."""
    job = json.load(sys.stdin)
    records = Records(job["app_dir"])
    logging.basicConfig(level=logging.INFO, handlers=[records])
    importlib.import_module("tests.protos")
    sys.path.insert(0, job["app_dir"])
    os.chdir(job["app_dir"])
    report = asyncio.run(examine(job, records))
    Path(job["report"]).write_text(json.dumps(report), "utf-8")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
