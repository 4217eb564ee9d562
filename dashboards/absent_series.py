"""Series that do not exist on a machine without GPUs and load tests, and why.

A test runs every expression on a real Prometheus: one that returns nothing must read a series that
is listed here, and listed series must not exist. So the list cannot become stale.
"""

from collections.abc import Mapping

from dashboards import ray_series
from dashboards.promql import Series
from dashboards.queries import load_tests

_NO_GPU = "Ray exports it only on nodes that have a GPU."

ABSENT: Mapping[Series, str] = {
    ray_series.GPU_UTILIZATION: _NO_GPU,
    ray_series.GPU_MEMORY_USED: _NO_GPU,
    ray_series.GPU_MEMORY_FREE: _NO_GPU,
    load_tests.USERS: "A load test exports it itself, while it runs.",
}


def why_empty(expression: str) -> str | None:
    """Return why an expression may return nothing here, or None where it may not."""
    for series, reason in ABSENT.items():
        if f"{series.exported}{{" in expression:
            return reason
    return None
