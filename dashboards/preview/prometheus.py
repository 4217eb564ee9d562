"""Queries to Prometheus: series over a time range, and values at its end."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its labels, and its values at equal steps of time, NaN where it has none."""

    labels: dict[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def begins(self) -> list[float]:
        """Times at which it has a value and had none before; not the first, of which none knows."""
        points = pairwise(zip(self.times, self.values, strict=True))
        return [
            at
            for (_, before), (at, value) in points
            if math.isnan(before) and not math.isnan(value)
        ]

    @property
    def last(self) -> float:
        """The latest value there is."""
        return next((each for each in reversed(self.values) if not math.isnan(each)), math.nan)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One server and a time range."""

    url: str
    start: float
    end: float
    """Both in seconds since 1970."""
    step_s: float

    def over_time(self, expression: str) -> list[Line]:
        """Return the series of an expression over the span."""
        found = self._get(
            "query_range", query=expression, start=self.start, end=self.end, step=self.step_s
        )
        steps = int((self.end - self.start) / self.step_s) + 1
        times = tuple(self.start + index * self.step_s for index in range(steps))
        lines = []
        for each in found["result"]:
            values = [math.nan] * steps
            for at, value in each["values"]:
                values[round((float(at) - self.start) / self.step_s)] = float(value)
            lines.append(Line(each["metric"], times, tuple(values)))
        return sorted(lines, key=lambda line: sorted(line.labels.items()))

    def at_end(self, expression: str) -> list[Line]:
        """Return the values of an expression at the end of the span."""
        found = self._get("query", query=expression, time=self.end)
        lines = [
            Line(each["metric"], (self.end,), (float(each["value"][1]),))
            for each in found["result"]
        ]
        return sorted(lines, key=lambda line: sorted(line.labels.items()))

    def _get(self, what: str, **parameters: str | float) -> dict[str, Any]:
        answer = httpx.get(
            f"{self.url}/api/v1/{what}", params=parameters, timeout=60, trust_env=False
        )
        body: dict[str, Any] = answer.json()
        if body["status"] != "success":
            raise ValueError(f"{parameters['query']}: {body['error']}")
        data: dict[str, Any] = body["data"]
        return data
