"""A real OTLP/HTTP receiver of traces that can also hang, and the picture of one trace."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class ReceivedSpan:
    name: str
    kind: str
    trace_id: str
    id: str
    parent_id: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    has_failed: bool
    events: int
    status_message: str

    @property
    def deployment(self) -> str:
        return str(self.resource["admirer.deployment"])


@dataclass
class OtlpReceiver:
    """Keeps what it was sent; accepts and never answers while `hangs`."""

    url: str = ""
    hangs: bool = False
    asked: int = 0
    spans: list[ReceivedSpan] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        found = [span for span in list(self.spans) if span.trace_id == trace_id]
        return sorted(found, key=lambda span: span.started_ns)

    async def whole_trace(self, trace_id: str, names: set[str]) -> list[ReceivedSpan]:
        """The trace, as soon as it has spans of all these names; processes export by themselves.

        A call and the work that it asks for share a name: "captioner (server)" is the latter.
        """
        until = time.monotonic() + 20
        while names - self._names(trace_id) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return self.trace(trace_id)

    def _names(self, trace_id: str) -> set[str]:
        spans = self.trace(trace_id)
        return {span.name for span in spans} | {f"{span.name} ({span.kind})" for span in spans}

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = attributes(of_process.resource.attributes)
            for scope in of_process.scope_spans:
                self.spans += [received(span, resource) for span in scope.spans]


def received(span: Span, resource: dict[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=attributes(span.attributes),
        resource=resource,
        has_failed=span.status.code == Status.STATUS_CODE_ERROR,
        events=len(span.events),
        status_message=span.status.message,
    )


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.asked += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.hangs:
                receiver.closed.wait()
                return
            assert self.path == "/v1/traces"
            receiver.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def drawn(spans: Sequence[ReceivedSpan]) -> str:
    """One line a span: what it is, whose, when it began, what it took, and what it says."""
    first = min(span.started_ns for span in spans)
    known = {span.id for span in spans}
    lines: list[str] = []

    def draw(parent_id: str | None, depth: int) -> None:
        below = [s for s in spans if (s.parent_id if s.parent_id in known else None) == parent_id]
        for span in sorted(below, key=lambda each: each.started_ns):
            name = f"{'  ' * depth}{span.name}"
            begins_ms = (span.started_ns - first) / 1e6
            took_ms = (span.ended_ns - span.started_ns) / 1e6
            said = " ".join(
                f"{key}={value}"
                for key, value in span.attributes.items()
                if key not in {"admirer.stage", "admirer.request_id"}
            )
            lines.append(
                f"{name:<32} {span.deployment:<10} {begins_ms:8.1f} {took_ms:8.1f}  {said}".rstrip()
            )
            draw(span.id, depth + 1)

    draw(None, 0)
    return "\n".join([f"{'span':<32} {'process':<10} {'begins':>8} {'took ms':>8}", *lines])
