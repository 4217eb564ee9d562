"""Panels over time: lines, heatmaps, and the sparkline below a number."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes

from dashboards.preview.canvas import FAINT, GRID, LINES, NAMED, shortened, width_of
from dashboards.preview.frame import Frame
from dashboards.preview.prometheus import Line
from dashboards.preview.values import written

_FOOT = 26
"""Pixels below a graph for its legend, and as many for its times."""
_LEFT = 58
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440)


def draw_lines(frame: Frame) -> None:
    """Draw a graph over time."""
    named = frame.lines()
    if not named:
        frame.nothing()
        return
    axes = _time_axes(frame)
    is_stacked = "stacking" in frame.panel["fieldConfig"]["defaults"].get("custom", {})
    below = np.zeros(len(named[0][1].times))
    for index, (_, line) in enumerate(named):
        colour, values = LINES[index % len(LINES)], np.array(line.values)
        times = line.times
        if is_stacked:
            top = below + np.nan_to_num(values)
            axes.fill_between(times, below, top, color=colour, alpha=0.3, linewidth=0)
            axes.plot(times, top, color=colour, linewidth=1.3)
            below = top
        else:
            axes.fill_between(times, values, color=colour, alpha=0.06, linewidth=0)
            axes.plot(times, values, color=colour, linewidth=1.5)
    _scale(axes, frame)
    _legend(frame, [(name, written(line.last, frame.unit)) for name, line in named])


def draw_spread(frame: Frame) -> None:
    """Draw a heatmap of a histogram over time."""
    lines = {float(line.labels["le"]): line for _, line in frame.lines()}
    edges = sorted(lines)
    if not edges:
        frame.nothing()
        return
    below = np.nan_to_num(np.array([lines[edge].values for edge in edges]))
    each = np.clip(np.diff(below, axis=0, prepend=0), 0, None)
    used = np.flatnonzero(each.sum(axis=1) > 0)
    first, last = (used[0], used[-1] + 1) if len(used) else (0, len(edges))
    axes = _time_axes(frame)
    axes.grid(visible=False)
    shown = np.ma.masked_less_equal(each[first:last], 0)
    rows = np.arange(last - first + 1)
    times = np.array(lines[edges[0]].times)
    step = times[1] - times[0]
    axes.pcolormesh(
        np.append(times, times[-1] + step), rows, shown, cmap="turbo", edgecolors="none", vmin=0
    )
    names = [written(edge, frame.unit) if math.isfinite(edge) else "more" for edge in edges]
    every = max(1, (last - first) // 6)
    axes.set_yticks(rows[1::every], names[first:last:every])


def draw_sparkline(frame: Frame, line: Line) -> None:
    """Draw a sparkline in the lower part of the panel."""
    colour = frame.colour(line.last)
    axes = frame.canvas.axes(
        frame.x + 1, frame.y + frame.height * 0.62, frame.width - 2, frame.height * 0.36
    )
    axes.set_axis_off()
    axes.fill_between(line.times, np.array(line.values), color=colour, alpha=0.18, linewidth=0)
    axes.plot(line.times, np.array(line.values), color=colour, linewidth=1.1)
    axes.margins(x=0)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _time_axes(frame: Frame) -> Axes:
    width, height = frame.width - _LEFT - 12, frame.height - 2 * _FOOT
    axes = frame.canvas.axes(frame.x + _LEFT, frame.y + 4, width, height)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    start, end = frame.prometheus.start, frame.prometheus.end
    axes.set_xlim(start, end)
    for at, colour in frame.marks:
        axes.axvline(at, color=NAMED[colour], linewidth=1.2, linestyle=(0, (2, 2)))
    least = (end - start) / (width / 70)
    step = next((60 * each for each in _MINUTES if 60 * each >= least), 60 * _MINUTES[-1])
    ticks = np.arange(start - start % step + step, end, step)
    axes.set_xticks(ticks, [f"{datetime.fromtimestamp(each, UTC):%H:%M}" for each in ticks])
    return axes


def _scale(axes: Axes, frame: Frame) -> None:
    """Set ends and words of the axis of values, and draw the limits that lie between them."""
    custom = frame.panel["fieldConfig"]["defaults"].get("custom", {})
    least, most = axes.get_ylim()
    least = frame.panel["fieldConfig"]["defaults"].get("min", least)
    most = max(most, custom.get("axisSoftMax", most))
    axes.set_ylim(least, most if most > least else least + 1)
    axes.locator_params(axis="y", nbins=5)
    axes.yaxis.set_major_formatter(lambda value, _: written(round(value, 12), frame.unit))
    if custom.get("thresholdsStyle"):
        for value, colour in frame.limits[1:]:
            if least <= value <= axes.get_ylim()[1]:
                axes.axhline(value, color=NAMED[colour], linewidth=1.1, linestyle=(0, (6, 4)))


def _legend(frame: Frame, entries: Sequence[tuple[str, str]]) -> None:
    """Write names and latest values below, as many as there is room for."""
    x, y = frame.x + 12, frame.y + frame.height - 12
    end = frame.x + frame.width - 8
    for index, (name, value) in enumerate(entries):
        words = shortened(name, 11, max(60.0, frame.width * 0.6))
        wide = 22 + width_of(words, 11) + 8 + width_of(value, 11) + 14
        rest = 0 if index == len(entries) - 1 else 24
        if x + wide > end + 14 - rest:
            frame.canvas.text(x, y, f"+{len(entries) - index}", colour=FAINT)
            return
        frame.canvas.text(x, y, "━", size=12, colour=LINES[index % len(LINES)], bold=True)
        frame.canvas.text(x + 17, y, words)
        frame.canvas.text(x + 22 + width_of(words, 11), y, value, colour=FAINT)
        x += wide
