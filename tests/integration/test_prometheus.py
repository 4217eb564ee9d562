"""Every expression of every page and rule, run on a real Prometheus beside the real app.

The app is the one of `make run` on the demo bundle; for a minute it is asked good questions and
bad ones, more than it can answer, and so many at once that the tagger is done without.
"""

import itertools
import json
import math
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.prometheus_programs import program
from support.prometheus_server import Prometheus, prometheus_over
from support.started_app import StartedApp, started_app

from dashboards.absent_series import ABSENT, why_empty
from dashboards.expressions import Expression, expressions
from dashboards.rules import rules
from deployments.telemetry.metrics import LLM_RETRIES, MODEL_ERRORS
from models.bundle import Bundle
from serve.config_files import DEMO as CONFIG
from serve.config_files import read

CHECKOUT = Path(__file__).parents[2]
DEMO = CHECKOUT / "bundles" / "demo"
FOUND = CHECKOUT / "build" / "expressions.txt"
# Ray hands metrics over every ten seconds, and a rate needs two samples that differ.
TRAFFIC_S = 40
SETTLE_S = 12
QUIET = {
    LLM_RETRIES: "only a language model behind a network is asked again",
    MODEL_ERRORS: "no model of the demo bundle fails",
}
"""Counters of what does not happen here; `test_app` makes it happen."""
PRICE = {"prompt_dollars_per_million": 0.4, "completion_dollars_per_million": 1.6}


@dataclass(frozen=True)
class Scraped:
    """A Prometheus that has seen what the callers did, and what they were told."""

    prometheus: Prometheus
    at: float
    """When the app was scraped after all that."""
    codes: Counter[str]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        return self.prometheus.query(expression, self.at)


def settings() -> dict[str, Any]:
    """Return the demo's Serve config with a price, and a tagger that takes few at a time."""
    config = read(CONFIG)
    arguments = config["applications"][0]["args"]
    model = Bundle.load(str(DEMO)).revisions()["answerer"]
    arguments["answerer"] = {"prices": {model: PRICE}}
    arguments["tagger"] = {
        **arguments.get("tagger", {}),
        "scaling": {
            "max_ongoing_requests": 2,
            "max_queued_requests": 1,
            "autoscaling": {"target_ongoing_requests": 1},
        },
        "batch": {"max_size": 2},
    }
    return config


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedApp]:
    program("prometheus")  # without one, no app need start
    folder = tmp_path_factory.mktemp("app")
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings()))
    with started_app(folder, "--config", str(config)) as app:
        yield app


