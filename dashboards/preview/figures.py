"""Panels of current values (numbers, bars, tables) and text panels."""

import math
import re
import textwrap
from typing import Any

from dashboards.expressions import filled
from dashboards.preview.canvas import GRID, NAMED, WORDS, width_of
from dashboards.preview.frame import Frame
from dashboards.preview.graphs import draw_sparkline
from dashboards.preview.values import written


def draw_number(frame: Frame) -> None:
    """Draw a stat panel: the current value over its sparkline."""
    named = frame.lines()
    if not named:
        frame.nothing()
        return
    options = frame.panel["options"]
    if options["graphMode"] == "area":
        draw_sparkline(frame, named[0][1])
    share = frame.height / len(named)
    for index, (name, line) in enumerate(named):
        words, colour = _mapped(frame, line.last)
        shown = {"name": [name], "value_and_name": [name, words]}.get(options["textMode"], [words])
        size = 30.0 if len(named) == 1 else 22.0
        size = min(
            size, *(size * (frame.width - 16) / (width_of(each, size) + 1) for each in shown)
        )
        for number, each in enumerate(shown):
            y = frame.y + share * (index + 0.5) + (number - (len(shown) - 1) / 2) * size * 1.5
            y -= 8 if options["graphMode"] == "area" else 2
            middle = frame.x + frame.width / 2
            frame.canvas.text(middle, y, each, size=size, colour=colour, align="center", bold=True)


def draw_bars(frame: Frame) -> None:
    """Draw a bar for each current value."""
    named = frame.lines()
    if not named:
        frame.nothing()
        return
    most = max(frame.panel["fieldConfig"]["defaults"]["max"], *(line.last for _, line in named))
    left = max(width_of(name, 12) for name, _ in named) + 24
    axes = frame.canvas.axes(frame.x + left, frame.y + 4, frame.width - left - 84, frame.height - 8)
    step = (frame.height - 8) / len(named)
    axes.set_xlim(0, most)
    axes.set_ylim(len(named) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for index, (name, line) in enumerate(named):
        colour = frame.colour(line.last)
        axes.barh(index, most, height=0.62, color=GRID)
        axes.barh(index, line.last, height=0.62, color=colour)
        y = frame.y + 4 + step * (index + 0.5)
        frame.canvas.text(frame.x + left - 10, y, name, size=12, align="right")
        words = written(line.last, frame.unit)
        x = frame.x + frame.width - 10
        frame.canvas.text(x, y, words, size=15, colour=colour, align="right", bold=True)


def draw_table(frame: Frame) -> None:
    """Draw a row for each stage."""
    panel, titles = frame.panel, _titles(frame.panel)
    rows: dict[str, dict[str, float]] = {}
    for target in panel["targets"]:
        title = titles[f"Value #{target['refId']}"]
        for line in frame.prometheus.at_end(filled(target["expr"], frame.window)):
            rows.setdefault(line.labels["deployment"], {})[title] = line.last
    styles = {
        each["matcher"]["options"]: {item["id"]: item["value"] for item in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }
    high = min(40.0, frame.height / (len(rows) + 1))
    wide = frame.width / len(titles)
    for index, title in enumerate(titles.values()):
        x = frame.x + wide * index + 14
        frame.canvas.text(x, frame.y + high / 2, title, size=12, colour=NAMED["blue"], bold=True)
        for number, name in enumerate(sorted(rows)):
            value = rows[name].get(title, math.nan)
            words, colour = (name, WORDS) if not index else _cell(value, styles[title])
            frame.canvas.text(x, frame.y + high * (number + 1.5), words, size=13, colour=colour)


def _cell(value: float, style: dict[str, Any]) -> tuple[str, str]:
    if math.isnan(value):
        return "", WORDS
    for mapping in style.get("mappings", []):
        if found := mapping["options"].get(f"{value:g}"):
            return found["text"], NAMED[found["color"]]
    steps = style.get("thresholds", {}).get("steps", [])
    reached = [each["color"] for each in steps if each["value"] is None or value >= each["value"]]
    return written(value, style["unit"]), NAMED[reached[-1]] if reached else WORDS


def draw_text(frame: Frame) -> None:
    """Draw a text panel; of Markdown, only paragraphs and lists are recognised."""
    y = frame.y + 10
    for paragraph in re.split(r"\n(?=\n|\d\.)", frame.panel["options"]["content"]):
        words = re.sub(r"[*`]", "", " ".join(paragraph.split()))
        for line in textwrap.wrap(words, int(frame.width / 6.6)):
            frame.canvas.text(frame.x + 12, y, line, size=12.5)
            y += 19
        y += 6


def _titles(panel: dict[str, Any]) -> dict[str, str]:
    (organize,) = [each for each in panel["transformations"] if each["id"] == "organize"]
    names: dict[str, str] = organize["options"]["renameByName"]
    return dict(sorted(names.items(), key=lambda each: (each[0] != "deployment", each[0])))


def _mapped(frame: Frame, value: float) -> tuple[str, str]:
    for mapping in frame.panel["fieldConfig"]["defaults"].get("mappings", []):
        if found := mapping["options"].get(f"{value:g}"):
            return found["text"], NAMED[found["color"]]
    return written(value, frame.unit), frame.colour(value)
