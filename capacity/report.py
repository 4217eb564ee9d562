"""A plan for people: a table, plots, and a page that holds both.

Plots show bands where the plan is a prediction and dots where something was seen.
"""

import base64
import html
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from capacity.fit import Model
from capacity.measurements import STAGES, Measurements
from capacity.plan import Plan
from capacity.prediction import Prediction, as_measured, predict
from capacity.replay import COLUMNS, Replay
from capacity.simulator import Setting
from load_tests.client.traffic import arrivals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = tuple[str, str]
_SHARES = (0.25, 0.5, 0.75, 1.0, 1.15)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Capacity</title>
<style>body{{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}}
td,th{{padding:.2rem 1rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}}
img{{max-width:100%}}</style><h1>{title}</h1><table>{rows}</table>
<h2>Stages</h2><table>{stages}</table>{replays}<img alt="{alt}" src="data:image/png;base64,{png}">
<p>Bands hold simulations of apps that the measurements could have come from, on cores as fast as
in four of five such minutes; dots were measured. No batch is larger, no replica faster and no core
busier than was measured.</p></html>
"""


def summary(plan: Plan, model: Model) -> list[Row]:
    """Return what the plan comes to."""
    said, p95 = plan.predicted, plan.predicted.p95_s
    price = "not asked for" if plan.price_per_hour is None else f"{plan.price_per_hour:.2f}"
    gpus = sum(plan.setting.stages[name].replicas * share for name, share in plan.num_gpus.items())
    reach = plan.reach_per_s
    return [
        ("target", f"{plan.target.rate:g} a second, p95 {plan.target.p95_s * 1000:.0f} ms"),
        ("nodes", ", ".join(f"{count} x {group}" for group, count in plan.nodes.items())),
        ("GPUs", f"{gpus:g}"),
        ("cost an hour", f"{price} {plan.node.currency}".strip()),
        ("predicted p95", f"{p95.middle * 1000:.0f} ms ({_ms(p95.low)} to {_ms(p95.high)})"),
        ("predicted served", f"{said.served_share:.1%}"),
        ("one answer alone", f"{model.alone_s * 1000:.0f} ms"),
        ("bottleneck", f"{plan.bottleneck}: {reach[plan.bottleneck]:.1f} a second at most"),
        ("next bottleneck", f"{plan.next_bottleneck}: {reach[plan.next_bottleneck]:.1f}"),
        ("headroom", f"{min(reach.values()) / plan.target.rate - 1:.0%} to the bottleneck"),
        ("as many as were seen", ", ".join(plan.seen_limits) or "none"),
    ]


STAGE_COLUMNS = (
    "stage", "replicas", "CPUs", "GPUs", "batch", "knee", "target ongoing", "queued",
    "ms of a run", "ms an answer", "busy",
)  # fmt: skip


def stage_rows(plan: Plan, model: Model) -> list[tuple[str, ...]]:
    """Return one row a stage."""
    rows: list[tuple[str, ...]] = [
        (
            "ingress", str(plan.setting.ingress_replicas), f"{plan.num_cpus['ingress']:g}", "",
            "", "", str(max(1, plan.setting.max_in_flight // 2)), str(plan.setting.max_in_flight),
            "", _ms(model.ingress_s), f"{plan.predicted.utilisation['ingress']:.0%}",
        )
    ]  # fmt: skip
    for name in STAGES:
        stage, each = plan.setting.stages[name], model.stages[name]
        rows.append(
            (
                name, str(stage.replicas), f"{plan.num_cpus.get(name, 0.1):g}",
                f"{plan.num_gpus.get(name, 0):g}", str(stage.max_items), str(each.knee()),
                f"{plan.predicted.ongoing[name]:.0f}", str(stage.max_queued),
                f"{each.per_run_s * 1000:.1f} + {each.per_item_s * 1000:.1f} b"
                f" (±{each.error:.0%})",
                _ms(each.per_answer_s()), f"{plan.predicted.utilisation[name]:.0%}",
            )
        )  # fmt: skip
    return rows


def write_page(
    plan: Plan, model: Model, measurements: Measurements, replays: Sequence[Replay], folder: Path
) -> None:
    """Write report.png and report.html."""
    picture = _picture(plan, model, measurements, replays)
    (folder / "report.png").write_bytes(picture)
    seen = ""
    if replays:
        rows = _cells([COLUMNS, *(each.row() for each in replays)])
        seen = f"<h2>Replay: predicted &gt; seen</h2><table>{rows}</table>"
    page = _PAGE.format(
        title=html.escape(summary(plan, model)[0][1]),
        rows=_cells(summary(plan, model)),
        stages=_cells([STAGE_COLUMNS, *stage_rows(plan, model)]),
        replays=seen,
        alt="Latency against rate, whole and by stage; busy shares, headroom, seconds of a run",
        png=base64.b64encode(picture).decode(),
    )
    (folder / "report.html").write_text(page, "utf-8")


def _picture(
    plan: Plan, model: Model, measurements: Measurements, replays: Sequence[Replay]
) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8), layout="constrained")
    ((was, stages, will), (busy, reach, runs)) = figure.subplots(2, 3)
    steps = measurements.answers("open")
    rates = sorted(part.sent / part.seconds for part in steps)
    _band(was, _curve(model, as_measured(measurements), rates))
    for part in steps:
        p50, p95 = (float(cut) * 1000 for cut in np.quantile(np.array(part.took_s), (0.5, 0.95)))
        was.plot([part.sent / part.seconds] * 2, [p50, p95], "k.")
    was.set(title="As measured: p50 and p95", xlabel="a second", ylabel="ms", ylim=(0, None))
    _stages(stages, measurements)
    target = plan.target
    _band(will, _curve(model, plan.setting, [share * target.rate for share in _SHARES]))
    will.axhline(target.p95_s * 1000, color="red", linestyle=":", label="target p95")
    will.axvline(target.rate, color="grey", linestyle=":", label="target rate")
    for each in replays:
        will.plot([each.predicted.rate] * 2, [each.p50_s * 1000, each.p95_s * 1000], "k.")
    will.set(title="Planned: p50 and p95", xlabel="a second", ylabel="ms", ylim=(0, None))
    will.legend()
    names = [name for name in plan.predicted.utilisation if plan.predicted.utilisation[name] > 0]
    busy.barh(names, [plan.predicted.utilisation[name] * 100 for name in names])
    busy.set(title="Planned: busy at the target", xlabel="%", xlim=(0, 100))
    reach.barh(list(plan.reach_per_s), list(plan.reach_per_s.values()))
    reach.axvline(target.rate, color="grey", linestyle=":", label="target rate")
    reach.set(title="Planned: headroom, what each could reach", xlabel="a second", xscale="log")
    reach.legend()
    for name, stage in model.stages.items():
        if stage.max_items > 1:
            items = np.arange(1, stage.max_items + 1)
            middle = (stage.per_run_s + stage.per_item_s * items) * 1000
            (line,) = runs.plot(items, middle, label=name)
            runs.fill_between(
                items, middle * (1 - stage.error), middle * (1 + stage.error),
                color=line.get_color(), alpha=0.2,
            )  # fmt: skip
    runs.set(title="A run against its batch", xlabel="items", ylabel="ms", ylim=(0, None))
    if runs.lines:
        runs.legend()
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _stages(axes: "Axes", measurements: Measurements) -> None:
    """Draw what calls of each stage took at the rates of the load test."""
    steps = sorted(measurements.answers("open"), key=lambda part: part.sent / part.seconds)
    for stage in STAGES:
        points = [
            (part.sent / part.seconds, float(np.quantile(np.array(took_s), 0.95)) * 1000)
            for part in steps
            if (took_s := part.stages[stage].took_s)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), ".-", label=stage)
    axes.set(title="As measured: p95 of each stage", xlabel="a second", ylabel="ms", ylim=(0, None))
    axes.legend()


def _curve(model: Model, setting: Setting, rates: Sequence[float]) -> list[Prediction]:
    return [predict(model, setting, arrivals(rate, 300 / rate, 2), rate, draws=5) for rate in rates]


def _band(axes: "Axes", curve: Sequence[Prediction]) -> None:
    rates = [each.rate for each in curve]
    for name in ("p50", "p95"):
        bands = [each.p50_s if name == "p50" else each.p95_s for each in curve]
        low = [band.low * 1000 for band in bands]
        middle = [band.middle * 1000 for band in bands]
        high = [band.high * 1000 for band in bands]
        (line,) = axes.plot(rates, middle, label=name)
        axes.fill_between(rates, low, high, color=line.get_color(), alpha=0.2)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}" if seconds >= 0.01 else f"{seconds * 1000:.1f}"


def _cells(rows: Sequence[Sequence[str]]) -> str:
    return "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
