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
    """What every call to a stage carries beside its input.

    The time left travels, not a point in time: clocks of two nodes differ.
    """

    request_id: str
    timeout_s: float
    trace: TraceContext | None = None
    """The caller's place in the trace; None where nothing is traced, or in one process."""
    sent_at_s: float | None = None
    """Unix time at which `timeout_s` was left; None in one process. It only judges how a call that
    was cancelled ended: a call on its way may wait for a replica, and its time goes on."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """CLIP vectors of unit length, in the order of what they are of."""

    photos: tuple[tuple[float, ...], ...]
    texts: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as in the OpenAI API."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the language model is sent.

    PICa's completion form is one `user` message that ends where the answer begins.
    """

    messages: tuple[Message, ...]
    examples_used: tuple[str, ...]
    """Ids of the examples in the prompt, least similar first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the language model said."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
