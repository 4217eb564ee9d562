"""What is sent and what comes back: forms with photos (RFC 7578), replies, Server-Timing (W3C)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from urllib3.filepost import encode_multipart_formdata

MAX_RETRY_AFTER_S = 30.0
"""A server may ask for more patience than a load test has time."""

STAGE_OF_TIMING: Mapping[str, str] = {
    "caption": "captioner",
    "tag": "tagger",
    "retrieve": "retriever",
    "assemble": "assembler",
    "answer": "answerer",
}
"""Of each stage's entry in `Server-Timing`, which is named after the work: who does it."""

Fields = Sequence[tuple[str, str | bytes]]
"""Fields of a form, by name: texts, and photos as JPEG bytes."""


def form(fields: Fields) -> tuple[bytes, str]:
    """Return a form as bytes, and its content type."""
    return encode_multipart_formdata(
        [
            (name, value if isinstance(value, str) else ("photo.jpg", value, "image/jpeg"))
            for name, value in fields
        ]
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, or the failure of a request that got none."""

    status: int
    """0 where the connection broke or could not be made."""
    headers: Mapping[str, str]
    """Names in lower case."""
    text: str
    took_s: float = 0.0

    def body(self) -> dict[str, Any]:
        """Return the JSON object in it; empty where there is none."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def retry_after_s(self) -> float | None:
        """Return how long a refused caller is asked to wait; None where it is not refused so."""
        seconds = self.headers.get("retry-after", "")
        if self.status != HTTPStatus.SERVICE_UNAVAILABLE or not seconds.isdecimal():
            return None
        return min(float(seconds), MAX_RETRY_AFTER_S)

    @property
    def is_refused(self) -> bool:
        """Whether the caller shall come back later."""
        return self.retry_after_s() is not None

    @property
    def timings_ms(self) -> dict[str, float]:
        """What the server says that its parts took, by their names."""
        return server_timing_ms(self.headers.get("server-timing", ""))


def server_timing_ms(header: str) -> dict[str, float]:
    """Return the milliseconds of each part that a `Server-Timing` header names."""
    found: dict[str, float] = {}
    for entry in header.split(","):
        name, *parameters = (piece.strip() for piece in entry.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "dur" and name:
                try:
                    found[name] = float(value)
                except ValueError:
                    continue
    return found
