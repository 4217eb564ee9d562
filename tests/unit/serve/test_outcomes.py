"""How calls and requests ended, as metrics tell it: ingress, pipeline, calls and stages together.

The stages are those of `fake_stages` behind handles that are called as Ray's are.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from support.api_app import PHOTO64, QUESTION, scope
from support.fake_handles import FakeHandle
from support.fake_meters import FakeMeters
from support.fake_stages import FakeStages, failing, hang
from support.fake_tracer import FakeTracer

from deployments.answerer import Answerer
from deployments.calls import outcome, within
from deployments.errors import DeadlineExceeded, Overloaded, StageFailed
from deployments.language_models import RemoteModel
from deployments.messages import Call, Message, Prompt
from deployments.settings import AnswererSettings
from deployments.stages import STAGES, Stage
from deployments.telemetry.metrics import (
    LLM_REQUESTS,
    REQUEST_SECONDS,
    REQUESTS,
    STAGE_CALLS,
    Metric,
)
from models.bundle import Bundle
from models.chat import Completion
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings, Degrade, Limits
from serve.stage_handles import pipeline

TIMES = 20
PROMPT = Prompt((Message("user", "what?"),), ())
BODY = {"image": PHOTO64, "question": QUESTION}


@pytest.fixture
def meters() -> FakeMeters:
    return FakeMeters()


def codes(meters: FakeMeters, metric: Metric, **chosen: str) -> Counter[str]:
    """How often each outcome was told, where the other labels are as chosen."""
    label = "outcome" if "outcome" in metric.labels else "code"
    told = [labels for _, labels in meters.of(metric)]
    return Counter(each[label] for each in told if chosen.items() <= each.items())


def served(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters, answerer: object = None, **limits: Any
) -> FastAPI:
    """The API over handles, as an ingress replica makes it."""
    settings = AppSettings(limits=Limits(**limits), degrade=Degrade(timeout_s=0.05))
    behind: dict[Stage, object] = dict.fromkeys(STAGES, stages)
    behind["answerer"] = answerer or stages
    handles: Any = {stage: FakeHandle(each) for stage, each in behind.items()}
    return create_api(pipeline(settings, meters, handles), settings, bundle, meters=meters)


async def asked(app: FastAPI, times: int = 1) -> list[Response]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://admirer") as client:
        return await asyncio.gather(*(client.post("/v1/answers", json=BODY) for _ in range(times)))


async def test_an_essential_stage_that_hangs_exceeded_its_deadline(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters
) -> None:
    stages.instead = {"answerer": hang}
    app = served(stages, bundle, meters, timeout_s=0.3)
    assert {response.status_code for response in await asked(app, TIMES)} == {504}
    assert codes(meters, STAGE_CALLS, stage="answerer") == {"deadline_exceeded": TIMES}
    assert codes(meters, STAGE_CALLS, stage="captioner") == {"ok": TIMES}
    assert codes(meters, REQUESTS) == {"deadline_exceeded": TIMES}
    assert stages.cancelled["answerer"] == TIMES


async def test_a_stage_alone_that_hangs_exceeded_its_deadline(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters
) -> None:
    stages.instead = {"captioner": hang}
    transport = ASGITransport(served(stages, bundle, meters, timeout_s=0.2))
    async with AsyncClient(transport=transport, base_url="http://admirer") as client:
        assert (await client.post("/v1/captions", json={"image": PHOTO64})).status_code == 504
    assert codes(meters, STAGE_CALLS) == {"deadline_exceeded": 1}


async def test_an_optional_stage_that_hangs_exceeded_its_own_deadline(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters
) -> None:
    stages.instead = {"tagger": hang}
    [response] = await asked(served(stages, bundle, meters))
    assert response.json()["degraded"] == ["tagger"]
    assert codes(meters, STAGE_CALLS, stage="tagger") == {"deadline_exceeded": 1}
    assert codes(meters, REQUESTS) == {"ok": 1}


class Silent:
    """A server far away that never answers."""

    model = "far away"

    async def complete(self, *_: object) -> Completion:
        await hang()
        raise AssertionError

    async def close(self) -> None:
        """Close nothing."""


async def test_a_language_model_that_never_answers_timed_out(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters
) -> None:
    answerer = Answerer(AnswererSettings(), "hub", lambda *_: RemoteModel(Silent()), meters)
    app = served(stages, bundle, meters, answerer, timeout_s=0.3)
    assert {response.status_code for response in await asked(app, TIMES)} == {504}
    await asyncio.sleep(0.05)  # what was cancelled ends in its own process
    assert codes(meters, LLM_REQUESTS) == {"timeout": TIMES}
    assert codes(meters, STAGE_CALLS, stage="answerer") == {"deadline_exceeded": TIMES}


async def test_time_that_a_call_waited_on_its_way_counts_when_it_is_cancelled(
    meters: FakeMeters,
) -> None:
    """Its caller's time is over, though by the replica's own count some is left."""
    answerer = Answerer(AnswererSettings(), "hub", lambda *_: RemoteModel(Silent()), meters)
    # Its caller's time ends in this moment, by a clock that is a tenth of a second ahead of ours;
    # the other's has ten seconds left.
    for waited_s in (29.8, 20):
        call = Call("r1", 30, sent_at_s=time.time() - waited_s)
        answering = asyncio.create_task(answerer.answer(PROMPT, call))
        await asyncio.sleep(0.1)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    assert codes(meters, LLM_REQUESTS) == {"timeout": 1, "cancelled": 1}


async def test_a_replica_whose_clock_is_ahead_still_gives_a_call_its_time() -> None:
    class Slow(Silent):
        async def complete(self, *_: object) -> Completion:
            await asyncio.sleep(0.05)
            return Completion("yes", 1, 1, 0.001)

    answerer = Answerer(AnswererSettings(), "hub", lambda *_: RemoteModel(Slow()))
    late = Call("r1", 5, sent_at_s=time.time() - 3600)
    assert (await answerer.answer(PROMPT, late)).text == "yes"


async def test_every_span_of_a_call_that_hung_says_that_its_time_was_over() -> None:
    tracer = FakeTracer()
    answerer = Answerer(AnswererSettings(), "hub", lambda *_: RemoteModel(Silent()), tracer=tracer)
    with tracer.begin("request", None) as span:
        call = Call("r1", 0.05, span.context)
    with pytest.raises(DeadlineExceeded):
        await answerer.answer(PROMPT, call)
    assert {span.name: span.code for span in tracer.spans[1:]} == {
        "answerer": "deadline_exceeded",
        "chat far away": "timeout",
    }


async def hung_up(
    app: FastAPI,
    until: Callable[[], bool],
    *,
    cancels: bool,
    tells: bool = True,
    breaks: bool = False,
) -> None:
    """Ask, go away when `until` is true; servers tell the app so, cancel its task, or both."""
    messages = iter([{"type": "http.request", "body": json.dumps(BODY).encode()}])
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await gone.wait()
        if breaks:
            raise ConnectionError
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        """Send to nobody."""

    asking = asyncio.create_task(app(scope("application/json"), receive, send))
    while not until():  # noqa: ASYNC110 - the stages have no event for it
        await asyncio.sleep(0.001)
    if cancels:
        asking.cancel()
    if tells:
        await asyncio.sleep(0)
        gone.set()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(
    ("cancels", "breaks"),
    [(False, False), (True, False), (True, True)],
    ids=["told", "cancelled and told", "cancelled and cut off"],
)
async def test_a_caller_that_hangs_up_is_neither_answered_nor_failed(
    stages: FakeStages,
    bundle: Bundle,
    meters: FakeMeters,
    caplog: pytest.LogCaptureFixture,
    cancels: bool,
    breaks: bool,
) -> None:
    stages.instead = {"answerer": hang}
    app = served(stages, bundle, meters)
    with caplog.at_level(logging.INFO, logger="ray.serve"):
        await hung_up(app, lambda: stages.started["answerer"] == 1, cancels=cancels, breaks=breaks)
    assert codes(meters, REQUESTS) == {"client_gone": 1}
    assert codes(meters, STAGE_CALLS, stage="answerer") == {"cancelled": 1}
    assert meters.of(REQUEST_SECONDS) == []
    assert "'/v1/answers' 499 " in caplog.text


async def test_a_request_that_the_server_stops_is_a_fault(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.api.middleware.DISCONNECT_WITHIN_S", 0.05)
    stages.instead = {"answerer": hang}
    app = served(stages, bundle, meters)
    running: Callable[[], bool] = lambda: stages.started["answerer"] == 1  # noqa: E731
    await hung_up(app, running, cancels=True, tells=False)
    assert codes(meters, REQUESTS) == {"interrupted": 1}
    assert meters.of(REQUEST_SECONDS) == []


async def test_latency_is_that_of_answers(
    stages: FakeStages, bundle: Bundle, meters: FakeMeters
) -> None:
    app = served(stages, bundle, meters)
    outcomes: Sequence[Callable[[], Awaitable[Any]]] = (
        failing(Overloaded("full")),
        failing(StageFailed("no")),
    )
    for instead in outcomes:
        stages.instead = {"captioner": instead}
        await asked(app)
    assert meters.of(REQUEST_SECONDS) == []
    stages.instead = {}
    await asked(app)
    [(_, labels)] = meters.of(REQUEST_SECONDS)
    assert labels == {"route": "/v1/answers"}


async def test_who_stops_work_when_its_time_is_over_does_not_matter() -> None:
    """The outer limit of the same length stops it, or a caller in another process."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await hang()
        except asyncio.CancelledError as error:
            seen.append(outcome(error))
            raise

    with pytest.raises(DeadlineExceeded):
        async with within(0.05), within(0.05), within(10):
            await work()
    async with within(0.05):
        async with within(10):
            task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen == ["deadline_exceeded", "cancelled"]


async def test_a_shorter_limit_inside_a_longer_one_stops_its_own_work_only() -> None:
    async with within(5):
        with pytest.raises(DeadlineExceeded):
            async with within(0.03):
                await hang()
        await asyncio.sleep(0)
