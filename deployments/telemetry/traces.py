"""Traces: what a span is here, and how work finds the one that it belongs to.

In a process the current span is a context variable, which every task inherits; between
processes its place in the trace travels in `Call`. So only what takes a request or a call in
needs a `Tracer`. OpenTelemetry itself is imported in `deployments.telemetry.otel_traces` alone.

Why not OpenTelemetry's API, which without an SDK is a no-op too: the 17 spans of one answer cost
80 us of a core through it, 61 without our codes of errors, and 5 through these protocols.
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
    """A span's place in its trace, as the headers of W3C Trace Context have it."""

    traceparent: str
    """`00-<trace>-<span>-<flags>` in hex; that of a caller may be anything until it is taken in."""
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
        """Return the headers that hand this on."""
        given = {"traceparent": self.traceparent, "tracestate": self.tracestate}
        return {name: value for name, value in given.items() if value}


class Span(Protocol):
    """One piece of work in a trace; it ends where its context manager does."""

    @property
    def context(self) -> TraceContext | None:
        """What to hand on to another process; None where nothing is traced."""
        ...

    def child(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager["Span"]:
        """Begin a span below this one, and make it the current one."""
        ...

    def add(
        self, name: str, started_s: float, ended_s: float, attributes: Attributes | None = None
    ) -> None:
        """Add a span below this one that is over; times are Unix seconds."""
        ...

    def rename(self, name: str) -> None:
        """Give it the name that was not known when it began."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Say more of it."""
        ...

    def fail(self, code: str) -> None:
        """Mark it as failed; the first code stands."""
        ...


class Tracer(Protocol):
    """Where traces begin and go on; never slow, and never a reason for a request to fail."""

    def begin(self, name: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Take a request in: go on with its caller's trace, or begin one."""
        ...

    def join(self, stage: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Take a call of a stage in; without a caller from elsewhere it is the current span's."""
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
    """Return the span that the running work belongs to."""
    return _current.get()


@contextmanager
def as_current(span: Span) -> Iterator[None]:
    """Make it the current span meanwhile."""
    before = _current.get()
    _current.set(span)
    try:
        yield
    finally:
        # Not a token: the end of an async generator may run in another context than its start.
        _current.set(before)


class NoTracer:
    """Begins no trace; a stage in the process of its caller still finds the caller's span."""

    def begin(self, name: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Trace nothing."""
        del name, caller
        return _NOTHING

    def join(self, stage: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        """Add to the current span."""
        del caller
        return current().child(stage, "internal", {STAGE: stage})


NO_TRACER: Tracer = NoTracer()
