"""What metrics, log and alerts say of a hang, a hang-up and a refusal, in both transports.

Statuses are the business of `test_app`. Of one request a race may still look right, so each case
is many.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.prometheus_programs import program
from support.prometheus_server import Prometheus, prometheus_over
from support.steered_app import RunningApp, steered_app

from dashboards.rules.answers import llm_failing
from dashboards.rules.format import Group, written
from deployments.telemetry.metrics import (
    LLM_REQUESTS,
    REQUEST_SECONDS,
    REQUESTS,
    STAGE_CALLS,
    Metric,
)
from serve.cli.ray_environment import Transport

TIMES = 8
TIMEOUT_S = 4
FREE = {"scaling": {"num_cpus": 0}}
SETTINGS: dict[str, Any] = {
    "limits": {"timeout_s": TIMEOUT_S},
    "degrade": {"timeout_s": 0.5},
    "captioner": {
        "batch": {"max_size": 1, "max_waiting": TIMES},
        "scaling": {
            "num_cpus": 0,
            "max_ongoing_requests": TIMES,
            "max_queued_requests": TIMES,
            "autoscaling": {"target_ongoing_requests": 2},
        },
    },
    "ingress": {"num_cpus": 0},
    **dict.fromkeys(("tagger", "retriever", "assembler", "answerer"), FREE),
}


@pytest.fixture(scope="module", params=["default", "haproxy"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApp]:
    transport: Transport = request.param
    with steered_app(transport, tmp_path_factory.mktemp(transport), SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@pytest.fixture(scope="module")
def prometheus(app: RunningApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One with the shipped alert, over a shorter window and time to hold."""
    program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    rules: Path = folder / "rules.yaml"
    rules.write_text(written((Group("shortened", (llm_failing(window="40s", hold="4s"),)),)))
    with prometheus_over(app.metrics_url, folder, rules) as running:
        yield running


class Counted:
    """The app's counters, and by how much they grow."""

    def __init__(self, app: RunningApp) -> None:
        self._app = app
        self._before = self._read()

    def _read(self) -> Counter[tuple[str, frozenset[tuple[str, str]]]]:
        text = httpx.get(self._app.metrics_url, trust_env=False).text
        found: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name, frozenset(sample.labels.items())] += int(sample.value)
        return found

    def grew(self, metric: Metric, **chosen: str) -> dict[str, int]:
        """By how much, by code or outcome; of a histogram, how often it was told."""
        name = metric.exported + ("_count" if metric.kind == "histogram" else "")
        by = next((label for label in ("code", "outcome") if label in metric.labels), "route")
        grown: Counter[str] = Counter()
        for (of, labels), value in self._read().items():
            if of == name and chosen.items() <= labels:
                grown[dict(labels)[by]] += value - self._before[of, labels]
        return dict(+grown)

    async def becomes(self, expected: dict[str, int], metric: Metric, **chosen: str) -> None:
        """Wait until it is so: Ray hands metrics over every few seconds."""
        until = time.monotonic() + 30
        while (  # noqa: ASYNC110 - another process
            found := self.grew(metric, **chosen)
        ) != expected and time.monotonic() < until:
            await asyncio.sleep(0.5)
        assert found == expected


async def settled(app: RunningApp) -> Counted:
    """Counters after all that earlier tests did has been handed over."""
    app.behave()
    async with app.client() as client:
        assert (await app.ask(client)).status_code == 200
    await asyncio.sleep(12)
    return Counted(app)


async def ask_often(app: RunningApp, times: int = TIMES) -> Counter[int]:
    async with app.client() as client:
        responses = await asyncio.gather(*(app.ask(client) for _ in range(times)))
    return Counter(response.status_code for response in responses)


async def test_what_hangs_exceeded_its_deadline(app: RunningApp, silent_server: str) -> None:
    counted = await settled(app)
    # An optional stage has a limit of its own, and the language model that of the request.
    app.behave(tagger={"delay_s": 2}, answerer={"server": silent_server})
    assert await ask_often(app) == {504: TIMES}
    late = {"deadline_exceeded": TIMES}
    await counted.becomes({"timeout": TIMES}, LLM_REQUESTS)
    await counted.becomes(late, STAGE_CALLS, stage="answerer")
    await counted.becomes(late, STAGE_CALLS, stage="tagger")
    await counted.becomes({"ok": TIMES}, STAGE_CALLS, stage="captioner")
    await counted.becomes(late, REQUESTS, route="/v1/answers")
    assert counted.grew(REQUEST_SECONDS, route="/v1/answers") == {}


async def test_callers_who_hang_up_are_gone(app: RunningApp) -> None:
    counted = await settled(app)
    app.behave(answerer={"delay_s": 2 * TIMEOUT_S})
    writers = [await app.begin() for _ in range(TIMES)]
    assert await app.becomes(lambda: len(app.done("answerer started")) == TIMES)
    for writer in writers:
        writer.close()
    # Over Ray's default transport a cancelled call can look like a lost replica and begin again.
    assert await app.becomes(
        lambda: TIMES <= len(app.done("answerer started")) == len(app.done("answerer cancelled"))
    )
    gone = {"client_gone": TIMES}
    await counted.becomes(gone, REQUESTS, route="/v1/answers")
    await counted.becomes({"cancelled": TIMES}, STAGE_CALLS, stage="answerer")
    await counted.becomes({"cancelled": len(app.done("answerer cancelled"))}, LLM_REQUESTS)
    assert counted.grew(REQUEST_SECONDS, route="/v1/answers") == {}
    lines = [line for line in app.log() if line.get("code") == "client_gone"]
    assert [line["status"] for line in lines] == [499] * TIMES


async def test_refusals_are_in_no_latency_of_answers(app: RunningApp) -> None:
    counted = await settled(app)
    app.behave(captioner={"delay_s": 0.1})
    statuses = await ask_often(app, 40)
    assert set(statuses) == {200, 503}
    became = {"ok": statuses[200], "overloaded": statuses[503]}
    await counted.becomes(became, REQUESTS, route="/v1/answers")
    await counted.becomes({"/v1/answers": statuses[200]}, REQUEST_SECONDS, route="/v1/answers")


async def test_a_language_model_that_hangs_sets_off_its_alert(
    app: RunningApp, silent_server: str, prometheus: Prometheus
) -> None:
    app.behave(answerer={"server": silent_server})
    firing = 'ALERTS{alertname="AdmirerLlmFailing", alertstate="firing"}'
    until = time.monotonic() + 90
    raised: list[tuple[dict[str, str], float]] = []
    while not raised and time.monotonic() < until:
        await ask_often(app, 2)
        raised = prometheus.query(firing, time.time())
    assert [(labels["severity"], labels["model"]) for labels, _ in raised] == [("page", "fake")]
