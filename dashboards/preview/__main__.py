"""`python -m dashboards.preview --prometheus URL` draws every page as a PNG."""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dashboards.expressions import filled
from dashboards.pages import PAGES
from dashboards.preview.canvas import FAINT, WORDS, Canvas
from dashboards.preview.figures import draw_bars, draw_number, draw_table, draw_text
from dashboards.preview.frame import Frame
from dashboards.preview.graphs import draw_lines, draw_spread
from dashboards.preview.layout import COLUMN, GAP, ROW, Placed, placed
from dashboards.preview.prometheus import Prometheus
from dashboards.promql import Scope
from dashboards.queries import replicas

_DRAW = {
    "timeseries": draw_lines,
    "stat": draw_number,
    "bargauge": draw_bars,
    "heatmap": draw_spread,
    "table": draw_table,
    "text": draw_text,
}
_TOP = 56
"""Height of a page's title, in pixels."""
_HEAD = 34
"""Height of a panel's title, in pixels."""
_POINTS = 240
_LEAST_STEP_S = 5


def main() -> None:
    """Draw every page."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.preview", description=__doc__)
    parser.add_argument(
        "--prometheus", required=True, help="URL of Prometheus, such as http://127.0.0.1:9090"
    )
    parser.add_argument("--minutes", type=float, default=15, help="minutes to draw")
    parser.add_argument("--end", type=float, help="end as Unix time; default: now")
    parser.add_argument("--window", default="1m", help="window of rates; at least four scrapes")
    parser.add_argument("--stages", nargs="*", default=[], help="rows that repeat; all if none")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    asked = parser.parse_args()
    end = asked.end or time.time()
    step = max(_LEAST_STEP_S, round(asked.minutes * 60 / _POINTS))
    end -= end % step
    source = Prometheus(asked.prometheus.rstrip("/"), end - asked.minutes * 60, end, step)
    asked.out.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        file = asked.out / f"dashboard-{page.name}.png"
        draw(json.loads(page.json()), source, asked.window, asked.stages).save(file)
        print(file)  # noqa: T201


def draw(page: Mapping[str, Any], source: Prometheus, window: str, stages: Sequence[str]) -> Canvas:
    """Return the picture of a page.

    Args:
        page: Grafana's JSON.
        source: Prometheus and the time range.
        window: Window of rates.
        stages: Those for which rows are repeated; all that may have replicas if empty.
    """
    known = stages or [each.labels["deployment"] for each in source.at_end(replicas.most(Scope()))]
    places = placed(page["panels"], {"deployment": known})
    height = max(each.y + each.height for each in places) * ROW + _TOP + GAP
    canvas = Canvas(24 * COLUMN + GAP, height)
    _title(canvas, page["title"], source)
    marks = [
        (at, each["iconColor"])
        for each in page["annotations"]["list"]
        for line in source.over_time(filled(each["expr"], window))
        for at in line.begins
    ]
    for each in places:
        if each.panel["type"] == "row":
            _heading(canvas, each)
        else:
            frame = Frame(canvas, each, *_ground(canvas, each), source, window, marks)
            _DRAW[each.panel["type"]](frame)
    return canvas


def _title(canvas: Canvas, title: str, source: Prometheus) -> None:
    canvas.text(GAP + 4, _TOP / 2, title.replace("/", " / "), size=18, bold=True)
    start, end = (datetime.fromtimestamp(each, UTC) for each in (source.start, source.end))
    span = f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    canvas.text(canvas.width - GAP, _TOP / 2, span, size=13, colour=FAINT, align="right")


def _heading(canvas: Canvas, row: Placed) -> None:
    x, y, _, height = row.pixels
    title = row.panel["title"]
    for name, value in row.variables.items():
        title = title.replace(f"${name}", value)
    canvas.text(x + 4, _TOP + y + height / 2, f"⌄  {title}", size=15, colour=WORDS, bold=True)


def _ground(canvas: Canvas, place: Placed) -> tuple[float, float, float, float]:
    """Draw the frame of a panel, and return the place of its content."""
    x, y, width, height = place.pixels
    y += _TOP
    canvas.box(x, y, width, height)
    canvas.text(x + 10, y + _HEAD / 2, place.panel["title"], size=12.5, bold=True)
    return x, y + _HEAD, width, height - _HEAD


if __name__ == "__main__":
    main()
