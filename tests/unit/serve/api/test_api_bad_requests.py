"""What the API refuses: each a problem document that names the field, and none a 5xx."""

import base64
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from support.api_app import PHOTO, PHOTO64, QUESTION, app, ask, problem, scope
from support.fake_stages import FakeStages

from models.bundle import Bundle


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"image": "not base64!"}, "bad_request", "image"),
        ({"image": "data:image/png,raw"}, "bad_request", "image"),
        ({"image": base64.b64encode(b"hello").decode()}, "bad_image", "image"),
        ({"image": base64.b64encode(PHOTO[: len(PHOTO) // 2]).decode()}, "bad_image", "image"),
        ({"image": ""}, "bad_image", "image"),
        ({"image": 5}, "bad_request", "image"),
        ({"image": [PHOTO64]}, "bad_request", "image"),
        ({"image_url": "http://example.com/a.jpg"}, "bad_request", None),
        ({"image": None}, "bad_request", None),
        ({"question": ""}, "bad_question", "question"),
        ({"question": " \n\t "}, "bad_question", "question"),
        ({"question": "\u200b\u200b"}, "bad_question", "question"),
        ({"question": "a\0b"}, "bad_question", "question"),
        ({"question": "a\x1b[2Jb"}, "bad_question", "question"),
        ({"question": "x" * 501}, "bad_question", "question"),
        ({"question": 5}, "bad_request", "question"),
        ({"question": None}, "bad_request", "question"),
        ({"n_shot": "3"}, "bad_request", "n_shot"),
        ({"n_shot": -1}, "bad_request", "n_shot"),
        ({"n_shot": 65}, "bad_request", "n_shot"),
        ({"n_shot": 10**30}, "bad_request", "n_shot"),
        ({"explain": "yes"}, "bad_request", "explain"),
        ({"n_shots": 3}, "bad_request", "n_shots"),
    ],
)
def test_a_bad_field_is_named(
    client: TestClient, stages: FakeStages, fields: dict[str, Any], code: str, field: str | None
) -> None:
    problem(ask(client, **fields), code, field)
    assert not stages.started


def test_a_photo_by_address_is_off_by_default(client: TestClient) -> None:
    response = client.post("/v1/captions", json={"image_url": "http://example.com/a.jpg"})
    problem(response, "bad_image", "image_url")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"question": "\\ud800"}'],
)
def test_malformed_json_is_a_bad_request(client: TestClient, body: bytes) -> None:
    response = client.post(
        "/v1/answers", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.json()["code"] == "bad_request", response.text


def test_a_missing_field_is_named(client: TestClient) -> None:
    problem(client.post("/v1/answers", json={"image": PHOTO64}), "bad_request", "question")
    problem(client.post("/v1/answers", files={"image": PHOTO}), "bad_request", "question")


def test_a_form_is_as_strict_as_json(client: TestClient) -> None:
    def send(data: dict[str, Any], **files: Any) -> Response:
        return client.post("/v1/answers", files={"image": PHOTO, **files}, data=data)

    problem(send({"question": QUESTION, "top_k": "3"}), "bad_request", "top_k")
    problem(send({"question": QUESTION, "n_shot": "many"}), "bad_request", "n_shot")
    problem(send({"question": [QUESTION, QUESTION]}), "bad_request", "question")
    problem(send({}, question=b"\xff\xfe"), "bad_request", "question")
    problem(send({"question": "x" * 70_000}), "bad_request")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_malformed_form_is_a_bad_request(client: TestClient, content_type: str) -> None:
    response = client.post(
        "/v1/answers", content=b"--y\r\ngarbage", headers={"Content-Type": content_type}
    )
    problem(response, "bad_request")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "image/jpeg", "application/x-www-form-urlencoded", "x"]
)
def test_any_other_kind_of_body_is_refused(client: TestClient, content_type: str) -> None:
    response = client.post("/v1/answers", content=PHOTO, headers={"Content-Type": content_type})
    problem(response, "unsupported_media_type")


def test_a_photo_over_the_byte_limit_is_refused(stages: FakeStages, bundle: Bundle) -> None:
    with TestClient(app(stages, bundle, max_bytes=len(PHOTO) - 1)) as client:
        problem(ask(client), "image_too_large", "image")


def test_a_photo_over_the_pixel_limit_is_refused(stages: FakeStages, bundle: Bundle) -> None:
    with TestClient(app(stages, bundle, max_pixels=64 * 48 - 1)) as client:
        problem(ask(client), "image_too_large", "image")


def test_a_body_over_the_limit_is_refused_by_its_declared_length(
    stages: FakeStages, bundle: Bundle
) -> None:
    with TestClient(app(stages, bundle, max_bytes=1000)) as client:
        response = client.post("/v1/answers", json={"image": "A" * 2_000_000, "question": "?"})
        problem(response, "body_too_large")


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
async def test_a_body_over_the_limit_is_refused_while_it_streams(
    stages: FakeStages, bundle: Bundle, content_type: str
) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    sent, received = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        part = b"A" * 65536 if sent else head
        sent += len(part)
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message: Any) -> None:
        received.append(message)

    await app(stages, bundle, max_bytes=1000)(scope(content_type), receive, send)
    assert received[0]["status"] == 413
    assert sent < 2_000_000


def test_too_many_embeddings_are_refused(client: TestClient) -> None:
    response = client.post("/v1/embeddings", json={"texts": ["a"] * 33})
    problem(response, "bad_request", "images")
    problem(client.post("/v1/embeddings", json={}), "bad_request")
    problem(client.post("/v1/embeddings", json={"texts": ["a", ""]}), "bad_question", "texts.1")


def test_unknown_routes_and_methods_are_problems(client: TestClient) -> None:
    problem(client.get("/v2/answers"), "not_found")
    response = client.get("/v1/answers")
    problem(response, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
