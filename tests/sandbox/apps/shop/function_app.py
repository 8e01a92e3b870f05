"""A small app with one function of each kind; most calls leave a note on one queue."""

import json
import logging
import os
import time
from typing import List  # noqa: UP035 - the platform refuses func.Out[list[str]]

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob_types

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.blob_trigger(
    arg_name="blob",
    path="%DROPS%/vip/{name}.csv",
    connection="SHOP_STORAGE",
    source=func.BlobSource.EVENT_GRID,
)
@app.queue_output(arg_name="orders", queue_name="%ORDERS%", connection="SHOP_STORAGE")
def on_drop(blob: blob_types.BlobClient, orders: func.Out[List[str]]) -> None:  # noqa: UP006 - as above
    lines = blob.download_blob().readall().decode().splitlines()
    if lines == ["bad"]:
        raise ValueError("bad")
    orders.set([json.dumps({"line": line, "pid": os.getpid()}) for line in lines])


@app.blob_trigger(
    arg_name="stream",
    path="%DROPS%/notes/{name}",
    connection="SHOP_STORAGE",
    source=func.BlobSource.EVENT_GRID,
)
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection="SHOP_STORAGE")
def on_note(stream: func.InputStream, seen: func.Out[str]) -> None:
    text = stream.read().decode()
    seen.set(json.dumps({"note": stream.name, "text": text, "length": stream.length, "pid": os.getpid()}))


@app.queue_trigger(arg_name="message", queue_name="%ORDERS%", connection="SHOP_STORAGE")
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection="SHOP_STORAGE")
async def on_order(message: func.QueueMessage, seen: func.Out[str], context: func.Context) -> None:
    order = json.loads(message.get_body())
    logging.getLogger("shop").info("an order")
    if order["line"] == "boom":
        raise ValueError("boom")
    if order["line"] == "die":
        os._exit(7)
    if order["line"].startswith("block "):
        time.sleep(float(order["line"].partition(" ")[2]))  # noqa: ASYNC251 - to see what a blocked loop does
    seen.set(
        json.dumps(
            {
                "order": order["line"],
                "tries": message.dequeue_count,
                "pid": os.getpid(),
                "function": context.function_name,
                "invocation": context.invocation_id,
                "trace": context.trace_context.trace_parent,
            }
        )
    )


@app.queue_trigger(arg_name="message", queue_name="%ORDERS%-poison", connection="SHOP_STORAGE")
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection="SHOP_STORAGE")
def on_order_poisoned(message: func.QueueMessage, seen: func.Out[str]) -> None:
    seen.set(json.dumps({"poisoned": message.get_json()["line"], "pid": os.getpid()}))


@app.timer_trigger(arg_name="timer", schedule="%SWEEP%", run_on_startup=True, use_monitor=False)
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection="SHOP_STORAGE")
def sweep(timer: func.TimerRequest, seen: func.Out[str]) -> None:
    seen.set(json.dumps({"tick": "now", "past_due": timer.past_due, "pid": os.getpid()}))


@app.route("orders/{id}", methods=["GET", "POST"])
async def order(req: func.HttpRequest) -> func.HttpResponse:
    answer = {
        "id": req.route_params["id"],
        "method": req.method,
        "query": dict(req.params),
        "header": req.headers.get("X-Test"),
        "body": req.get_body().decode(),
        "pid": os.getpid(),
    }
    return func.HttpResponse(
        json.dumps(answer), status_code=202, mimetype="application/json", headers={"X-Answer": "yes"}
    )


@app.route("files/{*rest}", auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> str:
    if req.route_params.get("rest") == "fail":
        raise RuntimeError("fail")
    return f"file {req.route_params.get('rest')}"
