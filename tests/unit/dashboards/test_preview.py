"""Drawings of the pages, from a Prometheus that answers every query alike."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dashboards.pages import PAGES
from dashboards.preview.__main__ import draw
from dashboards.preview.layout import placed
from dashboards.preview.prometheus import Prometheus
from dashboards.preview.values import written


def test_a_row_is_drawn_once_for_each_stage_and_moves_what_is_below() -> None:
    (page,) = [page for page in PAGES if page.name == "stages"]
    values: dict[str, Sequence[str]] = {"deployment": ["captioner", "tagger", "answerer"]}
    found = placed(json.loads(page.json())["panels"], values)
    headings = [each for each in found if each.panel["type"] == "row"]
    assert [each.variables.get("deployment") for each in headings] == [
        None,
        "captioner",
        "tagger",
        "answerer",
        None,
    ]
    assert all(above.y < below.y for above, below in pairwise(headings))
    places = {(each.x, each.y) for each in found}
    assert len(places) == len(found)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (0, "s", "0 s"),
        (0.995, "percentunit", "99.5 %"),
        (-25.8, "percentunit", "-2580 %"),
        (3_221_225_472, "bytes", "3 GiB"),
        (1310, "short", "1.31 K"),
        (2.784, "reqps", "2.78 /s"),
        (0.0004, "currencyUSD", "$0.0004"),
        (6, "none", "6"),
        (float("nan"), "s", "no data"),
    ],
)
def test_values_are_written_with_their_units(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


@pytest.fixture
def prometheus() -> Iterator[str]:
    """Yield the address of a server that answers every query with the same two series."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_range = "query_range" in self.path
            values = {"values": [[1000 + 10 * step, str(step)] for step in range(7)]}
            found = [
                {
                    "metric": {"stage": name, "deployment": name, "le": le},
                    **(values if is_range else {"value": [1060, le]}),
                }
                for name, le in (("captioner", "1.0"), ("tagger", "2.0"))
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "success", "data": {"result": found}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()
        thread.join()


def test_a_page_with_every_kind_of_panel_can_be_drawn(prometheus: str, tmp_path: Path) -> None:
    one_of_each: dict[str, Any] = {}
    for page in PAGES:
        for panel in json.loads(page.json())["panels"]:
            one_of_each.setdefault(panel["type"], panel)
    assert len(one_of_each) == 7
    source = Prometheus(prometheus, start=1000, end=1060, step_s=10)
    file = tmp_path / "page.png"
    drawn = {**json.loads(PAGES[0].json()), "panels": list(one_of_each.values())}
    draw(drawn, source, "1m", []).save(file)
    assert file.read_bytes().startswith(b"\x89PNG")
