"""Rows of Locust's statistics for each stage, from the `Server-Timing` header of every answer.

They are written beside Locust's own events, which would count them as requests: the aggregate
would then be of mostly stages, and its rate many times what was asked.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from locust.env import Environment

STAGE = "STAGE"
_NAMES: Mapping[str, str] = {
    "caption": "captioner",
    "tag": "tagger",
    "retrieve": "retriever",
    "embed": "retriever (embeddings)",
    "assemble": "assembler",
    "answer": "answerer",
}
"""What the header names after work, the statistics name after who does it."""


def stages_ms(server_timing: str) -> dict[str, float]:
    """Return the milliseconds of each part that ran; parts that are no stage keep their name."""
    found = {}
    for entry in server_timing.split(","):
        name, _, parameters = entry.strip().partition(";")
        for parameter in parameters.split(";"):
            key, _, value = parameter.strip().partition("=")
            if key == "dur" and _is_positive(value):
                found[_NAMES.get(name, name)] = float(value)
    return found


def _is_positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def record(environment: "Environment", server_timing: str) -> None:
    """Count the stages of one reply."""
    for name, took_ms in stages_ms(server_timing).items():
        # Locust's own events hand it fractions too, whatever it declares.
        environment.stats.get(name, STAGE).log(took_ms, 0)  # type: ignore[arg-type]