@pytest.fixture(scope="module")
def scraped(app: StartedApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    with prometheus_over(app.metrics_url, tmp_path_factory.mktemp("prometheus")) as prometheus:
        codes = drive(app)
        time.sleep(SETTLE_S)
        until = time.monotonic() + 30
        while (at := prometheus.last_scrape()) is None:
            assert time.monotonic() < until, "no scrape of the app succeeds"
            time.sleep(1)
        yield Scraped(prometheus, at, codes)


def samples() -> list[tuple[bytes, str]]:
    """Return the photos and questions of the demo bundle."""
    lines = (DEMO / "photos" / "questions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [((DEMO / "photos" / row["photo"]).read_bytes(), row["question"]) for row in rows]


def drive(app: StartedApp) -> Counter[str]:
    """Use every route rightly and wrongly, with a crowd every few seconds; return the codes."""
    codes: Counter[str] = Counter()
    rows = itertools.cycle(samples())
    until = time.monotonic() + TRAFFIC_S

    def count(response: httpx.Response) -> httpx.Response:
        codes[response.json().get("code", "ok")] += 1
        return response

    with ThreadPoolExecutor(24) as crowd:
        while time.monotonic() < until:
            photo, question = next(rows)
            answer = count(app.ask(photo, question)).json()
            for helpful in (True, True, False):
                count(app.post("/v1/feedback", json={"id": answer["id"], "helpful": helpful}))
            image = {"image": photo}
            count(app.post("/v1/captions", files=image))
            count(app.post("/v1/tags", files=image))
            count(app.post("/v1/examples/search", files=image, data={"question": question}))
            count(app.post("/v1/embeddings", json={"texts": [question]}))
            count(app.ask(b"no photo", question))
            count(app.ask(photo, ""))
            count(app.post("/v1/nothing"))
            asked = [crowd.submit(app.ask, *next(rows)) for _ in range(24)]
            for each in asked:
                body = count(each.result()).json()
                codes["degraded"] += bool(body.get("degraded"))
    return codes


def test_the_callers_met_what_the_pages_show(scraped: Scraped) -> None:
    assert {"ok", "overloaded", "bad_image", "not_found", "degraded"} <= set(scraped.codes)


def wrong_with(expression: Expression, found: list[tuple[dict[str, str], float]]) -> str | None:
    """Return why what an expression returned is not what its panel shows."""
    reason = why_empty(expression.text)
    if not found:
        return None if reason or expression.kind == "annotation" else "returns nothing"
    if reason:
        return f"returns data, though listed as absent: {reason}"
    values = [value for _, value in found]
    # A quantile of a stage that had nothing to do in the window is not a number.
    if not any(math.isfinite(value) for value in values) or any(map(math.isinf, values)):
        return f"returns {sorted(set(map(str, values)))}"
    missing = {label for label in expression.labels for labels, _ in found if label not in labels}
    return f"returns series without {missing}" if missing else None


def everything() -> list[Expression]:
    """Return the expressions of all pages, and what the rules judge.

    A condition returns nothing while all is well, so of an alert its operands are run.
    """
    judged = [(rule.name, operand) for rule in rules() for operand in rule.operands]
    return expressions("1m") + [Expression("rules", name, "panel", text) for name, text in judged]


def test_every_expression_of_pages_and_rules_returns_what_is_shown_or_judged(
    scraped: Scraped,
) -> None:
    found = [(each, scraped.query(each.text)) for each in everything()]
    assert len(found) > 100
    write_table(found)
    wrong = [
        f"{each.page} / {each.title} {reason}: {each.text}"
        for each, values in found
        if (reason := wrong_with(each, values))
    ]
    assert not wrong, "\n".join(wrong)


def write_table(found: list[tuple[Expression, list[tuple[dict[str, str], float]]]]) -> None:
    """Write each expression with how many series it returned and one of them."""
    FOUND.parent.mkdir(exist_ok=True)
    with FOUND.open("w") as table:
        for expression, values in found:
            finite = [each for each in values if math.isfinite(each[1])]
            labels, value = finite[0] if finite else ({}, math.nan)
            shown = ", ".join(
                f"{label}={labels[label]}" for label in sorted(labels.keys() & {*expression.labels})
            )
            sample = f"{value:.4g} {shown}" if values else why_empty(expression.text) or "nothing"
            table.write(
                f"{expression.page} / {expression.title}\n"
                f"  {' '.join(expression.text.split())}\n  {len(values)} series: {sample}\n"
            )


def test_every_name_in_a_query_is_exported(scraped: Scraped) -> None:
    exported = set(scraped.prometheus.get("label/__name__/values"))
    texts = [each.text for each in expressions("1m")]
    texts += [each.expr for each in rules()]
    name = r"\b((?:ray|admirer)_\w+|[a-z]+:\w+:\w+)(?=[\s{\[])"
    names = set(re.findall(name, "\n".join([*texts, ""])))
    absent = {series.exported for series in (*ABSENT, *QUIET)}
    assert len(names) > 30
    assert names - exported - absent == set()
    assert absent & exported == set()


def test_every_rule_is_worked_out_without_an_error(scraped: Scraped) -> None:
    loaded = [r for g in scraped.prometheus.get("rules")["groups"] for r in g["rules"]]
    assert Counter(each["name"] for each in loaded) == Counter(each.name for each in rules())
    assert [(r["name"], r["lastError"]) for r in loaded if r["health"] != "ok"] == []


def test_a_crowd_raises_the_alerts_on_answers_and_none_on_what_runs(scraped: Scraped) -> None:
    raised = {labels["alertname"] for labels, _ in scraped.query("ALERTS")}
    # Not firing yet: nothing has lasted for long enough.
    assert {"AdmirerAvailabilityBurnsFast", "AdmirerAnswersDegraded"} <= raised
    assert raised.isdisjoint(
        {
            "AdmirerStageDown",
            "AdmirerUpgradeStuck",
            "AdmirerSeriesVanished",
            "AdmirerGpuMemoryFull",
            "AdmirerLlmFailing",
            "AdmirerLlmOverBudget",
        }
    )


def test_metrics_are_not_to_be_had_where_questions_are_asked(app: StartedApp) -> None:
    response = httpx.get(f"{app.url}/metrics", trust_env=False)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_a_prometheus_that_never_reads_what_it_asked_for_keeps_no_answer(app: StartedApp) -> None:
    metrics, (photo, question) = httpx.URL(app.metrics_url), samples()[0]
    request = f"GET {metrics.path} HTTP/1.1\r\nHost: {metrics.host}\r\n\r\n".encode()
    with ExitStack() as stuck:
        for _ in range(3):
            connection = socket.create_connection((metrics.host, metrics.port), timeout=10)
            stuck.enter_context(connection).sendall(request)
        for _ in range(3):
            response = app.ask(photo, question)
            assert response.status_code == 200, response.text
