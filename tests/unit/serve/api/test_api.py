import asyncio
import base64
import json
import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import ASGITransport, AsyncClient
from support.api_app import PHOTO, PHOTO64, QUESTION, app, ask, jpeg, problem, scope
from support.fake_stages import CAPTION, FakeStages, failing, hang

from deployments.errors import (
    AnswererFailed,
    DeadlineExceeded,
    ModelNotReady,
    Overloaded,
    StageFailed,
)
from models.bundle import Bundle


def test_a_form_with_photo_and_question_is_answered(client: TestClient) -> None:
    response = client.post(
        "/v1/answers", files={"image": ("room.jpg", PHOTO)}, data={"question": QUESTION}
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {
        "id", "answer", "caption", "tags", "examples", "timings_ms", "degraded", "bundle",
    }  # fmt: skip
    assert body["answer"] == "two"
    assert body["caption"] == CAPTION
    assert body["tags"] == [{"label": "mug", "score": 0.9, "box": [10, 20, 110, 120]}]
    assert body["examples"][0] == {
        "id": "e0",
        "caption": "a person in a blue shirt.",
        "question": "how many people?",
        "answer": "one",
        "similarity": 0.9,
    }
    assert body["degraded"] == []
    assert body["bundle"] == "test@7"
    assert body["id"] == response.headers["X-Request-ID"]
    assert set(body["timings_ms"]) == {
        "decode", "caption", "tag", "retrieve", "assemble", "answer", "total",
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "data:image/png;base64,"])
def test_json_with_base64_or_a_data_url_is_answered(client: TestClient, prefix: str) -> None:
    response = ask(client, image=prefix + PHOTO64)
    assert response.status_code == 200, response.text
    assert response.json()["answer"] == "two"


def test_the_stages_get_the_photo_itself_and_the_question_in_one_line(
    client: TestClient, stages: FakeStages
) -> None:
    ask(client, question="  what colour\n\tis the mug? ")
    assert stages.calls["captioner"][0][0] == PHOTO
    assert stages.calls["retriever"][0][1] == QUESTION


def test_n_shot_is_the_servers_unless_the_request_says(
    client: TestClient, stages: FakeStages
) -> None:
    assert len(ask(client).json()["examples"]) == 4
    assert len(ask(client, n_shot=2).json()["examples"]) == 2
    assert ask(client, n_shot=0).json()["examples"] == []
    assert [arguments[2] for arguments in stages.calls["retriever"]] == [4, 2]


def test_explain_returns_the_prompt_that_was_sent(client: TestClient) -> None:
    prompt = ask(client, explain=True, n_shot=1).json()["prompt"]
    assert [message["role"] for message in prompt] == ["system", "user", "assistant", "user"]
    assert prompt[-1]["content"].endswith(f"Question: {QUESTION}")


def test_options_of_a_form_are_read_as_their_types(client: TestClient) -> None:
    response = client.post(
        "/v1/answers",
        files={"image": PHOTO},
        data={"question": QUESTION, "n_shot": "1", "explain": "true"},
    )
    assert len(response.json()["examples"]) == 1
    assert response.json()["prompt"]


def test_boxes_are_in_pixels_of_the_photo_as_it_was_sent(
    stages: FakeStages, bundle: Bundle
) -> None:
    with TestClient(app(stages, bundle, max_edge=64)) as client:
        image = base64.b64encode(jpeg(640, 480)).decode()
        tags = client.post("/v1/tags", json={"image": image}).json()["tags"]
    assert tags[0]["box"] == [100, 200, 1100, 1200]


def test_server_timing_names_every_stage(client: TestClient) -> None:
    header = ask(client).headers["Server-Timing"]
    names = [entry.split(";dur=")[0] for entry in header.split(", ")]
    assert names == ["decode", "caption", "tag", "retrieve", "assemble", "answer", "total"]


def test_one_stage_alone_captions_or_tags(client: TestClient, stages: FakeStages) -> None:
    caption = client.post("/v1/captions", files={"image": PHOTO}).json()
    assert caption["caption"] == CAPTION
    tags = client.post("/v1/tags", files={"image": PHOTO}).json()
    assert tags["tags"][0]["label"] == "mug"
    assert stages.started == {"captioner": 1, "tagger": 1}


@pytest.mark.parametrize(
    "body", [{"image": PHOTO64}, {"question": QUESTION}, {"image": PHOTO64, "question": QUESTION}]
)
def test_examples_are_found_by_photo_question_or_both(
    client: TestClient, stages: FakeStages, body: dict[str, str]
) -> None:
    response = client.post("/v1/examples/search", json={**body, "k": 3})
    assert len(response.json()["examples"]) == 3
    photo, question, k, _ = stages.calls["retriever"][0]
    assert (photo is not None, question is not None) == ("image" in body, "question" in body)
    assert k == 3


def test_photos_and_texts_are_embedded_in_order(client: TestClient) -> None:
    photos, texts = [jpeg(80), jpeg(64), jpeg(72)], ["a mug", "a", "a cat on it"]
    images = [base64.b64encode(photo).decode() for photo in photos]
    as_json = client.post("/v1/embeddings", json={"images": images, "texts": texts})
    files = [("images", photo) for photo in photos]
    as_form = client.post("/v1/embeddings", files=files, data={"texts": texts})
    for response in (as_json, as_form):
        body = response.json()
        assert body["images"] == [[80.0, 0.0], [64.0, 0.0], [72.0, 0.0]]
        assert body["texts"] == [[0.0, 5.0], [0.0, 1.0], [0.0, 11.0]]


