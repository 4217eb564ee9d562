"""Traces through OpenTelemetry, exported by OTLP over HTTP in a background thread.

Settings are pickled to the replicas; the exporter is created there before the first request, since
its imports take about half a second. A receiver that hangs costs only spans: queue and flush at
exit are bounded.
"""

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from deployments.calls import code_of
from deployments.telemetry.traces import (
    STAGE,
    Attributes,
    Kind,
    Span,
    TraceContext,
    as_current,
    current,
)

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context

MAX_WAITING = 2048
"""Most queued spans of a process; further ones are dropped."""
EXPORT_EVERY_S = 1.0
"""Short, because Ray kills an idle replica without notice."""
STOP_WITHIN_S = 2.0


@dataclass
class OtelTracer:
    """Starts the spans of one deployment.

    Args:
        endpoint: Base URL of the receiver, such as http://collector:4318.
        deployment: Name of the deployment in this process.
        sampling_ratio: Share of the traces started here that are exported; for a caller's trace,
            the caller's sampling decision holds.
        timeout_s: Time limit of one export, in seconds.
    """

    endpoint: str
    deployment: str
    sampling_ratio: float
    timeout_s: float

    def __post_init__(self) -> None:
        self._made: trace.Tracer | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_made": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._tracer()

    def begin(self, name: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Start the server span of a request, continuing the caller's trace if there is one."""
        return _opened(self._tracer(), name, "server", _parent(caller), None)

    def join(self, stage: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Start the span of a stage call; without `caller`, as a child of the current span."""
        about = {STAGE: stage}
        if caller is None:
            return current().child(stage, "internal", about)
        return _opened(self._tracer(), stage, "server", _parent(caller), about)

    def _tracer(self) -> "trace.Tracer":
        if self._made is None:
            self._made = _make(self)
        return self._made


@dataclass(slots=True)
class _OtelSpan:
    _tracer: "trace.Tracer"
    _span: "trace.Span"
    _has_failed: bool = False

    @property
    def context(self) -> TraceContext:
        place = self._span.get_span_context()
        return TraceContext(
            f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags & 0xFF:02x}",
            place.trace_state.to_header(),
        )

    def child(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]:
        if not self._span.is_recording():
            return nullcontext(self)
        return _opened(self._tracer, name, kind, self._below(), attributes)

    def add(
        self, name: str, started_s: float, ended_s: float, attributes: Attributes | None = None
    ) -> None:
        if self._span.get_span_context().trace_flags.sampled:
            self._tracer.start_span(
                name, self._below(), attributes=attributes, start_time=int(started_s * 1e9)
            ).end(int(ended_s * 1e9))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, code: str) -> None:
        from opentelemetry.trace import StatusCode

        if not self._has_failed:
            self._has_failed = True
            self._span.set_attribute("error.type", code)
            self._span.set_status(StatusCode.ERROR)

    def _below(self) -> "Context":
        from opentelemetry.context import Context
        from opentelemetry.trace import set_span_in_context

        return set_span_in_context(self._span, Context())


@contextmanager
def _opened(
    tracer: "trace.Tracer", name: str, kind: Kind, parent: "Context", attributes: Attributes | None
) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind

    made = tracer.start_span(name, parent, SpanKind[kind.upper()], attributes)
    span = _OtelSpan(tracer, made)
    try:
        with as_current(span):
            yield span
    except BaseException as error:
        # Without its message, which may contain a caller's text, a path or a key.
        span.fail(code_of(error))
        raise
    finally:
        made.end()


def _parent(caller: TraceContext | None) -> "Context":
    """Return the caller's context; an empty one if its headers are malformed."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if caller is None:
        return Context()
    return TraceContextTextMapPropagator().extract(caller.headers(), Context())


def _make(settings: OtelTracer) -> "trace.Tracer":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    version = metadata.version("admirer")
    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": "admirer",
                "service.version": version,
                "admirer.deployment": settings.deployment,
            }
        ),
        sampler=ParentBasedTraceIdRatio(settings.sampling_ratio),
        shutdown_on_exit=False,
    )
    place = settings.endpoint.rstrip("/").removesuffix("/v1/traces")
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(f"{place}/v1/traces", timeout=settings.timeout_s),
            max_queue_size=MAX_WAITING,
            schedule_delay_millis=EXPORT_EVERY_S * 1000,
        )
    )
    _stop_at_exit(provider.shutdown)
    return provider.get_tracer("admirer", version)


def _stop_at_exit(stop: Callable[[], None]) -> None:
    """Flush queued spans at exit, for at most STOP_WITHIN_S."""
    ends = threading.Event()

    def finish() -> None:
        ends.wait()
        stop()

    # Started now, since Python starts no threads at exit.
    finishing = threading.Thread(target=finish, name="traces", daemon=True)
    finishing.start()

    def wait() -> None:
        ends.set()
        finishing.join(STOP_WITHIN_S)

    atexit.register(wait)
