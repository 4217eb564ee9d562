"""What a load test may not exceed, and whether it did.

A test in which nothing was answered breaks a limit too: it would otherwise pass by finding nothing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

REFUSED = "REFUSED"
ANSWERS = "/v1/answers"
SAME_FRAME = "/v1/answers (same frame)"
BAD = "/v1/answers (bad)"
"""Names of the rows for a new photo's question, a known photo's, and what cannot be answered."""

_ASKED = {"POST", REFUSED}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is still good."""

    max_failures_ratio: float = 0.01
    max_p95_ms: float = 2000.0
    max_refused_ratio: float = 0.05


class Row(Protocol):
    """One row of Locust's statistics."""

    name: str
    method: str
    num_requests: int
    num_failures: int
    response_times: dict[int, int]


@dataclass(frozen=True, slots=True)
class Tally:
    """Results of the requests so far."""

    requests: int = 0
    failures: int = 0
    refused: int = 0
    answers_by_ms: Mapping[int, int] = field(default_factory=dict)
    """How many questions were answered in so many (rounded) milliseconds."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Tally":
        """Return the sums over what was asked; rows of stages are not."""
        asked = [row for row in rows if row.method in _ASKED]
        answers: dict[int, int] = {}
        for row in asked:
            if row.method != REFUSED and row.name in {ANSWERS, SAME_FRAME}:
                for took_ms, count in row.response_times.items():
                    answers[took_ms] = answers.get(took_ms, 0) + count
        return cls(
            requests=sum(row.num_requests for row in asked),
            failures=sum(row.num_failures for row in asked),
            refused=sum(row.num_requests for row in asked if row.method == REFUSED),
            answers_by_ms=answers,
        )

    def since(self, earlier: "Tally") -> "Tally":
        """Return the difference to an earlier tally of the same test."""
        answers = {
            took_ms: count - earlier.answers_by_ms.get(took_ms, 0)
            for took_ms, count in self.answers_by_ms.items()
        }
        return Tally(
            self.requests - earlier.requests,
            self.failures - earlier.failures,
            self.refused - earlier.refused,
            {took_ms: count for took_ms, count in answers.items() if count > 0},
        )

    @property
    def answers(self) -> int:
        """Questions that were answered, well or not."""
        return sum(self.answers_by_ms.values())

    def quantile_ms(self, share: float) -> float | None:
        """Return the time within which this share of the questions was answered."""
        rank = math.ceil(share * self.answers)
        for took_ms, count in sorted(self.answers_by_ms.items()):
            rank -= count
            if rank <= 0:
                return took_ms
        return None


def broken(limits: Limits, tally: Tally) -> list[str]:
    """Return a line for each limit that was exceeded."""
    if tally.answers == 0:
        return [f"No question was answered ({tally.requests} requests were sent)."]
    p95_ms = tally.quantile_ms(0.95) or 0
    measured = [
        ("failures", tally.failures / tally.requests, limits.max_failures_ratio),
        ("refused", tally.refused / tally.requests, limits.max_refused_ratio),
    ]
    lines = [
        f"Limit broken: {name} {ratio:.2%} of {tally.requests} requests, at most {most:.2%}."
        for name, ratio, most in measured
        if ratio > most
    ]
    if p95_ms > limits.max_p95_ms:
        lines.append(
            f"Limit broken: p95 {p95_ms:g} ms of {tally.answers} answers, "
            f"at most {limits.max_p95_ms:g} ms."
        )
    return lines
