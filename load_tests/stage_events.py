"""Rows of Locust's statistics for each stage, from the `Server-Timing` header of every answer.

They are written beside Locust's own events, which would count them as requests: the aggregate
would then be of mostly stages, and its rate many times what was asked.
"""

from typing import TYPE_CHECKING

from load_tests.client.messages import STAGE_OF_TIMING, Reply

if TYPE_CHECKING:
    from locust.env import Environment

STAGE = "STAGE"
_NAMES = {**STAGE_OF_TIMING, "embed": "retriever (embeddings)"}


def stages_ms(reply: Reply) -> dict[str, float]:
    """Return the milliseconds of each part that ran; parts that are no stage keep their name."""
    return {_NAMES.get(name, name): ms for name, ms in reply.timings_ms.items() if ms > 0}


def record(environment: "Environment", reply: Reply) -> None:
    """Count the stages of one reply."""
    for name, took_ms in stages_ms(reply).items():
        # Locust's own events hand it fractions too, whatever it declares.
        environment.stats.get(name, STAGE).log(took_ms, 0)  # type: ignore[arg-type]
