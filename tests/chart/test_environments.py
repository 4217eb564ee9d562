"""The values in k8s/environments are ones that the chart and the app accept."""

from pathlib import Path

import pytest
import yaml
from support.chart_rendering import ROOT, SIMULATOR, one, render

from serve import config_files

FILES = sorted((ROOT / "k8s" / "environments").glob("*.values.yaml"))


def test_there_are_environments() -> None:
    assert len(FILES) >= 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_chart_and_app_accept_the_environment(file: Path) -> None:
    below = [SIMULATOR] if file.name.startswith("local.") else []
    service = one(render([*below, file]), "RayService")
    config_files.check(yaml.safe_load(service["spec"]["serveConfigV2"]))
