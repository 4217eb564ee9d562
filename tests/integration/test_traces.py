"""Traces of the app in one process, sent to a real receiver; `test_app` has the real processes."""

import asyncio
import logging
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from integration.test_openai_chat import Server, client, said, server  # noqa: F401 - a fixture
from support.fake_stages import FakeStages, failing
from support.otlp_receiver import OtlpReceiver, ReceivedSpan, drawn, otlp_receiver

from deployments.answerer import Answerer
from deployments.errors import BadImage
from deployments.language_models import RemoteModel
from deployments.messages import Call, Message, Prompt
from deployments.settings import AnswererSettings
from deployments.stages import STAGES
from deployments.telemetry.otel_traces import OtelTracer
from deployments.telemetry.traces import Tracer, current
from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.in_process import load_pipeline
from serve.pipeline import Pipeline
from serve.settings import AppSettings

logger = logging.getLogger(__name__)

CHECKOUT = Path(__file__).parents[2]
DEMO = CHECKOUT / "bundles" / "demo"
CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"
PARENT = f"00-{CALLER}-{CALLERS_SPAN}-01"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


def tracer_to(url: str, ratio: float = 1) -> OtelTracer:
    return OtelTracer(url, "ingress", ratio, timeout_s=1)


@asynccontextmanager
async def app_over(pipeline: Pipeline, tracer: Tracer) -> AsyncIterator[httpx.AsyncClient]:
    api = create_api(pipeline, AppSettings(), Bundle.load(str(DEMO)), tracer=tracer)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api, raise_app_exceptions=False), base_url="http://here"
    ) as client:
        yield client


async def ask(
    client: httpx.AsyncClient, question: str = "what is it?", **headers: str
) -> httpx.Response:
    sample = Bundle.load(DEMO).sample_question()
    assert sample
    return await client.post(
        "/v1/answers",
        files={"image": sample.photo.read_bytes()},
        data={"question": question},
        headers=headers,
    )


async def some_trace(receiver: OtlpReceiver) -> list[ReceivedSpan]:
    for _ in range(200):
        roots = [span for span in receiver.spans if span.name == "POST /v1/answers"]
        if roots:
            return receiver.trace(roots[0].trace_id)
        await asyncio.sleep(0.1)
    raise AssertionError("no trace came")


async def test_one_question_is_one_trace_down_to_every_run_of_a_model(
    receiver: OtlpReceiver,
) -> None:
    pipeline = load_pipeline(AppSettings(bundle=str(DEMO)))
    async with app_over(pipeline, tracer_to(receiver.url)) as client:
        assert (await ask(client, traceparent=PARENT)).status_code == 200
    spans = await receiver.whole_trace(CALLER, {"POST /v1/answers"})
    logger.info("\n%s", drawn(spans))
    by_id = {span.id: span for span in spans}
    paths = []
    for span in spans:
        path, at = [span.name], span
        while at.parent_id in by_id:
            assert by_id[at.parent_id].started_ns <= at.started_ns
            assert at.ended_ns <= by_id[at.parent_id].ended_ns
            at = by_id[at.parent_id]
            path.append(at.name)
        assert at.parent_id == CALLERS_SPAN
        paths.append(" < ".join(path).removesuffix(" < POST /v1/answers"))
    [chat] = {span.name for span in spans if span.name.startswith("chat ")}
    assert sorted(paths) == sorted(
        [
            "POST /v1/answers",
            "decode",
            # The call as the ingress sees it, and what the stage makes of it.
            *(name for stage in STAGES for name in (stage, f"{stage} < {stage}")),
            *(
                f"{part} < {stage} < {stage}"
                for part in ("decode", "queue", "model")
                for stage in ("captioner", "tagger", "retriever")
            ),
            "search < retriever < retriever",
            f"{chat} < answerer < answerer",
            *(f"{part} < {chat} < answerer < answerer" for part in ("queue", "model")),
        ]
    )
    [root] = [span for span in spans if span.name == "POST /v1/answers"]
    assert root.kind == "server"
    assert root.attributes["http.route"] == "/v1/answers"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["admirer.code"] == "ok"
    assert root.resource["service.name"] == "admirer"
    assert root.resource["service.version"]
    [model] = {span.name: span for span in spans if span.name == chat}.values()
    assert model.kind == "client"
    assert model.attributes["gen_ai.usage.input_tokens"] > 0
    sizes = [s.attributes["admirer.batch.items"] for s in spans if s.name == "model"]
    assert sorted(sizes) == [1, 1, 1, 2]  # the retriever's photo and question run together


