"""An app whose functions fail, wait for each other and take blobs in every form; all note what they do."""

import json
import os
import time
from pathlib import Path
from typing import Any, List  # noqa: UP035 - the platform refuses func.Out[list[str]]

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob_types

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
_NOTES = Path(os.environ["NOTES"])
_taken: list[str] = []  # by this process


def _note(**facts: Any) -> None:
    with _NOTES.open("a") as file:
        file.write(json.dumps({**facts, "pid": os.getpid()}) + "\n")


@app.blob_trigger(
    arg_name="blob", path="%DROPS%/notes/{name}", connection="DATA", source=func.BlobSource.EVENT_GRID
)
def on_note(blob: func.InputStream) -> None:
    text = blob.read().decode()
    _note(note=blob.name, text=text)
    if text == "bad":
        raise ValueError(text)


@app.blob_trigger(
    arg_name="blob", path="%DROPS%/streams/{name}", connection="DATA", source=func.BlobSource.EVENT_GRID
)
def on_stream(blob: blob_types.StorageStreamDownloader) -> None:
    _note(stream="".join(chunk.decode() for chunk in blob.chunks()))


@app.blob_trigger(
    arg_name="blob", path="%DROPS%/containers/{name}", connection="DATA", source=func.BlobSource.EVENT_GRID
)
def on_container(blob: blob_types.ContainerClient) -> None:
    _note(container=blob.container_name, names=list(blob.list_blob_names(name_starts_with="containers/")))


@app.queue_trigger(arg_name="message", queue_name="%PAIR%", connection="DATA")
def on_pair(message: func.QueueMessage) -> None:
    """Ends once two processes have taken a message."""
    _taken.append(message.get_body().decode())
    _note(pair=_taken[-1], taken=_taken)
    while (
        len({line["pid"] for line in map(json.loads, _NOTES.read_text().splitlines()) if "pair" in line}) < 2
    ):
        time.sleep(0.02)


@app.queue_trigger(arg_name="message", queue_name="%BATCH%", connection="DATA")
@app.queue_output(arg_name="out", queue_name="%OUT%", connection="DATA")
def on_batch(message: func.QueueMessage, out: func.Out[List[str]]) -> None:  # noqa: UP006 - as above
    text = message.get_body().decode()
    _note(batch=text, tries=message.dequeue_count)
    # A message may have 65,536 bytes.
    out.set([f"{text} 1", "x" * 65_537 if text == "large" else f"{text} 2", f"{text} 3"])
    if text == "raise":
        raise ValueError(text)


@app.queue_trigger(arg_name="message", queue_name="%BATCH%-poison", connection="DATA")
def on_batch_poisoned(message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    _note(poisoned=text, tries=message.dequeue_count)
    if text == "raise":
        raise ValueError(text)


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
def on_patient_tick(timer: func.TimerRequest, context: func.Context) -> None:
    retry = context.retry_context
    _note(patient_tick=retry.retry_count, of=retry.max_retry_count)
    raise ValueError("patient")


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
def on_tick(timer: func.TimerRequest) -> None:
    _note(tick=timer.past_due)
    raise ValueError("tick")


@app.route("hello")
def hello(req: func.HttpRequest) -> str:
    return "hello"
