import logging

import pytest
from fastapi.testclient import TestClient
from support.api_app import PHOTO, QUESTION
from support.fake_stages import FakeStages, failing, hang
from support.fake_tracer import FakeTracer

from deployments.errors import AnswererFailed, StageFailed
from deployments.telemetry.logs import fields
from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings, Limits

Line = tuple[str, dict[str, object]]


def said(caplog: pytest.LogCaptureFixture) -> list[Line]:
    return [
        (record.levelname, record.ray_serve_extra_fields)  # type: ignore[attr-defined]
        for record in caplog.records
        if record.name == "ray.serve"
    ]


def ask(
    stages: FakeStages,
    bundle: Bundle,
    settings: AppSettings | None = None,
    tracer: FakeTracer | None = None,
) -> None:
    api = create_api(
        stages.pipeline(), settings or AppSettings(), bundle, tracer=tracer or FakeTracer()
    )
    TestClient(api).post(
        "/v1/answers",
        files={"image": PHOTO},
        data={"question": QUESTION},
        headers={"X-Request-ID": "r1"},
    )


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ray.serve")


def test_an_answer_is_one_line_with_all_that_is_known_of_it(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask(stages, bundle)
    [(level, line)] = said(caplog)
    assert level == "INFO"
    timings = line.pop("timings_ms")
    assert isinstance(timings, dict)
    assert set(timings) == {
        "decode", "caption", "tag", "retrieve", "assemble", "answer", "total",
    }  # fmt: skip
    took_ms = line.pop("took_ms")
    assert isinstance(took_ms, float)
    assert took_ms > 0
    assert line == {
        "request_id": "r1",
        "route": "/v1/answers",
        "status": 200,
        "code": "ok",
        "bundle": "test@7",
        "trace_id": "a" * 32,
    }


def test_a_deadline_that_passes_leaves_the_times_of_the_stages(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stages.instead["answerer"] = hang
    ask(stages, bundle, AppSettings(limits=Limits(timeout_s=0.5)))
    [(level, line)] = said(caplog)
    assert (level, line["status"], line["code"]) == ("WARNING", 504, "deadline_exceeded")
    timings = line["timings_ms"]
    assert isinstance(timings, dict)
    assert timings["answer"] > timings["caption"] > 0


def test_an_expected_error_is_a_warning_with_its_code(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stages.instead["answerer"] = failing(AnswererFailed("No."))
    ask(stages, bundle)
    [(level, line)] = said(caplog)
    assert (level, line["status"], line["code"]) == ("WARNING", 502, "answerer_failed")


def test_an_unexpected_error_has_a_line_of_its_own_with_the_traceback(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stages.instead["answerer"] = failing(ZeroDivisionError())
    ask(stages, bundle)
    [error, request] = said(caplog)
    assert error == (
        "ERROR",
        {"request_id": "r1", "code": "internal_error", "trace_id": "a" * 32},
    )
    assert (request[0], request[1]["code"]) == ("WARNING", "internal_error")
    assert caplog.records[-2].exc_info


def test_a_stage_that_the_answer_did_without_has_a_line_of_its_own(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stages.instead["tagger"] = failing(StageFailed("No."))
    ask(stages, bundle)
    [(level, line), _] = said(caplog)
    assert level == "WARNING"
    assert (line["stage"], line["code"], line["degraded"]) == ("tagger", "stage_failed", True)


def test_no_photo_question_or_answer_is_in_the_log(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "ray.serve")
    ask(stages, bundle)
    everything = f"{caplog.text} {said(caplog)}"
    assert "/v1/answers" in everything
    for text in (QUESTION, "black hair", "JFIF", "two"):
        assert text not in everything


def test_a_health_check_is_in_the_log_only_when_it_fails(
    stages: FakeStages,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = TestClient(create_api(stages.pipeline(), AppSettings(), bundle))
    client.get("/health/live")
    client.get("/health/ready")
    assert said(caplog) == []
    stages.instead["tagger"] = failing(StageFailed("No."))
    client.get("/health/ready")
    [(level, line)] = said(caplog)
    assert (level, line["status"], line["code"]) == ("WARNING", 503, "model_not_ready")


def test_fields_leave_out_what_is_not_known_and_a_trace_that_is_not_exported() -> None:
    tracer = FakeTracer()
    assert fields(stage="tagger", code=None) == {"ray_serve_extra_fields": {"stage": "tagger"}}
    with tracer.begin("request", None):
        assert fields() == {"ray_serve_extra_fields": {"trace_id": "a" * 32}}
    tracer.flags = "00"
    with tracer.begin("request", None):
        assert fields() == {"ray_serve_extra_fields": {}}
