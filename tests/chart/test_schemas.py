"""Every object fits the schema of its kind, in tests/chart/schemas (see make_schemas.py)."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.chart_rendering import ALTERNATIVES, objects, render, run, value_sets

SETS = value_sets()


LOCATION = "tests/chart/schemas/{{.ResourceKind}}{{.KindSuffix}}.json"


def kubeconform(file: Path) -> Any:
    return run("kubeconform", "-strict", "-summary", "-schema-location", LOCATION, file)


@pytest.mark.parametrize("name", [*SETS, *ALTERNATIVES])
def test_every_object_fits_the_schema_of_its_kind(name: str, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(render(SETS.get(name), ALTERNATIVES.get(name), monitors=True))
    done = kubeconform(file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


@pytest.mark.parametrize("kind", ["RayService", "PodMonitor", "NetworkPolicy", "Pod"])
def test_the_schemas_do_refuse_an_unknown_key(kind: str, tmp_path: Path) -> None:
    item = next(found for found in objects(render(monitors=True)) if found["kind"] == kind)
    item["spec"]["nonsense"] = 1
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump(item))
    assert "nonsense" in kubeconform(file).stdout
