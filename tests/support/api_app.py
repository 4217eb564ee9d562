"""The HTTP API on stages that are not models, and how a test asks it."""

import base64
from io import BytesIO
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image
from support.fake_stages import FakeStages

from deployments.errors import CODES
from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings, Limits

QUESTION = "what colour is the mug?"


def jpeg(width: int = 64, height: int = 48) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "orange").save(file, "JPEG")
    return file.getvalue()


PHOTO = jpeg()
PHOTO64 = base64.b64encode(PHOTO).decode()


def app(stages: FakeStages, bundle: Bundle, **limits: Any) -> FastAPI:
    return create_api(stages.pipeline(), AppSettings(limits=Limits(**limits)), bundle)


def ask(client: TestClient, **fields: Any) -> Response:
    return client.post("/v1/answers", json={"image": PHOTO64, "question": QUESTION, **fields})


def scope(content_type: str) -> dict[str, Any]:
    """Return an ASGI scope of a question, for tests that send its body themselves."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/answers",
        "query_string": b"",
        "headers": [(b"content-type", content_type.encode())],
    }


def problem(
    response: Response | httpx.Response, code: str, field: str | None = None
) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert document.get("code") == code, document
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == document["status"] == CODES[code].status
    assert document["type"].endswith(code)
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert document.get("field") == field
    return document
