"""Tracing interface: spans, and the current span of a task.

Within a process the current span is a context variable, which tasks inherit; between processes
`Call` carries the trace context. So only the code that receives a request or a call needs a
`Tracer`. Only `deployments.telemetry.otel_traces` imports OpenTelemetry.

OpenTelemetry's API without an SDK is a no-op too, but costs more: 80 us of CPU time for the 17
spans of an answer, 61 us without our error codes, against 5 us for these protocols.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

Attributes = Mapping[str, str | int | float | bool]
"""Names follow OpenTelemetry's semantic conventions or begin with `admirer.`. No value is a
question, a photo, a text of a model or a message of an error."""

Kind = Literal["server", "client", "internal"]

STAGE = "admirer.stage"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Trace context of a span, as the headers of W3C Trace Context."""

    traceparent: str
    """`00-<trace>-<span>-<flags>` in hex; a caller's value is not validated yet."""
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """Thirty-two hex digits."""
        return self.traceparent.split("-")[1]

    @property
    def is_sampled(self) -> bool:
        """Whether the trace is exported."""
        return bool(int(self.traceparent[-2:], 16) & 1)

    def headers(self) -> dict[str, str]:
        """Return the headers that propagate the context."""
        given = {"traceparent": self.traceparent, "tracestate": self.tracestate}
        return {name: value for name, value in given.items() if value}


class Span(Protocol):
    """A span; it ends with its context manager."""

    @property
    def context(self) -> TraceContext | None:
        """Context to propagate; None if tracing is off."""
        ...

    def child(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager["Span"]:
        """Start a child span and make it current."""
        ...

    def add(
        self, name: str, started_s: float, ended_s: float, attributes: Attributes | None = None
    ) -> None:
        """Add a finished child span; times are Unix seconds."""
        ...

    def rename(self, name: str) -> None:
        """Rename the span."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Set attributes."""
        ...

    def fail(self, code: str) -> None:
        """Set the error status; the first code is kept."""
        ...


class Tracer(Protocol):
    """Starts spans; must be fast and never raise."""

    def begin(self, name: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Start the server span of a request, continuing the caller's trace if there is one."""
        ...

    def join(self, stage: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Start the span of a stage call; without `caller`, as a child of the current span."""
        ...


class _NoSpan:
    context: TraceContext | None = None

    def child(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]:
        del name, kind, attributes
        return _NOTHING

    def add(
        self, name: str, started_s: float, ended_s: float, attributes: Attributes | None = None
    ) -> None:
        """Do nothing."""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def set(self, attributes: Attributes) -> None:
        """Do nothing."""

    def fail(self, code: str) -> None:
        """Do nothing."""


NO_SPAN: Span = _NoSpan()
_NOTHING = nullcontext(NO_SPAN)

_current: ContextVar[Span] = ContextVar("span", default=NO_SPAN)


def current() -> Span:
    """Return the current span of the running task."""
    return _current.get()


@contextmanager
def as_current(span: Span) -> Iterator[None]:
    """Make the span current within the block."""
    before = _current.get()
    _current.set(span)
    try:
        yield
    finally:
        # Without a token: an async generator may end in another context than it started in.
        _current.set(before)


class NoTracer:
    """No-op tracer; within one process, stages still find the caller's span."""

    def begin(self, name: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del name, caller
        return _NOTHING

    def join(self, stage: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Start a child of the current span."""
        del caller
        return current().child(stage, "internal", {STAGE: stage})


NO_TRACER: Tracer = NoTracer()
