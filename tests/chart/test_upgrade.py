"""A release that changes no value starts no second cluster, GPUs and all."""

import shutil
from pathlib import Path

import pytest
import yaml
from support.chart_rendering import CHART, one, render, value_sets

SETS = value_sets()


@pytest.mark.parametrize("name", SETS)
def test_a_new_version_of_chart_and_app_leaves_the_cluster_as_it_is(
    name: str, tmp_path: Path
) -> None:
    newer = tmp_path / "admirer"
    shutil.copytree(CHART, newer)
    about = yaml.safe_load((newer / "Chart.yaml").read_text())
    about |= {"version": "9.9.9", "appVersion": "8.8.8"}
    (newer / "Chart.yaml").write_text(yaml.safe_dump(about))
    before, after = render(SETS[name]), render(SETS[name], chart=newer)
    assert "9.9.9" in after
    assert cluster_bytes(before) == cluster_bytes(after)
    serve = [one(text, "RayService")["spec"]["serveConfigV2"] for text in (before, after)]
    assert serve[0] == serve[1]


def cluster_bytes(manifests: str) -> str:
    """Return the text of rayClusterConfig."""
    text = manifests.partition("  rayClusterConfig:\n")[2].partition("\n---")[0]
    assert len(text) > 1000
    return text


def test_another_image_tag_does_replace_the_cluster() -> None:
    assert cluster_bytes(render()) != cluster_bytes(render(values={"image.tag": "0.2.0"}))


def test_a_changed_stage_leaves_the_cluster_as_it_is() -> None:
    changed = render(values={"stages.captioner.autoscaling.maxReplicas": 3, "app.nShot": 8})
    assert cluster_bytes(render()) == cluster_bytes(changed)


def test_replicas_are_the_autoscalers() -> None:
    groups = one(render(), "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert groups
    for group in groups:
        assert "replicas" not in group
        assert {"minReplicas", "maxReplicas"} <= set(group)