async def test_a_callers_decision_to_trace_holds(receiver: OtlpReceiver) -> None:
    async with app_over(FakeStages().pipeline(), tracer_to(receiver.url, ratio=0)) as client:
        await ask(client)
        await ask(client, traceparent=PARENT, tracestate="vendor=1")
    await receiver.whole_trace(CALLER, {"POST /v1/answers"})
    assert {span.trace_id for span in receiver.spans} == {CALLER}


async def test_a_callers_decision_not_to_trace_holds(receiver: OtlpReceiver) -> None:
    async with app_over(FakeStages().pipeline(), tracer_to(receiver.url)) as client:
        await ask(client, traceparent=f"00-{CALLER}-{CALLERS_SPAN}-00")
        await ask(client)  # exported after it
    await some_trace(receiver)
    assert receiver.trace(CALLER) == []


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "no",
        f"00-{'0' * 32}-{CALLERS_SPAN}-01",
        f"00-{CALLER}-{'0' * 16}-01",
        f"ff-{CALLER}-{CALLERS_SPAN}-01",
        f"00-{CALLER.upper()}-{CALLERS_SPAN}-01",
        f"{PARENT}-more",
        "x" * 5000,
    ],
)
async def test_a_header_that_is_no_trace_context_is_ignored(
    receiver: OtlpReceiver, parent: str
) -> None:
    async with app_over(FakeStages().pipeline(), tracer_to(receiver.url)) as client:
        response = await ask(client, traceparent=parent, tracestate="=,=\x01,,")
        assert response.status_code == 200
    spans = await some_trace(receiver)
    assert [span.name for span in spans if not span.parent_id] == ["POST /v1/answers"]


async def test_a_checks_of_health_is_not_traced(receiver: OtlpReceiver) -> None:
    async with app_over(FakeStages().pipeline(), tracer_to(receiver.url)) as client:
        assert (await client.get("/health/ready")).status_code == 200
        await ask(client)
    await some_trace(receiver)
    assert {span.name for span in receiver.spans if not span.parent_id} == {"POST /v1/answers"}


async def test_a_trace_says_what_failed_by_its_code_and_tells_no_text(
    receiver: OtlpReceiver,
) -> None:
    stages = FakeStages()
    stages.instead["tagger"] = failing(RuntimeError("SECRET of a library"))
    stages.instead["captioner"] = failing(BadImage("SECRET of a photo"))
    async with app_over(stages.pipeline(), tracer_to(receiver.url)) as client:
        response = await ask(client, "SECRET question?", traceparent=PARENT)
    assert response.status_code == 422
    spans = await receiver.whole_trace(CALLER, {"POST /v1/answers"})
    codes = {span.name: span.attributes.get("error.type") for span in spans if span.has_failed}
    assert codes["captioner"] == "bad_image"
    assert codes.get("tagger") in {None, "RuntimeError", "cancelled"}
    assert "POST /v1/answers" not in codes  # the caller's mistake is no failure of the server
    assert {span.events for span in spans} == {0}
    assert {span.status_message for span in spans} == {""}
    assert receiver.bodies
    assert not any(b"SECRET" in body for body in receiver.bodies)