def test_the_bundle_and_its_revisions_are_named(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    assert body["bundle"] == "test@7"
    assert set(body["revisions"]) == {"captioner", "tagger", "clip", "answerer"}


def test_ready_means_that_every_stage_can_answer(client: TestClient, stages: FakeStages) -> None:
    assert client.get("/health/ready").json() == {"status": "ready"}
    stages.instead = {"answerer": failing(ModelNotReady("loading"))}
    document = problem(client.get("/health/ready"), "model_not_ready")
    assert "answerer" in document["detail"]
    assert client.get("/health/live").json() == {"status": "live"}


def test_the_openapi_document_shows_every_route(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/answers", "/v1/captions", "/v1/tags", "/v1/examples/search", "/v1/embeddings",
        "/v1/feedback", "/v1/models", "/health/live", "/health/ready",
    }  # fmt: skip
    assert client.get("/docs").status_code == 200


def test_every_example_of_the_openapi_document_can_be_sent(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    sent = 0
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method != "post":
                continue
            body = operation["requestBody"]["content"]["application/json"]["example"]
            assert client.post(path, json=body).status_code == 200
            sent += 1
    assert sent == 6


def test_a_sane_request_id_is_kept_and_reaches_the_stages(
    client: TestClient, stages: FakeStages
) -> None:
    response = client.post(
        "/v1/captions", files={"image": PHOTO}, headers={"X-Request-ID": "trace-1.2:3"}
    )
    assert response.headers["X-Request-ID"] == "trace-1.2:3"
    assert stages.calls["captioner"][0][1].request_id == "trace-1.2:3"


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "<script>", "a\tb"])
def test_any_other_request_id_is_replaced(client: TestClient, given: str) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": given})
    assert len(response.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(
    ("stage", "error", "code"),
    [
        ("answerer", AnswererFailed("refused"), "answerer_failed"),
        ("answerer", DeadlineExceeded("late"), "deadline_exceeded"),
        ("captioner", StageFailed("no"), "stage_failed"),
        ("captioner", Overloaded("full"), "overloaded"),
        ("captioner", ModelNotReady("loading"), "model_not_ready"),
    ],
)
def test_an_essential_stage_that_fails_is_a_problem(
    client: TestClient, stages: FakeStages, stage: Any, error: Exception, code: str
) -> None:
    stages.instead = {stage: failing(error)}
    response = ask(client)
    problem(response, code)
    assert ("Retry-After" in response.headers) == (response.status_code == 503)


async def test_requests_beyond_the_limit_are_refused_before_any_work(
    stages: FakeStages, bundle: Bundle
) -> None:
    """Those that were accepted keep their time, whatever comes on top."""
    go_on = asyncio.Event()
    stages.instead = {"captioner": go_on.wait}
    transport = ASGITransport(app(stages, bundle, max_concurrent_requests=2))
    body = {"image": PHOTO64, "question": QUESTION}
    async with AsyncClient(transport=transport, base_url="http://admirer") as client:
        accepted = [asyncio.create_task(client.post("/v1/answers", json=body)) for _ in range(2)]
        while stages.started["captioner"] < 2:  # noqa: ASYNC110 - the stage has no event for it
            await asyncio.sleep(0.001)
        refused = await client.post("/v1/answers", json=body)
        problem(refused, "overloaded")
        assert refused.headers["Retry-After"]
        assert (await client.get("/health/live")).status_code == 200
        go_on.set()
        assert [response.status_code for response in await asyncio.gather(*accepted)] == [200, 200]
        assert stages.started["captioner"] == 2
        assert (await client.post("/v1/answers", json=body)).status_code == 200


def test_a_stage_that_is_done_without_is_named(client: TestClient, stages: FakeStages) -> None:
    stages.instead = {"tagger": failing(StageFailed("no"))}
    body = ask(client).json()
    assert body["degraded"] == ["tagger"]
    assert body["tags"] == []


def test_a_dead_language_model_is_a_504_within_the_deadline(
    stages: FakeStages, bundle: Bundle
) -> None:
    stages.instead = {"answerer": hang}
    with TestClient(app(stages, bundle, timeout_s=0.3)) as client:
        response = ask(client)
    problem(response, "deadline_exceeded")
    assert response.elapsed.total_seconds() < 5
    assert stages.cancelled["answerer"] == 1


def test_anything_else_is_a_500_that_says_only_that(
    client: TestClient, stages: FakeStages, caplog: pytest.LogCaptureFixture
) -> None:
    stages.instead = {"captioner": failing(KeyError("/secret/path"))}
    with caplog.at_level(logging.ERROR, logger="ray.serve"):
        response = ask(client)
    problem(response, "internal_error")
    assert "secret" not in response.text
    assert "/secret/path" in caplog.text
    assert response.json()["request_id"] in caplog.text


async def test_a_caller_that_hangs_up_cancels_the_work(stages: FakeStages, bundle: Bundle) -> None:
    stages.instead = dict.fromkeys(("captioner", "tagger", "retriever"), hang)
    body = json.dumps({"image": PHOTO64, "question": QUESTION}).encode()
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        while stages.started.total() < 3:  # noqa: ASYNC110 - any stage may be the last to start
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(stages, bundle)(scope("application/json"), receive, send)
    assert stages.cancelled == {"captioner": 1, "tagger": 1, "retriever": 1}
    assert stages.started["answerer"] == 0
    assert sent == []
