"""Send a rate to a real app and set what was predicted beside what was seen."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from capacity.fit import Model
from capacity.measurements import Record
from capacity.prediction import Prediction, ms, predict
from capacity.problems import CapacityError
from capacity.processes import LocalApp, busy_core_s
from capacity.simulator import Setting
from load_tests.client.questions import PhotoQuestion
from load_tests.client.traffic import Client, arrivals, crowd

COLUMNS = (
    "rate", "served", "answers/s", "error", "p50 ms", "p95 ms", "p95 error", "in band", "others",
)  # fmt: skip


class Replay(Record):
    """A rate that was sent to the plan, beside what was predicted of it."""

    predicted: Prediction
    sent: int
    answered: int
    answers_per_s: float
    p50_s: float
    p95_s: float
    foreign_cores: float | None = None
    """That other processes kept busy; what they took is missing from what was predicted."""

    @property
    def throughput_error(self) -> float:
        """Predicted to seen answers a second, less 1."""
        return self.predicted.answers_per_s.middle / self.answers_per_s - 1

    @property
    def p95_error(self) -> float:
        """Predicted to seen p95, less 1."""
        return self.predicted.p95_s.middle / self.p95_s - 1

    @property
    def in_band(self) -> bool:
        """Whether the seen p95 is within the predicted band."""
        return self.predicted.p95_s.low <= self.p95_s <= self.predicted.p95_s.high

    def row(self) -> tuple[str, ...]:
        """Return what a table says of it under `COLUMNS`: predicted > seen."""
        said, p95 = self.predicted, self.predicted.p95_s
        return (
            f"{said.rate:.2f}",
            f"{said.served_share:.0%} > {self.answered / self.sent:.0%}",
            f"{said.answers_per_s.middle:.2f} > {self.answers_per_s:.2f}",
            f"{self.throughput_error:+.1%}",
            f"{ms(said.p50_s.middle)} > {ms(self.p50_s)}",
            f"{ms(p95.middle)} ({ms(p95.low)}-{ms(p95.high)}) > {ms(self.p95_s)}",
            f"{self.p95_error:+.1%}",
            "yes" if self.in_band else "no",
            "" if self.foreign_cores is None else f"{self.foreign_cores:.2f}",
        )


def replay_rate(
    url: str,
    model: Model,
    setting: Setting,
    asked: Sequence[PhotoQuestion],
    rate: float,
    seconds: float,
    *,
    seed: int,
) -> Replay:
    """Predict a rate, send it, and return both.

    Raises:
        CapacityError: Something failed, or nothing was answered.
    """
    moments = arrivals(rate, seconds, seed)
    predicted = predict(model, setting, moments, rate)
    app = LocalApp.behind(url)
    own, busy, started = app.cpu_s().total() if app else 0.0, busy_core_s(), time.perf_counter()
    with Client(url, asked, new_photos=True) as load:
        replies = crowd(load.ask, moments)
    took = time.perf_counter() - started
    others = (busy_core_s() - busy - (app.cpu_s().total() - own)) / took if app else None
    took_s = [reply.took_s for reply in replies if reply.status == 200]
    failed = len(replies) - len(took_s) - sum(reply.is_refused for reply in replies)
    if failed or not took_s:
        raise CapacityError(f"{failed} of {len(replies)} requests of the replay failed.")
    # As the simulation counts: to the last answer.
    ends = [due + reply.took_s for due, reply in zip(moments, replies, strict=True)]
    return Replay(
        predicted=predicted,
        sent=len(replies),
        answered=len(took_s),
        answers_per_s=len(took_s) / max(ends),
        p50_s=median(took_s),
        foreign_cores=None if others is None else max(0.0, others),
        p95_s=float(np.quantile(np.array(took_s), 0.95)),
    )


def write_replays(replays: Sequence[Replay], file: Path) -> None:
    """Write replays and their errors down."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            **each.model_dump(),
            "throughput_error": each.throughput_error,
            "p95_error": each.p95_error,
            "in_band": each.in_band,
        }
        for each in replays
    ]
    file.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