async def test_an_unexpected_error_marks_the_request_as_failed(receiver: OtlpReceiver) -> None:
    stages = FakeStages()
    stages.instead["answerer"] = failing(ZeroDivisionError("SECRET"))
    async with app_over(stages.pipeline(), tracer_to(receiver.url)) as client:
        assert (await ask(client, traceparent=PARENT)).status_code == 500
    spans = await receiver.whole_trace(CALLER, {"POST /v1/answers"})
    codes = {span.name: span.attributes.get("error.type") for span in spans if span.has_failed}
    assert codes == {"POST /v1/answers": "internal_error", "answerer": "ZeroDivisionError"}
    assert not any(b"SECRET" in body for body in receiver.bodies)


async def test_the_language_models_server_is_told_its_place_in_the_trace(
    receiver: OtlpReceiver,
    server: Server,  # noqa: F811
) -> None:
    server.replies = [(503, "{}"), (200, said("red"))]
    chat = client(
        server.url,
        max_retries=1,
        on_retry=lambda number: current().set({"http.request.resend_count": number}),
    )
    answerer = Answerer(
        AnswererSettings(), "", lambda *_: RemoteModel(chat), tracer=tracer_to(receiver.url)
    )
    prompt = Prompt((Message("user", "SECRET?"),), ())
    with tracer_to(receiver.url).begin("test", None) as caller:
        assert caller.context
        answer = await answerer.answer(prompt, Call("r1", 10, caller.context))
    await chat.close()
    assert answer.text == "red"
    spans = await receiver.whole_trace(caller.context.trace_id, {"test", "answerer", "chat m"})
    [span] = [span for span in spans if span.name == "chat m"]
    assert span.kind == "client"
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 2,
        "http.request.resend_count": 1,
    }
    told = {headers["traceparent"] for headers in server.headers}
    assert told == {f"00-{span.trace_id}-{span.id}-{caller.context.traceparent[-2:]}"}
    assert not any(b"SECRET" in body for body in receiver.bodies)


async def test_a_tracer_works_where_it_arrives(receiver: OtlpReceiver) -> None:
    tracer = tracer_to(receiver.url)
    with tracer.begin("before", None):
        pass
    arrived: OtelTracer = pickle.loads(pickle.dumps(tracer))  # noqa: S301
    with arrived.begin("after", None) as span:
        assert span.context
    assert await receiver.whole_trace(span.context.trace_id, {"after"})


async def hanging(receiver: OtlpReceiver) -> str:
    receiver.hangs = True
    return receiver.url


async def refusing(receiver: OtlpReceiver) -> str:
    return "http://127.0.0.1:1"


@pytest.mark.parametrize("broken", [hanging, refusing])
async def test_a_receiver_that_is_broken_costs_no_answer(
    receiver: OtlpReceiver, broken: Callable[[OtlpReceiver], AsyncIterator[str]]
) -> None:
    url = await broken(receiver)  # type: ignore[misc]
    async with app_over(FakeStages().pipeline(), tracer_to(url)) as client:
        for _ in range(3):
            answers = await asyncio.gather(*(ask(client) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            await asyncio.sleep(1)
    assert receiver.asked > 0 or url != receiver.url


def test_a_receiver_that_hangs_does_not_keep_a_process_from_ending(
    receiver: OtlpReceiver,
) -> None:
    receiver.hangs = True
    program = (
        "from deployments.telemetry.otel_traces import OtelTracer\n"
        f"tracer = OtelTracer({receiver.url!r}, 'test', 1, 60)\n"
        "for n in range(2000):\n"
        "    with tracer.begin('work', None): pass\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=True, timeout=25)
    assert receiver.asked == 1


def test_spans_that_wait_at_the_end_of_a_process_are_exported(receiver: OtlpReceiver) -> None:
    program = (
        "from deployments.telemetry.otel_traces import OtelTracer\n"
        f"tracer = OtelTracer({receiver.url!r}, 'test', 1, 60)\n"
        "with tracer.begin('last', None): pass\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=True, timeout=60)
    assert [span.name for span in receiver.spans] == ["last"]
