"""Pages of Grafana: complete, legible, and only about series that exist. No Grafana needed."""

import ast
import json
import re
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dashboards import queries, rules, slo
from dashboards.absent_series import ABSENT, why_empty
from dashboards.expressions import expressions, filled, panels_of
from dashboards.page import TAG, Page
from dashboards.pages import PAGES
from dashboards.preview.values import written
from dashboards.promql import SCRAPE_LABELS, OtherSeries, Scope, labels_of, select
from dashboards.queries import alerts, answers, load_tests, machines, replicas, requests, stages
from dashboards.ray_series import RAY_SERIES
from dashboards.rendered import ROOT, drifted, rendered, write
from deployments.telemetry.metrics import (
    METRICS,
    QUEUE_SECONDS,
    REQUEST_SECONDS,
    REQUESTS,
    STAGE_CALLS,
    Metric,
)

QUERIES = (alerts, answers, load_tests, machines, replicas, requests, stages)
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_count"]}
SERIES: dict[str, Metric | OtherSeries] = {
    f"{each.exported}{suffix}": each
    for each in (*METRICS, *RAY_SERIES, alerts.ALERTS, load_tests.USERS)
    for suffix in SUFFIXES[each.kind]
}
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*){([^}]*)}")
TEXTS = sorted({each.text for each in expressions()})


def content(page: Page) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(page.json())
    return loaded


PANELS = [
    pytest.param(panel, id=f"{page.name}: {panel['title']}")
    for page in PAGES
    for panel in panels_of(content(page))
]


def test_pages_are_where_bookmarks_and_alerts_look_for_them() -> None:
    assert [page.uid for page in PAGES] == [
        "admirer-overview",
        "admirer-stages",
        "admirer-answers",
        "admirer-capacity",
    ]
    assert rules.alerts()
    assert {alert.page for alert in rules.alerts()} <= {page.uid for page in PAGES}


def test_every_page_links_to_all_pages_and_takes_variables_and_time_along() -> None:
    for page in PAGES:
        (link,) = content(page)["links"]
        assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
        assert link["tags"] == content(page)["tags"] == [TAG]


def test_every_page_chooses_source_namespace_application_and_stage() -> None:
    for page in PAGES:
        variables = content(page)["templating"]["list"]
        names = [each["name"] for each in variables]
        assert names == ["datasource", "namespace", "application", "deployment"]
        assert all(each["allValue"] == ".*" for each in variables[1:])


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert len(panel["description"]) > 30
    if panel["type"] == "text":
        return
    assert written(12.3, panel["fieldConfig"]["defaults"]["unit"])
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        assert target.get("legendFormat") or panel["type"] == "table"


