"""An app whose functions take longer than they may, and whose import starts a thread."""

import logging
import os
import threading
import time

import azure.functions as func

app = func.FunctionApp()
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


@app.queue_trigger(arg_name="message", queue_name="%WORK%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection="AzureWebJobsStorage")
async def on_work(message: func.QueueMessage, seen: func.Out[str]) -> None:
    text = message.get_body().decode()
    if text.startswith("secret") and message.dequeue_count == 1:
        logging.getLogger("slow").info("going to sleep")
        time.sleep(3600)  # noqa: ASYNC251 - a blocked loop must not keep the worker alive
    seen.set(f"{text} {message.dequeue_count} {os.getpid()}")


@app.route("die")
def die(req: func.HttpRequest) -> str:
    os._exit(3)
