"""Layout of panels: repeated rows unrolled, grid converted to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

COLUMN, ROW, GAP = 74, 38, 8
"""Pixels of the grid; as in Grafana, on a screen 1800 wide."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel in Grafana's JSON, the values of its variables, and its place on the grid."""

    panel: dict[str, Any]
    x: int
    y: int
    width: int
    height: int
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def pixels(self) -> tuple[float, float, float, float]:
        """Left, top, width and height, a gap to its neighbours left out."""
        return (
            self.x * COLUMN + GAP,
            self.y * ROW,
            self.width * COLUMN - GAP,
            self.height * ROW - GAP,
        )


def placed(panels: Sequence[dict[str, Any]], values: dict[str, Sequence[str]]) -> list[Placed]:
    """Return every panel with its place, a repeated row once for each value of its variable.

    Args:
        panels: Of one page, headings of rows among them.
        values: Those of each variable that a row may repeat for.
    """
    found: list[Placed] = []
    shift = 0
    for row in _rows(panels):
        name = row[0].get("repeat")
        top = row[0]["gridPos"]["y"]
        height = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in row) - top
        copies = [{name: value} for value in values[name]] if name else [{}]
        for number, variables in enumerate(copies):
            for panel in row:
                place = panel["gridPos"]
                y = place["y"] + shift + number * height
                found.append(Placed(panel, place["x"], y, place["w"], place["h"], variables))
        shift += (len(copies) - 1) * height
    return found


def _rows(panels: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return panels by row, each with its heading first."""
    rows: list[list[dict[str, Any]]] = []
    for panel in panels:
        if panel["type"] == "row" or not rows:
            rows.append([])
        rows[-1].append(panel)
    return rows
