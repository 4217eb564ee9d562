"""What was predicted beside what was seen, and how far the seen itself can be trusted.

A prediction is compared twice: as it was made, and for the cores as they turned out to be while the
rate was sent: their speed (processor seconds of what was answered), and what other programs left
of them. The second tells a wrong model from cores that differ from minute to minute.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from load_tests.capacity import traffic
from load_tests.capacity.fit import Model, slowness
from load_tests.capacity.measurements import Part
from load_tests.capacity.prediction import Seen, ms, predict, slowed
from load_tests.capacity.simulator import Setting, simulate

RESAMPLES = 500
HEADINGS = (
    "setting", "rate", "answers", "answers/s", "error", "p95 ms", "p95 error", "in band",
    "slower", "at that speed", "error there", "sampling", "target", "others",
)  # fmt: skip


class Compared(Seen):
    """One rate of one setting."""

    setting: str
    at_speed_p95_s: float
    slowness: float
    """What equal work took, in multiples of what it took in the profile."""
    answers: int
    parts_p95_s: tuple[float, ...]
    """Of each part alone."""
    sampling: float
    """Standard error of the seen p95, as a share (bootstrap)."""
    foreign_cores: float
    target_s: float | None = None

    @property
    def at_speed_error(self) -> float:
        """The p95's error, at the speed that the cores had."""
        return self.at_speed_p95_s / self.p95_s - 1

    @property
    def kept(self) -> bool:
        """Whether a plan kept its target."""
        return self.target_s is not None and self.p95_s <= self.target_s

    def cells(self) -> dict[str, str]:
        """Return what a table says of it by heading: predicted > seen."""
        target = "" if self.target_s is None else f"{ms(self.target_s)} {'kept' * self.kept}"
        return {
            **super().cells(),
            "setting": self.setting,
            "answers": f"{self.answers}",
            "slower": f"{self.slowness:.2f}",
            "at that speed": ms(self.at_speed_p95_s),
            "error there": f"{self.at_speed_error:+.0%}",
            "sampling": f"±{self.sampling:.0%}",
            "target": target,
            "others": f"{self.foreign_cores:.2f}",
        }


def compared(name: str, model: Model, setting: Setting, parts: Sequence[Part]) -> Compared:
    """Return a rate that was sent, in one part or several, beside what the model says of it."""
    rate = parts[0].rate
    assert rate is not None  # noqa: S101 - open parts have one
    moments = _moments(parts)
    predicted = predict(model, setting, moments, rate)
    slower = slowness(model, setting.stage_replicas, parts)
    seconds = sum(part.seconds for part in parts)
    foreign_cores = sum(part.foreign_cores * part.seconds for part in parts) / seconds
    then = slowed(model, slower).model_copy(update={"foreign_cores": foreign_cores})
    at_speed = [simulate(then, setting, moments, seed=seed).quantile_s(0.95) for seed in range(5)]
    took_s = np.array([took_s for part in parts for took_s in part.took_s])
    again = np.random.default_rng(0).choice(took_s, (RESAMPLES, len(took_s)))
    p95_s = float(np.quantile(took_s, 0.95))
    return Compared(
        setting=name,
        predicted=predicted,
        at_speed_p95_s=float(np.median(at_speed)),
        slowness=slower,
        answers=len(took_s),
        answers_per_s=len(took_s) / seconds,
        p95_s=p95_s,
        parts_p95_s=tuple(float(np.quantile(part.took_s, 0.95)) for part in parts),
        sampling=float(np.std(np.quantile(again, 0.95, axis=1))) / p95_s,
        foreign_cores=foreign_cores,
    )


def _moments(parts: Sequence[Part]) -> list[float]:
    """Return when was asked, as if the parts had followed one another."""
    moments: list[float] = []
    begins = 0.0
    for part in parts:
        asked = traffic.arrivals(part.rate or 0.0, part.lasted_s, part.seed)
        moments += [begins + moment for moment in asked]
        begins += part.lasted_s
    return moments


def table(rows: Sequence[Compared]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    for cells in (HEADINGS, ["---"] * len(HEADINGS), *(row.row(HEADINGS) for row in rows)):
        yield f"| {' | '.join(cells)} |"


def picture(rows: Sequence[Compared], file: Path) -> None:
    """Draw predicted against seen p95: as it was said, and for the cores as they were."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    said, there = figure.subplots(1, 2, sharex=True, sharey=True)
    seen = np.array([row.p95_s for row in rows]) * 1000
    bands = np.array([(p.low, p.middle, p.high) for p in (row.predicted.p95_s for row in rows)])
    low, middle, high = bands.T * 1000
    said.errorbar(seen, middle, yerr=(middle - low, high - middle), fmt="o", markersize=4)
    there.plot(seen, [row.at_speed_p95_s * 1000 for row in rows], "o", markersize=4)
    ends = np.array([0.8 * min(seen.min(), low.min()), 1.2 * max(seen.max(), high.max())])
    titles = {said: "As predicted, with bands", there: "For the cores as they were in that minute"}
    for axes, title in titles.items():
        axes.plot(ends, ends, "k-", linewidth=0.8)
        axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color="grey", alpha=0.2, label="10 %")
        axes.set(
            title=title, xlabel="seen p95, ms", ylabel="predicted p95, ms",
            xscale="log", yscale="log", xlim=ends, ylim=ends,
        )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:.0f}")
            axis.set_minor_formatter(NullFormatter())
        axes.legend(loc="upper left")
    figure.savefig(file, format="png", dpi=100)


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
    rounds = [row.parts_p95_s for row in rows if len(row.parts_p95_s) > 1]
    if apart := [max(each) / min(each) - 1 for each in rounds]:
        yield f"seen p95s of one rate, round by round: {np.median(apart):.0%} apart (median)"


def _errors(name: str, errors: Sequence[float]) -> str:
    sizes = np.abs(np.array(errors))
    return f"{name}: median error {np.median(sizes):.1%}, worst {sizes.max():.1%}"
