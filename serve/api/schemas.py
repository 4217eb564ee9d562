"""Request and response bodies of the HTTP API, as the OpenAPI document shows them.

Requests are strict: unknown fields are refused, since a misspelt option would otherwise be ignored
silently. Limits that are settings are checked by `serve.api.routes`.
"""

import base64
import binascii
import re
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)

# An orange square, 16 by 16, so that the requests of the OpenAPI page can be sent as they are.
_EXAMPLE_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR42mM8UWHDQApgYiARjGoY1TB0NAAAvaAB"
    "nEhxGIsAAAAASUVORK5CYII="
)


def _image_bytes(value: object) -> object:
    """Return the decoded bytes of base64 or a data URL; a file part of a form is bytes already.

    Errors never contain the value, which is megabytes of somebody's photo.
    """
    if not isinstance(value, str):
        return value
    head = _DATA_URL.match(value)
    try:
        return base64.b64decode(value[head.end() :] if head else value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is neither base64 nor a data URL in base64") from None


ImageBytes = Annotated[
    bytes,
    BeforeValidator(_image_bytes),
    WithJsonSchema(
        {"type": "string", "contentEncoding": "base64", "description": "Base64, or a data URL."}
    ),
]
ImageAddress = Annotated[
    str,
    Field(
        max_length=2048,
        description="URL of the photo instead of its bytes, if the server's settings enable it.",
        examples=["https://example.com/room.jpg"],
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhotoRequest(_Request):
    """One photo: its bytes or its URL."""

    image: ImageBytes | None = Field(default=None, examples=[_EXAMPLE_PNG])
    image_url: ImageAddress | None = None

    @model_validator(mode="after")
    def _has_one_photo(self) -> Self:
        if (self.image is None) == (self.image_url is None):
            raise ValueError("send exactly one of image and image_url")
        return self


class AnswerRequest(PhotoRequest):
    """A photo and a question about it."""

    question: str = Field(examples=["how many people are there?"])
    n_shot: int | None = Field(
        default=None,
        ge=0,
        description="Number of solved examples in the prompt; default: the server's.",
    )
    explain: bool = Field(default=False, description="Return the prompt too.")


class SearchRequest(_Request):
    """A photo, a question, or both."""

    image: ImageBytes | None = Field(default=None, examples=[_EXAMPLE_PNG])
    image_url: ImageAddress | None = None
    question: str | None = Field(default=None, examples=["what is on the wall?"])
    k: int | None = Field(
        default=None, ge=1, description="Number of examples; default: the server's n_shot."
    )

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.image is not None and self.image_url is not None:
            raise ValueError("send only one of image and image_url")
        if self.image is None and self.image_url is None and self.question is None:
            raise ValueError("send an image, a question, or both")
        return self


class EmbeddingsRequest(_Request):
    """Photos and texts."""

    images: list[ImageBytes] = Field(default=[], examples=[[_EXAMPLE_PNG]])
    texts: list[str] = Field(default=[], examples=[["a red mug", "a cat"]])

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if not self.images and not self.texts:
            raise ValueError("send images, texts, or both")
        return self


class FeedbackRequest(_Request):
    """A rating of an answer."""

    id: str = Field(
        pattern=r"^[\w.:=+/-]{1,128}$", description="Id of the answer.", examples=["3f1c9a"]
    )
    helpful: bool = Field(examples=[True])


class FeedbackResponse(BaseModel):
    """The rating was counted."""

    id: str
    """Id of the answer."""


class TagBody(BaseModel):
    """A labelled box."""

    label: str = Field(examples=["clock"])
    score: float = Field(ge=0, le=1, examples=[0.98])
    box: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 in pixels of the upright photo, in the size that was sent.",
        examples=[(412.0, 40.5, 530.2, 160.0)],
    )


class ExampleBody(BaseModel):
    """A solved example that is similar to the request."""

    id: str
    caption: str
    question: str
    answer: str
    similarity: float = Field(description="Cosine similarity to the request, in [-1, 1].")


class MessageBody(BaseModel):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class _Response(BaseModel):
    id: str = Field(description="The request's id, as in X-Request-ID and in the logs.")
    bundle: str = Field(description="Served bundle: name@version.", examples=["demo@1"])
    timings_ms: dict[str, float] = Field(description="Milliseconds of each stage, and in total.")


class AnswerResponse(_Response):
    """The answer and its inputs."""

    answer: str = Field(examples=["two"])
    caption: str
    tags: list[TagBody]
    examples: list[ExampleBody] = Field(
        description="Solved examples in the prompt, most similar first."
    )
    prompt: list[MessageBody] | None = Field(
        default=None, description="The prompt, if explain was set."
    )
    degraded: list[str] = Field(
        description="Stages that failed, so that the answer was made without them.", examples=[[]]
    )


class CaptionResponse(_Response):
    """The caption."""

    caption: str


class TagsResponse(_Response):
    """The tags, from left to right."""

    tags: list[TagBody]


class SearchResponse(_Response):
    """The nearest examples, most similar first."""

    examples: list[ExampleBody]


class EmbeddingsResponse(_Response):
    """CLIP vectors of unit length, in the order of the photos and texts in the request."""

    images: list[list[float]]
    texts: list[list[float]]


class ModelsResponse(BaseModel):
    """The served bundle and the revisions of its models."""

    bundle: str
    revisions: dict[str, str]


class HealthResponse(BaseModel):
    """live: the process runs; ready: every stage can answer."""

    status: Literal["live", "ready"]


class Problem(BaseModel):
    """An error (RFC 9457 problem details)."""

    type: str = Field(examples=["urn:admirer:problem:bad_image"])
    title: str = Field(examples=["The photo cannot be read"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The image is truncated or damaged."])
    code: str = Field(description="Stable error code, for programs.", examples=["bad_image"])
    field: str | None = Field(
        default=None, description="Field of the request that is wrong.", examples=["image"]
    )
    request_id: str
