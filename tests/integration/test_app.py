"""The app in both transports, its models replaced by what counts and can be made to fail.

One file, though long: each transport's app takes half a minute to start, and all of this asks it.
"""

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.otlp_receiver import OtlpReceiver, drawn, otlp_receiver
from support.steered_app import RunningApp, steered_app

from deployments.stages import STAGES
from deployments.telemetry.metrics import CACHE_LOOKUPS, METRICS
from serve.cli.ray_environment import Transport

logger = logging.getLogger(__name__)

TIMEOUT_S = 15
ONE_AT_A_TIME = {"max_size": 1, "max_waiting": 2}
SETTINGS = {
    "limits": {"timeout_s": TIMEOUT_S},
    "n_shot": 2,
    "captioner": {
        "batch": ONE_AT_A_TIME,
        "scaling": {
            "num_cpus": 0,
            "max_ongoing_requests": 4,
            "max_queued_requests": 4,
            "autoscaling": {"target_ongoing_requests": 2},
        },
    },
    "retriever": {
        "scaling": {"num_cpus": 0, "autoscaling": {"min_replicas": 2, "max_replicas": 2}}
    },
    "answerer": {
        "scaling": {"num_cpus": 0},
        "prices": {"fake": {"prompt_dollars_per_million": 1, "completion_dollars_per_million": 1}},
    },
    **{stage: {"scaling": {"num_cpus": 0}} for stage in ("tagger", "assembler")},
    "ingress": {"num_cpus": 0},
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module", params=["default", "haproxy"])
def app(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    receiver: OtlpReceiver,
) -> Iterator[RunningApp]:
    transport: Transport = request.param
    tracing = {"endpoint": receiver.url, "sampling_ratio": 0, "timeout_s": 1}
    folder = tmp_path_factory.mktemp(transport)
    with steered_app(transport, folder, {**SETTINGS, "tracing": tracing}) as running:
        yield running


def exported(text: str) -> dict[str, list[dict[str, str]]]:
    """The labels of every series, by the name of its metric as Prometheus knows it."""
    series: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removesuffix("_bucket")
            series.setdefault(name, []).append(sample.labels)
    return series


async def test_prometheus_finds_every_metric_of_the_catalogue(app: RunningApp) -> None:
    # This app keeps no photos, so that its stages can be counted; `test_prometheus` sees the rest.
    wanted = {metric.exported for metric in METRICS if metric is not CACHE_LOOKUPS}
    app.behave(tagger={"error": "no"})
    async with app.client() as client:
        assert (await app.ask(client)).json()["degraded"] == ["tagger"]
        await client.post("/v1/feedback", json={"id": "a1", "helpful": True})
        series: dict[str, list[dict[str, str]]] = {}
        until = time.monotonic() + 40  # Ray hands metrics over every few seconds
        while time.monotonic() < until and wanted - set(series):
            series = exported((await client.get(app.metrics_url)).text)
            await asyncio.sleep(1)
        # A gauge that was set once would be gone by then, and each replica, which hands its
        # metrics over at times of its own, has done so.
        await asyncio.sleep(20)
        series = exported((await client.get(app.metrics_url)).text)
    assert wanted - set(series) == set()
    for metric in METRICS:
        for labels in series.get(metric.exported, ()):
            assert {"deployment", "replica", "application", *metric.labels} <= set(labels)
    models = {labels["deployment"] for labels in series["ray_admirer_model_seconds"]}
    assert models == {"captioner", "tagger", "retriever"}
    stages = {labels["stage"] for labels in series["ray_admirer_stage_seconds"]}
    assert stages == set(STAGES)


async def test_a_question_passes_all_five_stages(app: RunningApp) -> None:
    app.behave()
    async with app.client() as client:
        response = await app.ask(client)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["answer"] == "Question: what is it?"
    assert body["caption"] == "a photo 64 wide"
    assert [tag["label"] for tag in body["tags"]] == ["mug", "cat"]
    assert len(body["examples"]) == 2
    assert body["degraded"] == []
    assert len(app.done("answerer ran")) == 1


async def test_the_app_is_ready_when_every_stage_is(app: RunningApp) -> None:
    app.behave()
    async with app.client() as client:
        response = await client.get("/health/ready")
    assert response.status_code == 200, response.text


async def test_a_client_that_hangs_up_stops_the_language_model(app: RunningApp) -> None:
    app.behave(answerer={"delay_s": TIMEOUT_S})
    writer = await app.begin()
    assert await app.becomes(lambda: bool(app.done("answerer started")))
    writer.close()
    assert await app.becomes(lambda: bool(app.done("answerer cancelled")))
    assert app.done("answerer ran") == []


async def test_a_client_that_hangs_up_while_it_waits_costs_no_run_of_a_model(
    app: RunningApp,
) -> None:
    app.behave(captioner={"delay_s": 2})
    async with app.client() as stays, app.client() as leaves:
        first = asyncio.create_task(app.ask(stays))
        assert await app.becomes(lambda: len(app.done("captioner ran")) == 1)
        second = asyncio.create_task(app.ask(leaves))
        assert await app.becomes(lambda: len(app.done("tagger ran")) == 2)
        second.cancel()
        await leaves.aclose()
        assert (await first).status_code == 200
    await asyncio.sleep(1)
    assert len(app.done("captioner ran")) == 1
    assert len(app.done("answerer ran")) == 1


async def test_a_deadline_that_passes_is_told_in_time_and_stops_all_work_below(
    app: RunningApp,
) -> None:
    app.behave(answerer={"delay_s": 4 * TIMEOUT_S})
    started = time.monotonic()
    async with app.client() as client:
        response = await app.ask(client)
    assert response.status_code == 504, response.text
    assert response.json()["code"] == "deadline_exceeded"
    assert TIMEOUT_S - 1 < time.monotonic() - started < TIMEOUT_S + 3
    assert await app.becomes(lambda: bool(app.done("answerer cancelled")))
    assert app.done("answerer ran") == []


async def test_overload_is_refused_with_a_time_to_come_back(app: RunningApp) -> None:
    app.behave(captioner={"delay_s": 0.2})
    async with app.client() as client:
        responses = await asyncio.gather(*(app.ask(client) for _ in range(40)))
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) == len(app.done("answerer ran"))
    for response in responses:
        if response.status_code == 503:
            assert int(response.headers["Retry-After"]) >= 1
            assert response.json()["code"] == "overloaded"


