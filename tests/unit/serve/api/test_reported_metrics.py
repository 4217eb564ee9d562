import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from support.api_app import PHOTO, QUESTION
from support.fake_meters import FakeMeters
from support.fake_stages import FakeStages, failing

from deployments.batching import Batcher, metered_batcher
from deployments.errors import AnswererFailed, BadImage, StageFailed
from deployments.messages import Photo
from deployments.photo_cache import PhotoCache
from deployments.settings import BatchSettings
from deployments.telemetry.metrics import (
    ANSWER_CHARACTERS,
    BATCH_ITEMS,
    BATCH_MAX_ITEMS,
    BATCH_NICENESS,
    BUNDLE_INFO,
    CACHE_LOOKUPS,
    DEGRADED_ANSWERS,
    FEEDBACK,
    METRICS,
    MODEL_ERRORS,
    MODEL_SECONDS,
    PHOTO_BYTES,
    PHOTO_INTENSITY,
    PHOTO_PIXELS,
    QUESTION_CHARACTERS,
    QUEUE_SECONDS,
    REQUEST_SECONDS,
    REQUESTS,
)
from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings


@pytest.fixture
def meters() -> FakeMeters:
    return FakeMeters()


@pytest.fixture
def client(stages: FakeStages, bundle: Bundle, meters: FakeMeters) -> TestClient:
    pipeline = replace(stages.pipeline(), meters=meters)
    return TestClient(create_api(pipeline, AppSettings(), bundle, meters=meters))


def ask(client: TestClient) -> int:
    sent = client.post("/v1/answers", files={"image": PHOTO}, data={"question": QUESTION})
    return sent.status_code


def test_names_have_units_and_every_histogram_has_buckets_in_order() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("admirer_")
        assert metric.help.endswith(".")
        assert not re.search(r"_(ms|kb|total|count|sum|bucket)$", metric.name)
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert all(bucket > 0 for bucket in metric.buckets)  # Ray refuses others
        assert list(metric.buckets) == sorted(set(metric.buckets))
    assert REQUESTS.exported == "ray_admirer_requests_total"
    assert REQUEST_SECONDS.exported == "ray_admirer_request_seconds"


def test_an_answer_is_reported_by_route(client: TestClient, meters: FakeMeters) -> None:
    assert ask(client) == 200
    assert meters.of(REQUESTS) == [(1, {"route": "/v1/answers", "code": "ok"})]
    [(seconds, labels)] = meters.of(REQUEST_SECONDS)
    assert 0 < seconds < 60
    assert labels == {"route": "/v1/answers"}
    assert meters.of(PHOTO_BYTES) == [(len(PHOTO), {})]
    assert meters.of(PHOTO_PIXELS) == [(64 * 48, {})]
    assert meters.of(QUESTION_CHARACTERS) == [(len(QUESTION), {})]
    [(intensity, _)] = meters.of(PHOTO_INTENSITY)
    assert 0 <= intensity <= 1
    assert meters.of(ANSWER_CHARACTERS) == [(len("two"), {})]
    assert meters.of(BUNDLE_INFO) == [(1, {"bundle": "test@7"})]


def test_a_failure_is_reported_by_its_code(
    client: TestClient,
    stages: FakeStages,
    meters: FakeMeters,
) -> None:
    stages.instead["answerer"] = failing(AnswererFailed("No."))
    assert ask(client) == 502
    client.post("/v1/answers", files={"image": b""}, data={"question": QUESTION})
    stages.instead["captioner"] = failing(ZeroDivisionError())
    assert ask(client) == 500
    codes = [labels["code"] for _, labels in meters.of(REQUESTS)]
    assert codes == ["answerer_failed", "bad_image", "internal_error"]


def test_no_label_comes_from_a_caller(client: TestClient, meters: FakeMeters) -> None:
    client.get("/v1/made-up-by-a-caller")
    client.request("BREW", "/v1/answers")
    routes = {(labels["route"], labels["code"]) for _, labels in meters.of(REQUESTS)}
    assert routes == {("other", "not_found"), ("/v1/answers", "method_not_allowed")}


def test_what_an_answer_did_without_is_reported(
    client: TestClient,
    stages: FakeStages,
    meters: FakeMeters,
) -> None:
    stages.instead["tagger"] = failing(StageFailed("No."))
    assert ask(client) == 200
    assert meters.of(DEGRADED_ANSWERS) == [(1, {"stage": "tagger"})]


async def test_every_run_of_a_model_is_reported(meters: FakeMeters) -> None:
    def run(items: Sequence[int]) -> list[int | BadImage]:
        return [item if item else BadImage("No.") for item in items]

    settings = BatchSettings(max_size=8, max_waiting=8, niceness=1)
    batcher: Batcher[int, int] = metered_batcher(run, settings, meters)
    await asyncio.gather(*(batcher.submit(n, 5) for n in (0, 1, 2)), return_exceptions=True)
    runs = [int(items) for items, _ in meters.of(BATCH_ITEMS)]
    assert sum(runs) == len(meters.of(QUEUE_SECONDS)) == 3
    assert len(meters.of(MODEL_SECONDS)) == len(runs)
    assert sum(failed for failed, _ in meters.of(MODEL_ERRORS)) == 1
    assert meters.of(BATCH_MAX_ITEMS) == [(8, {})]
    assert meters.of(BATCH_NICENESS) == [(1, {})]


async def test_a_photo_that_came_before_is_not_made_again(meters: FakeMeters) -> None:
    cache: PhotoCache[str] = PhotoCache(2, meters)
    made: list[str] = []

    async def ask(photo: str) -> str:
        async def make() -> str:
            made.append(photo)
            return photo.upper()

        return await cache.get(Photo(photo.encode()), make)

    asked = ["a", "b", "a", "c", "a", "b"]
    assert [await ask(photo) for photo in asked] == [photo.upper() for photo in asked]
    assert made == ["a", "b", "c", "b"], "the one asked for longest ago goes first"
    outcomes = [labels["outcome"] for _, labels in meters.of(CACHE_LOOKUPS)]
    assert outcomes == ["miss", "miss", "hit", "miss", "hit", "miss"]


async def test_an_error_is_not_remembered(meters: FakeMeters) -> None:
    cache: PhotoCache[str] = PhotoCache(2, meters)

    async def fail() -> str:
        raise BadImage("No.")

    async def succeed() -> str:
        return "a"

    with pytest.raises(BadImage):
        await cache.get(Photo(b"a"), fail)
    assert await cache.get(Photo(b"a"), succeed) == "a"


async def test_nothing_is_kept_where_the_settings_say_so(meters: FakeMeters) -> None:
    cache: PhotoCache[int] = PhotoCache(0, meters)
    numbers = iter(range(2))

    async def count() -> int:
        return next(numbers)

    assert [await cache.get(Photo(b"a"), count) for _ in range(2)] == [0, 1]
    assert not meters.of(CACHE_LOOKUPS)


def test_feedback_is_counted_by_its_verdict(client: TestClient, meters: FakeMeters) -> None:
    for helpful in (True, False, True):
        sent = client.post("/v1/feedback", json={"id": "a1", "helpful": helpful})
        assert sent.json() == {"id": "a1"}
    verdicts = [labels["verdict"] for _, labels in meters.of(FEEDBACK)]
    assert verdicts == ["helpful", "unhelpful", "helpful"]
    assert client.post("/v1/feedback", json={"id": "a\nb", "helpful": True}).status_code == 400
    assert len(meters.of(FEEDBACK)) == 3
