"""Frozen values that the stages hand to one another.

They hold plain Python only (no arrays, no images), so that a value is the same over
both of Ray Serve's transports. A photo travels as the bytes of a JPEG.
"""

from dataclasses import dataclass
from typing import Literal, NewType

from bank.examples import Example, Similarity
from deployments.telemetry.traces import TraceContext
from models.tagging import Tag

__all__ = [
    "Answer",
    "Call",
    "Embeddings",
    "Example",
    "Message",
    "Photo",
    "Prompt",
    "Similarity",
    "Tag",
]

Photo = NewType("Photo", bytes)
"""An upright RGB JPEG that the ingress has checked and bounded."""


@dataclass(frozen=True, slots=True)
class Call:
    """What each call of a stage carries besides its input.

    It carries the time left and not a point in time, since clocks of two nodes differ.
    """

    request_id: str
    timeout_s: float
    trace: TraceContext | None = None
    """The caller's trace context; None if tracing is off, or within one process."""
    sent_at_s: float | None = None
    """Unix time at which `timeout_s` was left; None within one process. Only for the outcome of a
    cancelled call, whose deadline comes closer while it waits for a replica."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """CLIP vectors of unit length, in the order of the inputs."""

    photos: tuple[tuple[float, ...], ...]
    texts: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as in the OpenAI API."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of the language model.

    PICa's completion form is one `user` message that ends where the answer begins.
    """

    messages: tuple[Message, ...]
    examples_used: tuple[str, ...]
    """Ids of the examples in the prompt, least similar first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The language model's answer."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
