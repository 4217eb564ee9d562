"""The content of one panel, with names, units and colours from its JSON."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.expressions import filled
from dashboards.preview.canvas import FAINT, NAMED, Canvas
from dashboards.preview.layout import Placed
from dashboards.preview.prometheus import Line, Prometheus


@dataclass(frozen=True, slots=True)
class Frame:
    """Place of a panel's content, and the source of its values."""

    canvas: Canvas
    place: Placed
    x: float
    y: float
    width: float
    height: float
    prometheus: Prometheus
    window: str
    marks: Sequence[tuple[float, str]] = ()
    """Times of annotations, and the colour of each."""

    @property
    def panel(self) -> dict[str, Any]:
        """The panel's JSON."""
        return self.place.panel

    @property
    def unit(self) -> str:
        """The panel's unit."""
        return str(self.panel["fieldConfig"]["defaults"]["unit"])

    @property
    def limits(self) -> list[tuple[float, str]]:
        """Lower bound and colour of each threshold."""
        steps = self.panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        return [
            (-math.inf if each["value"] is None else each["value"], each["color"]) for each in steps
        ]

    def lines(self) -> list[tuple[str, Line]]:
        """Return every series that has values, of every query, with its name."""
        named = []
        for target in self.panel["targets"]:
            text = filled(target["expr"], self.window, **self.place.variables)
            ask = self.prometheus.at_end if target.get("instant") else self.prometheus.over_time
            named += [(_name(target, line), line) for line in ask(text)]
        return [each for each in named if not math.isnan(each[1].last)]

    def nothing(self) -> None:
        """Write that there is no data."""
        x, y = self.x + self.width / 2, self.y + self.height / 2
        self.canvas.text(x, y, "No data", colour=FAINT, align="center")

    def colour(self, value: float) -> str:
        """Return the colour of a value by the panel's thresholds."""
        return NAMED[[colour for least, colour in self.limits if value >= least][-1]]


def _name(target: dict[str, Any], line: Line) -> str:
    legend = target.get("legendFormat", "")
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: line.labels.get(found[1], ""), legend).strip()
