"""A stand-in for Application Insights' ingestion: takes what the real exporters post, and keeps it.

The shape is that of the track API: envelopes as JSON, in gzip or not, to `/v2.1/track`
(learn.microsoft.com/azure/azure-monitor/app/data-model-complete).
"""

import gzip
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESOURCE = "00000000-0000-4000-8000-00000000c0de"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One item of telemetry."""

    kind: str
    """RequestData, MessageData, MetricData or ExceptionData."""
    data: dict[str, Any]
    tags: dict[str, str]
    sample_rate: float

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to."""
        return self.tags.get("ai.operation.id", "")

    @property
    def properties(self) -> dict[str, str]:
        """Its attributes."""
        return dict(self.data.get("properties") or {})


@dataclass(slots=True)
class Ingestion:
    """What has arrived."""

    url: str
    posted: deque[bytes] = field(default_factory=deque)
    """Request lines, headers and bodies as they were before compression."""
    envelopes: deque[Envelope] = field(default_factory=deque)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def connection_string(self) -> str:
        """Names the stand-in as a resource."""
        return f"InstrumentationKey={RESOURCE};IngestionEndpoint={self.url}"

    def take(self, head: bytes, body: bytes) -> int:
        """Keep a request; how many envelopes it has."""
        items = [_envelope(item) for item in json.loads(body)]
        with self._arrived:
            self.posted.append(head + body)
            self.envelopes.extend(items)
            self._arrived.notify_all()
        return len(items)

    def of(self, kind: str) -> list[Envelope]:
        """What has arrived of a kind."""
        return [envelope for envelope in list(self.envelopes) if envelope.kind == kind]

    def spans(self, name: str = "") -> list[Envelope]:
        """The spans that have arrived, all or those of a name."""
        return [span for span in self.of("RequestData") if name in {"", span.data["name"]}]

    def events(self, name: str = "") -> list[Envelope]:
        """The events that have arrived, all or those of a name."""
        return [told for told in self.of("MessageData") if name in {"", told.properties.get("event")}]

    def metrics(self) -> dict[str, list[Envelope]]:
        """The metrics that have arrived by name."""
        found: dict[str, list[Envelope]] = {}
        for envelope in self.of("MetricData"):
            for point in envelope.data["metrics"]:
                found.setdefault(point["name"], []).append(envelope)
        return found

    def wait_for(self, there: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something is there; an AssertionError where it does not come."""
        ends_at = time.monotonic() + seconds
        with self._arrived:
            while not there():
                left = ends_at - time.monotonic()
                assert left > 0, f"not there after {seconds} s"
                self._arrived.wait(left)


@contextmanager
def running_ingestion(tls: ssl.SSLContext | None = None) -> Iterator[Ingestion]:
    """Start a stand-in on loopback, over https where there is a certificate, and end it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    ingestion = Ingestion(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            count = ingestion.take(f"{self.requestline}\n{self.headers}".encode(), body)
            answer = {"itemsReceived": count, "itemsAccepted": count, "errors": []}
            content = json.dumps(answer).encode()
            self.send_response(200 if self.path == "/v2.1/track" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server.RequestHandlerClass = Handler
    serving = threading.Thread(target=server.serve_forever, name="ingestion")
    serving.start()
    try:
        yield ingestion
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _envelope(item: dict[str, Any]) -> Envelope:
    data = item["data"]
    return Envelope(data["baseType"], data["baseData"], item.get("tags", {}), item.get("sampleRate", 100.0))
