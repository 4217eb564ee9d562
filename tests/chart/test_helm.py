"""helm's own lint and the suites in charts/admirer/tests."""

import re

import pytest
from support.chart_rendering import CHART, KUBERNETES, run, value_sets

SETS = value_sets()


@pytest.mark.parametrize("name", SETS)
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    files = [item for file in SETS[name] for item in ("--values", file)]
    done = run("helm", "lint", "--strict", "--kube-version", KUBERNETES, *files, CHART)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_suites_of_the_chart_pass() -> None:
    done = run("helm-unittest", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^Tests:\s+(\d+) passed, (\d+) total", done.stdout, re.MULTILINE)
    assert passed
    assert int(passed[1]) == int(passed[2]) >= 100


def test_every_template_has_a_suite() -> None:
    templates = {
        str(file.relative_to(CHART / "templates"))
        for file in (CHART / "templates").rglob("*.*")
        if not file.name.startswith("_")
    }
    suites = "".join(file.read_text() for file in (CHART / "tests").glob("*_test.yaml"))
    named = set(re.findall(r"(?:^  - |template: )([\w/.-]+)$", suites, re.MULTILINE))
    assert len(templates) > 20
    assert templates - named == set()
