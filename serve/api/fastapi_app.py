"""Creates the FastAPI app: paths, middleware, problem handlers."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from deployments.errors import (
    AnswererFailed,
    BadImage,
    BadQuestion,
    BadRequest,
    BodyTooLarge,
    DeadlineExceeded,
    ImageTooLarge,
    ModelNotReady,
    Overloaded,
    StageFailed,
    UnsupportedMediaType,
)
from deployments.telemetry.metrics import NO_METERS, Meters
from deployments.telemetry.traces import NO_TRACER, Tracer
from models.bundle import Bundle
from serve.api.middleware import BodyLimit, Requests
from serve.api.openapi import problem_responses, request_body
from serve.api.problems import add_problem_handlers
from serve.api.routes import VERSION, Routes
from serve.api.schemas import (
    AnswerRequest,
    EmbeddingsRequest,
    FeedbackRequest,
    PhotoRequest,
    SearchRequest,
)
from serve.pipeline import Pipeline
from serve.settings import AppSettings, Limits

_OVERHEAD_BYTES = 1024 * 1024
"""Room in a body besides the photo."""

_POST = (
    BadRequest.code,
    BodyTooLarge.code,
    UnsupportedMediaType.code,
    Overloaded.code,
    DeadlineExceeded.code,
)
_PHOTO = (*_POST, ModelNotReady.code, StageFailed.code, BadImage.code, ImageTooLarge.code)


def create_api(
    pipeline: Pipeline,
    settings: AppSettings,
    bundle: Bundle | None = None,
    *,
    meters: Meters = NO_METERS,
    tracer: Tracer = NO_TRACER,
    adds_request_id: bool = True,
    tells_disconnects: bool = True,
) -> FastAPI:
    """Return the app.

    Args:
        pipeline: The stages, in this process or as deployments.
        settings: Limits and defaults.
        bundle: Served bundle; default: that of the settings.
        meters: Reports metrics.
        tracer: Starts traces.
        adds_request_id: Whether to add X-Request-ID; Ray Serve adds it itself.
        tells_disconnects: Whether the server reports a disconnect where it cancels a request.

    Raises:
        BundleError: The bundle of the settings cannot be loaded.
    """
    routes = Routes(pipeline, settings, bundle or Bundle.load(settings.bundle), meters)
    app = FastAPI(
        title="admirer",
        summary="Answers questions about photos.",
        version=VERSION,
        redoc_url=None,
    )
    add_problem_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=_max_body_bytes(settings.limits))
    app.add_middleware(
        Requests,
        adds_header=adds_request_id,
        meters=meters,
        tracer=tracer,
        bundle=routes.bundle,
        tells_disconnects=tells_disconnects,
    )
    _add_routes(app, routes)
    return app


def _max_body_bytes(limits: Limits) -> int:
    """Return the size of the largest photo in base64, with room for the rest of the body."""
    return limits.max_bytes * 4 // 3 + _OVERHEAD_BYTES


def _add_routes(app: FastAPI, routes: Routes) -> None:
    def post(path: str, work: Callable[..., Any], kind: type[BaseModel], *codes: str) -> None:
        app.post(
            path,
            summary=(work.__doc__ or "").partition(".")[0],
            response_model_exclude_none=True,
            openapi_extra=request_body(kind),
            responses=problem_responses(*codes),
        )(work)

    question = BadQuestion.code
    post("/v1/answers", routes.answer, AnswerRequest, *_PHOTO, question, AnswererFailed.code)
    post("/v1/captions", routes.caption, PhotoRequest, *_PHOTO)
    post("/v1/tags", routes.tag, PhotoRequest, *_PHOTO)
    post("/v1/examples/search", routes.search, SearchRequest, *_PHOTO, question)
    post("/v1/embeddings", routes.embed, EmbeddingsRequest, *_PHOTO, question)
    post("/v1/feedback", routes.feedback, FeedbackRequest, *_POST)
    app.get("/v1/models")(routes.models)
    app.get("/health/live")(routes.live)
    ready = problem_responses(ModelNotReady.code)
    app.get("/health/ready", responses=ready)(routes.ready)
