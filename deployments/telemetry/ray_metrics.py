"""Metrics through Ray's metrics agent, which each node exports to Prometheus.

Metrics of `prometheus_client` inside a replica would not be scraped. Ray drops a gauge after a
scrape, so gauges are set again periodically here.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

from deployments.telemetry.metrics import Metric

GAUGES_EVERY_S = 2.0


class RayMeters:
    """Reports through `ray.serve.metrics`, which adds deployment, replica and application.

    Each metric is created on its first report: this object is pickled and sent to replicas before
    that.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._gauges: dict[tuple[str, ...], tuple[Any, float, dict[str, str] | None]] = {}

    def record(
        self, metric: Metric, value: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Add to a counter, observe into a histogram, or set a gauge."""
        made = self._made.get(metric.name)
        if made is None:
            made = self._made[metric.name] = _make(metric)
        tags = dict(labels) if labels else None
        # Ray refuses numpy numbers, and a metric must never fail a request.
        if metric.kind == "histogram":
            made.observe(float(value), tags)
        elif metric.kind == "gauge":
            made.set(float(value), tags)
            self._keep(metric, made, float(value), tags)
        elif value > 0:  # Ray refuses 0
            made.inc(float(value), tags)

    def _keep(
        self,
        metric: Metric,
        made: Any,  # noqa: ANN401 - Ray's classes share no base class
        value: float,
        tags: dict[str, str] | None,
    ) -> None:
        is_first = not self._gauges
        key = (metric.name, *sorted((tags or {}).values()))
        self._gauges = {**self._gauges, key: (made, value, tags)}
        if is_first:
            threading.Thread(target=self._repeat, name="gauges", daemon=True).start()

    def _repeat(self) -> None:
        while True:
            time.sleep(GAUGES_EVERY_S)
            for made, value, tags in self._gauges.values():
                made.set(value, tags)


def _make(metric: Metric) -> Any:  # noqa: ANN401 - Ray's classes share no base class
    from ray.serve.metrics import Counter, Gauge, Histogram

    about: dict[str, Any] = {"description": metric.help, "tag_keys": metric.labels}
    if metric.kind == "histogram":
        return Histogram(metric.name, boundaries=list(metric.buckets), **about)
    return (Gauge if metric.kind == "gauge" else Counter)(metric.name, **about)
