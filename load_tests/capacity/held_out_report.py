"""What was predicted beside what was seen, and how far the seen itself can be trusted.

A prediction is compared twice: as it was made, and for the cores as they turned out to be while the
rate was sent: their speed (processor seconds of what was answered), and what other programs left
of them. The second tells a wrong model from cores that differ from minute to minute.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from load_tests.capacity import traffic
from load_tests.capacity.fit import Model, slowness
from load_tests.capacity.measurements import Part, Record
from load_tests.capacity.prediction import Prediction, predict, slowed
from load_tests.capacity.simulator import Setting, simulate

RESAMPLES = 500
HEADINGS = (
    "setting", "rate", "answers", "answers/s", "error", "p95 ms", "error", "in band",
    "slower", "at that speed", "error", "sampling", "target",
)  # fmt: skip


class Compared(Record):
    """One rate of one setting."""

    setting: str
    predicted: Prediction
    at_speed_p95_s: float
    slowness: float
    """What equal work took, in multiples of what it took in the profile."""
    answers: int
    answers_per_s: float
    p95_s: float
    sampling: float
    """Standard error of the seen p95, as a share (bootstrap)."""
    foreign_cores: float
    target_s: float | None = None

    @property
    def throughput_error(self) -> float:
        """Predicted to seen answers a second, less 1."""
        return self.predicted.answers_per_s.middle / self.answers_per_s - 1

    @property
    def p95_error(self) -> float:
        """Predicted to seen p95, less 1."""
        return self.predicted.p95_s.middle / self.p95_s - 1

    @property
    def at_speed_error(self) -> float:
        """The same, at the speed that the cores had."""
        return self.at_speed_p95_s / self.p95_s - 1

    @property
    def in_band(self) -> bool:
        """Whether the seen p95 is within the predicted band."""
        return self.predicted.p95_s.low <= self.p95_s <= self.predicted.p95_s.high

    @property
    def kept(self) -> bool:
        """Whether a plan kept its target."""
        return self.target_s is not None and self.p95_s <= self.target_s

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        said, p95 = self.predicted, self.predicted.p95_s
        target = "" if self.target_s is None else f"{_ms(self.target_s)} {'kept' * self.kept}"
        return (
            self.setting,
            f"{said.rate:.2f}",
            f"{self.answers}",
            f"{said.answers_per_s.middle:.2f} > {self.answers_per_s:.2f}",
            f"{self.throughput_error:+.1%}",
            f"{_ms(p95.middle)} ({_ms(p95.low)}-{_ms(p95.high)}) > {_ms(self.p95_s)}",
            f"{self.p95_error:+.0%}",
            "yes" if self.in_band else "no",
            f"{self.slowness:.2f}",
            _ms(self.at_speed_p95_s),
            f"{self.at_speed_error:+.0%}",
            f"±{self.sampling:.0%}",
            target,
        )


def compared(name: str, model: Model, setting: Setting, part: Part) -> Compared:
    """Return a rate that was sent beside what the model says of it."""
    assert part.rate is not None  # noqa: S101 - open parts have one
    moments = traffic.arrivals(part.rate, part.lasted_s, part.seed)
    predicted = predict(model, setting, moments, part.rate)
    slower = slowness(model, part)
    then = slowed(model, slower).model_copy(update={"foreign_cores": part.foreign_cores})
    at_speed = [simulate(then, setting, moments, seed=seed).quantile_s(0.95) for seed in range(5)]
    took_s = np.array(part.took_s)
    again = np.random.default_rng(0).choice(took_s, (RESAMPLES, len(took_s)))
    p95_s = float(np.quantile(took_s, 0.95))
    return Compared(
        setting=name,
        predicted=predicted,
        at_speed_p95_s=float(np.median(at_speed)),
        slowness=slower,
        answers=len(took_s),
        answers_per_s=len(took_s) / part.seconds,
        p95_s=p95_s,
        sampling=float(np.std(np.quantile(again, 0.95, axis=1))) / p95_s,
        foreign_cores=part.foreign_cores,
    )


def summary(rows: Sequence[Compared]) -> Iterator[str]:
    """Yield what all of it comes to, a line each."""
    yield f"{len(rows)} held-out rates of {len({row.setting for row in rows})} settings"
    yield _errors("answers a second", [row.throughput_error for row in rows])
    yield _errors("p95", [row.p95_error for row in rows])
    yield _errors("p95 at the seen speed", [row.at_speed_error for row in rows])
    yield f"p95 within its band: {sum(row.in_band for row in rows)} of {len(rows)}"
    yield f"sampling error of a seen p95: median {np.median([r.sampling for r in rows]):.0%}"
    planned = [row for row in rows if row.target_s is not None]
    yield f"plans within their target: {sum(row.kept for row in planned)} of {len(planned)}"
    twice = [row for row in rows if row.setting in {"as-measured", "again"}]
    pairs = [
        list(group)
        for _, group in groupby(
            sorted(twice, key=lambda row: row.predicted.rate), key=lambda row: row.predicted.rate
        )
    ]
    noise = [max(a.p95_s, b.p95_s) / min(a.p95_s, b.p95_s) - 1 for a, b in filter(_pair, pairs)]
    if noise:
        yield f"seen p95s of the same arrivals differ by {', '.join(f'{n:.0%}' for n in noise)}"


def _pair(rows: Sequence[Compared]) -> bool:
    return len(rows) == 2


def _errors(name: str, errors: Sequence[float]) -> str:
    sizes = np.abs(np.array(errors))
    return f"{name}: median error {np.median(sizes):.1%}, worst {sizes.max():.1%}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"
