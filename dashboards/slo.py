"""Service level objectives and the thresholds of alerts, in one place.

Both objectives are about answers (`/v1/answers`). A refusal because of overload counts against
availability: to the caller, it is no answer. Invalid requests and callers who disconnect do not
count. Latency is that of answers that were given.
"""

from dataclasses import dataclass

from deployments.errors import CODES

ROUTE = "/v1/answers"

WINDOW = "30d"
"""Window of the error budgets; a Prometheus with less retention counts what it has."""

FAULTS = tuple(sorted(code for code, kind in CODES.items() if kind.is_fault))
"""Codes that are our fault."""


@dataclass(frozen=True, slots=True)
class Objective:
    """Target share of good requests."""

    name: str
    share: float

    @property
    def budget(self) -> float:
        """Error budget: the share that may be bad."""
        return round(1 - self.share, 9)


AVAILABILITY = Objective("availability", 0.995)
LATENCY = Objective("latency", 0.95)

LATENCY_S = 5.0
"""Latency objective of an answer; must be an edge of the histogram."""

COLD_START_S = 120.0
"""Longest cold start, from a replica's creation to ready, on a node that has image and weights;
must be an edge of Ray's histogram."""

DEGRADED_SHARE = 0.1
"""Share of answers; above it, answers are worse than the evaluated ones."""

LLM_FAULT_SHARE = 0.1
"""Share of prompts that end without an answer."""

GPU_MEMORY_SHARE = 0.92
"""Share of a GPU's memory; above it, a batch of larger photos may not fit."""

QUEUE_S = 1.0
"""Largest p95 of queue time in a replica, in seconds."""

LEAST_REQUESTS = 20
"""Minimum of requests in the long window of a burn rate alert."""

LLM_DOLLARS_PER_HOUR = 5.0
"""Planned cost of the language model; a model without a price counts as free."""
