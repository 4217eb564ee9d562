import asyncio
from collections.abc import Sequence

import pytest
from fastapi.testclient import TestClient
from support.api_app import PHOTO, QUESTION
from support.fake_stages import FakeStages, failing
from support.fake_tracer import FakeTracer

from deployments.assembler import Assembler
from deployments.batching import Batcher
from deployments.calls import code_of
from deployments.errors import BadImage, DeadlineExceeded, StageFailed
from deployments.messages import Call
from deployments.settings import AssemblerSettings
from deployments.stages import STAGES
from deployments.telemetry.traces import NO_SPAN, NO_TRACER, TraceContext, as_current, current
from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings

PARENT = f"00-{'1' * 32}-{'2' * 16}-01"


@pytest.fixture
def tracer() -> FakeTracer:
    return FakeTracer()


@pytest.fixture
def client(stages: FakeStages, bundle: Bundle, tracer: FakeTracer) -> TestClient:
    return TestClient(create_api(stages.pipeline(), AppSettings(), bundle, tracer=tracer))


def ask(client: TestClient, **headers: str) -> int:
    form = {"question": QUESTION}
    sent = client.post("/v1/answers", files={"image": PHOTO}, data=form, headers=headers)
    return sent.status_code


def doubled(items: Sequence[int]) -> list[int]:
    return [item * 2 for item in items]


def test_a_request_is_a_span_and_so_is_each_of_its_calls(
    client: TestClient, tracer: FakeTracer
) -> None:
    assert ask(client) == 200
    root = tracer.spans[0]
    assert (root.name, root.kind, root.code) == ("POST /v1/answers", "server", None)
    assert root.attributes["http.route"] == "/v1/answers"
    assert root.attributes["http.response.status_code"] == 200
    below = {span.name: span.kind for span in tracer.spans[1:]}
    calls = {str(stage): "client" for stage in STAGES}
    assert below == {"decode": "internal", **calls}
    assert {span.parent for span in tracer.spans[1:]} == {"POST"}  # its name until it was routed


def test_the_callers_headers_reach_the_tracer_once(client: TestClient, tracer: FakeTracer) -> None:
    ask(client, traceparent=PARENT, tracestate="a=1")
    ask(client)
    client.get("/v1/models", headers=[("traceparent", PARENT), ("traceparent", PARENT)])
    assert tracer.callers == [TraceContext(PARENT, "a=1"), None, None]


def test_health_is_not_traced(client: TestClient, tracer: FakeTracer) -> None:
    assert client.get("/health/live").status_code == 200
    assert tracer.spans == []


def test_no_name_of_a_span_comes_from_a_caller(client: TestClient, tracer: FakeTracer) -> None:
    client.request("BREW", "/v1/answers")
    client.get("/made/up")
    assert [span.name for span in tracer.spans] == ["_OTHER /v1/answers", "GET"]
    assert "made" not in str([span.attributes for span in tracer.spans])


@pytest.mark.parametrize(
    ("error", "status", "code", "of_request"),
    [
        (BadImage("No."), 422, "bad_image", None),
        (StageFailed("No."), 500, "stage_failed", "stage_failed"),
        (ZeroDivisionError("secret"), 500, "ZeroDivisionError", "internal_error"),
    ],
)
def test_a_span_that_fails_says_its_code_and_the_request_only_what_the_server_did_wrong(
    client: TestClient,
    stages: FakeStages,
    tracer: FakeTracer,
    error: Exception,
    status: int,
    code: str,
    of_request: str | None,
) -> None:
    stages.instead["answerer"] = failing(error)
    assert ask(client) == status
    [answer] = tracer.named("answerer")
    assert answer.code == code
    assert tracer.spans[0].code == of_request
    assert "secret" not in str([span.attributes for span in tracer.spans])


def test_a_stage_that_the_answer_did_without_is_marked(
    client: TestClient,
    stages: FakeStages,
    tracer: FakeTracer,
) -> None:
    stages.instead["tagger"] = failing(StageFailed("No."))
    assert ask(client) == 200
    [tag] = tracer.named("tagger")
    assert tag.code == "stage_failed"
    assert tracer.spans[0].code is None