async def test_an_answer_does_without_a_tagger_that_fails_and_says_so(app: RunningApp) -> None:
    app.behave(tagger={"error": "key=secret at /home/someone"})
    async with app.client() as client:
        response = await app.ask(client)
    assert response.status_code == 200, response.text
    assert response.json()["degraded"] == ["tagger"]
    assert response.json()["tags"] == []


async def test_an_answer_cannot_do_without_the_captioner(app: RunningApp) -> None:
    app.behave(captioner={"error": "key=secret at /home/someone"})
    async with app.client() as client:
        response = await app.ask(client)
    assert 500 <= response.status_code < 600
    assert response.json()["code"] == "stage_failed"
    assert "secret" not in response.text
    assert "someone" not in response.text


async def test_a_call_whose_replica_is_killed_is_made_again(app: RunningApp) -> None:
    app.behave(retriever={"delay_s": 1})
    async with app.client() as client:
        asking = asyncio.create_task(app.ask(client))
        assert await app.becomes(lambda: bool(app.done("retriever ran")))
        os.kill(int(app.done("retriever ran")[0].split()[-1]), signal.SIGKILL)
        response = await asking
    assert response.status_code == 200, response.text
    assert response.json()["degraded"] == []
    assert len(response.json()["examples"]) == 2
    assert len({line.split()[-1] for line in app.done("retriever ran")}) == 2
    assert len(app.done("answerer ran")) == 1


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PROCESSES = {"ingress", *STAGES}


async def test_one_question_is_one_trace_through_every_process(
    app: RunningApp, receiver: OtlpReceiver
) -> None:
    app.behave()
    async with app.client() as client:
        assert (await app.ask(client, traceparent=PARENT)).status_code == 200
    names = {"POST /v1/answers", *(f"{stage} (server)" for stage in STAGES)}
    spans = await receiver.whole_trace(TRACE, names)
    logger.info("\n%s", drawn(spans))
    by_id = {span.id: span for span in spans}
    parents = {
        (span.name, span.deployment): by_id[span.parent_id].name
        for span in spans
        if span.parent_id in by_id
    }
    assert {span.name for span in spans if span.parent_id == "00f067aa0ba902b7"} == {
        "POST /v1/answers"
    }
    for stage in STAGES:
        assert parents[stage, "ingress"] == "POST /v1/answers"
        assert parents[stage, stage] == stage
    for stage in ("captioner", "tagger", "retriever"):
        assert parents["queue", stage] == stage
        assert parents["model", stage] == stage
    assert parents["chat fake", "answerer"] == "answerer"
    assert {span.deployment for span in spans} == PROCESSES


async def test_a_receiver_of_traces_that_hangs_fails_no_answer(
    app: RunningApp, receiver: OtlpReceiver
) -> None:
    app.behave()
    receiver.hangs, asked = True, receiver.asked
    try:
        async with app.client() as client:
            for number in range(3):
                parent = f"00-{number + 1:032x}-00f067aa0ba902b7-01"
                assert (await app.ask(client, traceparent=parent)).status_code == 200
                await asyncio.sleep(1.5)  # until it has been asked, and has not answered
    finally:
        receiver.hangs = False
    assert receiver.asked > asked


async def test_every_request_is_one_line_of_json_and_every_error_another(app: RunningApp) -> None:
    app.behave(tagger={"error": "no"})
    parent = f"00-{'a' * 32}-00f067aa0ba902b7-01"
    async with app.client() as client:
        ok = await app.ask(client, traceparent=parent, **{"X-Request-ID": "logged-1"})
        app.behave(captioner={"error": "no"})
        failed = await app.ask(client, **{"X-Request-ID": "logged-2"})
    assert (ok.status_code, failed.status_code) == (200, 500)
    await asyncio.sleep(0.5)
    lines = app.log()
    [line] = [each for each in lines if each.get("status") and each["request_id"] == "logged-1"]
    assert line["route"] == "/v1/answers"
    assert (line["status"], line["code"], line["levelname"]) == (200, "ok", "INFO")
    assert line["trace_id"] == "a" * 32
    timed = {entry.method for entry in STAGES.values()}
    assert set(line["timings_ms"]) == timed | {"decode", "total"}
    assert line["bundle"].startswith("demo@")
    assert line["deployment"] == "admirer_ingress"
    [line] = [each for each in lines if each.get("status") and each["request_id"] == "logged-2"]
    assert (line["status"], line["code"], line["levelname"]) == (500, "stage_failed", "WARNING")
    assert "trace_id" not in line
    assert line["timings_ms"]["caption"] > 0
    [error] = [
        each for each in lines
        if each.get("stage") == "captioner" and each["request_id"] == "logged-2"
    ]  # fmt: skip
    assert (error["levelname"], error["code"]) == ("ERROR", "stage_failed")
    assert "RuntimeError" in error["exc_text"]
    degraded = [each for each in lines if each.get("degraded")]
    assert ("tagger", "logged-1") in {(each["stage"], each["request_id"]) for each in degraded}
    assert not [each for each in lines if "what is it" in json.dumps(each)]
