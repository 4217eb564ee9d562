"""Meters that record all reports, and refuse those that the catalogue does not allow."""

from collections.abc import Mapping

from deployments.telemetry.metrics import METRICS, Metric


class FakeMeters:
    def __init__(self) -> None:
        self.recorded: list[tuple[str, float, dict[str, str]]] = []

    def record(
        self, metric: Metric, value: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        assert metric in METRICS
        assert set(labels or {}) == set(metric.labels)
        self.recorded.append((metric.name, value, dict(labels or {})))

    def of(self, metric: Metric) -> list[tuple[float, dict[str, str]]]:
        return [(value, labels) for name, value, labels in self.recorded if name == metric.name]
