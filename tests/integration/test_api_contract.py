"""Any request that the OpenAPI document allows or forbids gets an answer that it documents."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.fake_stages import FakeStages

from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROUTES = {
    "/v1/answers", "/v1/captions", "/v1/tags", "/v1/examples/search", "/v1/embeddings",
    "/v1/feedback", "/v1/models", "/health/live", "/health/ready",
}  # fmt: skip


def api() -> Any:
    app = create_api(FakeStages().pipeline(), AppSettings(), Bundle.load(Path("bundles/demo")))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


OPERATIONS = [found.ok() for found in api().get_all_operations()]
CASES = [
    pytest.param(operation, mode, id=f"{operation.label}-{mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    if operation.body or mode is GenerationMode.POSITIVE
]


def test_every_route_is_documented() -> None:
    assert {operation.path for operation in OPERATIONS} == ROUTES


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_whatever_is_sent_is_answered_as_documented(operation: Any, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()
