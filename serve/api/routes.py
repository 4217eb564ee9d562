"""Handlers of the routes.

They take the bare request and parse it themselves, because each accepts JSON and forms;
`serve.api.openapi` describes the bodies, which FastAPI then cannot see.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from deployments.errors import BadRequest, ModelNotReady, Overloaded
from deployments.messages import Call, Example, Tag
from deployments.telemetry.metrics import (
    ANSWER_CHARACTERS,
    BUILD_INFO,
    BUNDLE_INFO,
    FEEDBACK,
    PHOTO_BYTES,
    PHOTO_INTENSITY,
    PHOTO_PIXELS,
    QUESTION_CHARACTERS,
    Meters,
)
from models.bundle import Bundle
from serve.api.photos import PhotoReader, ReceivedPhoto
from serve.api.remote_photos import RemotePhotos
from serve.api.request_body import checked_text
from serve.api.request_lifetime import RequestContext, handle_request
from serve.api.schemas import (
    AnswerRequest,
    AnswerResponse,
    CaptionResponse,
    EmbeddingsRequest,
    EmbeddingsResponse,
    ExampleBody,
    FeedbackRequest,
    FeedbackResponse,
    HealthResponse,
    MessageBody,
    ModelsResponse,
    PhotoRequest,
    SearchRequest,
    SearchResponse,
    TagBody,
    TagsResponse,
)
from serve.pipeline import Pipeline
from serve.settings import AppSettings

READY_TIMEOUT_S = 2.0
VERSION = metadata.version("admirer")

logger = logging.getLogger("ray.serve")

Body = TypeVar("Body", bound=BaseModel)
Value = TypeVar("Value")


class Routes:
    """Handlers; the FastAPI app maps paths to them."""

    def __init__(
        self, pipeline: Pipeline, settings: AppSettings, bundle: Bundle, meters: Meters
    ) -> None:
        self._pipeline, self._meters = pipeline, meters
        self._limits = settings.limits
        self._in_progress = 0
        self._n_shot = settings.n_shot
        self._revisions = bundle.revisions()
        self.bundle = f"{bundle.name}@{bundle.version}"
        """Name and version, as in answers and log lines."""
        self._photos = PhotoReader(settings.limits)
        self._remote = RemotePhotos(settings.limits.image_url)
        meters.record(BUNDLE_INFO, labels={"bundle": self.bundle})
        meters.record(BUILD_INFO, labels={"version": VERSION})

    async def answer(self, request: Request, response: Response) -> AnswerResponse:
        """Answer a question about a photo.

        The photo is described as text, similar solved examples are looked up, and a language model
        answers from both.
        """
        return await self._serve(request, response, AnswerRequest, self._answer)

    async def caption(self, request: Request, response: Response) -> CaptionResponse:
        """Caption a photo."""
        return await self._serve(request, response, PhotoRequest, self._caption)

    async def tag(self, request: Request, response: Response) -> TagsResponse:
        """Tag the objects of a photo."""
        return await self._serve(request, response, PhotoRequest, self._tag)

    async def search(self, request: Request, response: Response) -> SearchResponse:
        """Search similar solved examples."""
        return await self._serve(request, response, SearchRequest, self._search)

    async def embed(self, request: Request, response: Response) -> EmbeddingsResponse:
        """Embed photos and texts."""
        return await self._serve(request, response, EmbeddingsRequest, self._embed)

    async def feedback(self, request: Request, response: Response) -> FeedbackResponse:
        """Rate an answer."""
        return await self._serve(request, response, FeedbackRequest, self._feedback)

    async def models(self) -> ModelsResponse:
        """Show bundle and revisions."""
        return ModelsResponse(bundle=self.bundle, revisions=self._revisions)

    async def live(self) -> HealthResponse:
        """Liveness probe."""
        return HealthResponse(status="live")

    async def ready(self, request: Request) -> HealthResponse:
        """Readiness probe."""
        waiting = await self._pipeline.unready(Call(request.state.request_id, READY_TIMEOUT_S))
        if waiting:
            raise ModelNotReady(f"Not ready yet: {', '.join(waiting)}.")
        return HealthResponse(status="ready")

    async def _serve(
        self,
        request: Request,
        response: Response,
        kind: type[Body],
        work: Callable[[Body, RequestContext], Coroutine[Any, Any, Value]],
    ) -> Value:
        if self._in_progress >= self._limits.max_concurrent_requests:
            # Otherwise the queues of the stages fill up one after the other.
            raise Overloaded("Too many concurrent requests; this one was not started.")
        self._in_progress += 1
        try:
            return await handle_request(request, response, kind, work, self._limits.timeout_s)
        finally:
            self._in_progress -= 1

    async def _answer(self, body: AnswerRequest, context: RequestContext) -> AnswerResponse:
        question = checked_text(body.question, self._limits)
        self._meters.record(QUESTION_CHARACTERS, len(question))
        n_shot = self._count(body.n_shot, self._n_shot, "n_shot")
        photo = await self._photo(body, context)
        answered = await self._pipeline.ask(
            photo.jpeg,
            question,
            n_shot=n_shot,
            call=context.call(),
            timings_ms=context.timings_ms,
        )
        self._meters.record(ANSWER_CHARACTERS, len(answered.answer.text))
        prompt = [MessageBody(role=m.role, content=m.content) for m in answered.prompt.messages]
        return AnswerResponse(
            answer=answered.answer.text,
            caption=answered.caption,
            tags=_tags(answered.tags, photo),
            examples=_examples(answered.examples),
            prompt=prompt if body.explain else None,
            degraded=list(answered.degraded),
            **self._about(context),
        )

    async def _caption(self, body: PhotoRequest, context: RequestContext) -> CaptionResponse:
        photo = await self._photo(body, context)
        caption = await context.timed(
            "caption", self._pipeline.caption(photo.jpeg, context.call()), span="captioner"
        )
        return CaptionResponse(caption=caption, **self._about(context))

    async def _tag(self, body: PhotoRequest, context: RequestContext) -> TagsResponse:
        photo = await self._photo(body, context)
        tags = await context.timed(
            "tag", self._pipeline.tag(photo.jpeg, context.call()), span="tagger"
        )
        return TagsResponse(tags=_tags(tags, photo), **self._about(context))

    async def _search(self, body: SearchRequest, context: RequestContext) -> SearchResponse:
        question = None if body.question is None else checked_text(body.question, self._limits)
        k = self._count(body.k, max(1, self._n_shot), "k")
        has_photo = body.image is not None or body.image_url is not None
        photo = await self._photo(body, context) if has_photo else None
        jpeg = photo.jpeg if photo else None
        examples = await context.timed(
            "retrieve", self._pipeline.retrieve(jpeg, question, k, context.call()), span="retriever"
        )
        return SearchResponse(examples=_examples(examples), **self._about(context))

    async def _embed(self, body: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        most = self._limits.max_embeddings
        if len(body.images) + len(body.texts) > most:
            raise BadRequest(f"More than {most} images and texts.", field="images")
        texts = [
            checked_text(text, self._limits, f"texts.{place}")
            for place, text in enumerate(body.texts)
        ]
        reading = [self._read(data, f"images.{place}") for place, data in enumerate(body.images)]
        photos = await context.timed("decode", _all(reading))
        embeddings = await context.timed(
            "embed", self._pipeline.embed([photo.jpeg for photo in photos], texts, context.call())
        )
        return EmbeddingsResponse(
            images=[list(vector) for vector in embeddings.photos],
            texts=[list(vector) for vector in embeddings.texts],
            **self._about(context),
        )

    async def _feedback(self, body: FeedbackRequest, context: RequestContext) -> FeedbackResponse:
        del context
        verdict = "helpful" if body.helpful else "unhelpful"
        self._meters.record(FEEDBACK, labels={"verdict": verdict})
        logger.info("Answer %s was found %s.", body.id, verdict)
        return FeedbackResponse(id=body.id)

    async def _photo(
        self, body: PhotoRequest | SearchRequest, context: RequestContext
    ) -> ReceivedPhoto:
        field, data = "image", body.image
        if data is None:
            field = "image_url"
            data = await context.timed("fetch", self._remote.fetch(body.image_url or ""))
        return await context.timed("decode", self._read(data, field))

    async def _read(self, data: bytes, field: str) -> ReceivedPhoto:
        photo = await self._photos.read(data, field=field)
        self._meters.record(PHOTO_BYTES, len(data))
        self._meters.record(PHOTO_PIXELS, photo.width * photo.height)
        self._meters.record(PHOTO_INTENSITY, photo.intensity)
        return photo

    def _count(self, asked: int | None, default: int, field: str) -> int:
        most = self._limits.max_n_shot
        if asked is not None and asked > most:
            raise BadRequest(f"{field} is more than {most}.", field=field)
        return default if asked is None else asked

    def _about(self, context: RequestContext) -> dict[str, Any]:
        """Return the fields that every response has."""
        return {"id": context.id, "bundle": self.bundle, "timings_ms": context.finish()}


async def _all(reading: list[Coroutine[Any, Any, ReceivedPhoto]]) -> list[ReceivedPhoto]:
    return await asyncio.gather(*reading)


def _tags(tags: tuple[Tag, ...], photo: ReceivedPhoto) -> list[TagBody]:
    return [
        TagBody(
            label=tag.label,
            score=round(tag.score, 4),
            box=tuple(round(edge, 1) for edge in photo.on_original(tag).box),
        )
        for tag in tags
    ]


def _examples(examples: tuple[Example, ...]) -> list[ExampleBody]:
    return [
        ExampleBody(
            id=example.id,
            caption=example.caption,
            question=example.question,
            answer=example.answer,
            similarity=round(example.similarity, 4),
        )
        for example in examples
    ]