def test_only_kinds_of_panel_that_grafana_11_has() -> None:
    kinds = {panel["type"] for page in PAGES for panel in panels_of(content(page))}
    assert kinds == {"timeseries", "stat", "bargauge", "heatmap", "table", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_panels_lie_side_by_side_and_none_on_another(page: Page) -> None:
    found = content(page)["panels"]
    assert len({panel["id"] for panel in found}) == len(found) > 10
    cells = [
        {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        for place in (panel["gridPos"] for panel in found)
    ]
    assert all(0 <= column < 24 for taken in cells for column, _ in taken)
    assert all(one.isdisjoint(other) for one, other in combinations(cells, 2))
    height = max(line for taken in cells for _, line in taken) + 1
    assert len(set().union(*cells)) == 24 * height, "there are holes"


@pytest.mark.parametrize("text", TEXTS)
def test_every_expression_reads_series_and_labels_that_exist(text: str) -> None:
    read = SELECTOR.findall(text) or [(text, "")]
    known = {"le", *SCRAPE_LABELS}
    for name, matchers in read:
        assert name in SERIES
        labels = {"le", *SCRAPE_LABELS, *labels_of(SERIES[name])}
        assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", matchers)) <= labels
        known |= labels
    grouped = {
        label for by in re.findall(r"by \(([^)]*)\)", text) for label in re.split(r",\s*", by)
    }
    made = set(re.findall(r'label_replace\(.+?, "(\w+)", "\$1"', text))
    assert grouped <= known | made


def test_the_test_of_names_would_see_a_wrong_one() -> None:
    assert len(TEXTS) > 80
    assert "ray_admirer_requests_total" in SERIES
    assert "ray_admirer_request_seconds_sum" not in SERIES
    assert "ray_admirer_request_seconds" not in SERIES
    found = SELECTOR.findall('sum(rate(ray_admirer_x_sum{code!="ok"}[5m])) / (vector(1))')
    assert found == [("ray_admirer_x_sum", 'code!="ok"')]


def test_no_expression_has_a_variable_or_a_bracket_left() -> None:
    for text in TEXTS:
        assert not re.search(r"\$[a-z_{]", text)
        assert all(text.count(left) == text.count(right) for left, right in ("()", "{}", "[]"))


def test_a_variable_is_filled_and_what_label_replace_reads_is_not() -> None:
    text = 'x{a=~"$deployment",b=~"${namespace}"}[$__rate_interval] "$1"'
    assert filled(text, "2m", deployment="tagger") == 'x{a=~"tagger",b=~".*"}[2m] "$1"'


def test_choosing_a_stage_hides_no_request() -> None:
    scope = Scope(namespace="n", application="a", deployment="tagger")
    assert select(REQUESTS, scope) == f'{REQUESTS.exported}{{namespace=~"n",application=~"a"}}'
    assert 'stage=~"tagger"' in select(STAGE_CALLS, scope)
    assert 'deployment=~"tagger"' in select(QUEUE_SECONDS, scope)


def test_the_promise_on_seconds_is_an_edge_of_the_histogram() -> None:
    assert slo.LATENCY_S in REQUEST_SECONDS.buckets


def test_every_query_is_used_by_a_page_or_a_rule() -> None:
    used = {
        (node.value.id, node.attr)
        for file in [*ROOT.glob("dashboards/*.py"), *ROOT.glob("dashboards/pages/*.py")]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    inside = {
        node.func.id
        for file in ROOT.glob("dashboards/queries/*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    names = [(module, name) for module in QUERIES for name in _public(module)]
    assert len(names) > 40
    idle = [
        f"{module.__name__}.{name}"
        for module, name in names
        if (module.__name__.rpartition(".")[2], name) not in used and name not in inside
    ]
    assert idle == []


def _public(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if callable(value)
        and getattr(value, "__module__", None) == module.__name__
        and not name.startswith("_")
    ]


def test_every_module_of_queries_is_looked_at_here() -> None:
    files = {file.stem for file in Path(queries.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {module.__name__.rpartition(".")[2] for module in QUERIES}


def test_every_series_of_others_is_used_and_every_exception_has_a_reason() -> None:
    read = {name for text in [*TEXTS, *_texts_of_rules()] for name, _ in SELECTOR.findall(text)}
    assert [each.exported for each in RAY_SERIES if not _names(each) & read] == []
    for series, reason in ABSENT.items():
        assert _names(series) <= set(SERIES)
        assert reason.endswith(".")
    assert why_empty(machines.gpu_share(Scope()))
    assert why_empty(requests.answer_rate(Scope())) is None


def _texts_of_rules() -> list[str]:
    return list(rules.rendered().values())


def _names(series: Any) -> set[str]:
    return {f"{series.exported}{suffix}" for suffix in SUFFIXES[series.kind]}


def test_what_is_committed_is_what_the_code_writes() -> None:
    assert drifted() == [], "run make dashboards"


def test_a_page_is_the_same_text_every_time_and_fits_a_config_map() -> None:
    for path, text in rendered().items():
        assert len(text.encode()) < 512 * 1024, path
    assert rendered() == rendered()


def test_drift_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    assert drifted(tmp_path) == []
    pages = tmp_path / "charts" / "admirer" / "dashboards"
    (pages / "stages.json").write_text("{}")
    (pages / "old.json").write_text("{}")
    (pages / "overview.json").unlink()
    assert drifted(tmp_path) == [
        "charts/admirer/dashboards/overview.json is missing",
        "charts/admirer/dashboards/stages.json differs",
        "charts/admirer/dashboards/old.json is left over",
    ]
    write(tmp_path)
    assert drifted(tmp_path) == []
