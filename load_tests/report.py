"""The plot of a load test, and the figures that it is drawn from.

Quantiles are of the questions answered since the sample before: those of the whole test, which
Locust reports, hide how it ended.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from load_tests.limits import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURES, PLOT = "samples.csv", "load-test.png"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """What was so at one moment; rates and quantiles are of the time since the last one."""

    time_s: float
    users: int
    answers_per_s: float
    refused_per_s: float
    failures_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What had become of the requests so many seconds after the start."""

    time_s: float
    tally: Tally


def sample_between(before: Moment, now: Moment, users: int, memory_bytes: int | None) -> Sample:
    """Return the rates and quantiles between two moments."""
    new, over_s = now.tally.since(before.tally), now.time_s - before.time_s
    return Sample(
        time_s=round(now.time_s, 1),
        users=users,
        answers_per_s=round(new.answers / over_s, 3),
        refused_per_s=round(new.refused / over_s, 3),
        failures_per_s=round(new.failures / over_s, 3),
        p50_ms=new.quantile_ms(0.5),
        p95_ms=new.quantile_ms(0.95),
        p99_ms=new.quantile_ms(0.99),
        memory_bytes=memory_bytes,
    )


def write(folder: Path, samples: Sequence[Sample], title: str) -> None:
    """Write the figures and their plot into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FIGURES).open("w", newline="") as file:
        rows = csv.DictWriter(file, [each.name for each in fields(Sample)])
        rows.writeheader()
        rows.writerows(asdict(sample) for sample in samples)
    _draw(folder / PLOT, samples, title)


def _draw(path: Path, samples: Sequence[Sample], title: str) -> None:
    # Not pyplot: it would look for a screen.
    from matplotlib.figure import Figure

    has_memory = any(sample.memory_bytes is not None for sample in samples)
    figure = Figure(figsize=(9, 8 if has_memory else 5.5), layout="constrained")
    axes = list(figure.subplots(3 if has_memory else 2, sharex=True))
    figure.suptitle(f"Load test of {title}")
    _rates(axes[0], samples)
    _line(axes[1], samples, lambda each: each.p50_ms, "p50")
    _line(axes[1], samples, lambda each: each.p95_ms, "p95")
    _line(axes[1], samples, lambda each: each.p99_ms, "p99")
    axes[1].set_ylabel("answered within, ms")
    axes[1].set_ylim(bottom=0)
    axes[1].legend(loc="upper left")
    if has_memory:
        _line(axes[2], samples, _memory_mib, "memory")
        axes[2].set_ylabel("memory of the app, MiB")
    axes[-1].set_xlabel("seconds")
    for each in axes:
        each.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)


def _rates(axes: "Axes", samples: Sequence[Sample]) -> None:
    _line(axes, samples, lambda each: each.answers_per_s, "answers")
    _line(axes, samples, lambda each: each.refused_per_s, "refused")
    _line(axes, samples, lambda each: each.failures_per_s, "failures")
    axes.set_ylabel("a second")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    people = axes.twinx()
    times, users = [each.time_s for each in samples], [each.users for each in samples]
    people.step(times, users, where="post", color="grey", alpha=0.5)
    people.set_ylabel("users (grey)")
    people.set_ylim(bottom=0)


def _line(
    axes: "Axes",
    samples: Sequence[Sample],
    value: Callable[[Sample], float | None],
    label: str,
) -> None:
    """Draw what there is; a gap where nothing was measured."""
    values = [value(sample) for sample in samples]
    gaps = [float("nan") if each is None else each for each in values]
    axes.plot([sample.time_s for sample in samples], gaps, label=label, linewidth=1.4)


def _memory_mib(sample: Sample) -> float | None:
    return None if sample.memory_bytes is None else sample.memory_bytes / _MIB
