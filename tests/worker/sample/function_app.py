"""An app with what the exporter does not use: outputs, plain functions, retries, route parameters."""

import logging
from typing import List  # noqa: UP035 - the worker refuses func.Out[list[str]]

import azure.functions as func

app = func.FunctionApp()
log = logging.getLogger("sample")


@app.queue_trigger(arg_name="order", queue_name="orders", connection="SHOP")
@app.queue_output(arg_name="parts", queue_name="parts", connection="SHOP")
def split_order(order: func.QueueMessage, parts: func.Out[List[str]]) -> None:  # noqa: UP006 - as above
    """Put each word on a queue; the first of no words is an error."""
    words = order.get_body().decode().split()
    log.info("order begins with %s, try %s", words[0], order.dequeue_count)
    parts.set(words)


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", use_monitor=False)
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:01:05")
async def count_stock(timer: func.TimerRequest) -> None:
    """Say whether it is late."""
    log.warning("late" if timer.past_due else "in time")


@app.route("stock/{item}", methods=("GET", "POST"))
async def show_stock(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Repeat what was asked."""
    text = f"{context.function_name} {req.route_params['item']} {req.params.get('unit')} {req.get_body()!r}"
    return func.HttpResponse(text, status_code=203, headers={"X-Shop": "sample"})
