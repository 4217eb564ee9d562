"""Alert and recording rules: what promtool says of them, and that nothing is untested or unread."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.prometheus_programs import program

from dashboards import slo
from dashboards.pages import PAGES
from dashboards.rules import alerts, rendered, rules
from dashboards.rules.format import Alert, Recording
from deployments.telemetry.metrics import REQUEST_SECONDS

ROOT = Path(__file__).parents[2]
CHART_RULES = ROOT / "charts" / "admirer" / "rules"
CASES = sorted(Path(__file__).parent.glob("*.yaml"))
ALERTS = alerts()


def promtool(*arguments: Any) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def expectations() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield each alert that a case looks for, with the labels of those that it finds."""
    for file in CASES:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for look in case.get("alert_rule_test", ()):
                found = [each["exp_labels"] for each in look.get("exp_alerts", ())]
                yield look["alertname"], found


def test_the_chart_has_the_rules_of_the_code() -> None:
    assert {file.name: file.read_text() for file in CHART_RULES.glob("*")} == rendered(), (
        "run make dashboards"
    )


@pytest.mark.parametrize("name", rendered())
def test_promtool_reads_every_rule(name: str) -> None:
    promtool("check", "rules", CHART_RULES / name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_when_they_should_and_not_early(case: Path) -> None:
    promtool("test", "rules", case.name)


def test_there_is_a_file_of_cases_for_every_file_of_rules() -> None:
    assert {case.name for case in CASES} == set(rendered())


@pytest.mark.parametrize(
    "alert", ALERTS, ids=lambda alert: "-".join((alert.name, *alert.labels.values()))
)
def test_a_case_sees_the_alert_fire_and_a_case_sees_it_silent(alert: Alert) -> None:
    seen = [labels for name, labels in expectations() if name == alert.name]
    ours = {"severity": alert.severity, **alert.labels}
    firing = [any(ours.items() <= labels.items() for labels in found) for found in seen]
    assert True in firing
    assert False in firing


def test_the_cases_look_for_no_alert_that_does_not_exist() -> None:
    assert {name for name, _ in expectations()} == {alert.name for alert in ALERTS}


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    text = (ROOT / "dashboards" / "RUNBOOK.md").read_text()
    sections = re.findall(r"^## (\w+)\n\n\*(Page|Ticket)\.\*", text, re.MULTILINE)
    assert {(name, kind.lower()) for name, kind in sections} == {
        (alert.name, alert.severity) for alert in ALERTS
    }
    assert len(sections) == text.count("\n## ")
    anchors = {name.lower() for name, _ in sections}
    assert {alert.runbook.partition("#")[2] for alert in ALERTS} == anchors
    assert set(re.findall(r"\(#(\w+)\)", text)) <= anchors
    for section in text.split("\n## ")[1:]:
        for part in ("**Look:**", "**Causes and what to do:**", "**Escalate**"):
            assert part in section, section.partition("\n")[0]


@pytest.mark.parametrize(
    "alert", ALERTS, ids=lambda alert: "-".join((alert.name, *alert.labels.values()))
)
def test_an_alert_says_what_is_wrong_where_and_what_to_do_first(alert: Alert) -> None:
    assert alert.operands
    for operand in alert.operands:
        assert operand in alert.expr
    assert "_sum{" not in alert.expr
    kept = re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", alert.expr)))
    known = {"namespace", "application", "deployment" if "deployment:" in alert.expr else "", *kept}
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= known
    assert alert.summary.endswith(".")
    assert alert.description.endswith(".")


def test_every_alert_leads_to_a_page_that_there_is() -> None:
    assert {alert.page for alert in ALERTS} <= {page.uid for page in PAGES}


def test_recorded_series_are_named_level_metric_operations_and_are_read() -> None:
    recorded = {rule.name for rule in rules() if isinstance(rule, Recording)}
    assert recorded
    assert all(re.fullmatch(r"[a-z]+:[a-z_]+:[a-z0-9_]+", name) for name in recorded)
    read = set(re.findall(r"[a-z]+:[a-z_]+:[a-z0-9_]+", " ".join(a.expr for a in ALERTS)))
    assert read == recorded


def test_the_promised_time_is_an_edge_of_the_histogram() -> None:
    assert slo.LATENCY_S in REQUEST_SECONDS.buckets
