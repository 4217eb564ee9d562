"""A tracer that keeps its spans, for tests of who begins which below what."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from deployments.calls import code_of
from deployments.telemetry.traces import Attributes, Kind, Span, TraceContext, as_current, current


@dataclass(eq=False)
class FakeSpan:
    name: str
    parent: str
    tracer: "FakeTracer"
    kind: Kind = "internal"
    attributes: dict[str, object] = field(default_factory=dict)
    times: tuple[float, float] | None = None
    code: str | None = None

    @property
    def context(self) -> TraceContext:
        number = self.tracer.spans.index(self) + 1
        return TraceContext(f"00-{'a' * 32}-{number:016x}-{self.tracer.flags}")

    def child(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]:
        return self.tracer.opened(name, self.name, kind, attributes)

    def add(
        self, name: str, started_s: float, ended_s: float, attributes: Attributes | None = None
    ) -> None:
        times = (started_s, ended_s)
        about: dict[str, object] = dict(attributes or {})
        self.tracer.spans.append(FakeSpan(name, self.name, self.tracer, "internal", about, times))

    def rename(self, name: str) -> None:
        self.name = name

    def set(self, attributes: Attributes) -> None:
        self.attributes.update(attributes)

    def fail(self, code: str) -> None:
        self.code = self.code or code


@dataclass
class FakeTracer:
    spans: list[FakeSpan] = field(default_factory=list)
    callers: list[TraceContext | None] = field(default_factory=list)
    flags: str = "01"

    def begin(self, name: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        self.callers.append(caller)
        return self.opened(name, "", "server", None)

    def join(self, stage: str, caller: TraceContext | None) -> AbstractContextManager[Span]:
        self.callers.append(caller)
        if caller is None:
            return current().child(stage)
        [number] = [int(caller.traceparent.split("-")[2], 16)]
        return self.opened(stage, self.spans[number - 1].name, "server", None)

    @contextmanager
    def opened(
        self, name: str, parent: str, kind: Kind, attributes: Attributes | None
    ) -> Iterator[Span]:
        span = FakeSpan(name, parent, self, kind, dict(attributes or {}))
        self.spans.append(span)
        try:
            with as_current(span):
                yield span
        except BaseException as error:
            span.fail(code_of(error))
            raise

    def named(self, name: str) -> list[FakeSpan]:
        return [span for span in self.spans if span.name == name]
