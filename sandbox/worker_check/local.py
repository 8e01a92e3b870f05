"""Reports what the local host reads of an app, and how its own invocations end; the counterpart of `driver`.

Runs as `python -m sandbox.worker_check.local`, with the app's folder first on the path, and takes the same
job on stdin. The report:

    refused    why the app can't be read at all, or null
    functions  for each: name, bindings as they go to the host, what the parameters are declared as, those
               that are given as a client of the SDK, the retry policy, and what is wrong with it
    calls      for each: error, the answer over HTTP, what was put into outputs, the app's lines in the log
"""

import asyncio
import json
import logging
import os
import sys
import threading
import typing
from pathlib import Path
from typing import Any

from azure.functions.http import HttpRequest
from azure.functions.timer import TimerRequest

from sandbox.host import worker, zygote
from sandbox.host.blobs import blob_argument, is_sdk_type
from sandbox.host.functions import BlobTrigger, read_functions
from sandbox.host.invocation import Invoker, LoadedFunction, queue_items
from sandbox.host.problems import StartProblemsError
from sandbox.host.storage import Accounts
from sandbox.worker_check.driver import Records


class Failures(logging.Handler):
    """Keeps what a function raised: the invoker logs it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of a record."""
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            self.last = f"{type(error).__name__}: {error}"


class LocalSide:
    """The app in a worker of the local host, without its triggers."""

    def __init__(self, records: Records) -> None:
        app_loop = asyncio.new_event_loop()
        threading.Thread(target=app_loop.run_forever, daemon=True).start()
        self._invoker = Invoker(app_loop, None)
        self._accounts = Accounts(os.environ)
        self._records = records
        self._failures = Failures()
        logging.getLogger("sandbox.host.invocation").addHandler(self._failures)

    async def call(self, function: LoadedFunction, call: dict[str, Any]) -> dict[str, Any]:
        """Call a function as its trigger would, and report the end."""
        value = await self._value(function, call)
        self._records.lines.clear()
        self._failures.last = None
        outcome = await self._invoker.call(function, value)
        return {
            "function": call["function"],
            "error": None if outcome.ok else self._failures.last,
            "http": _answer(outcome.result) if outcome.ok and "http" in call else None,
            "outputs": {
                name: queue_items(item) for name, item in outcome.outputs.items() if item is not None
            },
            "log": list(self._records.lines),
        }

    async def _value(self, function: LoadedFunction, call: dict[str, Any]) -> Any:
        trigger = function.spec.trigger
        if "message" in call:
            return worker.hand_made_message(call["message"])
        if isinstance(trigger, BlobTrigger):
            account = self._accounts[trigger.connection]
            place = call["blob"]
            return await blob_argument(account, place["container"], place["name"], function.annotation)
        if "http" in call:
            asked = call["http"]
            return HttpRequest(
                asked["method"],
                f"http://127.0.0.1/{asked['path']}",
                headers=asked.get("headers", {}),
                params=asked.get("query", {}),
                route_params=asked.get("parameters", {}),
                body_type="bytes",
                body=asked.get("body", "").encode(),
            )
        return TimerRequest(past_due=call["timer"]["past_due"])


def _answer(result: Any) -> dict[str, Any]:
    told, body = worker.http_answer(result)
    headers = {name.lower(): value for name, value in told["headers"]}
    return {"status": told["status"], "headers": headers, "body": body.decode()}


def _described(function: Any) -> dict[str, Any]:
    """What the local host reads of a function, with what it makes of its parameters."""
    description = zygote.describe(function)
    hints = typing.get_type_hints(function.get_user_function())
    declared = {
        str(binding["name"]): {
            "type": binding["type"],
            "direction": str(binding["direction"]).upper(),
            "dataType": str(binding.get("dataType") or "UNDEFINED").upper(),
        }
        for binding in description["bindings"]
    }
    deferred = [name for name in declared if is_sdk_type(hints.get(name))]
    retry = description["retry"] or {}
    return {**description, "declared": declared, "deferred": deferred, "retry": retry}


async def examine(job: dict[str, Any], records: Records) -> dict[str, Any]:
    """Read and call."""
    report: dict[str, Any] = {"refused": None, "functions": [], "calls": []}
    report["python"] = ".".join(map(str, sys.version_info[:3]))
    try:
        functions = zygote.import_app()
        report["functions"] = [_described(function) for function in functions]
        specs = read_functions(report["functions"], os.environ)
    except StartProblemsError as error:
        return {**report, "refused": "; ".join(error.problems)}
    except Exception as error:  # whatever an app may raise while it is imported
        return {**report, "refused": f"{type(error).__name__}: {error}"}
    code = {function.get_function_name(): function.get_user_function() for function in functions}
    loaded = {spec.name: worker.load(spec, code[spec.name]) for spec in specs}
    side = LocalSide(records)
    for call in job["calls"]:
        if call["function"] in loaded:
            report["calls"].append(await side.call(loaded[call["function"]], call))
    return report


def main() -> None:
    """Do the job and leave, as the driver does."""
    job = json.load(sys.stdin)
    records = Records(job["app_dir"])
    logging.basicConfig(level=logging.INFO, handlers=[records])
    os.chdir(job["app_dir"])
    report = asyncio.run(examine(job, records))
    Path(job["report"]).write_text(json.dumps(report), "utf-8")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
