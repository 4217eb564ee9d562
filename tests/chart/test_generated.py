"""What is generated is what its sources say: schema, README, golden renders.

`make chart-docs` writes schema and README again. With UPDATE_GOLDEN=1 in the environment, the tests
here write the golden renders again, whose diff is then read in review.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.chart_rendering import CHART, ROOT, render, run, value_sets

from tools import chart_values

GOLDEN = Path(__file__).parent / "golden"
SETS = value_sets()


def test_the_schema_is_what_values_and_settings_say() -> None:
    wanted = json.loads(chart_values.SCHEMA.read_text())
    assert chart_values.schema() == wanted, "run make chart-docs"


def test_the_readme_is_what_its_template_and_values_say(tmp_path: Path) -> None:
    copy = tmp_path / "admirer"
    shutil.copytree(CHART, copy)
    done = run("helm-docs", "--chart-search-root", tmp_path, "--log-level", "error")
    assert done.returncode == 0, done.stderr
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), (
        "run make chart-docs"
    )


def test_every_value_is_described() -> None:
    rows = (CHART / "README.md").read_text().split("## Values")[1].splitlines()
    cells = [row.split(" | ") for row in rows if row.startswith("| ")][2:]
    assert len(cells) > 100
    assert [row[0] for row in cells if not row[-1].strip(" |")] == []


def test_every_object_of_ours_refuses_unknown_keys() -> None:
    open_objects = list(_open(json.loads(chart_values.SCHEMA.read_text()), ""))
    allowed = {
        *(f"/{name}" for name in chart_values._KUBERNETES),
        "/global",
        *("/podSecurityContext", "/securityContext", "/clients", "/operator", "/prometheus"),
        *("/to", "/extraIngress", "/extraEgress", "/parentRefs", "/tls", "/extraObjects"),
    }
    assert open_objects
    assert {f"/{path.split('/')[-1]}" for path in open_objects} <= allowed


def _open(shape: Any, path: str) -> Iterator[str]:
    """Yield the paths of objects that take any key."""
    if isinstance(shape, list):
        for item in shape:
            yield from _open(item, path)
    if not isinstance(shape, dict):
        return
    is_object = shape.get("type") in ("object", ["object", "string"])
    if is_object and shape.get("additionalProperties", True) is True:
        yield path
    for key, item in shape.items():
        names = item if key in ("properties", "definitions") else {"": item}
        for name, inner in names.items():
            yield from _open(inner, f"{path}/{name}".rstrip("/"))


@pytest.mark.parametrize("name", SETS)
def test_the_schema_accepts_every_values_file(name: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for file in SETS[name]:
        values = _over(values, yaml.safe_load(file.read_text()))
    jsonschema.Draft7Validator(json.loads(chart_values.SCHEMA.read_text())).validate(values)


def _over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = {key: _over(below.get(key), item) for key, item in above.items()}
    return {**below, **merged}


@pytest.mark.parametrize("name", SETS)
def test_every_values_file_renders_as_it_was_reviewed(name: str) -> None:
    # Pages and rules are large, generated and checked elsewhere.
    without = {"dashboards.enabled": False, "alerts.enabled": False}
    rendered = render(SETS[name], without, monitors=True)
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text(), "read the difference, then run with UPDATE_GOLDEN=1"


def test_there_is_no_golden_render_without_its_values() -> None:
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == set(SETS)


def test_the_files_of_the_chart_name_no_other_place() -> None:
    files = [file for file in CHART.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert len(files) > 30
    for file in files:
        assert str(ROOT) not in file.read_text(encoding="utf-8"), file
