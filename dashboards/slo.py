"""What the app promises, in one place: pages draw it, alerts burn it, the README may quote it.

Both promises are about answers (`/v1/answers`). A refusal because too many ask counts against the
first one: to the person who asked, it is no answer. What callers do wrong does not count.
"""

from dataclasses import dataclass

ROUTE = "/v1/answers"

WINDOW = "30d"
"""Over which the budgets are kept; a Prometheus that remembers less counts what it remembers."""

FAULTS = (
    "answerer_failed",
    "deadline_exceeded",
    "internal_error",
    "model_not_ready",
    "overloaded",
    "stage_failed",
)
"""Codes that are our fault: those of `serve.problems.KINDS` whose status is 500 or more."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of requests that shall be good."""

    name: str
    share: float

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return round(1 - self.share, 9)


AVAILABILITY = Objective("availability", 0.995)
LATENCY = Objective("latency", 0.95)

LATENCY_S = 5.0
"""A language model of a third party takes a second or two; must be an edge of the histogram."""

COLD_START_S = 120.0
"""From a replica's creation to ready, on a node that has the image and the weights; must be an edge
of Ray's histogram."""

DEGRADED_SHARE = 0.1
"""Of answers; above it, people get worse answers than the evaluated ones."""

LLM_FAULT_SHARE = 0.1
"""Of prompts that end without an answer."""

GPU_MEMORY_SHARE = 0.92
"""Of one GPU's memory; the next batch of larger photos may not fit above it."""

QUEUE_S = 1.0
"""What the 95th percentile of calls may wait in a replica before the model takes them."""

LEAST_REQUESTS = 20
"""In the long window of an alert on a budget: below it, one bad answer would be a large share."""

LLM_DOLLARS_PER_HOUR = 5.0
"""What the language model may cost; nothing is counted for a model without a price."""
