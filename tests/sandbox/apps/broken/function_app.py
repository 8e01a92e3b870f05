"""An app that the real host would refuse, for several reasons."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="Not_A_Queue", connection="NOWHERE")
def on_message(message: func.QueueMessage) -> None:
    """Never runs."""


@app.timer_trigger(arg_name="timer", schedule="now and then")
def sweep(timer: func.TimerRequest) -> None:
    """Never runs."""


@app.queue_trigger(arg_name="message", queue_name="fine", connection="AzureWebJobsStorage")
def on_mistyped(message: str, more: int) -> None:
    """Never runs."""


@app.queue_trigger(arg_name="message", queue_name="fine", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="out", queue_name="more", connection="AzureWebJobsStorage")
def on_listed(message: func.QueueMessage, out: func.Out[list[str]]) -> None:
    """Never runs."""


@app.event_grid_trigger(arg_name="event")
def on_event(event: func.EventGridEvent) -> None:
    """Never runs."""