async def test_a_batch_is_in_the_trace_of_each_of_its_items(tracer: FakeTracer) -> None:
    batcher = Batcher(doubled, max_size=8, max_waiting=8)

    async def submit(name: str, items: Sequence[int]) -> None:
        with tracer.begin(name, None):
            await asyncio.gather(*(batcher.submit(item, 5) for item in items))

    await asyncio.gather(submit("one", [1]), submit("two", [2, 3]), batcher.submit(4, 5))
    for name in ("one", "two"):
        [queue] = [span for span in tracer.named("queue") if span.parent == name]
        [model] = [span for span in tracer.named("model") if span.parent == name]
        assert queue.times
        assert model.times
        assert queue.times[0] <= queue.times[1] == model.times[0] <= model.times[1]
        assert model.attributes == {"admirer.batch.items": 4}


async def test_a_batch_that_fails_is_in_the_trace_too(tracer: FakeTracer) -> None:
    def fail(items: Sequence[int]) -> list[int]:
        raise BadImage(f"{len(items)}")

    with tracer.begin("one", None), pytest.raises(BadImage):
        await Batcher(fail, max_size=8, max_waiting=8).submit(1, 5)
    assert [span.name for span in tracer.spans] == ["one", "queue", "model"]


async def test_a_stage_goes_on_with_the_trace_that_its_call_carries(tracer: FakeTracer) -> None:
    with tracer.begin("request", None) as span:
        context = span.context
    call = Call("r1", 5, context)
    await Assembler(AssemblerSettings(), tracer).assemble("a mug", (), "what?", (), call)
    assert [(span.name, span.parent) for span in tracer.spans[1:]] == [("assembler", "request")]


async def test_a_stage_in_the_process_of_its_caller_finds_the_callers_span(
    tracer: FakeTracer,
) -> None:
    with tracer.begin("request", None):
        await Assembler(AssemblerSettings()).assemble("a mug", (), "what?", (), Call("r1", 5))
    assert [(span.name, span.parent) for span in tracer.spans[1:]] == [("assembler", "request")]


async def test_what_runs_at_the_same_time_does_not_mix_its_spans_up(tracer: FakeTracer) -> None:
    async def work(name: str) -> None:
        with current().child(name):
            await asyncio.sleep(0)
            with current().child(f"below {name}"):
                await asyncio.sleep(0)

    with tracer.begin("request", None):
        await asyncio.gather(work("a"), work("b"))
        assert current() is tracer.spans[0]
    assert current() is NO_SPAN
    parents = {span.name: span.parent for span in tracer.spans[1:]}
    assert parents == {"a": "request", "b": "request", "below a": "a", "below b": "b"}


def test_without_a_tracer_there_is_no_span_and_nothing_to_hand_on() -> None:
    with (
        NO_TRACER.begin("request", TraceContext(PARENT)) as span,
        span.child("child") as child,
        NO_TRACER.join("captioner", TraceContext(PARENT)) as joined,
    ):
        assert span is child is joined is current() is NO_SPAN
        span.add("queue", 0, 1)
        span.fail("no")
        assert span.context is None


async def test_an_async_generator_that_ends_elsewhere_leaves_no_span_behind(
    tracer: FakeTracer,
) -> None:
    async def pieces() -> object:
        with current().child("stream"):
            yield 1
            yield 2

    with tracer.begin("request", None):
        stream = pieces()
        assert await anext(stream) == 1  # type: ignore[call-overload]
        await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined]
    assert current() is NO_SPAN


def test_a_place_in_a_trace_knows_its_headers() -> None:
    place = TraceContext(PARENT, "a=1")
    assert place.headers() == {"traceparent": PARENT, "tracestate": "a=1"}
    assert TraceContext(PARENT).headers() == {"traceparent": PARENT}
    assert place.trace_id == "1" * 32
    assert place.is_sampled
    assert not TraceContext(PARENT[:-1] + "2").is_sampled


def test_codes_are_ours_or_the_class_name_of_an_unexpected_error() -> None:
    errors = (DeadlineExceeded("x"), asyncio.CancelledError(), KeyError("secret"))
    assert [code_of(error) for error in errors] == ["deadline_exceeded", "cancelled", "KeyError"]


def test_the_current_span_comes_back_after_an_error(tracer: FakeTracer) -> None:
    with tracer.begin("request", None) as span:
        pass
    with pytest.raises(ZeroDivisionError), as_current(span):
        raise ZeroDivisionError
    assert current() is NO_SPAN
